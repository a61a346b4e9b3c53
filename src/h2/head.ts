/**
 * Heads and trailers as they arrive, and what makes a message malformed (RFC 9113 8.1.1).
 *
 * The fields are two flat lists, those of one name beside each other, so that a map of fields can take them over.
 */
import type { FieldSink } from './hpack/decoder.ts';
import { Kind, LAST_PSEUDO, type Name } from './names.ts';

/** A request's head, to be sent. */
export interface RequestHead {
  readonly method: string;
  /** Left out with CONNECT. */
  readonly scheme?: string | undefined;
  readonly authority?: string | undefined;
  /** Left out with CONNECT. */
  readonly path?: string | undefined;
  /** In any case; sent in lower case. */
  readonly names: readonly string[];
  readonly values: readonly string[];
}

/** What a head is that of. */
export type HeadOf = 'request' | 'response' | 'trailers';

// RFC 9110 5.6.2: token
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// RFC 3986 3.1
const SCHEME = /^[A-Za-z][A-Za-z0-9+\-.]*$/;
// RFC 3986 3.2 without user information, which RFC 9113 8.3.1 forbids for http and https; ports are digits
const AUTHORITY = /^(?:[A-Za-z0-9\-._~%!$&'()*+,;=]+|\[[0-9A-Fa-f:.vV]+(?:%[A-Za-z0-9\-._~%]+)?\])(?::([0-9]*))?$/;
// RFC 3986 2.1: what doesn't begin an escape
const BROKEN_ESCAPE = /%(?![0-9A-Fa-f]{2})/;
// RFC 9113 8.3.2: three digits
const STATUS = /^[1-9][0-9][0-9]$/;
// RFC 9110 8.6
const LENGTH = /^[0-9]{1,15}$/;

/** Whether `authority` is a host, or a host and a port. */
function isAuthority(authority: string): boolean {
  const match = AUTHORITY.exec(authority);
  if (match === null || BROKEN_ESCAPE.test(authority)) return false;
  return match[1] === undefined || match[1] === '' || Number(match[1]) <= 65_535;
}

// RFC 3986 6.2.3: a port that is empty or the scheme's own says nothing
const IDLE_PORTS = new Map([
  ['http', /:(?:0*80)?$/],
  ['https', /:(?:0*443)?$/],
]);

/** Whether both name the same host and port once they are normalized, as a proxy has to (RFC 9113 8.3.1). */
function isSame(host: string, authority: string, scheme: string | undefined): boolean {
  const port = IDLE_PORTS.get(scheme?.toLowerCase() ?? '') ?? /:$/;
  return host.toLowerCase().replace(port, '') === authority.toLowerCase().replace(port, '');
}

/** A head that arrives: takes its fields as they are decoded. */
export class Head implements FieldSink {
  readonly of: HeadOf;
  method: string | undefined = undefined;
  scheme: string | undefined = undefined;
  authority: string | undefined = undefined;
  path: string | undefined = undefined;
  /** Of an extended CONNECT (RFC 8441). */
  protocol: string | undefined = undefined;
  status = 0;
  /** Names of the fields, as the connection's {@link Names} show them. */
  readonly names: string[] = [];
  /** The value of each, a character a byte. */
  readonly values: string[] = [];
  /** Names that the sender never wants in a table (RFC 7541 6.2.3). */
  neverIndexed: string[] | null = null;
  /** What Content-Length says; -1 without one. */
  contentLength = -1;
  /** Why the message is malformed; null if it isn't. */
  malformed: string | null = null;
  /** There is more than was allowed; what was too much isn't here. */
  tooLarge = false;
  /** Its size as RFC 9113 6.5.2 counts it, and its fields. */
  size = 0;
  count = 0;

  private readonly maxSize: number;
  private readonly maxCount: number;
  private pseudo = 0;
  private regular = false;
  /** Bits of the names that are here. */
  private bits = 0;
  private host: string | undefined = undefined;

  constructor(of: HeadOf, maxSize: number, maxCount: number) {
    this.of = of;
    this.maxSize = maxSize;
    this.maxCount = maxCount;
  }

  add(name: Name, value: string, valid: boolean, never: boolean): void {
    this.size += name.text.length + value.length + 32;
    if (++this.count > this.maxCount || this.size > this.maxSize) {
      this.tooLarge = true;
      return;
    }
    // RFC 9113 8.2.1
    if (!valid) this.malformed ??= `the value of ${name.text}`;
    const { kind } = name;
    if (kind !== Kind.REGULAR && this.special(name, kind, value)) return;
    this.regular = true;
    if (never) {
      this.neverIndexed ??= [];
      this.neverIndexed.push(name.shown);
    }
    if ((this.bits & name.bit) === 0) {
      this.bits |= name.bit;
      this.names.push(name.shown);
      this.values.push(value);
    } else this.among(name, value);
  }

  /** Add a field whose name may be here: behind the last one of that name. */
  private among(name: Name, value: string): void {
    const { names, values } = this;
    const before = names.lastIndexOf(name.shown);
    if (before < 0 || before === names.length - 1) {
      names.push(name.shown);
      values.push(value);
    } else {
      names.splice(before + 1, 0, name.shown);
      values.splice(before + 1, 0, value);
    }
  }

  /** True: the field isn't kept as others are. */
  private special(name: Name, kind: number, value: string): boolean {
    if (kind <= LAST_PSEUDO) {
      this.pseudoField(name, kind, value);
      return true;
    }
    switch (kind) {
      case Kind.INVALID:
        // RFC 9113 8.2.1: characters that aren't a token's, or upper case
        this.malformed ??= 'an invalid name';
        return true;
      case Kind.CONNECTION_SPECIFIC:
        // RFC 9113 8.2.2
        this.malformed ??= `${name.text} in HTTP/2`;
        return true;
      case Kind.TE:
        // RFC 9113 8.2.2
        if (value !== 'trailers') this.malformed ??= 'te other than trailers';
        return false;
      case Kind.HOST:
        // RFC 9112 3.2: not two of them
        if (this.host !== undefined) this.malformed ??= 'host twice';
        this.host = value;
        return false;
      case Kind.CONTENT_LENGTH:
        return this.length(value);
      case Kind.COOKIE:
        return this.crumb(name, value);
      default:
        return false;
    }
  }

  /** RFC 9113 8.3: at the beginning, each once, only those that are defined. */
  private pseudoField(name: Name, kind: number, value: string): void {
    const bit = 1 << kind;
    if (kind === Kind.UNKNOWN_PSEUDO || this.of === 'trailers') this.malformed ??= `${name.text} out of place`;
    else if ((kind === Kind.STATUS) !== (this.of === 'response')) this.malformed ??= `${name.text} out of place`;
    else if (this.regular) this.malformed ??= `${name.text} after another field`;
    else if ((this.pseudo & bit) !== 0) this.malformed ??= `${name.text} twice`;
    this.pseudo |= bit;
    if (kind === Kind.METHOD) this.method = value;
    else if (kind === Kind.SCHEME) this.scheme = value;
    else if (kind === Kind.AUTHORITY) this.authority = value;
    else if (kind === Kind.PATH) this.path = value;
    else if (kind === Kind.PROTOCOL) this.protocol = value;
    else if (kind === Kind.STATUS) {
      // RFC 9113 8.3.2
      if (STATUS.test(value)) this.status = Number(value);
      else this.malformed ??= 'the status';
    }
  }

  /** RFC 9110 8.6: the same length twice is one, two lengths are none. */
  private length(value: string): boolean {
    if (this.of === 'trailers') return false;
    if (!LENGTH.test(value)) {
      this.malformed ??= 'the content-length';
      return true;
    }
    const length = Number(value);
    if (this.contentLength === -1) {
      this.contentLength = length;
      return false;
    }
    if (this.contentLength !== length) this.malformed ??= 'two content-lengths';
    return true;
  }

  /** RFC 9113 8.2.3: crumbs of a cookie are one field again before anything that isn't HTTP/2 sees them. */
  private crumb(name: Name, value: string): boolean {
    if ((this.bits & name.bit) === 0) return false;
    const at = this.names.indexOf(name.shown);
    if (at < 0) return false;
    this.values[at] = `${this.values[at]}; ${value}`;
    return true;
  }

  /** Once all fields are here. `extended`: extended CONNECT was allowed (RFC 8441 3). */
  complete(extended: boolean): void {
    if (this.malformed !== null || this.of === 'trailers') return;
    if (this.of === 'response') {
      if (this.status === 0) this.malformed = 'no :status';
      // RFC 9113 8.6: there is no switching of protocols
      else if (this.status === 101) this.malformed = 'status 101';
      return;
    }
    this.malformed = this.target(extended) ?? this.authorities();
  }

  /** RFC 9113 8.3.1 and 8.5. */
  private target(extended: boolean): string | null {
    const { method, scheme, path } = this;
    if (method === undefined) return 'no :method';
    if (!TOKEN.test(method)) return 'the :method';
    if (this.protocol !== undefined) {
      // RFC 8441 4: only if this end has said that it takes it
      if (!extended || method !== 'CONNECT') return ':protocol';
    } else if (method === 'CONNECT') {
      if (scheme !== undefined || path !== undefined) return 'CONNECT with :scheme or :path';
      if (this.authority === undefined) return 'CONNECT without :authority';
      // RFC 9113 8.5: host and port
      return /:[0-9]+$/.test(this.authority) ? null : 'CONNECT without a port';
    }
    if (scheme === undefined) return 'no :scheme';
    if (!SCHEME.test(scheme)) return 'the :scheme';
    if (path === undefined) return 'no :path';
    // Whatever the scheme says, the path becomes the target of a request of HTTP/1 (RFC 9112 3.2), where a space would end it
    if (path.charCodeAt(0) === 47 /* / */) return hasSpace(path) ? 'the :path' : null;
    return path === '*' && method === 'OPTIONS' ? null : 'the :path';
  }

  /**
   * RFC 9113 8.3.1. A request that names two hosts is malformed too: whoever routes by the one and an origin that
   * believes the other would be talking of two requests. So is one that names none: there is no http or https without a
   * host (RFC 9110 4.2.1 and 4.2.2), and an origin of HTTP/1 has to refuse it (RFC 9112 3.2).
   */
  private authorities(): string | null {
    const { authority, host } = this;
    if (authority !== undefined) {
      if (!isAuthority(authority)) return 'the :authority';
      if (host === undefined || host === authority) return null;
      if (!isSame(host, authority, this.scheme)) return 'host other than :authority';
      // RFC 9113 8.3.1: what goes on as Host is what :authority says
      this.values[this.names.findIndex((name) => name.toLowerCase() === 'host')] = authority;
      return null;
    }
    if (host === undefined || host === '') return 'no :authority and no host';
    return isAuthority(host) ? null : 'the host';
  }
}

function hasSpace(path: string): boolean {
  return path.includes(' ') || path.includes('\t');
}

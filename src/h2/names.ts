/**
 * Names of fields, each known once: what a name means to HTTP/2 is looked up when it enters a table of HPACK, and not
 * again for each head that has it.
 */
import { STATIC_TABLE } from './hpack/static-table.ts';

/** What a name means to HTTP/2. */
export const Kind = {
  REGULAR: 0,
  METHOD: 1,
  SCHEME: 2,
  AUTHORITY: 3,
  PATH: 4,
  PROTOCOL: 5,
  STATUS: 6,
  /** A pseudo-header field that nobody has defined (RFC 9113 8.3). */
  UNKNOWN_PSEUDO: 7,
  /** No token in lower case (RFC 9113 8.2.1). */
  INVALID: 8,
  /** Belongs to a connection of HTTP/1 (RFC 9113 8.2.2). */
  CONNECTION_SPECIFIC: 9,
  TE: 10,
  HOST: 11,
  CONTENT_LENGTH: 12,
  COOKIE: 13,
} as const;

/** The kinds up to this one are pseudo-header fields. */
export const LAST_PSEUDO = Kind.UNKNOWN_PSEUDO;

const KINDS = new Map<string, number>([
  [':method', Kind.METHOD],
  [':scheme', Kind.SCHEME],
  [':authority', Kind.AUTHORITY],
  [':path', Kind.PATH],
  [':protocol', Kind.PROTOCOL],
  [':status', Kind.STATUS],
  ['connection', Kind.CONNECTION_SPECIFIC],
  ['keep-alive', Kind.CONNECTION_SPECIFIC],
  ['proxy-connection', Kind.CONNECTION_SPECIFIC],
  ['transfer-encoding', Kind.CONNECTION_SPECIFIC],
  ['upgrade', Kind.CONNECTION_SPECIFIC],
  ['te', Kind.TE],
  ['host', Kind.HOST],
  ['content-length', Kind.CONTENT_LENGTH],
  ['cookie', Kind.COOKIE],
]);

// RFC 9110 5.6.2: token; RFC 9113 8.2.1: no upper case
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;

function kindOf(name: string): number {
  const kind = KINDS.get(name);
  if (kind !== undefined) return kind;
  if (name.charCodeAt(0) === 58 /* : */) return Kind.UNKNOWN_PSEUDO;
  return NAME.test(name) ? Kind.REGULAR : Kind.INVALID;
}

/** A name that arrives. */
export class Name {
  /** As it came, in lower case. */
  readonly text: string;
  /** As it is handed out. */
  readonly shown: string;
  /** One of {@link Kind}. */
  readonly kind: number;
  /** One bit of 31 that differs between most names: whether a head has a name twice is mostly seen by it. */
  readonly bit: number;

  constructor(text: string, shown: string) {
    this.text = text;
    this.shown = shown;
    this.kind = kindOf(text);
    let hash = text.length;
    for (let i = 0; i < text.length; i++) hash = (hash * 31 + text.charCodeAt(i)) | 0;
    this.bit = 1 << (((hash ^ (hash >>> 16)) >>> 0) % 31);
  }
}

/** A name not longer than this is kept, so many of them at most: names repeat, but a peer can invent any number. */
const KEPT_LENGTH = 64;
const KEPT_NAMES = 512;

/** The names that are known, for any number of connections. */
export class Names {
  /** By index of the static table, from 1 on. */
  readonly static: readonly Name[];
  private readonly known = new Map<string, Name>();
  private readonly shown: (name: string) => string;

  /** `shown` says how a name is handed out; as it came if left out. */
  constructor(shown: (name: string) => string = (name) => name) {
    this.shown = shown;
    const all = [new Name('', '')];
    for (const [name] of STATIC_TABLE) all.push(this.get(name));
    this.static = all;
  }

  /** What is known of `name`. */
  get(name: string): Name {
    const known = this.known.get(name);
    if (known !== undefined) return known;
    const made = new Name(name, this.shown(name));
    if (name.length <= KEPT_LENGTH && this.known.size < KEPT_NAMES && made.kind !== Kind.INVALID) {
      this.known.set(name, made);
    }
    return made;
  }
}

/**
 * Request and response heads, with the order, the case and the repetition of their fields kept.
 *
 * Values are strings of bytes (latin1, one character a byte), as Node has them: what a peer sent is what is sent on.
 *
 * Port of `pingora-http/src/lib.rs`.
 */
import { ErrorType, PingoraError } from '../error/lib.ts';
import { canonicalReason } from './status.ts';

/** The HTTP version of a message. */
export type Version = 'HTTP/0.9' | 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2';

const lowered = new Map<string, string>();

/** `name` in lower case. Names repeat, so the answers are kept (at most 512, the first ones seen). */
export function lowerName(name: string): string {
  const known = lowered.get(name);
  if (known !== undefined) return known;
  const lower = name.toLowerCase();
  if (lowered.size < 512 && name.length <= 64) lowered.set(name, lower);
  return lower;
}

/**
 * Whether two names are the same, whatever their case (RFC 9110 5.1).
 *
 * Most differ in length or in the first letter, which makes this cheaper than to look each name up in lower case: that
 * has to hash what was just cut out of a head (about 1 µs a request in a profile; the gain was not measured alone).
 */
function sameName(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    const lower = x | 32;
    if (lower !== (y | 32) || lower < 97 || lower > 122) return false;
  }
  return true;
}

// RFC 9110 5.6.2: token
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// RFC 9110 5.5: no control characters but tab
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

function check(name: string, value: string): void {
  if (!NAME.test(name)) throw PingoraError.explain(ErrorType.InvalidHTTPHeader, `invalid header name ${name}`);
  if (!VALUE.test(value)) throw PingoraError.explain(ErrorType.InvalidHTTPHeader, `invalid value of header ${name}`);
}

/**
 * The fields of a head. Looking up is by name in any case; writing out keeps the case in which each name came.
 *
 * ```ts
 * const head = ResponseHeader.build(200);
 * head.insertHeader('Content-Type', 'text/plain');
 * head.appendHeader('Set-Cookie', 'a=1');
 * head.appendHeader('Set-Cookie', 'b=2');
 * console.log(head.headers.get('content-type'), [...head.headers.getAll('set-cookie')].length); // text/plain 2
 * ```
 *
 * Fields of one name stand together, where the first of them stood: the order of the original's header map, and what
 * goes out on the wire. Parallel arrays rather than an object a field: a head is read once and written once. What was
 * parsed is mostly written as it came, so each field knows its line: lines that still stand together are cut out in one
 * piece, where four strings a field would have to be joined.
 */
export class HMap {
  private readonly _names: string[];
  private readonly _values: string[];
  /** The text that fields were parsed from. */
  private source = '';
  /** Where in `source` a field stands as `Name: value CRLF`; -1 if it doesn't. */
  private readonly lines: number[];

  /** Names, their values in the same order, and where each line starts in what was parsed. */
  constructor(names: string[] = [], values: string[] = [], lines: number[] = names.map(() => -1)) {
    this._names = names;
    this._values = values;
    this.lines = lines;
  }

  /** Names as they came. To be read only: a field that was parsed is written as its line. */
  get names(): readonly string[] {
    return this._names;
  }

  /** The values, each at its name's index, a character a byte. To be read only. */
  get values(): readonly string[] {
    return this._values;
  }

  /** How many fields there are, repeated ones counted each. */
  get length(): number {
    return this._names.length;
  }

  /** Where the first field of `name` stands; -1 if there is none. */
  private find(name: string): number {
    const names = this._names;
    for (let i = 0; i < names.length; i++) if (sameName(names[i]!, name)) return i;
    return -1;
  }

  /** Where the fields of the name of the one at `first` end. */
  private endOf(first: number): number {
    const names = this._names;
    let end = first + 1;
    while (end < names.length && sameName(names[end]!, names[first]!)) end++;
    return end;
  }

  /** The first value under `name`. */
  get(name: string): string | undefined {
    const at = this.find(name);
    return at < 0 ? undefined : this._values[at];
  }

  /** Whether there is a field of `name`, in any case. */
  has(name: string): boolean {
    return this.find(name) >= 0;
  }

  /** All values under `name`, in order. */
  getAll(name: string): string[] {
    const at = this.find(name);
    return at < 0 ? [] : this._values.slice(at, this.endOf(at));
  }

  /** How many fields of `name` there are. */
  count(name: string): number {
    const at = this.find(name);
    return at < 0 ? 0 : this.endOf(at) - at;
  }

  /** The values under `name` as one list (RFC 9110 5.3); undefined if there is none. */
  joined(name: string): string | undefined {
    const at = this.find(name);
    if (at < 0) return undefined;
    const end = this.endOf(at);
    let all = this._values[at]!;
    for (let i = at + 1; i < end; i++) all += `,${this._values[i]}`;
    return all;
  }

  /** Add a field without looking at its characters: for what a parser has checked. */
  appendUnchecked(name: string, value: string): void {
    this.append(name, value, -1);
  }

  /** As {@link HMap.appendUnchecked}, of a field that stands in `source` as `Name: value CRLF`, from `line` on. */
  appendParsed(name: string, value: string, source: string, line: number): void {
    this.source = source;
    this.append(name, value, line);
  }

  private append(name: string, value: string, line: number): void {
    const { _names: names, _values: values, lines } = this;
    let last = names.length - 1;
    while (last >= 0 && !sameName(names[last]!, name)) last--;
    if (last < 0 || last === names.length - 1) {
      names.push(name);
      values.push(value);
      lines.push(line);
    } else {
      names.splice(last + 1, 0, name);
      values.splice(last + 1, 0, value);
      lines.splice(last + 1, 0, line);
    }
  }

  /** Make the last field's value longer. */
  extendLast(more: string): void {
    const last = this._values.length - 1;
    this._values[last] = `${this._values[last]} ${more}`.trim();
    this.lines[last] = -1;
  }

  /** Set `name` to `value`: where its first field stood, all others of the name gone; at the end if there was none. */
  insertUnchecked(name: string, value: string): void {
    const at = this.find(name);
    if (at < 0) {
      this._names.push(name);
      this._values.push(value);
      this.lines.push(-1);
      return;
    }
    const end = this.endOf(at);
    this._names[at] = name;
    this._values[at] = value;
    this.lines[at] = -1;
    if (end > at + 1) this.cut(at + 1, end);
  }

  /** Remove all fields under `name`; returns the first value. */
  remove(name: string): string | undefined {
    const at = this.find(name);
    if (at < 0) return undefined;
    const value = this._values[at];
    this.cut(at, this.endOf(at));
    return value;
  }

  private cut(from: number, to: number): void {
    this._names.splice(from, to - from);
    this._values.splice(from, to - from);
    this.lines.splice(from, to - from);
  }

  /** A copy that can be changed by itself. */
  clone(): HMap {
    const copy = new HMap(this._names.slice(), this._values.slice(), this.lines.slice());
    copy.source = this.source;
    return copy;
  }

  /** Name and value of each field, names as they came. */
  *[Symbol.iterator](): Generator<[name: string, value: string]> {
    for (let i = 0; i < this._names.length; i++) yield [this._names[i]!, this._values[i]!];
  }

  /** `Name: value CRLF` of each field. */
  toWire(): string {
    const { _names: names, _values: values, lines, source } = this;
    let wire = '';
    let from = 0;
    let to = 0;
    for (let i = 0; i < names.length; i++) {
      const line = lines[i]!;
      if (line >= 0 && line === to) {
        to += names[i]!.length + values[i]!.length + 4;
        continue;
      }
      if (to > from) wire += source.slice(from, to);
      if (line >= 0) {
        from = line;
        to = line + names[i]!.length + values[i]!.length + 4;
      } else {
        from = 0;
        to = 0;
        wire += `${names[i]}: ${values[i]}\r\n`;
      }
    }
    return to > from ? wire + source.slice(from, to) : wire;
  }
}

/** What a request head and a response head have in common. */
abstract class Head {
  /** The version to write, or that was read. Default: HTTP/1.1. */
  version: Version = 'HTTP/1.1';
  /** The fields. What is changed here isn't checked, as `insertHeader` checks it. */
  headers: HMap;

  constructor(headers: HMap) {
    this.headers = headers;
  }

  /** Add a field; others of the same name stay. Throws `InvalidHTTPHeader` for a name or value that can't be sent. */
  appendHeader(name: string, value: string | number): void {
    const text = String(value);
    check(name, text);
    this.headers.appendUnchecked(name, text);
  }

  /** Set a field; others of the same name go. Throws `InvalidHTTPHeader` for a name or value that can't be sent. */
  insertHeader(name: string, value: string | number): void {
    const text = String(value);
    check(name, text);
    this.headers.insertUnchecked(name, text);
  }

  /** Remove all fields of the name; returns the first value. */
  removeHeader(name: string): string | undefined {
    return this.headers.remove(name);
  }

  /** Set the version to write. */
  setVersion(version: Version): void {
    this.version = version;
  }

  /** The fields as they stand on the wire in HTTP/1, case kept. */
  headerToH1Wire(): string {
    return this.headers.toWire();
  }
}

/** The head of a request. */
export class RequestHeader extends Head {
  /** `GET` and so on, in the case in which it came: methods are case-sensitive. */
  method: string;
  #path: string;
  /** The authority of the request's target (HTTP/2's `:authority`, or an absolute form's), if it has one. */
  authority: string | undefined;

  /** Unchecked; {@link RequestHeader.build} checks. */
  constructor(method: string, path: string, headers = new HMap()) {
    super(headers);
    this.method = method;
    this.#path = path;
  }

  /** A head with this method and target. Throws `InvalidHTTPHeader` for a method or target that can't be sent. */
  static build(method: string, path: string): RequestHeader {
    if (!NAME.test(method)) throw PingoraError.explain(ErrorType.InvalidHTTPHeader, `invalid method ${method}`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    if (!/^[^\x00-\x20\x7f]+$/.test(path)) {
      throw PingoraError.explain(ErrorType.InvalidHTTPHeader, `invalid uri ${path}`);
    }
    return new RequestHeader(method, path);
  }

  /** Set the method, unchecked. */
  setMethod(method: string): void {
    this.method = method;
  }

  /** Set path and query. */
  setUri(path: string): void {
    this.#path = path;
  }

  /** Path and query, as bytes. */
  rawPath(): string {
    return this.#path;
  }

  /** The path without its query. */
  get path(): string {
    const at = this.#path.indexOf('?');
    return at < 0 ? this.#path : this.#path.slice(0, at);
  }

  /** The query without its `?`; undefined if there is none. */
  get query(): string | undefined {
    const at = this.#path.indexOf('?');
    return at < 0 ? undefined : this.#path.slice(at + 1);
  }

  /** What follows the last dot of the path's last segment. */
  uriFileExtension(): string | undefined {
    const path = this.path;
    const name = path.slice(path.lastIndexOf('/') + 1);
    const dot = name.lastIndexOf('.');
    return dot < 0 ? undefined : name.slice(dot + 1);
  }

  /** A copy that can be changed by itself, its fields too. */
  clone(): RequestHeader {
    const copy = new RequestHeader(this.method, this.#path, this.headers.clone());
    copy.version = this.version;
    copy.authority = this.authority;
    return copy;
  }
}

/** The head of a response. */
export class ResponseHeader extends Head {
  // A native private field, and not for privacy alone: it keeps code that makes heads compiled (docs/PERFORMANCE.md).
  #status: number;

  /** Unchecked; {@link ResponseHeader.build} checks. */
  constructor(status: number, headers = new HMap()) {
    super(headers);
    this.#status = status;
  }

  /** The status code, 100 to 999. */
  get status(): number {
    return this.#status;
  }

  /** A head with this status. Throws `InvalidHTTPHeader` unless it is a whole number from 100 to 999. */
  static build(status: number): ResponseHeader {
    const head = new ResponseHeader(200);
    head.setStatus(status);
    return head;
  }

  /** Set the status. Throws `InvalidHTTPHeader` unless it is a whole number from 100 to 999. */
  setStatus(status: number): void {
    if (!Number.isInteger(status) || status < 100 || status > 999) {
      throw PingoraError.explain(ErrorType.InvalidHTTPHeader, `invalid status ${status}`);
    }
    this.#status = status;
  }

  /** Whether the status is 100 to 199. */
  get isInformational(): boolean {
    return this.status < 200;
  }

  /** The phrase that the registry has for the status; empty if it has none. */
  get reason(): string {
    return canonicalReason(this.status);
  }

  /** A copy that can be changed by itself, its fields too. */
  clone(): ResponseHeader {
    const copy = new ResponseHeader(this.status, this.headers.clone());
    copy.version = this.version;
    return copy;
  }
}

/**
 * The parser of HTTP/1 heads: the port's own, where the original uses httparse.
 *
 * It looks for the end of the head first, turns the head into one string, and goes over that once. Strict: whatever
 * two implementations could understand differently is refused (RFC 9112 2.2, 3, 5; RFC 9110 5.5).
 */
import { isUtf8 } from 'node:buffer';
import { HMap, RequestHeader, ResponseHeader } from '../../http/lib.ts';

/** How parsing went: done with a head of `size` bytes, more bytes are needed, or it can't be one. */
export type HeaderParseState<T> =
  | { readonly state: 'Complete'; readonly head: T; readonly size: number }
  | { readonly state: 'Partial' }
  | { readonly state: 'Invalid'; readonly reason: string };

/** More fields than this are refused; the original's `common.rs` has this. */
const MAX_HEADERS = 256;

/** How long all trailer fields may be together, in bytes. */
const TRAILERS_LIMIT = 1024 * 8;

const PARTIAL = { state: 'Partial' } as const;
const invalid = (reason: string) => ({ state: 'Invalid', reason }) as const;

const LF = 10;
const CR = 13;
const SP = 32;
const TAB = 9;
const COLON = 58;

const TOKEN = new Uint8Array(256);
for (const char of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
  TOKEN[char.charCodeAt(0)] = 1;
}
/** What a field value may hold: visible characters, space, tab and bytes above 127. */
const VALUE = new Uint8Array(256).fill(1, 32);
VALUE[TAB] = 1;
VALUE[127] = 0;
const ESCAPED = 2;
const HIGH = 3;
/**
 * What a target may hold as it is (1), escaped, or as part of UTF-8; the rest, control characters and `, is refused.
 */
const TARGET = new Uint8Array(256).fill(1, 33).fill(HIGH, 128);
TARGET[127] = 0;
TARGET['`'.charCodeAt(0)] = 0;
for (const char of ' "<>') TARGET[char.charCodeAt(0)] = ESCAPED;

/**
 * Where the empty line that ends the head ends, or -1. A line may end with LF alone (RFC 9112 2.2), so there may be an
 * earlier one: {@link parseFields} stops at the first. Most requests end with their head, which needs no search.
 */
function headEnd(buf: Buffer, from: number): number {
  const { length } = buf;
  if (buf[length - 1] === LF && buf[length - 2] === CR && buf[length - 3] === LF && length - 3 >= from) return length;
  const crlf = buf.indexOf('\n\r\n', from, 'latin1');
  if (crlf >= 0) return crlf + 3;
  const lf = buf.indexOf('\n\n', from, 'latin1');
  return lf < 0 ? -1 : lf + 2;
}

/** Where in its text the head that was parsed last ended, the empty line included. */
let fieldsEnd = 0;

/** How many of the first bytes are empty lines, which are skipped (RFC 9112 2.2). */
function emptyLines(buf: Buffer): number {
  for (let at = 0; ; ) {
    if (buf[at] === LF) at++;
    else if (buf[at] === CR && buf[at + 1] === LF) at += 2;
    else return at;
  }
}

/**
 * Parse the fields of `text` from `at` on into `headers`; a reason if they aren't valid.
 * `lenient`: a response may have folded lines and white space before the colon, which are mended.
 */
function parseFields(text: string, at: number, headers: HMap, lenient: boolean): string | undefined {
  const { length } = text;
  while (at < length) {
    let end = text.indexOf('\n', at);
    if (end < 0) end = length;
    const next = end + 1;
    if (text.charCodeAt(end - 1) === CR) end--;
    if (end <= at) {
      fieldsEnd = next; // the empty line
      return undefined;
    }
    let colon = at;
    while (colon < end && TOKEN[text.charCodeAt(colon)] === 1) colon++;
    if (colon === at) {
      const first = text.charCodeAt(at);
      if (lenient && (first === SP || first === TAB) && headers.length > 0) {
        // RFC 9112 5.2: a proxy replaces an obsolete fold with space; the original passes it on as it came
        const more = text.slice(at, end).trim();
        for (let i = 0; i < more.length; i++) if (VALUE[more.charCodeAt(i)] !== 1) return 'invalid header value';
        headers.extendLast(more);
        at = next;
        continue;
      }
      return 'invalid header name';
    }
    const nameEnd = colon;
    if (lenient) while (colon < end && (text.charCodeAt(colon) === SP || text.charCodeAt(colon) === TAB)) colon++;
    if (colon >= end || text.charCodeAt(colon) !== COLON) return 'invalid header name';
    let from = colon + 1;
    while (from < end && (text.charCodeAt(from) === SP || text.charCodeAt(from) === TAB)) from++;
    let to = end;
    while (to > from && (text.charCodeAt(to - 1) === SP || text.charCodeAt(to - 1) === TAB)) to--;
    for (let i = from; i < to; i++) if (VALUE[text.charCodeAt(i)] !== 1) return 'invalid header value';
    if (headers.length >= MAX_HEADERS) return 'too many headers';
    const name = text.slice(at, nameEnd);
    // a line that would be written just so
    if (from === nameEnd + 2 && text.charCodeAt(nameEnd + 1) === SP && text.charCodeAt(to) === CR) {
      headers.appendParsed(name, text.slice(from, to), text, at);
    } else headers.appendUnchecked(name, text.slice(from, to));
    at = next;
  }
  return undefined;
}

/**
 * Parse the head of a request from the bytes that have arrived. `scanned` of them were looked at before, in vain.
 */
export function parseRequest(buf: Buffer, scanned: number): HeaderParseState<RequestHeader> {
  const start = emptyLines(buf);
  const end = headEnd(buf, Math.max(start, scanned - 2));
  if (end < 0) {
    // What can't become a method is refused at once: whoever speaks another protocol waits for an answer.
    for (let i = start; i < buf.length && i < start + 16 && buf[i] !== SP; i++) {
      if (TOKEN[buf[i]!] !== 1 && buf[i] !== CR && buf[i] !== LF) return invalid('invalid token');
    }
    return PARTIAL;
  }
  const text = buf.toString('latin1', start, end);
  let lineEnd = text.indexOf('\n');
  const fieldsAt = lineEnd + 1;
  if (text.charCodeAt(lineEnd - 1) === CR) lineEnd--;
  let methodEnd = 0;
  while (methodEnd < lineEnd && TOKEN[text.charCodeAt(methodEnd)] === 1) methodEnd++;
  if (methodEnd === 0 || text.charCodeAt(methodEnd) !== SP) return invalid('invalid token');
  const versionAt = lineEnd - 8;
  if (versionAt <= methodEnd + 1 || text.charCodeAt(versionAt - 1) !== SP) {
    return invalid(afterTarget(text.slice(methodEnd + 1, lineEnd)));
  }
  const minor = text.charCodeAt(lineEnd - 1);
  if (!text.startsWith('HTTP/1.', versionAt) || (minor !== 48 && minor !== 49)) return invalid('invalid HTTP version');
  let target = text.slice(methodEnd + 1, versionAt - 1);
  if (target === '') return invalid('invalid token');
  let illegal = false;
  let high = false;
  for (let i = 0; i < target.length; i++) {
    const kind = TARGET[target.charCodeAt(i)];
    if (kind === 1) continue;
    if (kind === 0) return invalid(target[i] === '`' ? `invalid uri ${target}` : 'invalid token');
    if (kind === ESCAPED) illegal = true;
    else high = true;
  }
  if (high && !isUtf8(Buffer.from(target, 'latin1'))) return invalid('invalid token');
  if (illegal) target = escapeIllegalTarget(target);
  const head = new RequestHeader(text.slice(0, methodEnd), target);
  if (minor === 48) head.version = 'HTTP/1.0';
  const reason = parseFields(text, fieldsAt, head.headers, false);
  return reason === undefined ? { state: 'Complete', head, size: start + fieldsEnd } : invalid(reason);
}

/**
 * What httparse would say of a request line that doesn't end as one does: the words of the log are those of Pingora's.
 */
function afterTarget(rest: string): string {
  const space = rest.indexOf(' ');
  if (space < 0) return 'invalid token';
  return /^HTTP\/1\.[01]/.test(rest.slice(space + 1)) ? 'invalid new line' : 'invalid HTTP version';
}

/**
 * Escape what a target can't hold, as the original does before it gives a request line up. Control characters aren't
 * among that here: a bare CR may be the end of the line to who comes next (RFC 9112 2.2).
 */
function escapeIllegalTarget(target: string): string {
  let escaped = '';
  for (let i = 0; i < target.length; i++) {
    const code = target.charCodeAt(i);
    escaped += TARGET[code] === 1 ? target[i] : `%${code.toString(16).toUpperCase()}`;
  }
  return escaped;
}

/** Parse the head of a response from the bytes that have arrived. `scanned` of them were looked at before, in vain. */
export function parseResponse(buf: Buffer, scanned: number): HeaderParseState<ResponseHeader> {
  const start = emptyLines(buf);
  const end = headEnd(buf, Math.max(start, scanned - 2));
  if (end < 0) {
    const begin = buf.toString('latin1', start, start + 7);
    return 'HTTP/1.'.startsWith(begin) ? PARTIAL : invalid('invalid HTTP version');
  }
  const text = buf.toString('latin1', start, end);
  let lineEnd = text.indexOf('\n');
  const fieldsAt = lineEnd + 1;
  if (text.charCodeAt(lineEnd - 1) === CR) lineEnd--;
  const minor = text.charCodeAt(7);
  if (!text.startsWith('HTTP/1.') || (minor !== 48 && minor !== 49) || text.charCodeAt(8) !== SP) {
    return invalid('invalid HTTP version');
  }
  let status = 0;
  for (let i = 9; i < 12; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (i >= lineEnd || !(digit >= 0 && digit <= 9)) return invalid('invalid response status');
    status = status * 10 + digit;
  }
  if (status < 100 || (lineEnd > 12 && text.charCodeAt(12) !== SP)) return invalid('invalid response status');
  for (let i = 13; i < lineEnd; i++) if (VALUE[text.charCodeAt(i)] !== 1) return invalid('invalid reason phrase');
  const head = new ResponseHeader(status, new HMap());
  if (minor === 48) head.version = 'HTTP/1.0';
  const reason = parseFields(text, fieldsAt, head.headers, true);
  return reason === undefined ? { state: 'Complete', head, size: start + fieldsEnd } : invalid(reason);
}

/** Parse the trailer fields of a chunked body: what follows the last chunk. As {@link parseRequest}. */
export function parseTrailers(buf: Buffer): HeaderParseState<HMap> {
  const head = new HMap();
  if (buf.length >= 2 && buf[0] === CR && buf[1] === LF) return { state: 'Complete', head, size: 2 };
  const found = buf.indexOf('\r\n\r\n', 0, 'latin1');
  const end = found < 0 ? buf.length : found + 4;
  if (end > TRAILERS_LIMIT) return invalid('Trailers over limit');
  const text = buf.toString('latin1', 0, end);
  // RFC 9112 7.1.2 has only CRLF here: an LF alone could end the trailers for one reader and not for the next. Whoever
  // ends them so waits for an answer: it is refused as soon as it is there.
  if (/(^|[^\r])\n/.test(text)) return invalid('LF without CR in the trailers');
  if (found < 0) return PARTIAL;
  const reason = parseFields(text, 0, head, false);
  return reason === undefined ? { state: 'Complete', head, size: end } : invalid(reason);
}

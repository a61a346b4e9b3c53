/**
 * What the HTTP/1 sessions of both sides share.
 *
 * Port of `pingora-core/src/protocols/http/v1/common.rs`.
 */
import { ErrorType, PingoraError } from '../../error/lib.ts';
import type { HMap, RequestHeader, ResponseHeader } from '../../http/lib.ts';
import type { Poll } from '../../runtime/poll.ts';
import { Elapsed } from '../../timeout/lib.ts';
import type { Stream } from '../l4/stream.ts';
import type { BodyWriter } from './body.ts';

/** A head that is longer, in bytes, is refused. */
export const MAX_HEADER_SIZE = 1_048_575;
/** So much of a request body is kept for a retry, in bytes. */
export const BODY_BUF_LIMIT = 1024 * 64;

/** Whether a connection may serve another request: no, without limit, or within so many milliseconds. */
export type KeepaliveStatus = 'Off' | 'Infinite' | number;

/** The `Connection` options that a session looks for. */
export interface ConnectionValue {
  keepAlive: boolean;
  upgrade: boolean;
  close: boolean;
}

/** Port of `common::parse_connection_header`; RFC 9110 7.6.1. */
export function parseConnectionHeader(value: string): ConnectionValue {
  const found: ConnectionValue = { keepAlive: false, upgrade: false, close: false };
  for (const token of value.split(',')) {
    switch (token.trim().toLowerCase()) {
      case 'close':
        found.close = true;
        break;
      case 'upgrade':
        found.upgrade = true;
        break;
      case 'keep-alive':
        found.keepAlive = true;
        break;
    }
  }
  return found;
}

/** What `Connection` says of keeping the connection: undefined if nothing. `close` wins over `keep-alive`. */
export function isBufKeepalive(value: string | undefined): boolean | undefined {
  if (value === undefined) return undefined;
  // nearly all there are: no list is made of them
  if (value === 'keep-alive') return true;
  if (value === 'close') return false;
  const connection = parseConnectionHeader(value);
  if (connection.close) return false;
  return connection.keepAlive ? true : undefined;
}

/** Whether the body is chunked and nothing else: the one transfer coding that is understood. */
export function isHeaderValueChunkedEncoding(value: string | undefined): boolean {
  return value !== undefined && (value === 'chunked' || value.toLowerCase() === 'chunked');
}

/** A `Content-Length` as a number; undefined if there is none or it isn't one (RFC 9110 8.6). */
export function bufToContentLength(value: string | undefined): number | undefined {
  if (value === undefined || value.length === 0 || value.length > 15) return undefined;
  let length = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return undefined;
    length = length * 10 + digit;
  }
  return length;
}

/** Whether the head announces a body, of a byte at least where it says a length. */
export function saysBody(headers: HMap): boolean {
  return headers.has('transfer-encoding') || (bufToContentLength(headers.get('content-length')) ?? 0) > 0;
}

/** Take out of a response what its status, or a client of HTTP/1.0, doesn't allow. */
export function removeFraming({ status, headers }: ResponseHeader, http10: boolean): void {
  if (status < 200 || status === 204) {
    // RFC 9110 8.6 and RFC 9112 6.1: whoever believed them would wait for a body
    headers.remove('content-length');
    headers.remove('transfer-encoding');
  } else if (http10 && headers.has('transfer-encoding')) {
    headers.remove('transfer-encoding'); // RFC 9112 6.1: no chunked coding for an HTTP/1.0 client
  }
}

/**
 * Whether the request asks for another protocol. HTTP/2 in the clear is none that is passed on: its requests would reach
 * the origin past the proxy's filters, and RFC 9113 3.1 has given it up.
 */
export function isUpgradeReq({ version, headers }: RequestHeader): boolean {
  return version === 'HTTP/1.1' && headers.has('upgrade') && otherThanH2c(headers).length > 0;
}

/** The protocols that `Upgrade` names, without HTTP/2. */
function otherThanH2c(headers: HMap): string[] {
  const named = (headers.joined('upgrade') ?? '').split(',').map((protocol) => protocol.trim());
  return named.filter((protocol) => protocol !== '' && !/^h2c?$/i.test(protocol));
}

/** A 101 is an upgrade whatever its other fields say: not every server sends the ones that it should. */
export function isUpgradeResp(response: ResponseHeader): boolean {
  return response.status === 101;
}

/** Choose how a body is framed when it is sent. */
export function initBodyWriterComm(writer: BodyWriter, headers: HMap): void {
  if (isHeaderValueChunkedEncoding(headers.get('transfer-encoding'))) {
    writer.initChunked();
    return;
  }
  const length = bufToContentLength(headers.get('content-length'));
  if (length === undefined) writer.initHttp10();
  else writer.initContentLength(length);
}

/**
 * Remove what belongs to the connection that a message came on (RFC 9110 7.6.1): what `Connection` names, and what
 * clients send without naming it. `Connection` itself goes from a request, except that an upgrade keeps it with only
 * `Upgrade` in it; in a response it stays in its place, where the session writes its own.
 */
export function removeHopByHop(headers: HMap, kind: 'request' | 'response', upgrade: boolean): void {
  const all = headers.joined('connection');
  if (all === 'keep-alive' || all === 'close') {
    // nearly all there are: they name no field
    if (kind === 'request') headers.remove('connection');
  } else if (all !== undefined) {
    for (const token of all.split(',')) {
      const name = token.trim().toLowerCase();
      if (name === '' || name === 'close' || name === 'keep-alive' || KEPT.has(name)) continue;
      if (name !== 'upgrade' || !upgrade) headers.remove(name);
    }
    if (kind === 'request') {
      if (!upgrade || !parseConnectionHeader(all).upgrade) headers.remove('connection');
      else if (all.trim().toLowerCase() !== 'upgrade') headers.insertUnchecked('Connection', 'Upgrade');
    }
  }
  if (kind === 'request') removeUnasked(headers, upgrade);
  if (headers.has('keep-alive')) headers.remove('keep-alive');
  if (headers.has('proxy-connection')) headers.remove('proxy-connection');
}

/** RFC 9110 7.6.1 and 10.1.4: these are for the next hop, whether `Connection` names them or not. */
function removeUnasked(headers: HMap, upgrade: boolean): void {
  if (headers.has('te')) headers.remove('te');
  if (headers.has('http2-settings')) headers.remove('http2-settings');
  if (!headers.has('upgrade')) return;
  if (!upgrade) headers.remove('upgrade');
  else if (/h2/i.test(headers.joined('upgrade')!)) headers.insertUnchecked('Upgrade', otherThanH2c(headers).join(', '));
}

/** They frame or route the message: naming them in `Connection` can't take them away. */
const KEPT = new Set(['connection', 'content-length', 'transfer-encoding', 'host']);

/** So many bytes of a head that can't be read go into the log. The original shows all. */
const SHOWN = 256;

/** The beginning of `buf` as Rust's `{:?}` shows a string: for the log. */
export function debugHead(buf: Buffer): string {
  const text = buf.toString('utf8', 0, SHOWN);
  let shown = '';
  for (const char of text) {
    const code = char.charCodeAt(0);
    if (char === '"' || char === '\\') shown += `\\${char}`;
    else if (code === 0) shown += '\\0';
    else if (code === 9) shown += '\\t';
    else if (code === 10) shown += '\\n';
    else if (code === 13) shown += '\\r';
    else if (code < 32 || (code >= 127 && code < 161) || code === 173) shown += `\\u{${code.toString(16)}}`;
    else shown += char;
  }
  return `"${shown}"`;
}

/**
 * Ready when the other end has taken so much of a body that more can be written; `patience`: how long this may be
 * pending, in milliseconds. Throws `WriteTimedout` and `WriteError`.
 */
export function bodyDrained(stream: Stream, patience: number | undefined): Poll<void> {
  try {
    return stream.pollDrained(patience);
  } catch (error) {
    if (error instanceof Elapsed) {
      throw PingoraError.explain(ErrorType.WriteTimedout, `writing body, timeout: ${patience}ms`);
    }
    throw PingoraError.because(ErrorType.WriteError, 'while writing body', error);
  }
}

/**
 * What RFC 9110 has intermediaries do with `Via` and `Max-Forwards`, for applications to call in their hooks: the
 * original does neither.
 */
import { type RequestHeader, ResponseHeader, type Version } from '../http/lib.ts';
import type { Session } from './lib.ts';

/** What a client may not want to be told back, or others not to hear: RFC 9110 9.3.8. */
const SECRET = new Set(['authorization', 'proxy-authorization', 'cookie']);

/**
 * Add this proxy to the message's `Via` (RFC 9110 7.6.3): the version in which the message came, and `name`, which
 * stands for the host.
 */
export function addVia(message: RequestHeader | ResponseHeader, received: Version, name: string): void {
  message.appendHeader('Via', `${received.slice('HTTP/'.length).replace('2.0', '2')} ${name}`);
}

/** Whether `name` can stand in `Via`: a token (RFC 9110 5.6.2) or a host and port. */
export function isViaName(name: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?::\d{1,5})?$/.test(name);
}

/** Of TRACE and OPTIONS: the number of `Max-Forwards`; undefined for others, and for what is none. */
function maxForwards(request: RequestHeader): number | undefined {
  if (request.method !== 'OPTIONS' && request.method !== 'TRACE') return undefined;
  const value = request.headers.get('Max-Forwards');
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

/**
 * Answer a TRACE or OPTIONS that may not be forwarded any further (RFC 9110 7.6.2), to be called in `request_filter`.
 * True: it is answered.
 */
export function answerMaxForwards(session: Session): boolean | Promise<boolean> {
  return maxForwards(session.reqHeader()) === 0 ? answer(session) : false;
}

async function answer(session: Session): Promise<true> {
  const request = session.reqHeader();
  const lines = [`${request.method} ${request.rawPath()} ${request.version}`];
  for (const [name, value] of request.headers) if (!SECRET.has(name.toLowerCase())) lines.push(`${name}: ${value}`);
  const body = request.method === 'TRACE' ? Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1') : undefined;
  const response = ResponseHeader.build(200);
  if (body !== undefined) response.insertHeader('Content-Type', 'message/http');
  response.insertHeader('Content-Length', body?.length ?? 0);
  await session.writeResponseHeader(response);
  if (body !== undefined) await session.writeResponseBody(body);
  return true;
}

/** Count this proxy in `Max-Forwards`, to be called in `upstream_request_filter`. */
export function countForward(request: RequestHeader): void {
  const left = maxForwards(request);
  if (left !== undefined && left > 0) request.insertHeader('Max-Forwards', left - 1);
}

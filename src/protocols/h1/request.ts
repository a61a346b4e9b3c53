/**
 * What HTTP/1 asks of a request's head beyond its form: the port's own, for the original forwards what is refused here.
 */
import { ErrorType, PingoraError } from '../../error/lib.ts';
import type { RequestHeader } from '../../http/lib.ts';
import { bufToContentLength, isHeaderValueChunkedEncoding, MAX_HEADER_SIZE } from './common.ts';

/**
 * A host, or a host and a port (RFC 9110 7.2, RFC 3986 3.2.2), and nothing else: RFC 9112 3.2 wants 400 for a Host that
 * isn't valid. A comma, which a name may have, is where two hosts were made one field. Empty where there is no host.
 */
const HOST =
  /^(?:[\w\-.~!$&'()*+;=]*(?:%[\da-f]{2}[\w\-.~!$&'()*+;=]*)*|\[(?:[\da-f:.]+|v[\da-f]+\.[\w\-.~!$&'()*+,;=:]+)\])(?::\d{0,5})?$/i;

/**
 * What is wrong with how a request is framed or routed; undefined if nothing is. The original forwards all of these
 * as they came: each lets a client have its request understood in two ways.
 */
export function refuse(request: RequestHeader): string | undefined {
  const { headers, version } = request;
  const host = headers.get('host');
  if (host === undefined) {
    if (version === 'HTTP/1.1') return 'no Host'; // RFC 9112 3.2
  } else {
    if (headers.count('host') > 1) return 'more than one Host'; // RFC 9112 3.2
    if (!HOST.test(host)) return 'invalid Host'; // RFC 9112 3.2
  }
  const coding = headers.get('transfer-encoding');
  if (coding !== undefined) {
    if (headers.has('content-length')) return 'both Content-Length and Transfer-Encoding'; // RFC 9112 6.1
    if (version === 'HTTP/1.0') return 'Transfer-Encoding in HTTP/1.0'; // RFC 9112 6.1
    if (headers.count('transfer-encoding') > 1 || !isHeaderValueChunkedEncoding(coding)) {
      return 'unknown Transfer-Encoding';
    }
  } else if (headers.has('content-length')) {
    const lengths = headers.getAll('content-length');
    if (bufToContentLength(lengths[0]) === undefined) return 'invalid Content-Length'; // RFC 9112 6.3
    for (const length of lengths) if (length !== lengths[0]) return 'different Content-Length'; // RFC 9112 6.3
    // the same length twice is one length
    if (lengths.length > 1) headers.insertUnchecked('Content-Length', lengths[0]!);
  }
  return undefined;
}

/** Bring the target to origin form (RFC 9112 3.2.2); false if it can't be. */
export function originForm(request: RequestHeader): boolean {
  // RFC 9112 3.2.3: its target is a host and a port, and this proxy makes no tunnels
  if (request.method === 'CONNECT') return false;
  const target = request.rawPath();
  const first = target.charCodeAt(0);
  if (first === 47 /* / */) {
    const fragment = target.indexOf('#');
    if (fragment >= 0) request.setUri(target.slice(0, fragment));
    return true;
  }
  if (target === '*') return request.method === 'OPTIONS';
  const absolute = /^https?:\/\/([^/?#@]+)([/?][^#]*)?(#.*)?$/i.exec(target);
  if (absolute === null || !HOST.test(absolute[1]!)) return false;
  const [, authority, rest = ''] = absolute;
  request.authority = authority;
  request.headers.insertUnchecked('Host', authority!);
  if (rest === '') request.setUri(request.method === 'OPTIONS' ? '*' : '/');
  else request.setUri(rest.startsWith('/') ? rest : `/${rest}`);
  return true;
}

/** RFC 9112 3: 414 for a target that is too long; RFC 6585 5: 431 for fields that are. The original answers 400. */
export function tooLarge(buf: Buffer): PingoraError {
  const line = buf.indexOf(10);
  const status = line < 0 || line > MAX_HEADER_SIZE ? 414 : 431;
  return PingoraError.explain(ErrorType.HTTPStatus(status), `Request header larger than ${MAX_HEADER_SIZE}`);
}

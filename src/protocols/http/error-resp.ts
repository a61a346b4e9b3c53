/**
 * The responses that the proxy makes itself when something failed.
 *
 * Port of `pingora-core/src/protocols/http/error_resp.rs`.
 */
import { ResponseHeader } from '../../http/lib.ts';
import { ported } from '../../tracing/span.ts';
import { SERVER_NAME } from './mod.ts';

const rust = ported('pingora-core/src/protocols/http/error_resp.rs');

/** A response of this status, without a body and not to be cached. */
const genErrorResponse = rust.fn('error_resp::gen_error_response', (code: number): ResponseHeader => {
  const response = ResponseHeader.build(code);
  response.insertHeader('Server', SERVER_NAME);
  // holds the place: the session sets the date when it sends
  response.insertHeader('Date', 'Sun, 06 Nov 1994 08:49:37 GMT');
  response.insertHeader('Content-Length', '0');
  response.insertHeader('Cache-Control', 'private, no-store');
  return response;
});

const made = new Map<number, ResponseHeader>();

/** A response of this status, for the caller to change: 400 and 502, as in the original, are made once and copied. */
export function errorResponse(code: number): ResponseHeader {
  if (code !== 400 && code !== 502) return genErrorResponse(code);
  let response = made.get(code);
  if (response === undefined) {
    response = genErrorResponse(code);
    made.set(code, response);
  }
  return response.clone();
}

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
export const genErrorResponse = rust.fn('error_resp::gen_error_response', (code: number): ResponseHeader => {
  const response = ResponseHeader.build(code);
  response.insertHeader('Server', SERVER_NAME);
  // holds the place: the session sets the date when it sends
  response.insertHeader('Date', 'Sun, 06 Nov 1994 08:49:37 GMT');
  response.insertHeader('Content-Length', '0');
  response.insertHeader('Cache-Control', 'private, no-store');
  return response;
});

const made = new Map<number, ResponseHeader>();

function once(code: number): ResponseHeader {
  let response = made.get(code);
  if (response === undefined) {
    response = genErrorResponse(code);
    made.set(code, response);
  }
  return response.clone();
}

/** A copy of the 400 response, which is made once. */
export const http400Response = (): ResponseHeader => once(400);

/** A copy of the 502 response, which is made once. */
export const http502Response = (): ResponseHeader => once(502);

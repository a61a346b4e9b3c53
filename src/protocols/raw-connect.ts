/**
 * The client's side of HTTP/1's CONNECT (RFC 9110 9.3.6), as simple as it can be: one request, one answer, and the
 * connection is the tunnel.
 *
 * Port of `pingora-core/src/protocols/raw_connect.rs`.
 */
import { ErrorType, PingoraError } from '../error/lib.ts';
import { RequestHeader, type ResponseHeader } from '../http/lib.ts';
import type { Future } from '../runtime/future.ts';
import { ready } from '../runtime/task.ts';
import { ported } from '../tracing/span.ts';
import type { ProxyDigest } from './digest.ts';
import { HttpSession } from './h1/client.ts';
import type { Stream } from './l4/stream.ts';

const rust = ported('pingora-core/src/protocols/raw_connect.rs');

/**
 * Ask the proxy at the other end of `stream` for a tunnel. Afterwards `stream` is the tunnel.
 *
 * Throws `ConnectProxyFailure` (its cause is a {@link ConnectProxyError}) when the proxy refuses, `WriteError`,
 * `ReadError` or `ConnectionClosed` when the connection breaks. Closing `stream` is the caller's then.
 */
export const connect = rust.fn(
  'raw_connect::connect',
  function* (stream: Stream, request: RequestHeader): Future<ProxyDigest> {
    const http = HttpSession.new(stream);
    try {
      // written here: the session writes a path where CONNECT has an authority
      stream.write(httpReqHeaderToWireAuthForm(request));
      stream.flush();
    } catch (error) {
      throw PingoraError.because(ErrorType.WriteError, 'while writing request headers', error);
    }
    return validateConnectResponse(yield* ready(() => http.readRespHeaderParts()));
  },
);

/** The request for a tunnel to `host` and `port`. Throws `InvalidHTTPHeader` for fields that can't be sent. */
export const generateConnectHeader = rust.fn(
  'raw_connect::generate_connect_header',
  (host: string, port: number, headers: Readonly<Record<string, string>>): RequestHeader => {
    const authority = host.includes(':') && !host.startsWith('[') ? `[${host}]:${port}` : `${host}:${port}`;
    const request = RequestHeader.build('CONNECT', authority);
    request.authority = authority;
    request.insertHeader('Host', authority);
    for (const [name, value] of Object.entries(headers)) request.insertHeader(name, value);
    return request;
  },
);

/** The proxy's refusal. */
export class ConnectProxyError extends Error {
  override readonly name = 'ConnectProxyError';
  /** What the proxy answered. */
  readonly response: ResponseHeader;

  constructor(response: ResponseHeader) {
    const reason = response.headers.get('proxy-status') ?? 'missing proxy-status header value';
    super(`Failed CONNECT Response: status ${response.status}, proxy-status ${reason}`);
    this.response = response;
  }
}

/** The request as it goes out, its target in authority form (RFC 9112 3.2.3). */
export const httpReqHeaderToWireAuthForm = rust.fn(
  'raw_connect::http_req_header_to_wire_auth_form',
  (request: RequestHeader): string =>
    `${request.method} ${request.authority ?? ''} ${request.version}\r\n${request.headers.toWire()}\r\n`,
);

/** What the proxy's answer says. Throws `ConnectProxyFailure` unless it is a tunnel. */
export const validateConnectResponse = rust.fn(
  'raw_connect::validate_connect_response',
  (response: ResponseHeader): ProxyDigest => {
    if (response.status < 200 || response.status > 299) {
      throw PingoraError.because(ErrorType.ConnectProxyFailure, 'None 2xx code', new ConnectProxyError(response));
    }
    // RFC 9110 9.3.6 lets a client ignore it; the original is strict with a proxy that is its own
    if (response.headers.has('transfer-encoding')) {
      throw PingoraError.because(
        ErrorType.ConnectProxyFailure,
        'Invalid Transfer-Encoding presents',
        new ConnectProxyError(response),
      );
    }
    return { response };
  },
);

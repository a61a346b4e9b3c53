/**
 * What an application decides: the hooks of the proxy and what happens where a hook isn't overridden.
 *
 * Port of `pingora-proxy/src/proxy_trait.rs`. The hooks of the cache that concern only a cache (keys, variance, hits)
 * come with the cache: 0.1.0's is present and off, and so it is here.
 */
import type { PingoraError } from '../error/lib.ts';
import type { HMap, RequestHeader, ResponseHeader } from '../http/lib.ts';
import type { Digest } from '../protocols/digest.ts';
import { ported } from '../tracing/span.ts';
import type { HttpPeer } from '../upstreams/peer.ts';
import type { Session } from './lib.ts';

const rust = ported('pingora-proxy/src/proxy_trait.rs');

type MaybePromise<T> = T | Promise<T>;

/**
 * An HTTP proxy: extend it and override what you need. `upstreamPeer` and `newCtx` have no default.
 *
 * A hook may return a promise where its type says so. What a hook throws fails the request: a `PingoraError` as its
 * type says, anything else as an internal error (500).
 *
 * @typeParam CTX what the application keeps of one request, from hook to hook; it lives as long as the request.
 */
export abstract class ProxyHttp<CTX = undefined> {
  /** The context of a new request. */
  abstract newCtx(): CTX;

  /** Where the request goes. Called again for each try. Port of `ProxyHttp::upstream_peer`. */
  abstract upstreamPeer(session: Session, ctx: CTX): MaybePromise<HttpPeer>;

  /**
   * Look at the request first: refuse it, answer it, count it. True: a response was sent, and the request ends here.
   * Default: false.
   */
  @rust.method('ProxyHttp::request_filter')
  requestFilter(_session: Session, _ctx: CTX): MaybePromise<boolean> {
    return false;
  }

  /** Decide whether the request may be answered from a cache. Default: nothing, so that no cache is used. */
  @rust.method('ProxyHttp::request_cache_filter')
  requestCacheFilter(_session: Session, _ctx: CTX): void {}

  /**
   * Decide whether the request may go to the origin, where it can't be answered from a cache. False: it may not; 502
   * is sent unless the hook has sent something. Default: true.
   */
  @rust.method('ProxyHttp::proxy_upstream_filter')
  proxyUpstreamFilter(_session: Session, _ctx: CTX): MaybePromise<boolean> {
    return true;
  }

  /** Change the request before it goes to the origin. Default: nothing. */
  @rust.method('ProxyHttp::upstream_request_filter')
  upstreamRequestFilter(_session: Session, _upstreamRequest: RequestHeader, _ctx: CTX): MaybePromise<void> {}

  /** Change the origin's response before anything else sees it (a cache would). Default: nothing. */
  @rust.method('ProxyHttp::upstream_response_filter')
  upstreamResponseFilter(_session: Session, _upstreamResponse: ResponseHeader, _ctx: CTX): void {}

  /** Change the response before it goes to the client. Default: nothing. */
  @rust.method('ProxyHttp::response_filter')
  responseFilter(_session: Session, _response: ResponseHeader, _ctx: CTX): MaybePromise<void> {}

  /**
   * Look at each piece of the request's body on its way to the origin; a buffer that is returned goes instead of it,
   * an empty one holds it back. The last call has `endOfStream`, and perhaps no body. A body whose length changes needs
   * its Content-Length changed or removed in `upstreamRequestFilter`. After an upgrade the client's bytes come here
   * too. The port's own: 0.1.0 has no such hook. Default: nothing.
   */
  requestBodyFilter(
    _session: Session,
    _body: Buffer | undefined,
    _endOfStream: boolean,
    _ctx: CTX,
  ): MaybePromise<Buffer | undefined> {
    return undefined;
  }

  /**
   * Look at each piece of the origin's body, before anything else sees it; a buffer that is returned goes instead of
   * it, an empty one holds it back. The last call has `endOfStream`, and perhaps no body. A body whose length changes
   * needs its Content-Length changed or removed in `upstreamResponseFilter`. Where 0.1.0 shows the body and no more,
   * the port lets it be replaced. Default: nothing.
   */
  @rust.method('ProxyHttp::upstream_response_body_filter')
  upstreamResponseBodyFilter(
    _session: Session,
    _body: Buffer | undefined,
    _endOfStream: boolean,
    _ctx: CTX,
  ): Buffer | undefined {
    return undefined;
  }

  /**
   * Look at each piece of the body that goes to the client. A number: hold it back so many milliseconds. A buffer goes
   * instead of the piece, as with {@link ProxyHttp.upstreamResponseBodyFilter}; `endOfStream` comes last, for 0.1.0
   * hasn't got it. Default: neither.
   */
  @rust.method('ProxyHttp::response_body_filter')
  responseBodyFilter(
    _session: Session,
    _body: Buffer | undefined,
    _ctx: CTX,
    _endOfStream: boolean,
  ): number | Buffer | undefined {
    return undefined;
  }

  /** Change the trailers of a response, or replace them by a last piece of body. Default: neither. */
  @rust.method('ProxyHttp::response_trailer_filter')
  responseTrailerFilter(_session: Session, _trailers: HMap, _ctx: CTX): MaybePromise<Buffer | undefined> {
    return undefined;
  }

  /** The request has ended, well or not: log it, count it. Default: nothing. */
  @rust.method('ProxyHttp::logging')
  logging(_session: Session, _error: PingoraError | undefined, _ctx: CTX): MaybePromise<void> {}

  /** Whether the proxy should log nothing of this error. Default: false. */
  @rust.method('ProxyHttp::suppress_error_log')
  suppressErrorLog(_session: Session, _ctx: CTX, _error: PingoraError): boolean {
    return false;
  }

  /**
   * An exchange with a connected origin failed: say more about it, and decide whether to try again.
   * Default: try again if the connection was a reused one and the request's body, if any, is still at hand.
   */
  @rust.method('ProxyHttp::error_while_proxy')
  errorWhileProxy(
    peer: HttpPeer,
    session: Session,
    error: PingoraError,
    _ctx: CTX,
    clientReused: boolean,
  ): PingoraError {
    const more = error.moreContext(`Peer: ${peer}`);
    more.decideReuse(clientReused && !session.downstreamSession.retryBufferTruncated());
    return more;
  }

  /** No connection to the origin: decide whether to try again, by `error.setRetry(true)`. Default: don't. */
  @rust.method('ProxyHttp::fail_to_connect')
  failToConnect(_session: Session, _peer: HttpPeer, _ctx: CTX, error: PingoraError): PingoraError {
    return error;
  }

  /**
   * The request failed for good: answer it. Returns the status that was sent, 0 if none could be.
   * Default: the status of an `HTTPStatus` error; 502 when the origin is to blame; 400 when the client is, or nothing
   * if it has left; else 500.
   */
  @rust.method('ProxyHttp::fail_to_proxy')
  async failToProxy(session: Session, error: PingoraError, _ctx: CTX): Promise<number> {
    const code = statusOf(error);
    if (code > 0) await session.downstreamSession.respondError(code);
    return code;
  }

  /** A connection to the origin was made or taken from the pool. Default: nothing. */
  @rust.method('ProxyHttp::connected_to_upstream')
  connectedToUpstream(
    _session: Session,
    _reused: boolean,
    _peer: HttpPeer,
    _connectionId: number,
    _digest: Digest | undefined,
    _ctx: CTX,
  ): MaybePromise<void> {}

  /** What the logs say of the request. Default: method, target and Host. */
  requestSummary(session: Session, _ctx: CTX): string {
    return session.downstreamSession.requestSummary();
  }

  /** Whether the request asks to remove what a cache holds. Default: false. */
  isPurge(_session: Session, _ctx: CTX): boolean {
    return false;
  }
}

function statusOf(error: PingoraError): number {
  const { name, code } = error.etype();
  if (name === 'HTTPStatus' && code !== undefined) return code;
  switch (error.esource()) {
    case 'Upstream':
      return 502;
    case 'Downstream':
      // the connection is dead
      return name === 'WriteError' || name === 'ReadError' || name === 'ConnectionClosed' ? 0 : 400;
    case 'Internal':
    case 'Unset':
      return 500;
  }
}

/**
 * What an application decides: the hooks of the proxy and what happens where a hook isn't overridden.
 *
 * Port of `pingora-proxy/src/proxy_trait.rs`. The hooks of the cache that concern only a cache (keys, variance, hits)
 * come with the cache: 0.1.0's is present and off, and so it is here.
 */
import { ErrorType, type PingoraError } from '../error/lib.ts';
import type { HMap, RequestHeader, ResponseHeader } from '../http/lib.ts';
import type { Digest } from '../protocols/digest.ts';
import { ported, traced } from '../tracing/span.ts';
import type { HttpPeer } from '../upstreams/peer.ts';
import type { Session } from './session.ts';

const rust = ported('pingora-proxy/src/proxy_trait.rs');

/** What a hook returns that may wait: a value, or a promise of it. */
export type MaybePromise<T> = T | Promise<T>;

/**
 * An HTTP proxy: extend it and override what you need. `upstreamPeer` and `newCtx` have no default.
 *
 * The hooks are called in this order, each once a request unless it says otherwise: `newCtx`, `requestFilter`,
 * `requestCacheFilter`, `isPurge`, `proxyUpstreamFilter`; for each try `upstreamPeer`, `connectedToUpstream` or
 * `failToConnect`, `upstreamRequestFilter`, the filters of request and response, `errorWhileProxy` if it fails; in the
 * end `failToProxy` if all of that failed, and always `logging`.
 * [Chapter 13](../../walkthrough/13-phases/README.md) shows them at work.
 *
 * A hook may return a promise where its type says so; the request waits for it, and others go on. What a hook throws
 * fails the request: a `PingoraError` as its type says, anything else as an internal error (500), by way of
 * {@link ProxyHttp.failToProxy}. Nothing that a hook throws ends the process.
 *
 * ```ts
 * class Gateway extends ProxyHttp {
 *   newCtx(): undefined {}
 *
 *   upstreamPeer(session: Session) {
 *     const isApi = session.reqHeader().path.startsWith('/api/');
 *     return HttpPeer.new(isApi ? '127.0.0.1:8080' : '127.0.0.1:1', false, '');
 *   }
 *
 *   override responseFilter(_session: Session, response: ResponseHeader) {
 *     response.insertHeader('Server', 'mine');
 *   }
 * }
 *
 * // GET /api/users -> 200 "origin GET /api/users"
 * // GET /api/users -> Server: mine
 * // GET / -> 502
 * ```
 *
 * @typeParam CTX what the application keeps of one request, from hook to hook; it lives as long as the request.
 */
@traced
export abstract class ProxyHttp<CTX = undefined> {
  /**
   * The context of a new request, which all its hooks are given: whatever the application wants to remember of it.
   *
   * Called when the request's head was read. It can't wait. What it throws is logged and closes the connection, without
   * an answer and without {@link ProxyHttp.logging}.
   */
  abstract newCtx(): CTX;

  /**
   * Where the request goes: called before each try, so that another try may go elsewhere.
   *
   * What it throws counts as a failed try, with the origin not to blame: 500 by default, unless the error says otherwise;
   * it is tried again if the error's {@link PingoraError.setRetry} says so. At most 16 tries are made.
   *
   * ```ts
   * const balancer = await LoadBalancer.tryFromIter(['127.0.0.1:8080'], RoundRobin);
   *
   * class Balanced extends ProxyHttp {
   *   newCtx(): undefined {}
   *
   *   upstreamPeer() {
   *     const backend = balancer.select('', 256);
   *     if (backend === undefined) throw PingoraError.explain(ErrorType.HTTPStatus(503), 'no origin is ready');
   *     const peer = HttpPeer.new(backend, false, '');
   *     peer.options.connectionTimeout = 500; // milliseconds
   *     return peer;
   *   }
   * }
   *
   * // GET / -> 200
   * ```
   */
  abstract upstreamPeer(session: Session, ctx: CTX): MaybePromise<HttpPeer>;

  /**
   * Look at the request first: refuse it, answer it, count it. True: a response was sent, and the request ends here, with
   * {@link ProxyHttp.logging}. Default: false.
   *
   * Called when the head was read; the body, if any, waits, and may be read here only by who answers. The head may be
   * changed, for all hooks that follow; what the origin gets is better changed in
   * {@link ProxyHttp.upstreamRequestFilter}. What it throws is answered by {@link ProxyHttp.failToProxy}.
   *
   * ```ts
   * class Guarded extends ProxyHttp {
   *   newCtx(): undefined {}
   *
   *   override async requestFilter(session: Session) {
   *     if (session.getHeader('Authorization') === 'password') return false;
   *     await session.respondError(403);
   *     return true;
   *   }
   *
   *   upstreamPeer() {
   *     return HttpPeer.new('127.0.0.1:8080', false, '');
   *   }
   * }
   *
   * // GET / -> 403
   * // GET / with Authorization: password -> 200
   * ```
   */
  @rust.method
  requestFilter(_session: Session, _ctx: CTX): MaybePromise<boolean> {
    return false;
  }

  /**
   * Decide whether the request may be answered from a cache. Default: nothing, so that no cache is used. There is none
   * yet: as in 0.1.0 the cache is off. What it throws is logged, and the request goes on.
   */
  @rust.method
  requestCacheFilter(_session: Session, _ctx: CTX): void {}

  /**
   * Decide whether the request may go to the origin, where it can't be answered from a cache. False: it may not; 502
   * is sent unless the hook has sent something. Default: true. What it throws is answered by
   * {@link ProxyHttp.failToProxy}.
   */
  @rust.method
  proxyUpstreamFilter(_session: Session, _ctx: CTX): MaybePromise<boolean> {
    return true;
  }

  /**
   * Change the request before it goes to the origin: method, target, fields. Default: nothing.
   *
   * Called in each try, once the connection is there, with a copy of what the client sent, without the fields that are
   * for one connection only. The body's framing is made anew. What it throws fails the try, as the origin's fault or not
   * by the error's source.
   *
   * ```ts
   * class Forwarding extends ProxyHttp {
   *   newCtx(): undefined {}
   *
   *   upstreamPeer() {
   *     return HttpPeer.new('127.0.0.1:8080', false, '');
   *   }
   *
   *   override upstreamRequestFilter(_session: Session, request: RequestHeader) {
   *     request.insertHeader('X-From', 'the proxy'); // in place of what the client sent
   *     request.setUri(`/v2${request.rawPath()}`);
   *   }
   * }
   *
   * // GET /users with X-From: nobody -> 200 "origin GET /v2/users"
   * // GET /users with X-From: nobody -> X-From: the proxy
   * ```
   */
  @rust.method
  upstreamRequestFilter(_session: Session, _upstreamRequest: RequestHeader, _ctx: CTX): MaybePromise<void> {}

  /**
   * Change the origin's response before anything else sees it (a cache would). Default: nothing.
   *
   * Called for each head that comes, informational ones (103) too. It can't wait. What it throws fails the try, before
   * the client got anything: the way to another origin for one that answers 503, if the error says so
   * (`error.setRetry(true)`).
   */
  @rust.method
  upstreamResponseFilter(_session: Session, _upstreamResponse: ResponseHeader, _ctx: CTX): void {}

  /**
   * Change the response before it goes to the client: status, fields. Default: nothing.
   *
   * Called for each head that comes from the origin, after {@link ProxyHttp.upstreamResponseFilter}; not for a response
   * that the application wrote itself. What it throws fails the request, and nothing of the response is sent.
   */
  @rust.method
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
   * the port lets it be replaced. It can't wait. What it throws breaks the response off: the client sees that it isn't
   * whole. Default: nothing.
   *
   * ```ts
   * class Loud extends ProxyHttp {
   *   newCtx(): undefined {}
   *
   *   upstreamPeer() {
   *     return HttpPeer.new('127.0.0.1:8080', false, '');
   *   }
   *
   *   // as long as before: Content-Length stays right
   *   override upstreamResponseBodyFilter(_session: Session, body: Buffer | undefined) {
   *     return body && Buffer.from(body.toString('latin1').toUpperCase(), 'latin1');
   *   }
   * }
   *
   * // GET /quiet -> 200 "ORIGIN GET /QUIET"
   * ```
   */
  @rust.method
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
  @rust.method
  responseBodyFilter(
    _session: Session,
    _body: Buffer | undefined,
    _ctx: CTX,
    _endOfStream: boolean,
  ): number | Buffer | undefined {
    return undefined;
  }

  /**
   * Change the trailers of a response, or replace them by a last piece of body. Called when they come, after the whole
   * body, as at the end of each gRPC call. Default: neither.
   */
  @rust.method
  responseTrailerFilter(_session: Session, _trailers: HMap, _ctx: CTX): MaybePromise<Buffer | undefined> {
    return undefined;
  }

  /**
   * The request has ended, well or not: log it, count it. `error` is why it failed for good. Default: nothing.
   *
   * The last hook, called once for each request that got as far as {@link ProxyHttp.requestFilter}. The client has its
   * response; its next request on the same HTTP/1 connection waits for this hook. What it throws is logged.
   */
  @rust.method
  logging(_session: Session, _error: PingoraError | undefined, _ctx: CTX): MaybePromise<void> {}

  /** Whether the proxy should log nothing of this error: for what is expected and counted elsewhere. Default: false. */
  @rust.method
  suppressErrorLog(_session: Session, _ctx: CTX, _error: PingoraError): boolean {
    return false;
  }

  /**
   * An exchange with a connected origin failed: say more about it, and decide whether to try again. Returns the error
   * that goes on, the same or another one.
   *
   * Default: try again if the connection was a reused one, the request's body, if any, is still at hand, and the method
   * is idempotent: the origin may have acted on the request (RFC 9110 9.2.2). The original doesn't look at the method.
   */
  @rust.method
  errorWhileProxy(
    peer: HttpPeer,
    session: Session,
    error: PingoraError,
    _ctx: CTX,
    clientReused: boolean,
  ): PingoraError {
    const more = error.moreContext(`Peer: ${peer}`);
    const harmless = isIdempotent(session.reqHeader().method);
    more.decideReuse(clientReused && harmless && !session.downstreamSession.retryBufferTruncated());
    // an origin that answers what isn't HTTP/2 may have done what it was asked
    if (!harmless && more.etype().is(ErrorType.InvalidH2)) more.setRetry(false);
    return more;
  }

  /**
   * No connection to the origin: decide whether to try again, by `error.setRetry(true)`. Returns the error that goes on.
   * Nothing was sent yet, so that any request may be tried again. Default: don't.
   *
   * ```ts
   * interface Ctx {
   *   tries: number;
   * }
   *
   * class Retrying extends ProxyHttp<Ctx> {
   *   newCtx(): Ctx {
   *     return { tries: 0 };
   *   }
   *
   *   upstreamPeer(_session: Session, ctx: Ctx) {
   *     return HttpPeer.new(ctx.tries === 0 ? '127.0.0.1:1' : '127.0.0.1:8080', false, '');
   *   }
   *
   *   override failToConnect(_session: Session, _peer: HttpPeer, ctx: Ctx, error: PingoraError) {
   *     error.setRetry(ctx.tries++ < 2);
   *     return error;
   *   }
   * }
   *
   * // GET / -> 200
   * ```
   */
  @rust.method
  failToConnect(_session: Session, _peer: HttpPeer, _ctx: CTX, error: PingoraError): PingoraError {
    return error;
  }

  /**
   * The request failed for good: answer it. Returns the status that was sent, 0 if none could be; it is logged. What it
   * throws is logged too. A response that has begun can't be taken back: look at {@link Session.responseWritten}.
   *
   * Default: the status of an `HTTPStatus` error; 502 when the origin is to blame; 400 when the client is, or nothing
   * if it has left; else 500.
   */
  @rust.method
  async failToProxy(session: Session, error: PingoraError, _ctx: CTX): Promise<number> {
    const code = statusOf(error);
    if (code > 0) await session.downstreamSession.respondError(code);
    return code;
  }

  /**
   * A connection to the origin was made (`reused`: false) or taken from the pool. `connectionId` tells connections apart:
   * the descriptor for HTTP/1, a number for HTTP/2. `digest`: its TLS, and when it was made. What it throws fails the try.
   * Default: nothing.
   */
  @rust.method
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

  /**
   * Whether the request asks to remove what a cache holds. True: it is answered 405, as there is no cache. Default: false.
   */
  isPurge(_session: Session, _ctx: CTX): boolean {
    return false;
  }
}

/** Whether doing it twice does the same as doing it once (RFC 9110 9.2.2, and the registry of methods). */
function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method);
}

const IDEMPOTENT = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'PUT',
  'DELETE',
  'PROPFIND',
  'REPORT',
  'SEARCH',
  'QUERY',
]);

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

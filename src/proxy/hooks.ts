/**
 * Calls an application's hooks, with a span where they are its own.
 *
 * The port's own: in Rust the compiler knows which hooks are overridden and the debugger sees every call.
 */
import type { PingoraError } from '../error/lib.ts';
import type { HMap, RequestHeader, ResponseHeader } from '../http/lib.ts';
import type { Digest } from '../protocols/digest.ts';
import { tracing } from '../tracing/recorder.ts';
import { callHook } from '../tracing/span.ts';
import type { HttpPeer } from '../upstreams/peer.ts';
import type { Session } from './lib.ts';
import { ProxyHttp } from './proxy-trait.ts';

type MaybePromise<T> = T | Promise<T>;
type HookName = Exclude<keyof ProxyHttp, symbol>;

/** The hooks of one application. With tracing off, each is the application's method and nothing else. */
export class Hooks<CTX> {
  readonly #app: ProxyHttp<CTX>;
  /** Whether the application may change the heads. */
  readonly filtersRequest: boolean;
  readonly filtersResponse: boolean;
  /** Whether the application looks at the request's body. */
  readonly filtersRequestBody: boolean;
  /** Whether the application looks at the response's body. */
  readonly filtersResponseBody: boolean;

  constructor(app: ProxyHttp<CTX>) {
    this.#app = app;
    const own = ProxyHttp.prototype as ProxyHttp<any>;
    this.filtersRequest = app.upstreamRequestFilter !== own.upstreamRequestFilter;
    this.filtersResponse = app.responseFilter !== own.responseFilter;
    this.filtersRequestBody = app.requestBodyFilter !== own.requestBodyFilter;
    this.filtersResponseBody =
      app.upstreamResponseBodyFilter !== own.upstreamResponseBodyFilter ||
      app.responseBodyFilter !== own.responseBodyFilter;
  }

  #traced(name: string, method: HookName, ...args: unknown[]): any {
    const app = this.#app;
    const hook = app[method] as (...args: unknown[]) => unknown;
    const inherited = hook === (ProxyHttp.prototype as unknown as Record<string, unknown>)[method];
    return callHook('ProxyHttp', name, app, hook, inherited, ...args);
  }

  newCtx(): CTX {
    return tracing.recorder === null ? this.#app.newCtx() : this.#traced('new_ctx', 'newCtx');
  }

  upstreamPeer(session: Session, ctx: CTX): MaybePromise<HttpPeer> {
    if (tracing.recorder === null) return this.#app.upstreamPeer(session, ctx);
    return this.#traced('upstream_peer', 'upstreamPeer', session, ctx);
  }

  requestFilter(session: Session, ctx: CTX): MaybePromise<boolean> {
    if (tracing.recorder === null) return this.#app.requestFilter(session, ctx);
    return this.#traced('request_filter', 'requestFilter', session, ctx);
  }

  requestCacheFilter(session: Session, ctx: CTX): void {
    if (tracing.recorder === null) this.#app.requestCacheFilter(session, ctx);
    else this.#traced('request_cache_filter', 'requestCacheFilter', session, ctx);
  }

  proxyUpstreamFilter(session: Session, ctx: CTX): MaybePromise<boolean> {
    if (tracing.recorder === null) return this.#app.proxyUpstreamFilter(session, ctx);
    return this.#traced('proxy_upstream_filter', 'proxyUpstreamFilter', session, ctx);
  }

  upstreamRequestFilter(session: Session, request: RequestHeader, ctx: CTX): MaybePromise<void> {
    if (tracing.recorder === null) return this.#app.upstreamRequestFilter(session, request, ctx);
    return this.#traced('upstream_request_filter', 'upstreamRequestFilter', session, request, ctx);
  }

  upstreamResponseFilter(session: Session, response: ResponseHeader, ctx: CTX): void {
    if (tracing.recorder === null) this.#app.upstreamResponseFilter(session, response, ctx);
    else this.#traced('upstream_response_filter', 'upstreamResponseFilter', session, response, ctx);
  }

  responseFilter(session: Session, response: ResponseHeader, ctx: CTX): MaybePromise<void> {
    if (tracing.recorder === null) return this.#app.responseFilter(session, response, ctx);
    return this.#traced('response_filter', 'responseFilter', session, response, ctx);
  }

  requestBodyFilter(
    session: Session,
    body: Buffer | undefined,
    end: boolean,
    ctx: CTX,
  ): MaybePromise<Buffer | undefined> {
    if (tracing.recorder === null) return this.#app.requestBodyFilter(session, body, end, ctx);
    return this.#traced('request_body_filter', 'requestBodyFilter', session, body, end, ctx);
  }

  upstreamResponseBodyFilter(session: Session, body: Buffer | undefined, end: boolean, ctx: CTX): Buffer | undefined {
    if (tracing.recorder === null) return this.#app.upstreamResponseBodyFilter(session, body, end, ctx);
    return this.#traced('upstream_response_body_filter', 'upstreamResponseBodyFilter', session, body, end, ctx);
  }

  responseBodyFilter(session: Session, body: Buffer | undefined, ctx: CTX, end: boolean): number | Buffer | undefined {
    if (tracing.recorder === null) return this.#app.responseBodyFilter(session, body, ctx, end);
    return this.#traced('response_body_filter', 'responseBodyFilter', session, body, ctx, end);
  }

  responseTrailerFilter(session: Session, trailers: HMap, ctx: CTX): MaybePromise<Buffer | undefined> {
    if (tracing.recorder === null) return this.#app.responseTrailerFilter(session, trailers, ctx);
    return this.#traced('response_trailer_filter', 'responseTrailerFilter', session, trailers, ctx);
  }

  logging(session: Session, error: PingoraError | undefined, ctx: CTX): MaybePromise<void> {
    if (tracing.recorder === null) return this.#app.logging(session, error, ctx);
    return this.#traced('logging', 'logging', session, error, ctx);
  }

  suppressErrorLog(session: Session, ctx: CTX, error: PingoraError): boolean {
    if (tracing.recorder === null) return this.#app.suppressErrorLog(session, ctx, error);
    return this.#traced('suppress_error_log', 'suppressErrorLog', session, ctx, error);
  }

  errorWhileProxy(
    peer: HttpPeer,
    session: Session,
    error: PingoraError,
    ctx: CTX,
    clientReused: boolean,
  ): PingoraError {
    if (tracing.recorder === null) return this.#app.errorWhileProxy(peer, session, error, ctx, clientReused);
    return this.#traced('error_while_proxy', 'errorWhileProxy', peer, session, error, ctx, clientReused);
  }

  failToConnect(session: Session, peer: HttpPeer, ctx: CTX, error: PingoraError): PingoraError {
    if (tracing.recorder === null) return this.#app.failToConnect(session, peer, ctx, error);
    return this.#traced('fail_to_connect', 'failToConnect', session, peer, ctx, error);
  }

  failToProxy(session: Session, error: PingoraError, ctx: CTX): Promise<number> {
    if (tracing.recorder === null) return this.#app.failToProxy(session, error, ctx);
    return this.#traced('fail_to_proxy', 'failToProxy', session, error, ctx);
  }

  connectedToUpstream(
    session: Session,
    reused: boolean,
    peer: HttpPeer,
    connectionId: number,
    digest: Digest | undefined,
    ctx: CTX,
  ): MaybePromise<void> {
    if (tracing.recorder === null) {
      return this.#app.connectedToUpstream(session, reused, peer, connectionId, digest, ctx);
    }
    return this.#traced(
      'connected_to_upstream',
      'connectedToUpstream',
      session,
      reused,
      peer,
      connectionId,
      digest,
      ctx,
    );
  }

  requestSummary(session: Session, ctx: CTX): string {
    return this.#app.requestSummary(session, ctx);
  }

  isPurge(session: Session, ctx: CTX): boolean {
    return this.#app.isPurge(session, ctx);
  }
}

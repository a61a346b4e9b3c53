/**
 * Calls an application's hooks, with a span where they are its own.
 *
 * The port's own: in Rust the compiler knows which hooks are overridden and the debugger sees every call.
 */
import type { PingoraError } from '../error/lib.ts';
import type { HMap, RequestHeader, ResponseHeader } from '../http/lib.ts';
import type { Digest } from '../protocols/digest.ts';
import type { HttpTask } from '../protocols/http/mod.ts';
import { hooksOf, traced } from '../tracing/span.ts';
import type { HttpPeer } from '../upstreams/peer.ts';
import { type MaybePromise, ProxyHttp } from './proxy-trait.ts';
import type { Session } from './session.ts';

const hook = hooksOf('ProxyHttp');

/** The hooks of one application. With tracing off, each is the application's method and nothing else. */
@traced
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

  /** Whether the application has left a hook as it is: then it brings its own span. */
  inherits(method: string): boolean {
    return Reflect.get(this.#app, method) === Reflect.get(ProxyHttp.prototype, method);
  }

  // made from src/proxy/proxy-trait.ts by `npm run tables`: don't edit it
  @hook
  newCtx(): CTX {
    return this.#app.newCtx();
  }

  @hook
  upstreamPeer(session: Session, ctx: CTX): MaybePromise<HttpPeer> {
    return this.#app.upstreamPeer(session, ctx);
  }

  @hook
  requestFilter(session: Session, ctx: CTX): MaybePromise<boolean> {
    return this.#app.requestFilter(session, ctx);
  }

  @hook
  requestCacheFilter(session: Session, ctx: CTX): void {
    this.#app.requestCacheFilter(session, ctx);
  }

  @hook
  proxyUpstreamFilter(session: Session, ctx: CTX): MaybePromise<boolean> {
    return this.#app.proxyUpstreamFilter(session, ctx);
  }

  @hook
  upstreamRequestFilter(session: Session, upstreamRequest: RequestHeader, ctx: CTX): MaybePromise<void> {
    return this.#app.upstreamRequestFilter(session, upstreamRequest, ctx);
  }

  @hook
  upstreamResponseFilter(session: Session, upstreamResponse: ResponseHeader, ctx: CTX): void {
    this.#app.upstreamResponseFilter(session, upstreamResponse, ctx);
  }

  @hook
  responseFilter(session: Session, response: ResponseHeader, ctx: CTX): MaybePromise<void> {
    return this.#app.responseFilter(session, response, ctx);
  }

  @hook
  requestBodyFilter(
    session: Session,
    body: Buffer | undefined,
    endOfStream: boolean,
    ctx: CTX,
  ): MaybePromise<Buffer | undefined> {
    return this.#app.requestBodyFilter(session, body, endOfStream, ctx);
  }

  @hook
  upstreamResponseBodyFilter(
    session: Session,
    body: Buffer | undefined,
    endOfStream: boolean,
    ctx: CTX,
  ): Buffer | undefined {
    return this.#app.upstreamResponseBodyFilter(session, body, endOfStream, ctx);
  }

  @hook
  responseBodyFilter(
    session: Session,
    body: Buffer | undefined,
    ctx: CTX,
    endOfStream: boolean,
  ): number | Buffer | undefined {
    return this.#app.responseBodyFilter(session, body, ctx, endOfStream);
  }

  @hook
  responseTrailerFilter(session: Session, trailers: HMap, ctx: CTX): MaybePromise<Buffer | undefined> {
    return this.#app.responseTrailerFilter(session, trailers, ctx);
  }

  @hook
  logging(session: Session, error: PingoraError | undefined, ctx: CTX): MaybePromise<void> {
    return this.#app.logging(session, error, ctx);
  }

  @hook
  suppressErrorLog(session: Session, ctx: CTX, error: PingoraError): boolean {
    return this.#app.suppressErrorLog(session, ctx, error);
  }

  @hook
  errorWhileProxy(
    peer: HttpPeer,
    session: Session,
    error: PingoraError,
    ctx: CTX,
    clientReused: boolean,
  ): PingoraError {
    return this.#app.errorWhileProxy(peer, session, error, ctx, clientReused);
  }

  @hook
  failToConnect(session: Session, peer: HttpPeer, ctx: CTX, error: PingoraError): PingoraError {
    return this.#app.failToConnect(session, peer, ctx, error);
  }

  @hook
  failToProxy(session: Session, error: PingoraError, ctx: CTX): Promise<number> {
    return this.#app.failToProxy(session, error, ctx);
  }

  @hook
  connectedToUpstream(
    session: Session,
    reused: boolean,
    peer: HttpPeer,
    connectionId: number,
    digest: Digest | undefined,
    ctx: CTX,
  ): MaybePromise<void> {
    return this.#app.connectedToUpstream(session, reused, peer, connectionId, digest, ctx);
  }

  requestSummary(session: Session, ctx: CTX): string {
    return this.#app.requestSummary(session, ctx);
  }

  isPurge(session: Session, ctx: CTX): boolean {
    return this.#app.isPurge(session, ctx);
  }
  // end of what is made
}

/** What exchanges with origins and the filters of bodies and trailers know of a proxy: `HttpProxy` is one. */
export interface ProxyFilters<CTX> {
  /** The application's hooks. */
  readonly hooks: Hooks<CTX>;
  /** The filters that see the origin's response first. */
  upstreamFilter(session: Session, task: HttpTask, ctx: CTX): void;
}

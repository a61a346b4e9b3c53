/**
 * The HTTP proxy.
 *
 * Port of `pingora-proxy/src/lib.rs`.
 */
import type { HttpServerApp } from '../apps/mod.ts';
import { Connector } from '../connectors/http/mod.ts';
import { ConnectorOptions } from '../connectors/mod.ts';
import { ErrorType, PingoraError } from '../error/lib.ts';
import { ResponseHeader } from '../http/lib.ts';
import { Log } from '../log.ts';
import type { H2Options } from '../protocols/h2/server.ts';
import type { HttpSession as ClientSession } from '../protocols/http/client.ts';
import { type HttpTask, SERVER_NAME } from '../protocols/http/mod.ts';
import { type BodyRates, Rates } from '../protocols/http/pace.ts';
import type { Session as HttpSession } from '../protocols/http/server.ts';
import type { Stream } from '../protocols/l4/stream.ts';
import { type Future, isFuture, until } from '../runtime/future.ts';
import { onRuntimeShutdown } from '../runtime/lib.ts';
import type { ShutdownWatch } from '../runtime/sync.ts';
import type { ServerConf } from '../server/configuration/mod.ts';
import { Service } from '../services/listening.ts';
import { ported, traced } from '../tracing/span.ts';
import type { HttpPeer } from '../upstreams/peer.ts';
import { Entry, List } from '../utils/list.ts';
import { countRefusal } from '../utils/refusals.ts';
import type { ProxyCounts } from './counts.ts';
import { Hooks, type ProxyFilters } from './hooks.ts';
import { proxyCache } from './proxy-cache.ts';
import type { Outcome } from './proxy-common.ts';
import { proxyToH1Upstream } from './proxy-h1.ts';
import { proxyToH2Upstream } from './proxy-h2.ts';
import type { ProxyHttp } from './proxy-trait.ts';
import { Session } from './session.ts';

export { type MaybePromise, ProxyHttp } from './proxy-trait.ts';
export { Session } from './session.ts';

const rust = ported('pingora-proxy/src/lib.rs');
const log = new Log('pingora_proxy');

/** A request is tried so often at most. */
const MAX_RETRIES = 16;
/** A connection is kept so long for another request, in seconds. */
const KEEPALIVE_SECONDS = 60;

/** What is sent when `proxy_upstream_filter` refuses and writes nothing itself. */
function badGateway(): ResponseHeader {
  const response = ResponseHeader.build(502);
  response.insertHeader('Server', SERVER_NAME);
  response.insertHeader('Content-Length', 0);
  response.insertHeader('Cache-Control', 'private, no-store');
  return response;
}

/** Carries an application's {@link ProxyHttp} as an HTTP server application. Made by {@link httpProxyService}. */
@traced
export class HttpProxy<CTX = undefined> implements HttpServerApp, ProxyFilters<CTX> {
  /** @internal The application's hooks. */
  readonly hooks: Hooks<CTX>;
  /** The application. */
  readonly inner: ProxyHttp<CTX>;
  /** The connections to origins. */
  readonly clientUpstream: Connector;
  /** Sessions whose request hasn't come yet. */
  private readonly waiting = new List<HttpSession>();

  private readonly metrics: ProxyCounts | undefined;
  /** How HTTP/2 is spoken with clients. Default: as the defaults are. */
  h2Options?: () => H2Options | undefined;
  /** @internal As in `ProxyExtras`. */
  halfClose = 0;
  /** @internal The slowest rates of bodies. */
  rates: Rates | undefined = undefined;
  /** @internal After so many requests a client's connection takes no more. */
  maxRequests = Number.POSITIVE_INFINITY;

  private constructor(inner: ProxyHttp<CTX>, conf: ServerConf, metrics: ProxyCounts | undefined) {
    this.inner = inner;
    this.metrics = metrics;
    this.hooks = metrics === undefined ? new Hooks(inner) : metrics.hooks(inner);
    this.clientUpstream = Connector.new(ConnectorOptions.fromServerConf(conf));
    if (metrics !== undefined) this.speakH2({});
  }

  /** @internal Speak HTTP/2 as `options` say. */
  speakH2(options: H2Options): void {
    const { metrics } = this;
    const onRefused = metrics === undefined ? undefined : metrics.refusedH2.bind(metrics);
    const all = { onRefused, ...options };
    this.h2Options = () => all;
  }

  /** A proxy that runs the hooks of `inner`; its connections to origins are as `conf` says. */
  @rust.method
  static new<CTX>(inner: ProxyHttp<CTX>, conf: ServerConf, metrics?: ProxyCounts): HttpProxy<CTX> {
    return new HttpProxy(inner, conf, metrics);
  }

  /** @internal Read the request. Undefined: there is none, or it was refused. */
  @rust.method
  *handleNewRequest(downstream: HttpSession): Future<HttpSession | undefined> {
    // The original drops whatever was read when it shuts down; here only a connection that is idle is closed, and late.
    const waiting = new Entry(downstream);
    this.waiting.add(waiting);
    try {
      return (yield* downstream.readRequest()) === undefined ? undefined : downstream;
    } catch (error) {
      this.refuse(downstream, PingoraError.from(error));
      return undefined;
    } finally {
      this.waiting.remove(waiting);
    }
  }

  /** Answer a request that could not be read, and close the connection. */
  private refuse(downstream: HttpSession, error: PingoraError): void {
    error.asDown();
    log.error(`Fail to proxy: ${error}`);
    const { name, code } = error.etype();
    if (name === 'InvalidHTTPHeader') downstream.respondError(400);
    else if (name === 'HTTPStatus') downstream.respondError(code!);
    this.metrics?.refused(downstream, error);
    downstream.shutdown();
  }

  /** @internal One try: choose an origin, connect, exchange. `reuse`: the client's connection can be kept. */
  @rust.method
  *proxyToUpstream(session: Session, ctx: CTX): Future<Outcome> {
    let peer: HttpPeer;
    try {
      const chosen = this.hooks.upstreamPeer(session, ctx);
      peer = chosen instanceof Promise ? yield* until(chosen) : chosen;
    } catch (error) {
      return { reuse: false, error: PingoraError.from(error) };
    }

    let clientSession: ClientSession;
    let clientReused: boolean;
    try {
      const got = this.clientUpstream.getHttpSession(peer);
      [clientSession, clientReused] = isFuture(got) ? yield* got : got;
    } catch (error) {
      const failed = this.hooks.failToConnect(session, peer, ctx, PingoraError.from(error));
      return { reuse: false, error: failed.intoUp() };
    }

    const { h1, h2 } = clientSession;
    let outcome: Outcome;
    if (h1 !== undefined) {
      const exchanged = yield* proxyToH1Upstream(this, session, h1, clientReused, peer, ctx);
      if (exchanged.reuseClient) {
        this.clientUpstream.releaseHttpSession(clientSession, peer, peer.options.idleTimeout);
      } else h1.stream.destroy();
      outcome = exchanged;
    } else {
      outcome = yield* proxyToH2Upstream(this, session, h2!, clientReused, peer, ctx);
      this.clientUpstream.releaseHttpSession(clientSession, peer, peer.options.idleTimeout);
      const { error } = outcome;
      if (error?.etype().is(ErrorType.H2Downgrade) || error?.etype().is(ErrorType.InvalidH2)) {
        // All later requests to this origin speak HTTP/1.1, unless the peer allows only HTTP/2 (gRPC).
        if (peer.options.alpn.getMinHttpVersion() === 1) this.clientUpstream.preferH1(peer);
        else error!.setRetry(false);
      }
    }
    if (outcome.error !== undefined) {
      outcome.error = this.hooks.errorWhileProxy(peer, session, outcome.error, ctx, clientReused);
    }
    return outcome;
  }

  /** The filters that see the origin's response first. */
  @rust.method
  upstreamFilter(session: Session, task: HttpTask, ctx: CTX): void {
    if (task.type === 'Header') this.hooks.upstreamResponseFilter(session, task.header, ctx);
    else if (task.type === 'Body') {
      const replaced = this.hooks.upstreamResponseBodyFilter(session, task.data, task.end, ctx);
      if (replaced !== undefined) task.data = replaced;
    }
  }

  /** @internal Log the request and end the session. Returns the connection if it can serve another request. */
  @rust.method
  *finish(session: Session, ctx: CTX, reuse: boolean, error: PingoraError | undefined): Future<Stream | undefined> {
    yield* this.log(session, error, ctx);
    return reuse ? this.finishDownstream(session) : undefined;
  }

  private finishDownstream(session: Session): Stream | undefined {
    try {
      return session.downstreamSession.finish();
    } catch (error) {
      log.debug(() => `Error finishing the downstream session: ${error}`);
      return undefined;
    }
  }

  /** `logging` can't fail a request that has ended. */
  private *log(session: Session, error: PingoraError | undefined, ctx: CTX): Future<void> {
    try {
      const logged = this.hooks.logging(session, error, ctx);
      if (logged instanceof Promise) yield* until(logged);
    } catch (thrown) {
      log.error(`logging() failed: ${thrown}`);
    }
  }

  /** A filter failed: log it, answer it, end the request. */
  private *filterFailed(what: string, session: Session, ctx: CTX, thrown: unknown): Future<undefined> {
    const error = PingoraError.from(thrown);
    if (!this.hooks.suppressErrorLog(session, ctx, error)) {
      log.error(`${what}: ${error}, ${this.hooks.requestSummary(session, ctx)}`);
    }
    yield* this.failToProxy(session, error, ctx);
    yield* this.log(session, error, ctx);
    return undefined;
  }

  private *failToProxy(session: Session, error: PingoraError, ctx: CTX): Future<number> {
    try {
      const status = this.hooks.failToProxy(session, error, ctx);
      return status instanceof Promise ? yield* until(status) : status;
    } catch (thrown) {
      log.error(`fail_to_proxy() failed: ${thrown}`);
      return 0;
    }
  }

  /** @internal The phases of a request, from the first filter to the log. */
  @rust.method
  *processRequest(session: Session, ctx: CTX): Future<Stream | undefined> {
    try {
      const filtered = this.hooks.requestFilter(session, ctx);
      if (filtered instanceof Promise ? yield* until(filtered) : filtered) {
        yield* this.log(session, undefined, ctx);
        return this.finishDownstream(session);
      }
    } catch (error) {
      return yield* this.filterFailed('Fail to filter request', session, ctx, error);
    }

    session.downstreamCompression.requestFilter(session.reqHeader());

    const hit = proxyCache(this, session, ctx);
    if (hit !== undefined) return yield* this.finish(session, ctx, hit.reuse, hit.error);

    try {
      const allowed = this.hooks.proxyUpstreamFilter(session, ctx);
      if (!(allowed instanceof Promise ? yield* until(allowed) : allowed)) {
        if (session.responseWritten() === undefined) {
          try {
            session.downstreamSession.writeResponseHeader(badGateway());
          } catch (error) {
            return yield* this.filterFailed('Error responding with Bad Gateway', session, ctx, error);
          }
        }
        return yield* this.finish(session, ctx, false, undefined);
      }
    } catch (error) {
      return yield* this.filterFailed('Error deciding if we should proxy to upstream', session, ctx, error);
    }

    let retries = 0;
    let reuse = false;
    let failure: PingoraError | undefined;
    while (retries < MAX_RETRIES) {
      retries++;
      const outcome = yield* this.proxyToUpstream(session, ctx);
      reuse = outcome.reuse;
      failure = outcome.error;
      if (failure === undefined) break;
      const retry = failure.retryType === true;
      // what the client has got can't be taken back
      const answered = session.responseWritten();
      if (!retry || (answered !== undefined && (answered.status === 101 || !answered.isInformational))) break;
      // and what is gone of its body can't be sent again; the original sends the rest of it, or nothing
      if (session.downstreamSession.retryBufferTruncated()) break;
      log.warn(
        `Fail to proxy: ${failure}, tries: ${retries}, retry: ${retry}, ${this.hooks.requestSummary(session, ctx)}`,
      );
    }

    if (failure !== undefined) {
      const status = yield* this.failToProxy(session, failure, ctx);
      if (!this.hooks.suppressErrorLog(session, ctx, failure)) {
        const summary = this.hooks.requestSummary(session, ctx);
        log.error(`Fail to proxy: ${failure}, status: ${status}, tries: ${retries}, retry: false, ${summary}`);
      }
    }
    return yield* this.finish(session, ctx, reuse, failure);
  }

  /** @internal Serve a request that nobody waits for, as `createDummySession` makes them. */
  @rust.method('<HttpProxy as Subrequest>::process_subrequest')
  *processSubrequest(downstream: HttpSession): Future<void> {
    log.debug('starting subrequest');
    try {
      if ((yield* this.handleNewRequest(downstream)) === undefined) return;
      const session = Session.new(downstream);
      session.setKeepalive(undefined);
      log.trace('processing subrequest');
      yield* this.processRequest(session, this.hooks.newCtx());
      log.trace('subrequest done');
    } finally {
      downstream.close();
    }
  }

  /** Serve one request of a connection or stream. Returns the connection if it can serve another. */
  @rust.method('<HttpProxy as HttpServerApp>::process_new_http')
  *processNewHttp(downstream: HttpSession, shutdown: ShutdownWatch): Future<Stream | undefined> {
    let reusable: Stream | undefined;
    this.metrics?.downstream(downstream);
    const h1 = downstream.asHttp1();
    if (h1 !== undefined) h1.halfClose = this.halfClose;
    downstream.rates = this.rates;
    try {
      if ((yield* this.handleNewRequest(downstream)) === undefined) return undefined;
      const session = Session.new(downstream);
      // a service that shuts down soon keeps no connection
      session.setKeepalive(shutdown.borrow() || this.isLast(downstream) ? undefined : KEEPALIVE_SECONDS);
      const ctx = this.hooks.newCtx();
      reusable = yield* this.processRequest(session, ctx);
      return reusable;
    } finally {
      downstream.endPaces();
      if (reusable === undefined) downstream.close();
    }
  }

  /** Whether the connection of HTTP/1 takes no request after this one. */
  private isLast(downstream: HttpSession): boolean {
    const requests = downstream.asHttp1()?.stream.requests ?? 0;
    if (requests < this.maxRequests) return false;
    countRefusal('requests of one connection');
    log.debug(() => `connection takes no more requests after ${requests}`);
    return true;
  }

  /** The service ends: connections that wait for a request are closed. Called by the service. */
  @rust.method('<HttpProxy as HttpServerApp>::http_cleanup')
  httpCleanup(): void {
    // The original drops what waits for a request at once, and with it the request that is on its way. Here that is
    // still answered, with `Connection: close`; who sends none is left when the grace period has passed.
    onRuntimeShutdown(() => {
      for (const downstream of this.waiting) downstream.abortIfIdle();
    });
  }
}

/** What a proxy service may have beside its application. */
export interface ProxyExtras {
  /**
   * Who counts what the proxy does: what `proxyMetrics()` of `pingora-traced/metrics` returns, which a service of
   * {@link Service.prometheusHttpService} shows. Default: nobody.
   */
  metrics?: ProxyCounts | undefined;
  /** How HTTP/2 is spoken with clients. Default: as the defaults are. */
  h2?: H2Options | undefined;
  /**
   * After so many requests a client's connection takes no more: `Connection: close`, or GOAWAY. So what is kept a
   * connection comes to an end, and clients meet another server behind a balancer. Default: no limit, as in 0.1.0.
   */
  requestsPerConnection?: number | undefined;
  /**
   * How a client of HTTP/1 is served that ends its side of the connection after a whole request (`nc`, say). It can't be
   * told from one that has left, until something is written to it. 0: it has left, and its origin is let go at once, as in
   * 0.1.0 and nginx. Else it gets its answer, unless nothing could be written to it for so many milliseconds: then its
   * origin is let go. Default: 0.
   */
  halfClose?: number | undefined;
  /** The slowest that bodies may be. Default: no limit, as in 0.1.0. */
  bodyRates?: BodyRates | undefined;
  /** Puts something around the HTTP application, as sampled tracing does. Default: nothing. */
  wrap?: ((app: HttpServerApp) => HttpServerApp) | undefined;
}

/**
 * A service that proxies: the application's hooks behind the endpoints that are added to it, to be added to a server.
 *
 * `conf` says how many connections to origins are kept, which CAs are trusted, and where connections come from: it is
 * `server.configuration`, after {@link Server.new}. What may stand beside the application (metrics, what is put around
 * it) is the port's own. [Chapter 2](../../walkthrough/02-making-a-service/README.md) follows it.
 *
 * ```ts
 * class Gateway extends ProxyHttp {
 *   newCtx(): undefined {}
 *
 *   upstreamPeer() {
 *     return HttpPeer.new('127.0.0.1:8080', false, '');
 *   }
 * }
 *
 * // in a program of one's own this is next:
 * //   const server = Server.new(Opt.fromArgs());
 * //   await server.bootstrap();
 * //   const service = httpProxyService(server.configuration, new Gateway());
 * //   service.addTcp('127.0.0.1:6188');
 * //   server.addService(service);
 * //   await server.runForever();
 *
 * // GET / -> 200 "origin GET /"
 * ```
 */
export const httpProxyService = rust.fn(
  'pingora_proxy::http_proxy_service',
  <CTX>(conf: ServerConf, inner: ProxyHttp<CTX>, extras: ProxyExtras = {}): Service => {
    const { wrap, metrics, halfClose = 0, requestsPerConnection: maxRequests, bodyRates } = extras;
    const proxy = HttpProxy.new(inner, conf, metrics);
    proxy.halfClose = halfClose;
    if (maxRequests !== undefined) proxy.maxRequests = maxRequests;
    if (bodyRates !== undefined) proxy.rates = new Rates(bodyRates);
    const h2 = h2Options(extras, proxy.rates);
    if (h2 !== undefined || maxRequests !== undefined) proxy.speakH2({ maxRequests, ...h2 });
    return Service.new('Pingora HTTP Proxy Service', wrap === undefined ? proxy : wrap(proxy));
  },
);

/** With the slowest rate of responses, which each connection of HTTP/2 sees to by itself. */
function h2Options({ h2 }: ProxyExtras, rates: Rates | undefined): H2Options | undefined {
  const rate = rates?.response;
  if (rate === undefined) return h2;
  const limits = { minSendRate: rate.bytesPerSecond, streamStalledMs: rate.graceMs, ...h2?.limits };
  return { ...h2, limits };
}

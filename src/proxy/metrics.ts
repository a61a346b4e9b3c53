/**
 * What a proxy does, in numbers that Prometheus reads.
 *
 * The port's own: 0.1.0 has the service that shows metrics, and leaves it to the application to count.
 */
import type { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { PingoraError } from '../error/lib.ts';
import type { Digest } from '../protocols/digest.ts';
import type { Session as ServerSession } from '../protocols/http/server.ts';
import type { HttpPeer, Tracer } from '../upstreams/peer.ts';
import { optional } from '../utils/optional.ts';
import { ProxyCounts } from './counts.ts';
import { Hooks } from './hooks.ts';
import type { Session } from './lib.ts';
import type { ProxyHttp } from './proxy-trait.ts';

type MaybePromise<T> = T | Promise<T>;

/** How {@link proxyMetrics} names and registers what it counts. */
export interface ProxyMetricsOptions {
  /**
   * Where the metrics are registered. Default: prom-client's registry of the process, which Pingora's service shows.
   */
  registry?: Registry;
  /** What their names begin with. Default: `pingora_proxy_`. */
  prefix?: string;
  /** The bounds of the durations' buckets, in seconds. Default: 1 ms to 10 s. */
  buckets?: number[];
}

const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Counts what proxies do. Give it to `httpProxyService`, one or more times. Made by {@link proxyMetrics}. */
export class ProxyMetrics extends ProxyCounts {
  /** Requests that have ended, by the status that was sent (0: none was) and the client's HTTP version. */
  readonly requests: Counter<'code' | 'version'>;
  /** Requests whose head was read and whose log hook hasn't run yet. */
  readonly requestsInFlight: Gauge;
  /** From the request's head to the end of the response, in seconds. */
  readonly duration: Histogram;
  /** Requests that failed, by the type of the error and the side that it came from. */
  readonly errors: Counter<'type' | 'source'>;
  /** Tries beyond the first. */
  readonly retries: Counter;
  /** Connections that requests went out on, by whether they were made for them or taken from the pool. */
  readonly upstreamConnections: Counter<'reused'>;
  /** Connections that could not be made, by the type of the error. */
  readonly connectErrors: Counter<'type'>;
  /** Connections that are open, by side. */
  readonly connections: Gauge<'side'>;
  /** Bytes of bodies, without framing: of requests that were read, of responses that were sent. */
  readonly bodyBytes: Counter<'direction'>;
  /** Streams and connections of HTTP/2 that were ended because their client broke a rule or went over a limit. */
  readonly http2Refusals: Counter<'level' | 'error'>;
  private readonly seen = new WeakSet<object>();

  /** Throws `MissingPackage` if prom-client isn't installed, or what that throws where a name is taken. */
  constructor({ registry, prefix = 'pingora_proxy_', buckets = BUCKETS }: ProxyMetricsOptions = {}) {
    const { Counter, Gauge, Histogram, register } = optional<typeof import('prom-client')>('prom-client', 'metrics');
    super();
    const registers = [registry ?? register];
    const named = (name: string, help: string) => ({ name: `${prefix}${name}`, help, registers });
    this.requests = new Counter({
      ...named('requests_total', 'Requests that have ended, by status (0: none was sent) and HTTP version'),
      labelNames: ['code', 'version'],
    });
    this.requestsInFlight = new Gauge(named('requests_in_flight', 'Requests that are being served'));
    this.duration = new Histogram({
      ...named('request_duration_seconds', 'Time from the head of a request to the end of its response'),
      buckets,
    });
    this.errors = new Counter({
      ...named('errors_total', 'Requests that failed, by type of error and the side it came from'),
      labelNames: ['type', 'source'],
    });
    this.retries = new Counter(named('retries_total', 'Tries beyond the first'));
    this.upstreamConnections = new Counter({
      ...named('upstream_connections_total', 'Connections that requests went out on, by whether they were reused'),
      labelNames: ['reused'],
    });
    this.connectErrors = new Counter({
      ...named('upstream_connect_errors_total', 'Connections to origins that failed, by type of error'),
      labelNames: ['type'],
    });
    this.connections = new Gauge({
      ...named('connections', 'Connections that are open, by side'),
      labelNames: ['side'],
    });
    this.bodyBytes = new Counter({
      ...named('body_bytes_total', 'Bytes of bodies: of requests that were read, of responses that were sent'),
      labelNames: ['direction'],
    });
    this.http2Refusals = new Counter({
      ...named('http2_refusals_total', 'HTTP/2 clients that broke a rule or went over a limit, by error code'),
      labelNames: ['level', 'error'],
    });
    // what may never happen is there from the start: a rate needs a zero to begin with
    for (const side of ['downstream', 'upstream']) this.connections.set({ side }, 0);
    for (const reused of ['true', 'false']) this.upstreamConnections.inc({ reused }, 0);
    for (const direction of ['request', 'response']) this.bodyBytes.inc({ direction }, 0);
    for (const level of ['stream', 'connection']) {
      for (const error of ['PROTOCOL_ERROR', 'ENHANCE_YOUR_CALM']) this.http2Refusals.inc({ level, error }, 0);
    }
  }

  /** @internal The hooks of an application, counted. */
  override hooks<CTX>(app: ProxyHttp<CTX>): Hooks<CTX> {
    return new MeteredHooks(app, this);
  }

  /**
   * @internal A session on a connection with a client: of HTTP/1 from its beginning, of HTTP/2 from its first stream.
   */
  override downstream(session: ServerSession): void {
    const connection = session.asHttp1()?.stream.socket ?? session.asHttp2()?.connection.socket;
    if (connection === undefined || this.seen.has(connection)) return;
    this.seen.add(connection);
    if (connection.destroyed) return;
    this.connections.inc({ side: 'downstream' });
    connection.once('close', () => this.connections.dec({ side: 'downstream' }));
  }

  /** @internal A request that never was one. */
  override refused(session: ServerSession, error: PingoraError): void {
    const code = session.responseWritten()?.status ?? 0;
    this.requests.inc({ code, version: 'unknown' });
    this.failed(error);
  }

  /** @internal A client of HTTP/2 went over a limit or broke a rule. */
  override refusedH2(level: 'stream' | 'connection', error: string): void {
    this.http2Refusals.inc({ level, error });
  }

  /** @internal */
  failed(error: PingoraError): void {
    this.errors.inc({ type: error.etype().name, source: error.esource().toLowerCase() });
  }
}

/** Metrics of proxies, registered; once a registry and prefix. Pass what is returned to `httpProxyService`. */
export function proxyMetrics(options?: ProxyMetricsOptions): ProxyMetrics {
  return new ProxyMetrics(options);
}

/** What is known of a request that is being served. */
interface Served {
  readonly began: number;
  tries: number;
}

/** Counts where the hooks are called, so that a proxy without metrics does nothing for them. */
class MeteredHooks<CTX> extends Hooks<CTX> {
  private readonly metrics: ProxyMetrics;
  private readonly served = new WeakMap<Session, Served>();

  constructor(app: ProxyHttp<CTX>, metrics: ProxyMetrics) {
    super(app);
    this.metrics = metrics;
  }

  override requestFilter(session: Session, ctx: CTX): MaybePromise<boolean> {
    this.metrics.requestsInFlight.inc();
    this.served.set(session, { began: performance.now(), tries: 0 });
    return super.requestFilter(session, ctx);
  }

  override upstreamPeer(session: Session, ctx: CTX): MaybePromise<HttpPeer> {
    const served = this.served.get(session);
    if (served !== undefined && ++served.tries > 1) this.metrics.retries.inc();
    const peer = super.upstreamPeer(session, ctx);
    return peer instanceof Promise ? peer.then((chosen) => this.traced(chosen)) : this.traced(peer);
  }

  /** Have the peer's connections counted, beside what the application wants to know of them. */
  private traced(peer: HttpPeer): HttpPeer {
    const { tracer } = peer.options;
    if (!(tracer instanceof ConnectionCount)) peer.options.tracer = new ConnectionCount(this.metrics, tracer);
    return peer;
  }

  override connectedToUpstream(
    session: Session,
    reused: boolean,
    peer: HttpPeer,
    connectionId: number,
    digest: Digest | undefined,
    ctx: CTX,
  ): MaybePromise<void> {
    this.metrics.upstreamConnections.inc({ reused: String(reused) });
    return super.connectedToUpstream(session, reused, peer, connectionId, digest, ctx);
  }

  override failToConnect(session: Session, peer: HttpPeer, ctx: CTX, error: PingoraError): PingoraError {
    this.metrics.connectErrors.inc({ type: error.etype().name });
    return super.failToConnect(session, peer, ctx, error);
  }

  override logging(session: Session, error: PingoraError | undefined, ctx: CTX): MaybePromise<void> {
    const { metrics } = this;
    const { downstreamSession: downstream } = session;
    const served = this.served.get(session);
    if (served !== undefined) {
      metrics.requestsInFlight.dec();
      metrics.duration.observe((performance.now() - served.began) / 1000);
    }
    metrics.requests.inc({ code: session.responseWritten()?.status ?? 0, version: session.reqHeader().version });
    metrics.bodyBytes.inc({ direction: 'request' }, downstream.bodyBytesRead());
    metrics.bodyBytes.inc({ direction: 'response' }, downstream.bodyBytesSent());
    if (error !== undefined) metrics.failed(error);
    return super.logging(session, error, ctx);
  }
}

class ConnectionCount implements Tracer {
  private readonly metrics: ProxyMetrics;
  private readonly also: Tracer | undefined;

  constructor(metrics: ProxyMetrics, also: Tracer | undefined) {
    this.metrics = metrics;
    this.also = also;
  }

  onConnected(): void {
    this.metrics.connections.inc({ side: 'upstream' });
    this.also?.onConnected();
  }

  onDisconnected(): void {
    this.metrics.connections.dec({ side: 'upstream' });
    this.also?.onDisconnected();
  }
}

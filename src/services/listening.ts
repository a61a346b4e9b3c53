/**
 * A service that listens: endpoints, an accept loop for each, and an application behind them.
 *
 * Port of `pingora-core/src/services/listening.rs`.
 */

import { type App, intoServerApp } from '../apps/http-app.ts';
import type { ServerApp } from '../apps/mod.ts';
import { PrometheusServer } from '../apps/prometheus-http-app.ts';
import { PingoraError } from '../error/lib.ts';
import {
  Listeners,
  type ServerAddress,
  type TcpSocketOptions,
  type TlsSettings,
  type TransportStack,
  type UninitializedStream,
} from '../listeners/mod.ts';
import { Log } from '../log.ts';
import type { Stream } from '../protocols/l4/stream.ts';
import { type Future, isFuture, settle, until } from '../runtime/future.ts';
import { currentHandle, type Spread } from '../runtime/lib.ts';
import { PENDING, type Poll } from '../runtime/poll.ts';
import type { ShutdownWatch } from '../runtime/sync.ts';
import { workerNumber } from '../runtime/worker.ts';
import type { ListenFds } from '../server/transfer-fd/mod.ts';
import { sleeping } from '../timeout/sleeping.ts';
import { ported, traced } from '../tracing/span.ts';
import { Admission, type ConnectionLimits } from './admission.ts';
import type { Service as ServiceTrait } from './mod.ts';
import { type Source, sourceOf } from './source.ts';

const rust = ported('pingora-core/src/services/listening.rs');
const log = new Log('pingora_core::services::listening');

/** So many milliseconds are waited when there are no file descriptors left, for others to release some. */
const NO_DESCRIPTORS_PAUSE_MS = 1000;

/** What is told of a service's endpoints; the port's own. */
export interface EndpointEvents {
  /** An endpoint listens. `bound`: where, with the port that the system gave. */
  onListening?(endpoint: { address: string; bound: string; tls: boolean }): void;
  /** An endpoint can't listen, and won't. */
  onListenFailed?(address: string, error: PingoraError): void;
}

/** A service with endpoints, behind which an application serves. */
@traced
export class Service implements ServiceTrait {
  private readonly _name: string;
  private readonly listeners: Listeners;
  private readonly appLogic: ServerApp;
  /** How many threads it wants; undefined: as many as the configuration says. */
  wantedThreads: number | undefined = undefined;
  /** What its threads share. */
  readonly spread = 'connections';
  /** Who is told when an endpoint listens or can't. */
  events: EndpointEvents = {};
  /** How many connections it takes at a time. Default: any number, as in 0.1.0. Set before the server runs. */
  limits: ConnectionLimits = {};

  private constructor(name: string, listeners: Listeners, app: App) {
    this._name = name;
    this.listeners = listeners;
    this.appLogic = intoServerApp(app);
  }

  /** A service without endpoints. `app`: of connections, of HTTP sessions, or of HTTP requests and responses. */
  @rust.method
  static new(name: string, app: App): Service {
    return new Service(name, Listeners.new(), app);
  }

  /** A service with these endpoints. */
  @rust.method
  static withListeners(name: string, listeners: Listeners, app: App): Service {
    return new Service(name, listeners, app);
  }

  /**
   * Serves the process's metrics to Prometheus: add an address, and this to the server. `proxyMetrics()` of
   * `pingora-traced/metrics`, given to `httpProxyService`, counts what a proxy does.
   */
  @rust.method
  static prometheusHttpService(): Service {
    return Service.new('Prometheus metric HTTP', PrometheusServer.new());
  }

  /** The endpoints, mostly to add more. */
  endpoints(): Listeners {
    return this.listeners;
  }

  // What is added after the server started has no effect.

  /**
   * Add a TCP endpoint: `127.0.0.1:6188`. It is bound when the server runs. An address that is in use is tried for half
   * a minute, with a warning each second; what can't be bound is logged as an error, and the server goes on without it.
   */
  @rust.method
  addTcp(address: string): void {
    this.listeners.addTcp(address);
  }

  /** Add a TCP endpoint with socket options. */
  @rust.method
  addTcpWithSettings(address: string, options: TcpSocketOptions): void {
    this.listeners.addTcpWithSettings(address, options);
  }

  /** Add a Unix socket. `permissions` of its file; default 0o666. */
  @rust.method
  addUds(path: string, permissions?: number): void {
    this.listeners.addUds(path, permissions);
  }

  /** Add a TLS endpoint with intermediate settings. Throws `TLSConfigError`. */
  @rust.method
  addTls(address: string, certPath: string, keyPath: string): void {
    this.listeners.addTls(address, certPath, keyPath);
  }

  /** Add a TLS endpoint. */
  @rust.method
  addTlsWithSettings(address: string, options: TcpSocketOptions | undefined, settings: TlsSettings): void {
    this.listeners.addTlsWithSettings(address, options, settings);
  }

  /** Add an endpoint without TLS. */
  @rust.method
  addAddress(address: ServerAddress): void {
    this.listeners.addAddress(address);
  }

  /** @internal Serve a connection, again and again as long as it can be used again. It is closed when that ends. */
  @rust.method
  static *handleEvent(event: Stream, app: ServerApp, shutdown: ShutdownWatch): Future<void> {
    let reusable: Stream | undefined = event;
    try {
      while (reusable !== undefined) {
        log.debug('new event!');
        reusable = yield* settle(app.processNew(reusable, shutdown));
      }
    } finally {
      // Rust closes it where it goes out of scope; an application that failed must not keep it
      event.shutdown();
    }
  }

  /** Listen on one endpoint and accept, until the server shuts down. */
  @rust.method
  private static *runEndpoint(
    app: ServerApp,
    stack: TransportStack,
    shutdown: ShutdownWatch,
    events: EndpointEvents,
    source: Source,
    admission: Admission | undefined,
  ): Future<void> {
    // a thread says nothing that was said where it was started
    const first = workerNumber() === 0;
    const forget = source.until.onChange(() => source.cancelListen());
    try {
      yield* until(source.listen());
    } catch (thrown) {
      forget();
      if (!first) return;
      const error = PingoraError.from(thrown);
      log.error(`Listen() failed: ${error}`);
      events.onListenFailed?.(stack.asStr(), error);
      return;
    }
    forget();
    if (first) events.onListening?.({ address: stack.asStr(), bound: stack.localAddress(), tls: stack.isTls });

    const give = source.give ?? ((io: UninitializedStream) => serve(io, app, shutdown, admission));
    const stop = source.until;
    for (;;) {
      // `select!`: the signal, and the next connection
      if (stop.borrow()) {
        if (first) log.info(`Shutting down ${stack.asStr()}`);
        break;
      }
      if (stop.pollChanged() !== PENDING) continue;
      let io: Poll<UninitializedStream>;
      try {
        io = source.accept();
      } catch (error) {
        log.error(`Accept() failed ${error}`);
        // 24, EMFILE: accept() would go on to fail at once, and take all of the processor
        const cause = error instanceof PingoraError ? (error.rootCause() as NodeJS.ErrnoException) : undefined;
        if (cause?.code === 'EMFILE' || cause?.code === 'ENFILE') yield* sleeping(NO_DESCRIPTORS_PAUSE_MS);
        continue;
      }
      if (io === PENDING) yield;
      else give(io);
    }
    stop.dropWait();
    // The original drops those that wait to be accepted, and they are reset.
    for (const io of yield* until(source.drain())) give(io);
    source.cleanup();
  }

  /** Listen and accept until the server shuts down. Called by the server. */
  @rust.method('<Service as Service>::start_service')
  async startService(fds: ListenFds | undefined, shutdown: ShutdownWatch): Promise<void> {
    const runtime = currentHandle();
    const endpoints = this.listeners.build(fds);
    const { connections, perAddress } = this.limits;
    const limited = connections !== undefined || perAddress !== undefined;
    const admission = limited ? new Admission(this.limits, runtime.spread?.threads) : undefined;
    await Promise.all(
      endpoints.map((endpoint, i) =>
        runtime.spawn(
          `endpoint ${endpoint.asStr()}`,
          this.endpointTask(endpoint, i, shutdown, runtime.spread, admission),
        ),
      ),
    );
    this.listeners.cleanup();
    this.appLogic.cleanup?.();
  }

  private *endpointTask(
    endpoint: TransportStack,
    index: number,
    shutdown: ShutdownWatch,
    spread: Spread | undefined,
    admission: Admission | undefined,
  ): Future<void> {
    const watch = shutdown.clone();
    const source = sourceOf(endpoint, watch, spread, index);
    yield* Service.runEndpoint(this.appLogic, endpoint, watch, this.events, source, admission);
  }

  /** What the log calls it. */
  @rust.method('<Service as Service>::name')
  name(): string {
    return this._name;
  }

  /** How many threads it wants: `wantedThreads`. */
  @rust.method('<Service as Service>::threads')
  threads(): number | undefined {
    return this.wantedThreads;
  }
}

function serve(
  io: UninitializedStream,
  app: ServerApp,
  shutdown: ShutdownWatch,
  admission: Admission | undefined,
): void {
  if (admission === undefined) currentHandle().spawnDetached('connection', connectionTask(io, app, shutdown));
  else if (!admission.enter(io.address)) refuse(io, app);
  else currentHandle().spawnDetached('connection', admitted(io, app, shutdown, admission));
}

function refuse(io: UninitializedStream, app: ServerApp): void {
  const stream = io.intoRefused();
  if (stream === undefined) return;
  app.refuse?.(stream);
  stream.shutdown();
}

/** The task of a connection that is counted. */
function* admitted(
  io: UninitializedStream,
  app: ServerApp,
  shutdown: ShutdownWatch,
  admission: Admission,
): Future<void> {
  // known no longer once it is closed
  const { address } = io;
  try {
    yield* connectionTask(io, app, shutdown);
  } finally {
    admission.leave(address);
  }
}

/** The task of one connection. */
function* connectionTask(io: UninitializedStream, app: ServerApp, shutdown: ShutdownWatch): Future<void> {
  let stream: Stream;
  try {
    const shaken = io.handshake();
    stream = isFuture(shaken) ? yield* shaken : shaken;
  } catch (error) {
    log.error(`Downstream handshake error ${error}`);
    return;
  }
  yield* Service.handleEvent(stream, app, shutdown);
}

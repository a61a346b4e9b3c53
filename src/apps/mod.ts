/**
 * What a service serves: an application of connections, or of HTTP sessions.
 *
 * Port of `pingora-core/src/apps/mod.rs`.
 */
import { Log } from '../log.ts';
import {
  beginsWithPreface,
  type H2Connection,
  type H2Options,
  HttpSession,
  handshake,
} from '../protocols/h2/server.ts';
import { Session as ServerSession } from '../protocols/http/server.ts';
import type { Stream } from '../protocols/l4/stream.ts';
import { ALPN } from '../protocols/mod.ts';
import { type Awaitable, type Future, settle } from '../runtime/future.ts';
import { currentHandle } from '../runtime/lib.ts';
import { currentWaker, Work } from '../runtime/poll.ts';
import type { ShutdownWatch } from '../runtime/sync.ts';
import { ported, traced } from '../tracing/span.ts';
import { countRefusal } from '../utils/refusals.ts';

const rust = ported('pingora-core/src/apps/mod.rs');
const log = new Log('pingora_core::apps');

/** An application of connections (TCP, Unix, TLS). */
export interface ServerApp {
  /**
   * Serve a new connection. Returns it if it can be used again: it is then given to this method once more.
   * What isn't returned is closed. `shutdown` turns true when the server begins to shut down.
   */
  processNew(session: Stream, shutdown: ShutdownWatch): Awaitable<Stream | undefined>;

  /** Called once, when the service has stopped listening. */
  cleanup?(): void;

  /** The connection is one too many: say so, if there is a way to. It is closed then. */
  refuse?(session: Stream): void;
}

/** An application of HTTP sessions, of either version. */
export interface HttpServerApp {
  /** Serve a new session. Returns its connection if it can serve another request; see `ServerSession.finish`. */
  processNewHttp(session: ServerSession, shutdown: ShutdownWatch): Awaitable<Stream | undefined>;

  /** How HTTP/2 is spoken, asked for each connection. Default: as the defaults are. */
  h2Options?(): H2Options | undefined;

  /** Called once, when the service has stopped listening. */
  httpCleanup?(): void;
}

/**
 * How every HTTP application is one of connections: Rust's blanket implementation
 * `impl<T: HttpServerApp> ServerApp for T`.
 */
@traced
export class HttpAsServerApp implements ServerApp {
  private readonly app: HttpServerApp;

  constructor(app: HttpServerApp) {
    this.app = app;
  }

  /** HTTP/2 if the TLS handshake says so, and nothing else does; HTTP/1 otherwise. */
  @rust.method('<T as ServerApp>::process_new')
  *processNew(stream: Stream, shutdown: ShutdownWatch): Future<Stream | undefined> {
    if (stream.selectedAlpnProto() === ALPN.H2) return yield* this.processH2(stream, shutdown);
    // the client's first bytes say which version it is, as in later Pingora
    if (stream.getSsl() === undefined && this.app.h2Options?.()?.h2c === true && (yield* beginsWithPreface(stream))) {
      return yield* this.processH2(stream, shutdown);
    }
    currentWaker().work = Work.FREE;
    return yield* settle(this.app.processNewHttp(ServerSession.newHttp1(stream), shutdown));
  }

  private *processH2(stream: Stream, shutdown: ShutdownWatch): Future<undefined> {
    currentWaker().work = Work.HELD;
    let connection: H2Connection;
    const options = this.app.h2Options?.();
    const { maxRequests } = options ?? {};
    try {
      connection = yield* handshake(stream, options);
    } catch (error) {
      log.error(`H2 handshake error ${error}`);
      return undefined;
    }
    let settled = () => {};
    const end = () => connection.gracefulShutdown();
    if (shutdown.borrow()) end();
    else settled = shutdown.onChange(end);
    try {
      // ends when either side closes the connection
      for (let requests = 1; ; requests++) {
        const session = yield* HttpSession.fromH2Conn(connection);
        if (session === undefined) return undefined;
        // the client makes another connection for those that follow
        if (requests === maxRequests) {
          countRefusal('requests of one connection');
          log.debug(() => `connection takes no more requests after ${requests}`);
          end();
        }
        currentHandle().spawnDetached('h2 stream', this.serve(session, shutdown), Work.HELD);
      }
    } catch (error) {
      // clients disconnect without a word all the time
      log.debug(() => `H2 error when accepting new stream ${error}`);
      return undefined;
    } finally {
      settled();
    }
  }

  /** The task of one stream. */
  private *serve(session: HttpSession, shutdown: ShutdownWatch): Future<void> {
    yield* settle(this.app.processNewHttp(ServerSession.newHttp2(session), shutdown));
  }

  refuse(stream: Stream): void {
    ServerSession.newHttp1(stream).respondError(503);
  }

  @rust.method('<T as ServerApp>::cleanup')
  cleanup(): void {
    this.app.httpCleanup?.();
  }
}

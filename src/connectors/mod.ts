/**
 * Connecting to servers, and using connections again.
 *
 * Port of `pingora-core/src/connectors/mod.rs`. `offload.rs` is left out: it moves handshakes to threads of their own,
 * and a socket of Node's can't be opened on one thread and used on another.
 */
import { display } from '../error/io.ts';
import { ErrorType, PingoraError } from '../error/lib.ts';
import { Log } from '../log.ts';
import { ConnectionMeta, ConnectionPool, type GroupKey } from '../pool/connection.ts';
import type { SocketAddr } from '../protocols/l4/socket.ts';
import type { Stream } from '../protocols/l4/stream.ts';
import { ALPN } from '../protocols/mod.ts';
import type { Future } from '../runtime/future.ts';
import { spawnAttendant } from '../runtime/lib.ts';
import { type AwaitableFuture, awaitable } from '../runtime/task.ts';
import { Elapsed, timeout } from '../timeout/lib.ts';
import { ported, traced } from '../tracing/span.ts';
import { duration, matchesStream, type Peer } from '../upstreams/peer.ts';
import { bindToRandom, connect as l4Connect } from './l4.ts';
import type { ConnectorOptions } from './options.ts';
import { Connector as TlsConnector, connect as tlsConnect } from './tls.ts';

export { type ConnectorConf, ConnectorOptions } from './options.ts';

const rust = ported('pingora-core/src/connectors/mod.rs');
const log = new Log('pingora_core::connectors');

/** How many idle connections are kept if nothing else is said. */
export const DEFAULT_POOL_SIZE = 128;

/** Connects to servers over TCP, Unix sockets and TLS, and keeps connections for the next use. */
@traced
export class TransportConnector {
  private readonly tlsCtx: TlsConnector;
  private readonly connectionPool: ConnectionPool<Stream>;
  private readonly bindToV4: readonly SocketAddr[];
  private readonly bindToV6: readonly SocketAddr[];
  /** @internal Which HTTP version was found to work with a peer. */
  readonly preferredHttpVersion = PreferredHttpVersion.new();

  private constructor(options: ConnectorOptions | undefined) {
    this.tlsCtx = TlsConnector.new(options);
    this.connectionPool = ConnectionPool.new<Stream>(options?.keepalivePoolSize ?? DEFAULT_POOL_SIZE, destroy);
    this.bindToV4 = options?.bindToV4.slice() ?? [];
    this.bindToV6 = options?.bindToV6.slice() ?? [];
  }

  /** Throws what Node throws for certificate files that can't be read or used. */
  @rust.method
  static new(options?: ConnectorOptions): TransportConnector {
    return new TransportConnector(options);
  }

  /** How many connections wait for their next use. */
  get idle(): number {
    return this.connectionPool.length;
  }

  /**
   * Open a connection to `peer`; what is dropped before that is done is closed. Throws as `l4::connect` and `tls::connect`
   * do.
   */
  newStream(peer: Peer): AwaitableFuture<Stream> {
    return this._newStream(peer) as AwaitableFuture<Stream>;
  }

  /** Opens a connection to a peer, with TLS if it wants that. */
  @awaitable
  @rust.method
  private *_newStream(peer: Peer): Future<Stream> {
    const bindTo = bindToRandom(peer, this.bindToV4, this.bindToV6);
    const alpnOverride = this.preferredHttpVersion.get(peer);
    return yield* doConnect(peer, bindTo, alpnOverride, this.tlsCtx);
  }

  /** A connection to `peer` that was released, if there is one that still can be used. */
  @rust.method
  reusedStream(peer: Peer): Stream | undefined {
    const stream = this.connectionPool.get(peer.reuseHash());
    if (stream === undefined) {
      log.debug(() => `No reusable connection found for ${peer}`);
      return undefined;
    }
    // who watches it has been told, and must not be heard of any more; the original has to wait until it lets go
    stream.dropRead();
    if (matchesStream(peer, stream) && testReusableStream(stream)) return stream;
    stream.destroy();
    return undefined;
  }

  /**
   * @internal Keep a connection for its next use under `key`, usually the peer's reuse hash, for up to `idleTimeout`
   * milliseconds, or not at all if that is 0. What was spoken over it must be at its end: a connection on which
   * something waits unread is closed.
   */
  @rust.method
  releaseStream(stream: Stream, key: GroupKey, idleTimeout: number | undefined): void {
    // the original keeps it until a timer of no time runs out: the next request may be sooner
    if (idleTimeout === 0 || !testReusableStream(stream)) {
      stream.destroy();
      return;
    }
    const meta = ConnectionMeta.new(key, stream.id());
    log.debug('Try to keepalive client session');
    const pool = this.connectionPool;
    const [notifyClose, watchUse] = pool.put(meta, stream);
    spawnAttendant('idle_poll', pool.idlePoll(stream, meta, idleTimeout, notifyClose, watchUse));
  }

  /**
   * A connection to `peer`: one that was released, at once, or a new one. The boolean says whether it was used before.
   */
  @rust.method
  getStream(peer: Peer): [stream: Stream, reused: boolean] | AwaitableFuture<[stream: Stream, reused: boolean]> {
    const reused = this.reusedStream(peer);
    return reused === undefined ? (this.openStream(peer) as AwaitableFuture<[Stream, boolean]>) : [reused, true];
  }

  @awaitable
  private *openStream(peer: Peer): Future<[Stream, boolean]> {
    return [yield* this.newStream(peer), false];
  }

  /** From now on offer nothing but HTTP/1.1 to `peer`. */
  @rust.method
  preferH1(peer: Peer): void {
    this.preferredHttpVersion.add(peer, 1);
  }

  /** Close the connections that wait, and from now on those that are released: what dropping it does in Rust. */
  close(): void {
    this.connectionPool.drain();
  }
}

function destroy(stream: Stream): void {
  stream.destroy();
}

/** Connect and, if the peer says so, make the TLS handshake, all within the peer's total connection timeout. */
const doConnect = rust.fn(
  'connectors::do_connect',
  function* (peer: Peer, bindTo: SocketAddr | undefined, alpn: ALPN | undefined, tlsCtx: TlsConnector): Future<Stream> {
    const total = peer.getPeerOptions?.()?.totalConnectionTimeout;
    try {
      return yield* timeout(total, doConnectInner(peer, bindTo, alpn, tlsCtx));
    } catch (error) {
      if (!(error instanceof Elapsed)) throw error;
      throw PingoraError.explain(
        ErrorType.ConnectTimedout,
        `connecting to server ${peer}, total-connection timeout ${duration(total!)}`,
      );
    }
  },
);

const doConnectInner = rust.fn(
  'connectors::do_connect_inner',
  function* (peer: Peer, bindTo: SocketAddr | undefined, alpn: ALPN | undefined, tlsCtx: TlsConnector): Future<Stream> {
    const stream = yield* l4Connect(peer, bindTo);
    return peer.tls() ? yield* tlsConnect(stream, peer, alpn, tlsCtx) : stream.readDirectly();
  },
);

/** So many peers are remembered; the original has no limit. */
const PREFERRED_LIMIT = 4096;

/** The highest HTTP version to offer to a peer, where the peer's own setting turned out not to work. */
@traced
export class PreferredHttpVersion {
  private readonly versions = new Map<GroupKey, 1 | 2>();

  static new(): PreferredHttpVersion {
    return new PreferredHttpVersion();
  }

  @rust.method
  add(peer: Peer, version: 1 | 2): void {
    if (this.versions.size >= PREFERRED_LIMIT) {
      for (const oldest of this.versions.keys()) {
        this.versions.delete(oldest);
        break;
      }
    }
    this.versions.set(peer.reuseHash(), version);
  }

  @rust.method
  get(peer: Peer): ALPN | undefined {
    const version = this.versions.size === 0 ? undefined : this.versions.get(peer.reuseHash());
    if (version === undefined) return undefined;
    return version === 1 ? ALPN.H1 : ALPN.H2H1;
  }
}

/** Whether nothing has arrived on a connection that waits, and it is open. */
const testReusableStream = rust.fn('connectors::test_reusable_stream', (stream: Stream): boolean => {
  if (stream.bufferedLength > 0) {
    log.warn('Unexpected data read in idle connection');
    return false;
  }
  if (stream.ioError !== null) {
    log.debug(() => `Idle connection is broken: ${display(stream.ioError!)}`);
    return false;
  }
  const { socket } = stream;
  if (stream.readEnded || socket.destroyed || !socket.writable) {
    log.debug('Idle connection is closed');
    return false;
  }
  return true;
});

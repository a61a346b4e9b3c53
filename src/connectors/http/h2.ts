/**
 * Sessions with HTTP/2 servers: connections, and the streams on them.
 *
 * Port of `pingora-core/src/connectors/http/v2.rs`.
 */
import { ErrorType, PingoraError } from '../../error/lib.ts';
import { ClientConnection } from '../../h2/mod.ts';
import { Log } from '../../log.ts';
import { ConnectionMeta, ConnectionPool, type GroupKey, PoolNode } from '../../pool/connection.ts';
import type { Digest } from '../../protocols/digest.ts';
import { HttpSession as Http1Session } from '../../protocols/h1/client.ts';
import { MAX_HEADER_SIZE } from '../../protocols/h1/common.ts';
import { driveConnection, Http2Session, type PingState } from '../../protocols/h2/client.ts';
import { NAMES } from '../../protocols/h2/fields.ts';
import { begin, framesOf } from '../../protocols/h2/socket.ts';
import { HttpSession } from '../../protocols/http/client.ts';
import type { Stream } from '../../protocols/l4/stream.ts';
import { ALPN } from '../../protocols/mod.ts';
import type { Future } from '../../runtime/future.ts';
import { spawnAttendant } from '../../runtime/lib.ts';
import { Watch, type WatchReceiver } from '../../runtime/sync.ts';
import { ported, traced } from '../../tracing/span.ts';
import type { Peer } from '../../upstreams/peer.ts';
import { type ConnectorOptions, DEFAULT_POOL_SIZE, TransportConnector } from '../mod.ts';

const rust = ported('pingora-core/src/connectors/http/v2.rs');
const log = new Log('pingora_core::connectors::http::v2');

/** What makes streams on a connection. */
@traced
class Stub {
  readonly connection: ClientConnection;

  constructor(connection: ClientConnection) {
    this.connection = connection;
  }

  @rust.method
  newStream(conn: ConnectionRef): Http2Session {
    const { connection } = this;
    if (!connection.isOpen) {
      throw PingoraError.because(
        ErrorType.H2Error,
        'while creating new stream',
        connection.error ?? new Error('the connection is closed'),
      );
    }
    return Http2Session.new(connection, conn);
  }
}

/** A connection with an HTTP/2 server, shared by its streams. */
@traced
export class ConnectionRef {
  private readonly stub: Stub;
  private readonly closedWatch: WatchReceiver<boolean>;
  private readonly ping: PingState;
  private readonly maxStreams: number;
  private currentStreams = 0;
  /** The server has refused a stream, and none has ended since. */
  private full = false;
  /** Unique among the connections of this process. */
  readonly id: number;
  readonly digest: Digest;
  /** A pool holds it. */
  pooled = false;

  private constructor(
    connection: ClientConnection,
    closed: WatchReceiver<boolean>,
    ping: PingState,
    id: number,
    maxStreams: number,
    digest: Digest,
  ) {
    this.stub = new Stub(connection);
    this.closedWatch = closed;
    this.ping = ping;
    this.id = id;
    this.maxStreams = maxStreams;
    this.digest = digest;
  }

  static new(
    connection: ClientConnection,
    closed: WatchReceiver<boolean>,
    ping: PingState,
    id: number,
    maxStreams: number,
    digest: Digest,
  ): ConnectionRef {
    return new ConnectionRef(connection, closed, ping, id, maxStreams, digest);
  }

  /**
   * Whether there is room for another stream. The original counts its own limit only, and a stream above the server's
   * waits for one of the others to end; another connection is opened here.
   */
  moreStreamsAllowed(): boolean {
    const allowed = Math.min(this.maxStreams, this.stub.connection.maxStreams);
    return allowed > this.currentStreams && !this.full;
  }

  isIdle(): boolean {
    return this.currentStreams === 0;
  }

  releaseStream(): void {
    this.currentStreams--;
    this.full = false;
  }

  refusedStream(): void {
    this.full = true;
  }

  pingTimedout(): boolean {
    return this.ping.timedOut;
  }

  /** Whether the connection has ended, or takes no new streams. */
  isClosed(): boolean {
    return this.closedWatch.borrow() || !this.stub.connection.isOpen;
  }

  /** Turns true when the connection has ended. */
  closed(): WatchReceiver<boolean> {
    return this.closedWatch;
  }

  /** A stream; undefined if there are as many as are allowed. Throws `H2Error`. */
  @rust.method
  spawnStream(): Http2Session | undefined {
    if (!this.moreStreamsAllowed()) return undefined;
    const stream = this.stub.newStream(this);
    this.currentStreams++;
    return stream;
  }

  /** End the connection, once its streams have ended. */
  close(): void {
    this.stub.connection.shutdown();
  }
}

/** Connections that have streams, and room for more. */
class InUsePool {
  private readonly pools = new Map<GroupKey, PoolNode<ConnectionRef>>();

  insert(key: GroupKey, conn: ConnectionRef): void {
    let node = this.pools.get(key);
    if (node === undefined) {
      node = PoolNode.new();
      this.pools.set(key, node);
    }
    conn.pooled = true;
    node.insert(conn.id, conn);
  }

  /** Take a connection out, to be put in again if it still has room. */
  get(key: GroupKey): ConnectionRef | undefined {
    const node = this.pools.get(key);
    const found = node?.getAny()?.[1];
    if (node?.length === 0) this.pools.delete(key);
    return found;
  }

  /** Take this connection out, if it is in, to be put where it belongs now. */
  release(key: GroupKey, id: number): ConnectionRef | undefined {
    const node = this.pools.get(key);
    const found = node?.remove(id);
    if (node?.length === 0) this.pools.delete(key);
    return found;
  }
}

/** Opens HTTP/2 sessions, several on a connection. */
@traced
export class Connector {
  // only makes connections: what is used again are the streams' connections, below
  private readonly transport: TransportConnector;
  private readonly idlePool: ConnectionPool<ConnectionRef>;
  private readonly inUsePool = new InUsePool();

  private constructor(options: ConnectorOptions | undefined) {
    this.transport = TransportConnector.new(options);
    this.idlePool = ConnectionPool.new(options?.keepalivePoolSize ?? DEFAULT_POOL_SIZE, closeConnection);
  }

  @rust.method
  static new(options?: ConnectorOptions): Connector {
    return new Connector(options);
  }

  /**
   * A session on a new connection: HTTP/2 if the server chooses it, or if nothing else is allowed and there is no TLS
   * to choose it in, else HTTP/1. Throws as connecting does, and `HandshakeError` and `H2Error`.
   */
  @rust.method
  *newHttpSession(peer: Peer): Future<HttpSession> {
    const stream = yield* this.transport.newStream(peer);
    const chosen = stream.selectedAlpnProto();
    const options = peer.getPeerOptions?.();
    if (chosen !== ALPN.H2) {
      const priorKnowledge = chosen === undefined && !peer.tls() && options?.alpn.getMinHttpVersion() === 2;
      if (!priorKnowledge) return HttpSession.H1(Http1Session.new(stream));
    }
    const conn = yield* handshake(stream, options?.maxH2Streams ?? 1, options?.h2PingInterval);
    const session = conn.spawnStream()!;
    if (conn.moreStreamsAllowed()) this.inUsePool.insert(peer.reuseHash(), conn);
    return HttpSession.H2(session);
  }

  /** A session on a connection that is open; undefined if none has room. */
  @rust.method
  reusedHttpSession(peer: Peer): Http2Session | undefined {
    const key = peer.reuseHash();
    for (;;) {
      // those in use first, so that there are fewer connections
      const conn = this.inUsePool.get(key) ?? this.idlePool.get(key);
      if (conn === undefined) return undefined;
      conn.pooled = false;
      // The server has announced the end of it. The original takes it nevertheless, and fails.
      if (conn.isClosed()) continue;
      const session = conn.spawnStream();
      // The server has lowered its limit, or refused a stream: back it goes when one of its streams ends.
      if (session === undefined) continue;
      if (conn.moreStreamsAllowed()) this.inUsePool.insert(key, conn);
      return session;
    }
  }

  /**
   * The session is over: its connection has room for another. Without any stream it is kept for up to `idleTimeout`
   * milliseconds.
   */
  @rust.method
  releaseHttpSession(session: Http2Session, peer: Peer, idleTimeout: number | undefined): void {
    // every session was made by `ConnectionRef.spawnStream`
    const conn = session.conn as ConnectionRef;
    const key = peer.reuseHash();
    session.release();
    this.inUsePool.release(key, conn.id);
    conn.pooled = false;
    if (conn.isClosed()) return;
    if (!conn.isIdle()) {
      this.inUsePool.insert(key, conn);
      return;
    }
    if (idleTimeout === 0) {
      conn.close();
      return;
    }
    const meta = ConnectionMeta.new(key, conn.id);
    const pool = this.idlePool;
    const closed = conn.closed();
    conn.pooled = true;
    const [notifyEvicted, watchUse] = pool.put(meta, conn);
    if (idleTimeout !== undefined) {
      spawnAttendant('idle_timeout', pool.idleTimeout(meta, idleTimeout, notifyEvicted, closed, watchUse));
    } else {
      // nothing watches it: without this a connection that the server ends would stay in the pool until it is taken
      const unwatch = closed.onChange(() => {
        notifyEvicted.forget();
        pool.popClosed(meta);
      });
      watchUse.onNotified(unwatch);
      notifyEvicted.onNotified(unwatch);
    }
  }

  /** From now on offer nothing but HTTP/1.1 to `peer`. */
  @rust.method
  preferH1(peer: Peer): void {
    this.transport.preferH1(peer);
    // The original keeps the connections, and so asks over HTTP/2 again as long as one of them lives.
    const key = peer.reuseHash();
    for (;;) {
      const conn = this.inUsePool.get(key) ?? this.idlePool.get(key);
      if (conn === undefined) return;
      conn.pooled = false;
      conn.close();
    }
  }

  @rust.method
  h1IsPreferred(peer: Peer): boolean {
    return this.transport.preferredHttpVersion.get(peer) === ALPN.H1;
  }

  /** Close the connections that wait, and from now on those whose last stream ends: what dropping it does in Rust. */
  close(): void {
    this.transport.close();
    this.idlePool.drain();
  }
}

function closeConnection(conn: ConnectionRef): void {
  conn.close();
}

/** How much a server may send on a stream, and on the connection, before some of it is read: 8 MiB. */
const H2_WINDOW_SIZE = 1 << 23;
/** Servers are asked for larger frames than the least allowed. */
const MAX_FRAME_SIZE = 64 * 1024;

const handshake = rust.fn(
  'v2::handshake',
  function* (stream: Stream, maxStreams: number, h2PingInterval: number | undefined): Future<ConnectionRef> {
    if (maxStreams === 0) {
      stream.destroy();
      throw PingoraError.explain(ErrorType.H2Error, 'zero max_stream configured');
    }
    const id = stream.id();
    const digest: Digest = {
      sslDigest: stream.getSslDigest(),
      timingDigest: stream.getTimingDigest(),
      proxyDigest: stream.getProxyDigest(),
    };
    let connection: ClientConnection;
    try {
      connection = begin(
        stream,
        (transport) =>
          new ClientConnection(transport, {
            maxFrameSize: MAX_FRAME_SIZE,
            initialWindowSize: H2_WINDOW_SIZE,
            connectionWindowSize: H2_WINDOW_SIZE,
            // as much as a head of HTTP/1 may have
            limits: { maxHeaderListSize: MAX_HEADER_SIZE, maxHeaderBlock: 2 * MAX_HEADER_SIZE },
            names: NAMES,
            observer: framesOf(stream),
          }),
      );
    } catch (error) {
      stream.destroy();
      throw PingoraError.because(ErrorType.HandshakeError, 'during H2 handshake', error);
    }
    log.debug('H2 handshake to server done.');
    const closed = new Watch(false);
    const ping: PingState = { timedOut: false };
    const conn = ConnectionRef.new(connection, closed.subscribe(), ping, id, maxStreams, digest);
    spawnAttendant('drive_connection', driveConnection(connection, id, closed, h2PingInterval, ping));
    return conn;
  },
);

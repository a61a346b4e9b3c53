/**
 * A connection: bytes in, bytes out, over a TCP or Unix socket or over TLS on one.
 *
 * Reading is polled: it gives what is there, or is pending and wakes its task when more has come. Writing gathers small
 * pieces, which leave in one piece at `flush`; whoever writes much waits with `pollDrained` until the peer has taken
 * it. Nothing is read beyond what was asked for: bytes that a session doesn't take stay here, for the next request on
 * the connection.
 *
 * Port of `pingora-core/src/protocols/l4/stream.rs`. Node has read buffers of its own, so `BufStream` is this class.
 */

import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { ErrorType, PingoraError } from '../../error/lib.ts';
import { readDirectly } from '../../node/direct-socket.ts';
import { connectionReset, wasReset } from '../../node/reset.ts';
import { bytesTaken } from '../../node/taken.ts';
import { parentOf } from '../../node/tls-parent.ts';
import { connectionCloses } from '../../runtime/lib.ts';
import { currentWaker, PENDING, type Poll, type Waker } from '../../runtime/poll.ts';
import { polled } from '../../runtime/task.ts';
import { type Flushing, writeInTurn } from '../../runtime/turn.ts';
import { arm, Limit } from '../../timeout/lib.ts';
import type { Side } from '../../tracing/model.ts';
import { observer } from '../../tracing/observer.ts';
import { ported, traced } from '../../tracing/span.ts';
import type { ProxyDigest, SslDigest, TimingDigest } from '../digest.ts';
import { ALPN } from '../tls/alpn.ts';

const protocols = ported('pingora-core/src/protocols/mod.rs');

/** So many bytes may wait unread before the socket is paused. */
const BUF_READ_SIZE = 64 * 1024;
/** So many bytes may wait unsent before they are written without a `flush`. */
const BUF_WRITE_SIZE = 1460;
/** A buffer up to this size is joined to the text before it: one write and no copy beside it. */
const JOIN_SIZE = 4096;
/** So many bytes that arrive in one piece aren't kept until everything has been read in the turn. */
const BULK_SIZE = 8 * 1024;
/** So many bytes that were flushed aren't kept until the end of the turn. */
const TURN_SIZE = 16 * 1024;

/** A connection that is being closed waits so long for its peer's end. */
const LINGER_MS = 1000;
/** And so long for a peer that takes nothing of what it hasn't got yet. */
const UNREAD_MS = 60_000;
/** While a connection isn't read, whether it was reset is looked at so often. */
const LOOK_MS = 1000;

const EMPTY = Buffer.alloc(0);

let lastId = 0;

/** What Rust's `std::io::Error` is there: the socket failed. `code` is the system's, as `ECONNRESET`. */
export type IoError = NodeJS.ErrnoException;

/** Where the other end of a connection is. */
export interface PeerAddress {
  /** Without brackets. */
  readonly ip: string;
  /** Of TCP. */
  readonly port: number;
}

/**
 * Told of a connection's beginning and end. `Tracing` in the original, where `Tracer` is the box around it. Its place
 * there is `upstreams/peer.rs`, which stands above this folder.
 */
export interface Tracer {
  /** The connection (its lowest layer) is established. */
  onConnected(): void;
  /** The connection is closed. */
  onDisconnected(): void;
}

/** An established connection. Pingora's `Stream` (`Box<dyn IO>`), whatever it runs over. */
@traced
export class Stream implements Flushing {
  /** The socket, TCP's or TLS's; this class reads it, so nobody else may. */
  socket: Socket;
  /** When this connection was established, in milliseconds since the epoch. */
  readonly establishedTs = Date.now();
  /** @internal How many requests of HTTP/1 were read from it. */
  requests = 0;
  /** Whose connection it is. */
  side: Side = 'downstream';
  /** Told when the connection ends, if the peer asked for that. */
  tracer: Tracer | undefined = undefined;
  private proxyDigest: ProxyDigest | undefined = undefined;
  private _peerAddress: PeerAddress | undefined = undefined;
  /** Unique among the connections of this process; the original uses the file descriptor, which is reused. */
  private readonly _id = ++lastId;
  /** Told to observers: TLS and what is below it are one connection. */
  wire = this._id;

  /** @internal What goes over it has ends of its own, as what goes through a tunnel: its end needs no confirmation. */
  believesEnd = false;

  private chunk: Buffer = EMPTY;
  private more: Buffer[] = [];
  private size = 0;
  private ended = false;
  private error: IoError | null = null;
  private paused = false;
  /** Who waits for bytes or the end. */
  private reader: Waker | null = null;
  /** How long the present read may wait, if that is limited. */
  private readLimit: Limit | null = null;

  private pending = '';
  /** `pending` is to be written at the end of this turn. */
  private flushed = false;
  /** Who waits until the peer has taken what was written. */
  private writer: Waker | null = null;
  private writeLimit: Limit | null = null;
  private draining = false;
  /** What is written waits for {@link Stream.release}. */
  private held = false;

  /** Who wants to know of a reset while nothing is read, and when that is looked at. */
  private watcher: Waker | null = null;
  private nextLook: Limit | null = null;

  private flowing = false;
  private direct = false;
  private discard = false;
  private readonly onError = (error: IoError) => {
    this.error ??= error;
    this.end();
    this.wakeReader();
  };
  private readonly onClose = () => {
    this.end();
    this.wakeReader();
    this.wakeWriter();
    this.readLimit?.end();
    this.writeLimit?.end();
    this.nextLook?.end();
    this.tracer?.onDisconnected();
    this.tracer = undefined;
  };

  /** `socket` must not have been read from: the first read starts it. */
  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', this.onError);
    socket.on('close', this.onClose);
  }

  /** @internal The peer's IP address and port; undefined for a Unix socket. Kept: Node asks two getters each time. */
  get peerAddress(): PeerAddress | undefined {
    if (this._peerAddress === undefined) {
      const { remoteAddress: ip, remotePort: port } = this.socket;
      if (ip !== undefined && port !== undefined) this._peerAddress = { ip, port };
    }
    return this._peerAddress;
  }

  /** Give the socket up, unread, to a layer above (TLS), which makes a stream of its own. */
  intoSocket(): Socket {
    const { socket } = this;
    socket.off('error', this.onError);
    socket.off('close', this.onClose);
    return socket;
  }

  /**
   * Read the socket's bytes directly from now on, if that can be: {@link Stream.socket} is another one then. For who
   * knows that no layer comes above, before anything is read.
   */
  readDirectly(): this {
    const direct = this.flowing ? undefined : readDirectly(this.socket, this.onBytes);
    this.direct = direct !== undefined;
    if (direct !== undefined && direct !== this.socket) {
      this.intoSocket();
      this.socket = direct;
      direct.on('error', this.onError);
      direct.on('close', this.onClose);
    }
    return this;
  }

  private flow(): void {
    if (this.flowing) return;
    this.flowing = true;
    const { socket } = this;
    if (!this.direct) socket.on('data', this.onBytes);
    // what this end has closed has no peer either, once the other one has
    socket.on('end', () => {
      const broken = this.discard ? undefined : this.brokenEnd();
      if (broken === undefined) this.end();
      else this.onError(broken);
    });
    socket.on('drain', () => this.wakeWriter());
    if (socket.isPaused()) socket.resume();
  }

  /** @internal What is wrong with the end of which the socket has just told: undefined if nothing is. */
  protected brokenEnd(): IoError | undefined {
    return wasReset(this.socket) ? connectionReset() : undefined;
  }

  private readonly onBytes = (bytes: Buffer) => {
    if (this.discard) return;
    if (this.size === 0) this.chunk = bytes;
    else this.more.push(bytes);
    this.size += bytes.length;
    observer.arrived(this, false);
    if (this.size >= BUF_READ_SIZE && !this.paused) {
      this.paused = true;
      this.socket.pause();
    }
    const { reader } = this;
    if (reader === null) return;
    this.reader = null;
    this.readLimit?.clear();
    // Much at once is no head of a request: it is passed on before more of it comes, which may be at once.
    if (bytes.length >= BULK_SIZE && reader.wakeNow !== undefined) reader.wakeNow();
    else reader.wake(this.side === 'upstream');
  };

  private wakeReader(): void {
    const { reader } = this;
    this.reader = null;
    reader?.wake(this.side === 'upstream');
  }

  private end(): void {
    if (this.ended) return;
    this.ended = true;
    observer.arrived(this, true);
    this.readLimit?.clear();
    this.wakeReader();
  }

  private wakeWriter(): void {
    const { writer } = this;
    this.writer = null;
    writer?.wake();
  }

  /** Unique among this process's connections. */
  id(): number {
    return this._id;
  }

  // --- reading ---

  /** How many bytes have arrived and weren't taken. */
  get bufferedLength(): number {
    return this.size;
  }

  /** The bytes that have arrived and weren't taken, in one piece. They stay until {@link Stream.consume}. */
  buffered(): Buffer {
    if (this.more.length > 0) {
      this.chunk = Buffer.concat([this.chunk, ...this.more]);
      this.more = [];
    }
    return this.chunk;
  }

  /** Take `n` of the bytes that have arrived. */
  consume(n: number): void {
    this.size -= n;
    observer.read(this, this.chunk, n);
    if (n === this.chunk.length) this.chunk = this.more.length === 0 ? EMPTY : this.more.shift()!;
    else this.chunk = this.chunk.subarray(n);
    if (this.paused && this.size < BUF_READ_SIZE) {
      this.paused = false;
      this.socket.resume();
    }
  }

  /** Whether the peer has said that it sends no more, or the connection is broken. There may be bytes left. */
  get readEnded(): boolean {
    return this.ended;
  }

  /** @internal How the connection broke, if it did. */
  get ioError(): IoError | null {
    return this.error;
  }

  /**
   * @internal Up to `max` bytes; pending if none are here. An empty buffer is the end of the stream. `patience`: how long this
   * read may be pending, in milliseconds.
   *
   * Throws the socket's error if the connection broke and nothing is left, and `Elapsed`.
   */
  pollRead(max: number, patience?: number): Poll<Buffer> {
    const { length } = this.chunk;
    if (length > 0) {
      const taken = length <= max ? this.chunk : this.chunk.subarray(0, max);
      this.consume(taken.length);
      this.readLimit?.clear();
      return taken;
    }
    return this.pollFill(0, patience) === PENDING ? PENDING : EMPTY;
  }

  /**
   * @internal Whether more has arrived than `have` bytes; pending if neither that nor the end of the stream has. False at the
   * end. `patience`: how long this read may be pending, in milliseconds.
   *
   * Throws the socket's error if the connection broke and there is nothing more, and `Elapsed`.
   */
  pollFill(have: number, patience?: number): Poll<boolean> {
    if (this.size > have) {
      this.readLimit?.clear();
      return true;
    }
    if (this.ended) {
      if (this.error !== null) throw this.error;
      return false;
    }
    if (patience !== undefined) {
      this.readLimit ??= new Limit(() => this.wakeReader());
      this.readLimit.check(patience);
    }
    this.flow();
    // Who waits needs more than what is here, however much that is: a long head, for instance.
    if (this.paused) {
      this.paused = false;
      this.socket.resume();
    }
    this.reader = currentWaker();
    return PENDING;
  }

  /**
   * @internal Ready once the peer has ended the connection, or it broke: see {@link Stream.ioError}. Bytes that arrive before are
   * left alone.
   */
  pollEnded(): Poll<void> {
    if (this.ended) return;
    this.flow();
    this.reader = currentWaker();
    return PENDING;
  }

  /** @internal Ready once the connection is closed or broken, in both directions. */
  pollBroken(): Poll<void> {
    if (this.error !== null || this.socket.destroyed) return;
    this.flow();
    this.reader = currentWaker();
    return PENDING;
  }

  /**
   * @internal Ready once the connection was reset, for while nothing of it is read: Node isn't told then, and the system is
   * asked each second. That the peer has ended it can't be seen so: the end comes behind what isn't read.
   */
  pollReset(): Poll<void> {
    if (this.error !== null) return;
    this.watcher = currentWaker();
    this.nextLook ??= new Limit(() => this.watcher?.wake());
    try {
      this.nextLook.check(LOOK_MS);
    } catch {
      if (wasReset(this.socket)) {
        this.onError(connectionReset());
        return;
      }
      this.nextLook.check(LOOK_MS);
    }
    return PENDING;
  }

  /** As `pollRead`, for applications that live among promises. */
  read(max: number): Buffer | Promise<Buffer> {
    const bytes = this.pollRead(max);
    return bytes === PENDING ? polled(() => this.pollRead(max)) : bytes;
  }

  /** As `pollDrained`, for applications that live among promises. */
  drained(): void | Promise<void> {
    return this.pollDrained() === PENDING ? polled(() => this.pollDrained()) : undefined;
  }

  /**
   * @internal Whoever was pending here waits no more, or whoever waited with `waker`, if that is another one by now: no byte is
   * lost. What `drop` does to a read in Rust.
   */
  dropRead(waker: Waker | null = this.reader): void {
    this.watcher = null;
    this.nextLook?.clear();
    if (waker !== this.reader) return;
    this.reader = null;
    this.readLimit?.clear();
  }

  /** What a pending read may still take counts from now. */
  limitReadAnew(): void {
    this.readLimit?.clear();
  }

  // --- writing ---

  /**
   * Add to what is to be sent. Text is bytes (latin1). Small pieces wait for {@link Stream.flush}; whoever may write
   * more than the peer reads waits with `pollDrained`. Throws the socket's error if the connection broke.
   */
  write(data: string | Buffer): void {
    observer.wrote(this, data);
    if (typeof data === 'string') {
      this.pending = this.pending === '' ? data : this.pending + data;
    } else if (this.pending.length + data.length < BUF_WRITE_SIZE || data.length <= JOIN_SIZE) {
      this.pending += data.toString('latin1');
    } else {
      this.send(data);
      return;
    }
    if (this.pending.length >= BUF_WRITE_SIZE) this.flush();
  }

  /** Send what waits, at the end of this turn of the event loop. Throws the socket's error if the connection broke. */
  flush(): void {
    const { socket, pending } = this;
    if (pending === '') return;
    const late = pending.length >= TURN_SIZE || this.error !== null || socket.writableLength > 0;
    if (late || socket.destroyed || socket.writableEnded) {
      this.send(null);
      return;
    }
    if (this.flushed) return;
    this.flushed = true;
    writeInTurn(this);
  }

  /** @internal */
  writeFlushed(): void {
    this.flushed = false;
    const { socket, pending } = this;
    // by now it may have gone out before something larger, or have nowhere to go
    if (pending === '' || this.error !== null || socket.destroyed || socket.writableEnded) return;
    this.pending = '';
    socket.write(pending, 'latin1');
  }

  private throwIfBroken(): void {
    const { socket } = this;
    if (this.error !== null) throw this.error;
    if (socket.destroyed || socket.writableEnded) throw closedError();
  }

  private send(data: Buffer | null): void {
    this.throwIfBroken();
    const { socket, pending } = this;
    if (data === null) {
      this.pending = '';
      socket.write(pending, 'latin1');
    } else if (pending === '') socket.write(data);
    else {
      this.pending = '';
      socket.cork();
      socket.write(pending, 'latin1');
      socket.write(data);
      socket.uncork();
    }
  }

  /** @internal What is written from now on leaves in one write, at {@link Stream.release}. Not for much, and not for long. */
  hold(): void {
    if (this.held) return;
    this.held = true;
    this.socket.cork();
  }

  /** @internal */
  release(): void {
    if (!this.held) return;
    this.held = false;
    this.socket.uncork();
  }

  /**
   * @internal Ready when the peer has taken so much of what was written that more can be: the writer's backpressure. `patience`:
   * how long this may be pending, in milliseconds. Throws the socket's error if the connection broke, and `Elapsed`.
   */
  pollDrained(patience?: number): Poll<void> {
    if (this.draining) this.throwIfBroken();
    this.draining = this.socket.writableNeedDrain && !this.held;
    if (!this.draining) {
      this.writeLimit?.clear();
      return;
    }
    if (patience !== undefined) {
      this.writeLimit ??= new Limit(() => this.wakeWriter());
      this.writeLimit.check(patience);
    }
    this.flow();
    this.writer = currentWaker();
    return PENDING;
  }

  /**
   * Send what waits and end the connection.
   *
   * A socket that is closed while bytes of the peer's are unread is reset, and the reset may overtake the last answer
   * (RFC 9112 9.6). So what still comes is read and thrown away, until the peer ends too, or it has taken everything and
   * a second has passed.
   */
  shutdown(): void {
    const { socket } = this;
    if (socket.destroyed || this.discard) return;
    this.discard = true;
    socket.once('close', connectionCloses());
    if (this.pending !== '' && this.error === null && !socket.writableEnded) {
      socket.write(this.pending, 'latin1');
      this.pending = '';
    }
    this.linger();
    if (this.ended) {
      socket.destroySoon();
      return;
    }
    this.chunk = EMPTY;
    this.more = [];
    this.size = 0;
    this.flow();
    if (socket.isPaused()) socket.resume();
    socket.end();
    socket.once('end', () => socket.destroySoon());
  }

  /** Destroy the socket, which ends, once it was time: what was written goes to a peer that reads slowly, too. */
  private linger(): void {
    const { socket } = this;
    let taken = bytesTaken(socket);
    let quiet = 0;
    const look = () => {
      const now = bytesTaken(socket);
      quiet = now > taken ? 0 : quiet + LINGER_MS;
      taken = now;
      if (socket.writableLength === 0 || quiet >= UNREAD_MS) socket.destroy();
      else lingering = arm(LINGER_MS, look);
    };
    let lingering = arm(LINGER_MS, look);
    socket.once('close', () => lingering.cancel());
  }

  /** End the connection. What waits is sent if the system takes it at once, as the original's `drop` does. */
  destroy(): void {
    const { socket, pending } = this;
    this.pending = '';
    if (pending !== '' && this.error === null && !socket.destroyed && !socket.writableEnded) {
      socket.write(pending, 'latin1');
    }
    this.release();
    socket.destroy();
  }

  /** @internal End the connection with a reset, where there is such a thing (TCP, TLS on it): what waits to be taken is lost. */
  reset(): void {
    const { socket } = this;
    this.pending = '';
    this.release();
    if (this.peerAddress !== undefined && !socket.destroyed) {
      const ssl = this.getSsl();
      const below = ssl === undefined ? socket : parentOf(ssl);
      // that alone waits until everything is written
      below.resetAndDestroy();
      below.destroy();
    }
    socket.destroy();
  }

  // --- what is known of the connection ---

  /** The TLS socket, if this runs over TLS. */
  getSsl(): TLSSocket | undefined {
    return undefined;
  }

  /** What is known of the TLS connection, if there is one. */
  getSslDigest(): SslDigest | undefined {
    return undefined;
  }

  /** The protocol that the TLS handshake settled on, if any. */
  @protocols.method('Ssl::selected_alpn_proto')
  selectedAlpnProto(): ALPN | undefined {
    return ALPN.fromWireSelected(this.getSsl()?.alpnProtocol);
  }

  /** When each layer was established, the lowest first. */
  getTimingDigest(): (TimingDigest | undefined)[] {
    return [{ establishedTs: this.establishedTs }];
  }

  /** How the proxy on the way answered CONNECT; undefined without one. */
  getProxyDigest(): ProxyDigest | undefined {
    return this.proxyDigest;
  }

  /** Keep the answer of a proxy to CONNECT. */
  setProxyDigest(digest: ProxyDigest): void {
    this.proxyDigest = digest;
  }

  /** Send small pieces at once instead of waiting for more (TCP only). Throws `ConnectError`. */
  setNodelay(): void {
    try {
      this.socket.setNoDelay(true);
    } catch (error) {
      throw PingoraError.because(ErrorType.ConnectError, 'failed to set_nodelay', error);
    }
  }
}

function closedError(): IoError {
  return Object.assign(new Error('the connection is closed'), { code: 'EPIPE' });
}

/**
 * A connection: bytes in, bytes out, over a TCP or Unix socket or over TLS on one.
 *
 * Reading gives what is there at once and a promise only when nothing is; writing gathers small pieces and leaves in
 * one piece at `flush`. Nothing is read beyond what was asked for: bytes that a session doesn't take stay here, for
 * the next request on the connection.
 *
 * Port of `pingora-core/src/protocols/l4/stream.rs`. Node has read buffers of its own, so `BufStream` is this class.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { ErrorType, PingoraError } from '../../error/lib.ts';
import { readDirectly } from '../../node/direct-socket.ts';
import { connectionReset, wasReset } from '../../node/reset.ts';
import { Cancelled } from '../../runtime/cancelled.ts';
import { arm, Deadline, Elapsed } from '../../timeout/lib.ts';
import type { Side } from '../../tracing/model.ts';
import { observer } from '../../tracing/observer.ts';
import { ported } from '../../tracing/span.ts';
import type { ProxyDigest, SslDigest, TimingDigest } from '../digest.ts';
import type { Tracer } from '../mod.ts';
import { ALPN } from '../tls/alpn.ts';
import { type Turning, wakeInTurn, writeInTurn } from './turn.ts';

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

const READ_CANCELLED = new Cancelled('read cancelled');

const EMPTY = Buffer.alloc(0);

let lastId = 0;

/** What Rust's `std::io::Error` is there: the socket failed. `code` is the system's, as `ECONNRESET`. */
export type IoError = NodeJS.ErrnoException;

/** Who waits for bytes. */
export interface Reader {
  /** More has arrived, or nothing more will. To be called in vain does no harm: who waits for more waits again. */
  wake(): void;
  /** The wait is over without a result. False: it goes on. */
  end(error: Error): boolean;
}

/** A read, or a wait for more than `n` bytes, that is to be done when there is something. One promise, no reactions. */
class PendingRead implements Reader {
  private readonly stream: Stream;
  private readonly take: boolean;
  private readonly n: number;
  private readonly resolve: (result: any) => void;
  private readonly reject: (error: unknown) => void;

  constructor(
    stream: Stream,
    take: boolean,
    n: number,
    resolve: (result: any) => void,
    reject: (error: unknown) => void,
  ) {
    this.stream = stream;
    this.take = take;
    this.n = n;
    this.resolve = resolve;
    this.reject = reject;
  }

  wake(): void {
    const { stream, n } = this;
    try {
      this.resolve(this.take ? stream.read(n) : stream.fill(n));
    } catch (error) {
      this.reject(error);
    }
  }

  end(error: Error): boolean {
    this.reject(error);
    return true;
  }
}

/** Who waits for the peer to end the connection. */
export interface EndWatcher {
  /** It has, or the connection broke. */
  peerGone(): void;
}

/** Where the other end of a connection is. */
export interface PeerAddress {
  /** Without brackets. */
  readonly ip: string;
  /** Of TCP. */
  readonly port: number;
}

/** An established connection. Pingora's `Stream` (`Box<dyn IO>`), whatever it runs over. */
export class Stream implements Turning {
  /** The socket, TCP's or TLS's; this class reads it, so nobody else may. */
  socket: Socket;
  /** When this connection was established, in milliseconds since the epoch. */
  readonly establishedTs = Date.now();
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

  private chunk: Buffer = EMPTY;
  private more: Buffer[] = [];
  private size = 0;
  private ended = false;
  private error: IoError | null = null;
  private paused = false;
  private readers: Reader[] = [];
  /** How long the present read may wait, if that is limited. */
  private patience: Deadline | null = null;
  /** Hardly ever more than one; no `Set`, for the reason that `List` gives. */
  private closers: EndWatcher[] = [];

  private pending = '';
  /** `pending` is to be written at the end of this turn. */
  private flushed = false;
  private drainers: ((error: IoError | null) => void)[] = [];

  private flowing = false;
  private direct = false;
  private discard = false;
  private readonly onError = (error: IoError) => {
    this.error ??= error;
    this.end();
  };
  private readonly onClose = () => {
    this.end();
    this.patience?.end();
    this.drained(this.error ?? closedError());
    this.tracer?.onDisconnected();
    this.tracer = undefined;
  };

  /** `socket` must not have been read from: the first read starts it. */
  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', this.onError);
    socket.on('close', this.onClose);
  }

  /** The peer's IP address and port; undefined for a Unix socket. Kept: Node asks two getters each time. */
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
    if (direct !== undefined) {
      this.intoSocket();
      this.direct = true;
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
    socket.on('end', () => (wasReset(socket) ? this.onError(connectionReset()) : this.end()));
    socket.on('drain', () => this.drained(null));
    if (socket.isPaused()) socket.resume();
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
    if (this.readers.length === 0) return;
    // Much at once is no head of a request: it is passed on before more of it comes, which may be at once.
    if (bytes.length >= BULK_SIZE) this.wakeReaders();
    else wakeInTurn(this);
  };

  /** @internal */
  wakeReaders(): void {
    const { readers } = this;
    if (readers.length === 0) return;
    this.patience?.clear();
    // there is hardly ever more than one: no other list is needed then
    if (readers.length === 1) {
      readers.pop()!.wake();
      return;
    }
    this.readers = [];
    for (const reader of readers) reader.wake();
  }

  private endReads(error: Error): void {
    this.patience?.clear();
    if (this.readers.length > 0) this.readers = this.readers.filter((reader) => !reader.end(error));
  }

  private end(): void {
    if (!this.ended) {
      this.ended = true;
      observer.arrived(this, true);
      this.wakeReaders();
    }
    const closers = this.closers;
    if (closers.length > 0) {
      this.closers = [];
      for (const closer of closers) closer.peerGone();
    }
  }

  private drained(error: IoError | null): void {
    if (this.drainers.length === 0) return;
    const drainers = this.drainers;
    this.drainers = [];
    for (const done of drainers) done(error);
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

  /** How the connection broke, if it did. */
  get ioError(): IoError | null {
    return this.error;
  }

  /**
   * Up to `max` bytes: at once if any are here, else when some arrive. An empty buffer is the end of the stream.
   * Throws the socket's error if the connection broke and nothing is left.
   */
  read(max: number): Buffer | Promise<Buffer> {
    const { length } = this.chunk;
    if (length > 0) {
      const taken = length <= max ? this.chunk : this.chunk.subarray(0, max);
      this.consume(taken.length);
      return taken;
    }
    if (this.ended) {
      if (this.error !== null) throw this.error;
      return EMPTY;
    }
    return this.later(true, max);
  }

  private listen(): void {
    this.flow();
    // Who waits needs more than what is here, however much that is: a long head, for instance.
    if (this.paused) {
      this.paused = false;
      this.socket.resume();
    }
  }

  private later<T>(take: boolean, n: number): Promise<T> {
    this.listen();
    return new Promise<T>((resolve, reject) => {
      this.readers.push(new PendingRead(this, take, n, resolve, reject));
    });
  }

  /**
   * End the reads that are waiting: they throw `Cancelled` and take nothing. What `drop` does to a future in Rust:
   * a read that nobody waits for any more would take the bytes of the next one.
   */
  cancelReads(): void {
    this.endReads(READ_CANCELLED);
  }

  /**
   * Wait until more has arrived than `have` bytes. False at the end of the stream.
   * Throws the socket's error if the connection broke and there is nothing more.
   */
  fill(have: number): boolean | Promise<boolean> {
    if (this.size > have) return true;
    if (this.ended) {
      if (this.error !== null) throw this.error;
      return false;
    }
    return this.later(false, have);
  }

  /** Let `reader` wait for the next bytes or the end, for at most `patience` milliseconds, if that is given. */
  wait(reader: Reader, patience: number | undefined): void {
    if (patience !== undefined) this.limit(patience);
    this.listen();
    this.readers.push(reader);
  }

  private limit(patience: number): void {
    this.patience ??= new Deadline(() => this.endReads(new Elapsed()));
    this.patience.set(patience);
  }

  /**
   * Call `wake` once the peer has ended the connection (or it broke), without taking a byte that arrives before.
   * Returns what takes the call back.
   */
  onPeerGone(wake: () => void): () => void {
    const watcher = { peerGone: wake };
    this.watchEnd(watcher);
    return () => this.unwatchEnd(watcher);
  }

  /** Tell `watcher` once the peer has ended the connection (or it broke), at once if it has; bytes are left alone. */
  watchEnd(watcher: EndWatcher): void {
    if (this.ended) {
      watcher.peerGone();
      return;
    }
    this.flow();
    this.closers.push(watcher);
  }

  /** Don't tell `watcher` any more. */
  unwatchEnd(watcher: EndWatcher): void {
    takeOut(this.closers, watcher);
  }

  /** Wake `reader` at the next byte or the end, at once if that is here. For who takes no byte. */
  watch(reader: Reader): void {
    if (this.size > 0 || this.ended) {
      reader.wake();
      return;
    }
    this.flow();
    this.readers.push(reader);
  }

  /** Don't wake `reader` any more. */
  unwatch(reader: Reader): void {
    takeOut(this.readers, reader);
  }

  // --- writing ---

  /**
   * Add to what is to be sent. Text is bytes (latin1). Small pieces wait for {@link Stream.flush}; a promise means
   * that the peer reads too slowly and the writer has to wait. Throws the socket's error if the connection broke.
   */
  write(data: string | Buffer): void | Promise<void> {
    observer.wrote(this, data);
    if (typeof data === 'string') {
      this.pending = this.pending === '' ? data : this.pending + data;
    } else if (this.pending.length + data.length < BUF_WRITE_SIZE || data.length <= JOIN_SIZE) {
      this.pending += data.toString('latin1');
    } else {
      return this.send(data);
    }
    return this.pending.length >= BUF_WRITE_SIZE ? this.flush() : undefined;
  }

  /**
   * Send what waits, at the end of this turn of the event loop. A promise means that the peer reads too slowly and the
   * writer has to wait.
   */
  flush(): void | Promise<void> {
    const { socket, pending } = this;
    if (pending === '') return;
    const late = pending.length >= TURN_SIZE || this.error !== null || socket.writableLength > 0;
    if (late || socket.destroyed || socket.writableEnded) return this.send(null);
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

  private send(data: Buffer | null): void | Promise<void> {
    const { socket } = this;
    if (this.error !== null) throw this.error;
    if (socket.destroyed || socket.writableEnded) throw closedError();
    const text = this.pending;
    let room: boolean;
    if (data === null) {
      this.pending = '';
      room = socket.write(text, 'latin1');
    } else if (text === '') room = socket.write(data);
    else {
      this.pending = '';
      socket.cork();
      socket.write(text, 'latin1');
      room = socket.write(data);
      socket.uncork();
    }
    if (room || !socket.writableNeedDrain) return;
    this.flow();
    return new Promise<void>((resolve, reject) => {
      this.drainers.push((error) => (error === null ? resolve() : reject(error)));
    });
  }

  /**
   * Send what waits and end the connection.
   *
   * A socket that is closed while bytes of the peer's are unread is reset, and the reset may overtake the last answer
   * (RFC 9112 9.6). So what still comes is read and thrown away, until the peer ends too or a second has passed.
   */
  shutdown(): void {
    const { socket } = this;
    if (socket.destroyed || this.discard) return;
    this.discard = true;
    if (this.pending !== '' && this.error === null && !socket.writableEnded) {
      socket.write(this.pending, 'latin1');
      this.pending = '';
    }
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
    const lingering = arm(LINGER_MS, () => socket.destroy());
    socket.once('end', () => socket.destroySoon());
    socket.once('close', () => lingering.cancel());
  }

  /** End the connection. What waits is sent if the system takes it at once, as the original's `drop` does. */
  destroy(): void {
    const { socket, pending } = this;
    this.pending = '';
    if (pending !== '' && this.error === null && !socket.destroyed && !socket.writableEnded) {
      socket.write(pending, 'latin1');
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

/** `splice` makes a list of what it took out; there is hardly ever more than one. */
function takeOut<T>(list: T[], what: T): void {
  if (list.at(-1) === what) list.pop();
  else {
    const at = list.indexOf(what);
    if (at >= 0) list.splice(at, 1);
  }
}

function closedError(): IoError {
  return Object.assign(new Error('the connection is closed'), { code: 'EPIPE' });
}

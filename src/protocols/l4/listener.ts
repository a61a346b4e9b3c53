/**
 * A socket that listens, on TCP or on a Unix socket.
 *
 * Node pushes connections; `accept` hands them out one by one, in order.
 *
 * Port of `pingora-core/src/protocols/l4/listener.rs`.
 */
import { lstatSync, unlinkSync } from 'node:fs';
import type { AddressInfo, Server, Socket } from 'node:net';
import { Log } from '../../log.ts';
import { descriptorOf, handleOf } from '../../node/server-handle.ts';
import { currentWaker, PENDING, type Poll, type Waker } from '../../runtime/poll.ts';
import { acceptedInTurn } from '../../runtime/turn.ts';
import { beginNoHandshakes } from '../../server/transfer-fd/libc.ts';
import { sleep } from '../../timeout/lib.ts';
import { ported, traced } from '../../tracing/span.ts';
import { Stream } from './stream.ts';

const rust = ported('pingora-core/src/protocols/l4/listener.rs');
const log = new Log('pingora_core::protocols::l4::listener');

/** A handshake that has begun has so many milliseconds to end. */
const HANDSHAKE_MS = 50;
/** Under a storm of connections the last of them are not waited for. */
const LONGEST_DRAIN_MS = 1000;

/**
 * The file of a Unix socket. Its owner removes it: Node would too, but it removes whatever has the name by then, were
 * it the socket of the server that took this one's place.
 */
export class SocketFile {
  readonly path: string;
  private readonly inode: number;
  private readonly keep: () => boolean;

  /** `path` exists. `keep` is asked when it is time to remove it. */
  constructor(path: string, keep: () => boolean) {
    this.path = path;
    this.inode = lstatSync(path).ino;
    this.keep = keep;
    if (files.size === 0) process.on('exit', removeFiles);
    files.add(this);
  }

  remove(): void {
    if (!files.delete(this)) return;
    if (files.size === 0) process.off('exit', removeFiles);
    if (this.keep()) return;
    try {
      if (lstatSync(this.path).ino === this.inode) unlinkSync(this.path);
    } catch {
      // it is gone, or not ours to remove any more
    }
  }
}

const files = new Set<SocketFile>();

/** Of a process that ends without closing what it listens on. */
function removeFiles(): void {
  for (const file of files) file.remove();
}

/** A listening socket. */
@traced
export class Listener {
  private readonly server: Server;
  private readonly accepted: Stream[] = [];
  private readonly errors: Error[] = [];
  private acceptor: Waker | null = null;

  private readonly file: SocketFile | undefined;
  private readonly inherited: boolean;

  /**
   * `server` is listening, and gives its sockets paused. `file`: the Unix socket's. `inherited`: a thread's, of a
   * socket that is the server's to close.
   */
  constructor(server: Server, file?: SocketFile, inherited = false) {
    this.server = server;
    this.file = file;
    this.inherited = inherited;
    server.on('connection', (socket: Socket) => {
      this.accepted.push(new Stream(socket));
      acceptedInTurn();
      this.wake();
    });
    server.on('error', (error) => {
      this.errors.push(error);
      this.wake();
    });
  }

  private wake(): void {
    const { acceptor } = this;
    this.acceptor = null;
    acceptor?.wake();
  }

  /** The next connection. Throws the system's error when there is one instead. One caller at a time. */
  @rust.method
  accept(): Poll<Stream> {
    const error = this.errors.shift();
    if (error !== undefined) throw error;
    const stream = this.accepted.shift();
    if (stream !== undefined) return stream;
    this.acceptor = currentWaker();
    return PENDING;
  }

  /**
   * Stop listening, and return the connections that wait to be accepted: those that Node brought, and those that the
   * system holds still, unless another process has the socket too (`shared`) and takes them. To be closed with those
   * in the queue would be a reset for clients that are connected already.
   */
  async drain(shared: boolean): Promise<Stream[]> {
    if (!shared) {
      if (!this.inherited) await this.holdOff();
      const until = performance.now() + LONGEST_DRAIN_MS;
      for (let before = -1; before < this.accepted.length && performance.now() < until; ) {
        before = this.accepted.length;
        // Node accepts one a turn, and two of these have a whole turn between them
        await new Promise((resolve) => setImmediate(resolve));
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    const waiting = this.accepted.splice(0);
    this.close();
    return waiting;
  }

  /** From here on nobody new finds the way in. */
  async holdOff(): Promise<void> {
    if (this.file !== undefined) this.file.remove();
    else await this.finishHandshakes();
  }

  /** Without koffi a client that connects in the very moment before the socket is closed may still be reset. */
  private async finishHandshakes(): Promise<void> {
    try {
      beginNoHandshakes(this.asRawFd());
    } catch (error) {
      log.debug(() => `handshakes can't be held off: ${error}`);
      return;
    }
    await sleep(HANDSHAKE_MS);
  }

  /** Where it listens: `127.0.0.1:6188`, `[::1]:6188` or a path, with the port that the system gave. */
  localAddress(): string {
    if (this.file !== undefined) return this.file.path;
    const address = this.server.address() as AddressInfo | null;
    if (address === null) return '';
    const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    return `${host}:${address.port}`;
  }

  /** Node's handle of the socket, to be sent to a thread. */
  handle(): object {
    return handleOf(this.server);
  }

  /** The system's handle of the socket, to be handed to another process; -1 where there is none. */
  asRawFd(): number {
    return descriptorOf(this.server);
  }

  /** Stop listening. Connections that nobody accepted are closed, a Unix socket's file is removed. */
  close(): void {
    this.file?.remove();
    this.server.close();
    for (const stream of this.accepted.splice(0)) stream.destroy();
  }
}

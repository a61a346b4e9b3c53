/**
 * A socket that listens, on TCP or on a Unix socket.
 *
 * Node pushes connections; `accept` hands them out one by one, in order.
 *
 * Port of `pingora-core/src/protocols/l4/listener.rs`.
 */
import type { AddressInfo, Server, Socket } from 'node:net';
import { ported } from '../../trace/span.ts';
import { Stream } from './stream.ts';

const rust = ported('pingora-core/src/protocols/l4/listener.rs');

/** A listening socket. */
export class Listener {
  private readonly server: Server;
  private readonly accepted: Stream[] = [];
  private readonly errors: Error[] = [];
  private waiting: { resolve: (stream: Stream) => void; reject: (error: Error) => void } | null = null;

  /** `server` is listening, and gives its sockets paused. */
  constructor(server: Server) {
    this.server = server;
    server.on('connection', (socket: Socket) => {
      const stream = new Stream(socket);
      const waiting = this.waiting;
      this.waiting = null;
      if (waiting === null) this.accepted.push(stream);
      else waiting.resolve(stream);
    });
    server.on('error', (error) => {
      const waiting = this.waiting;
      this.waiting = null;
      if (waiting === null) this.errors.push(error);
      else waiting.reject(error);
    });
  }

  /** The next connection. Throws the system's error when there is one instead. One caller at a time. */
  @rust.method('Listener::accept')
  accept(): Promise<Stream> {
    const error = this.errors.shift();
    if (error !== undefined) return Promise.reject(error);
    const stream = this.accepted.shift();
    if (stream !== undefined) return Promise.resolve(stream);
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
    });
  }

  /** A pending {@link Listener.accept} is dropped: it throws `reason`, and takes no connection. */
  cancelAccept(reason: Error): void {
    const waiting = this.waiting;
    this.waiting = null;
    waiting?.reject(reason);
  }

  /** Where it listens: `127.0.0.1:6188`, `[::1]:6188` or a path, with the port that the system gave. */
  localAddress(): string {
    const address = this.server.address() as AddressInfo | string | null;
    if (address === null) return '';
    if (typeof address === 'string') return address;
    const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    return `${host}:${address.port}`;
  }

  /** The system's handle of the socket, to be handed to another process; -1 where there is none. */
  asRawFd(): number {
    return (this.server as unknown as { _handle?: { fd?: number } })._handle?.fd ?? -1;
  }

  /** Stop listening. Connections that nobody accepted are closed. */
  close(): void {
    this.server.close();
    for (const stream of this.accepted.splice(0)) stream.destroy();
  }
}

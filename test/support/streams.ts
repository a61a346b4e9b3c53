/** Connected sockets for the tests of what reads and writes them: one end as the port sees it, the other raw. */
import { once } from 'node:events';
import { type AddressInfo, createServer, connect as netConnect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { Stream } from '../../src/protocols/l4/stream.ts';

/** The far end of a connection: sends what it is told and keeps what it gets. */
export class Peer {
  readonly socket: Socket;
  /** What has arrived, one character a byte. */
  received = '';
  /** Whether the other end has said that it sends no more. */
  ended = false;
  closed = false;
  #changed: (() => void)[] = [];
  /** What a reset is sent on: under TLS, the socket that carries it. */
  readonly #below: Socket;

  constructor(socket: Socket, below = socket) {
    this.socket = socket;
    this.#below = below;
    below.on('error', () => {});
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
      this.#wake();
    });
    socket.on('end', () => {
      this.ended = true;
      this.#wake();
    });
    socket.on('close', () => {
      this.ended = true;
      this.closed = true;
      this.#wake();
    });
  }

  #wake(): void {
    const waiting = this.#changed;
    this.#changed = [];
    for (const wake of waiting) wake();
  }

  send(data: string | Buffer): void {
    this.socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
  }

  /** Wait until `seen` says yes; it is asked again at every arrival. Throws when the connection ends before. */
  async until(seen: (received: string) => boolean): Promise<string> {
    while (!seen(this.received)) {
      if (this.ended) throw new Error(`the connection ended after ${JSON.stringify(this.received)}`);
      await new Promise<void>((resolve) => this.#changed.push(resolve));
    }
    return this.received;
  }

  /** Wait until exactly these bytes have arrived, or other ones. */
  bytes(count: number): Promise<string> {
    return this.until((received) => received.length >= count);
  }

  /** Wait until the other end has ended; returns all that it sent. */
  async end(): Promise<string> {
    while (!this.ended) await new Promise<void>((resolve) => this.#changed.push(resolve));
    return this.received;
  }

  /** Send a reset. */
  reset(): void {
    this.#below.resetAndDestroy();
  }
}

export interface Pair {
  readonly stream: Stream;
  readonly peer: Peer;
  /** Wait until so many bytes of the peer's, in all, have come in, and what was woken by them has run. */
  arrived(bytes: number): Promise<void>;
}

/** A connection over TCP, closed when the test ends. */
export async function pair(): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const peer = new Peer(
    netConnect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true }),
  );
  const [socket] = (await once(server, 'connection')) as [Socket];
  server.close();
  const stream = new Stream(socket);
  onTestFinished(() => {
    socket.destroy();
    peer.socket.destroy();
  });
  return {
    stream,
    peer,
    async arrived(bytes) {
      while (socket.bytesRead < bytes && !socket.destroyed) await turn();
      await turn();
    },
  };
}

/** Let everything run that can. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

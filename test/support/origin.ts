/** An origin that does what it is told, byte for byte. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { onTestFinished } from 'vitest';
import { Peer } from './streams.ts';

/**
 * Where the first whole request of `text` ends; -1 while it isn't all there. Only what a proxy may send: a length or
 * chunks, or neither.
 */
export function requestEnd(text: string): number {
  const head = text.indexOf('\r\n\r\n');
  if (head < 0) return -1;
  const fields = text.slice(0, head).toLowerCase();
  const from = head + 4;
  if (fields.includes('\r\ntransfer-encoding: chunked')) {
    const end = text.indexOf('0\r\n\r\n', from);
    return end < 0 ? -1 : end + 5;
  }
  const length = Number(/\r\ncontent-length: (\d+)/.exec(fields)?.[1] ?? 0);
  return text.length >= from + length ? from + length : -1;
}

/** The body that chunks hold, and what follows the last one. */
export function dechunk(text: string): { body: string; rest: string } {
  let body = '';
  let at = 0;
  for (;;) {
    const line = text.indexOf('\r\n', at);
    const size = Number.parseInt(text.slice(at, line), 16);
    if (line < 0 || Number.isNaN(size)) throw new Error(`no chunk: ${JSON.stringify(text.slice(at, at + 20))}`);
    at = line + 2;
    if (size === 0) {
      if (!text.startsWith('\r\n', at)) throw new Error('no end after the last chunk');
      return { body, rest: text.slice(at + 2) };
    }
    body += text.slice(at, at + size);
    at += size;
    if (!text.startsWith('\r\n', at)) throw new Error('no line end after a chunk');
    at += 2;
  }
}

export const HELLO = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello';

/** What is done with a connection. Default: every request is answered with {@link HELLO}. */
export type Serve = (connection: Peer, index: number) => unknown;

export class Origin {
  readonly port: number;
  readonly connections: Peer[] = [];
  private readonly server: Server;
  /** What is done with the connections that come. */
  serve: Serve;

  private constructor(server: Server, serve: Serve) {
    this.server = server;
    this.serve = serve;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => {
      const peer = new Peer(socket);
      const index = this.connections.push(peer) - 1;
      Promise.resolve(this.serve(peer, index)).catch(() => {});
    });
  }

  static async start(serve: Serve = answering(() => HELLO)): Promise<Origin> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const origin = new Origin(server, serve);
    onTestFinished(() => origin.close());
    return origin;
  }

  /** All that came, on all connections in their order. */
  get received(): string {
    return this.connections.map((connection) => connection.received).join('');
  }

  async close(): Promise<void> {
    for (const connection of this.connections) connection.socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}

/** Answer each whole request; `undefined` answers nothing more. A connection whose other end ends is ended. */
export function answering(answer: (request: string, index: number) => string | undefined): Serve {
  return (connection) => {
    let at = 0;
    let index = 0;
    connection.socket.on('data', () => {
      for (;;) {
        const end = requestEnd(connection.received.slice(at));
        if (end < 0) return;
        const text = answer(connection.received.slice(at, at + end), index++);
        at += end;
        if (text !== undefined) connection.send(text);
      }
    });
    connection.socket.on('end', () => connection.socket.end());
  };
}

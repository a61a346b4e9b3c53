/**
 * A load of small requests that goes on until it is stopped, and keeps book of each. Nothing is forgiven: whatever
 * isn't the right answer is a failure, also where a client could try again. The one exception is RFC 9113 8.7: a
 * stream that a GOAWAY or REFUSED_STREAM said was not processed is sent again.
 */
import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2';
import { type AddressInfo, createServer, connect as netConnect, type Server, type Socket } from 'node:net';

const BODY = 'the answer of the origin';

/** An origin that answers every request with the same bytes, after its body has come, and never closes. */
export async function startOrigin(): Promise<{ port: number; server: Server; close: () => void }> {
  const sockets = new Set<Socket>();
  const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    let received = '';
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
      for (;;) {
        const end = received.indexOf('\r\n\r\n');
        if (end < 0) return;
        const length = Number(/\r\ncontent-length: *(\d+)/i.exec(received.slice(0, end))?.[1] ?? 0);
        if (received.length < end + 4 + length) return;
        received = received.slice(end + 4 + length);
        socket.write(answer);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    server,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

export type Where = { readonly host: string; readonly port: number } | { readonly path: string };

interface Answer {
  readonly close: boolean;
}

/** One connection of HTTP/1.1. */
class Connection {
  readonly socket: Socket;
  #received = '';
  #error: Error | undefined;
  #ended = false;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('latin1');
      this.#wake();
    });
    socket.on('end', () => {
      this.#ended = true;
      this.#wake();
    });
    socket.on('error', (error) => {
      this.#error = error;
      this.#wake();
    });
  }

  static async open(where: Where): Promise<Connection> {
    const socket = netConnect(where);
    socket.setNoDelay(true);
    await once(socket, 'connect');
    return new Connection(socket);
  }

  /** Send a request, in the pieces given, a turn apart; the answer has to be the origin's. */
  async exchange(...pieces: string[]): Promise<Answer> {
    for (const [i, piece] of pieces.entries()) {
      if (i > 0) await new Promise((resolve) => setTimeout(resolve, 1));
      this.socket.write(piece);
    }
    for (;;) {
      const end = this.#received.indexOf('\r\n\r\n');
      if (end >= 0 && this.#received.length >= end + 4 + BODY.length) {
        const head = this.#received.slice(0, end);
        const body = this.#received.slice(end + 4);
        this.#received = '';
        if (!head.startsWith('HTTP/1.1 200 ') || body !== BODY) throw new Error(`wrong answer: ${head}\n\n${body}`);
        return { close: /\r\nconnection: *close/i.test(head) };
      }
      if (this.#error !== undefined) throw this.#error;
      if (this.#ended) throw new Error(`closed after ${JSON.stringify(this.#received)}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.socket.destroy();
  }
}

export class Load {
  /** Requests that were answered. */
  answered = 0;
  /** Requests over connections that a server asked to close. */
  told = 0;
  /** Streams that the server said it hadn't processed. */
  refused = 0;
  /** Connections that were refused: nobody listens. */
  unreachable = 0;
  /** What went wrong with the others. */
  readonly failures: string[] = [];
  #stopped = false;
  readonly #clients: Promise<void>[] = [];
  #waiting: { count: number; resolve: () => void }[] = [];

  /** Wait until so many requests in all were answered. */
  until(count: number): Promise<void> {
    if (this.answered >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }

  /** No further requests; wait for the answers to those that were sent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  #count(): void {
    this.answered++;
    const met = this.#waiting.filter(({ count }) => this.answered >= count);
    if (met.length === 0) return;
    this.#waiting = this.#waiting.filter((waiting) => !met.includes(waiting));
    for (const { resolve } of met) resolve();
  }

  #failed(kind: string, error: unknown): void {
    if (/connect (?:ECONNREFUSED|ENOENT)/.test((error as Error).message)) {
      this.unreachable++;
      // there is nobody to make the load for
      this.#stopped = true;
      return;
    }
    this.failures.push(`${kind}: ${(error as Error).message}`);
    if (this.failures.length > 100) this.#stopped = true;
  }

  #client(run: () => Promise<void>): void {
    this.#clients.push(run());
  }

  /** Requests one after the other on connections that are kept until the server says otherwise. */
  keepalive(where: Where, connections: number): void {
    const get = 'GET /kept HTTP/1.1\r\nHost: test\r\n\r\n';
    const post = ['POST /kept HTTP/1.1\r\nHost: test\r\nContent-', 'Length: 10\r\n\r\nhello', 'world'];
    for (let i = 0; i < connections; i++) {
      this.#client(async () => {
        let connection: Connection | undefined;
        for (let n = 0; !this.#stopped; n++) {
          try {
            connection ??= await Connection.open(where);
            const { close } = n % 50 === 49 ? await connection.exchange(...post) : await connection.exchange(get);
            this.#count();
            if (close) {
              this.told++;
              connection.close();
              connection = undefined;
            }
          } catch (error) {
            this.#failed('keepalive', error);
            connection?.close();
            connection = undefined;
          }
        }
        connection?.close();
      });
    }
  }

  /** A connection a request. */
  fresh(where: Where, clients: number): void {
    for (let i = 0; i < clients; i++) {
      this.#client(async () => {
        while (!this.#stopped) {
          let connection: Connection | undefined;
          try {
            connection = await Connection.open(where);
            await connection.exchange('GET /new HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n');
            this.#count();
          } catch (error) {
            this.#failed('new', error);
          }
          connection?.close();
        }
      });
    }
  }

  /** Streams of HTTP/2 over TLS, so many at a time on each connection. */
  http2(url: string, connections: number, streams: number): void {
    for (let i = 0; i < connections; i++) {
      let session: ClientHttp2Session | undefined;
      const open = () => {
        if (session === undefined || session.closed || session.destroyed) {
          session = connectHttp2(url, { rejectUnauthorized: false });
          session.on('error', () => {});
        }
        return session;
      };
      for (let k = 0; k < streams; k++) {
        this.#client(async () => {
          while (!this.#stopped) {
            const used = open();
            try {
              await request(used);
              this.#count();
            } catch (error) {
              const refused = /NGHTTP2_REFUSED_STREAM/.test((error as Error).message);
              const unsent = ['ERR_HTTP2_GOAWAY_SESSION', 'ERR_HTTP2_INVALID_SESSION'];
              if (refused || unsent.includes((error as NodeJS.ErrnoException).code ?? '')) this.refused++;
              else this.#failed('h2', error);
            }
          }
          session?.close();
        });
      }
    }
  }
}

function request(session: ClientHttp2Session): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': '/stream' });
    let status = 0;
    let body = '';
    stream.setEncoding('latin1');
    stream.on('response', (headers) => {
      status = Number(headers[constants.HTTP2_HEADER_STATUS]);
    });
    stream.on('data', (chunk: string) => {
      body += chunk;
    });
    stream.on('error', reject);
    stream.on('close', () => {
      if (status === 200 && body === BODY && stream.rstCode === 0) resolve();
      else reject(new Error(`status ${status}, ${JSON.stringify(body)}, code ${stream.rstCode}`));
    });
  });
}

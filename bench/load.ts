/**
 * The load generator, and the origin in the same process: a process of its own would have to be woken for each request,
 * and who wakes it, the proxy, would pay for that.
 *
 * It keeps connections (or HTTP/2 streams) busy with one request after the other, and counts the
 * answers that are whole and right. The first wrong one ends the measurement.
 */
import { type ClientHttp2Session, connect as connectH2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { ORIGIN_BODY, startOrigin } from './origin.ts';

/** What the load generator is told to do. */
export type LoadCommand =
  | { readonly origin: true }
  | { readonly start: { readonly port: number; readonly connections: number; readonly streams: number } }
  | { readonly count: true }
  | { readonly stop: true };

/** What it says. `failed` ends the bench. */
export type LoadReport = { readonly port: number } | { readonly count: number } | { readonly failed: string };

const REQUEST = Buffer.from('GET /bench HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n');
const BODY = Buffer.from(ORIGIN_BODY);
const TWO = 50;

let count = 0;
let running = false;

function fail(reason: string): void {
  if (!running) return;
  running = false;
  process.send!({ failed: reason } satisfies LoadReport);
}

/** One keepalive connection over HTTP/1.1. */
class Connection {
  readonly socket: Socket;
  /** An answer that isn't whole. */
  #partial = '';
  /** The length of an answer that was right. */
  #right = 0;

  constructor(port: number) {
    this.socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      // one buffer for the connection: an allocation a read would be the generator's own cost
      onread: { buffer: Buffer.allocUnsafe(16 * 1024), callback: (n, buffer) => this.#read(n, buffer) },
    });
    this.socket.on('connect', () => this.socket.write(REQUEST));
    this.socket.on('error', (error) => fail(`connection: ${error.message}`));
    this.socket.on('close', () => fail('the proxy closed a connection'));
  }

  #read(n: number, bytes: Uint8Array): boolean {
    const buffer = bytes as Buffer;
    // as one that was looked at: each is nearly always
    if (n === this.#right && buffer[9] === TWO && buffer.compare(BODY, 0, BODY.length, n - BODY.length, n) === 0) {
      count++;
      if (running) this.socket.write(REQUEST);
      return true;
    }
    const text = buffer.toString('latin1', 0, n);
    const answer = this.#partial === '' ? text : this.#partial + text;
    const head = answer.indexOf('\r\n\r\n');
    const length = head < 0 ? null : /\r\ncontent-length: *(\d+)\r\n/i.exec(answer);
    if (head >= 0 && length === null) fail(`an answer without a length: ${JSON.stringify(answer)}`);
    if (head < 0 || length === null || answer.length < head + 4 + Number(length[1])) {
      this.#partial = answer;
      return true;
    }
    this.#partial = '';
    if (!answer.startsWith('HTTP/1.1 200 ')) fail(`not a 200: ${JSON.stringify(answer)}`);
    else if (!answer.endsWith(ORIGIN_BODY) || answer.length !== head + 4 + ORIGIN_BODY.length) {
      fail(`not the origin's body: ${JSON.stringify(answer)}`);
    }
    count++;
    if (answer === text) this.#right = n;
    if (running) this.socket.write(REQUEST);
    return true;
  }
}

/** One stream after the other, `streams` at a time, on an HTTP/2 connection over TLS. */
function h2Connection(port: number, streams: number): ClientHttp2Session {
  // the certificate was made for this run, by the one who runs it
  const session = connectH2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  session.on('error', (error) => fail(`connection: ${error.message}`));
  session.on('close', () => fail('the proxy closed a connection'));
  const next = () => {
    if (!running) return;
    const stream = session.request({ ':path': '/bench', 'user-agent': 'bench', accept: '*/*' });
    let status: number | undefined;
    let body = '';
    stream.setEncoding('latin1');
    stream.on('response', (headers) => {
      status = headers[':status'];
    });
    stream.on('data', (data: string) => {
      body += data;
    });
    stream.on('error', (error) => {
      if (!session.destroyed) fail(`stream: ${error.message}`);
    });
    stream.on('end', () => {
      if (status !== 200 || body !== ORIGIN_BODY) fail(`not the origin's answer: ${status} ${JSON.stringify(body)}`);
      count++;
      next();
    });
  };
  session.on('connect', () => {
    for (let i = 0; i < streams; i++) next();
  });
  return session;
}

function main(): void {
  let sockets: (Socket | ClientHttp2Session)[] = [];
  process.on('message', (command: LoadCommand) => {
    if ('origin' in command) {
      startOrigin().then((port) => process.send!({ port } satisfies LoadReport), fail);
    } else if ('start' in command) {
      const { port, connections, streams } = command.start;
      running = true;
      count = 0;
      sockets = Array.from({ length: connections }, () =>
        streams > 0 ? h2Connection(port, streams) : new Connection(port).socket,
      );
      process.send!({ count } satisfies LoadReport);
    } else if ('count' in command) process.send!({ count } satisfies LoadReport);
    else {
      running = false;
      for (const socket of sockets) {
        // its end is no failure, even if it comes when the next measurement has begun
        socket.removeAllListeners();
        socket.on('error', () => {});
        socket.destroy();
      }
      process.send!({ count } satisfies LoadReport);
    }
  });
  process.on('disconnect', () => process.exit());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();

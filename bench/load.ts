/**
 * The load generator, and the origin in the same process: a process of its own would have to be woken for each request,
 * and who wakes it, the proxy, would pay for that.
 *
 * It keeps connections (or HTTP/2 streams) busy with one request after the other, and counts the
 * answers that are whole and right. The first wrong one ends the measurement.
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { fileURLToPath } from 'node:url';
import type { Case } from './cases.ts';
import { H2Load } from './load-h2.ts';
import { bodyOf, startH2Origin, startOrigin } from './origin.ts';

/** What the load generator is told to do. */
export type LoadCommand =
  | { readonly origin: true | { readonly cert: string; readonly key: string } }
  | { readonly start: { readonly port: number; readonly load: Case } }
  | { readonly count: true }
  /** No more requests; connections stay. */
  | { readonly pause: true }
  | { readonly stop: true };

/**
 * How much has been answered since the start, how many of those answers took longer than a second, and how many
 * connections have had one.
 */
export interface Counted {
  readonly count: number;
  readonly slow: number;
  readonly ready: number;
}

/** What it says. `failed` ends the bench. */
export type LoadReport = { readonly port: number } | Counted | { readonly failed: string };

/** An answer that took longer than this, in milliseconds, is a slow one. */
const SLOW = 1000;

let count = 0;
let slow = 0;
let ready = 0;
let running = false;
/** Connections that are in use; a measurement is over once they are closed. */
const sockets = new Set<Socket>();
let h2Connections: H2Load[] = [];

function fail(reason: string): void {
  if (!running) return;
  running = false;
  process.send!({ failed: reason } satisfies LoadReport);
}

function answered(since: number): void {
  count++;
  if (performance.now() - since > SLOW) slow++;
}

/** The fields that a request has beyond the usual ones. */
function moreFields({ fields }: Case): [string, string][] {
  return Array.from({ length: fields }, (_, i) => [`x-field-${i}`, `value ${i} of some length`]);
}

function requestOf(load: Case): Buffer {
  const lines = [
    `${load.body > 0 ? 'POST' : 'GET'} /${load.answer} HTTP/1.1`,
    'Host: localhost',
    'User-Agent: bench',
    'Accept: */*',
    ...moreFields(load).map(([name, value]) => `${name}: ${value}`),
  ];
  if (load.body > 0) lines.push(`Content-Length: ${load.body}`);
  if (load.fresh) lines.push('Connection: close');
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), Buffer.alloc(load.body, 'x')]);
}

/** One connection over HTTP/1.1. */
class Connection {
  private readonly load: Case;
  private readonly port: number;
  private readonly request: Buffer;
  private socket!: Socket;
  /** A head that isn't whole. */
  private head = '';
  /** Bytes of the body that are still to come; -1: the head is. */
  private left = -1;
  private since = 0;
  private isReady = false;

  constructor(port: number, load: Case, request: Buffer) {
    this.port = port;
    this.load = load;
    this.request = request;
    this.open();
  }

  private open(): void {
    const { port } = this;
    const options = { port, host: '127.0.0.1', noDelay: true };
    // the certificate was made for this run, by the one who runs it
    const socket = this.load.tls
      ? connectTls({ ...options, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
      : connect(options);
    this.socket = socket;
    sockets.add(socket);
    socket.on(this.load.tls ? 'secureConnect' : 'connect', () => this.send());
    socket.on('data', (bytes: Buffer) => this.read(bytes));
    socket.on('error', (error) => fail(`connection: ${error.message}`));
    socket.on('close', () => {
      sockets.delete(socket);
      if (!this.load.fresh) fail('the proxy closed a connection');
      else if (running) this.open();
    });
  }

  private send(): void {
    if (!running) return;
    this.since = performance.now();
    this.socket.write(this.request);
  }

  private read(bytes: Buffer): void {
    const wrong = this.left < 0 ? this.begin(bytes) : this.goOn(bytes.length);
    if (wrong !== undefined) fail(wrong);
    if (this.left !== 0) return;
    this.left = -1;
    answered(this.since);
    if (!this.isReady) ready++;
    this.isReady = true;
    if (!this.load.fresh) this.send();
    else this.socket.end();
  }

  /** What is wrong with the beginning of an answer, if anything is. */
  private begin(bytes: Buffer): string | undefined {
    this.head += bytes.toString('latin1');
    const end = this.head.indexOf('\r\n\r\n');
    if (end < 0) return undefined;
    const { head } = this;
    const { answer } = this.load;
    this.head = '';
    if (!head.startsWith('HTTP/1.1 200 ')) return `not a 200: ${JSON.stringify(head.slice(0, 200))}`;
    if (!head.toLowerCase().includes(`\r\ncontent-length: ${answer}\r\n`)) {
      return `not the origin's length: ${JSON.stringify(head.slice(0, end))}`;
    }
    const body = head.slice(end + 4);
    if (body.length > answer || !bodyOf(answer).subarray(0, body.length).equals(Buffer.from(body, 'latin1'))) {
      return "not the origin's body";
    }
    this.left = answer - body.length;
    return undefined;
  }

  private goOn(length: number): string | undefined {
    this.left -= length;
    return this.left < 0 ? 'more than the body' : undefined;
  }
}

/** Streams on a connection of HTTP/2. */
function h2Connection(port: number, load: Case): void {
  const connection = new H2Load(port, load, moreFields(load), {
    goesOn: () => running,
    answered,
    ready: () => ready++,
    failed: fail,
  });
  h2Connections.push(connection);
}

function start(port: number, load: Case): void {
  running = true;
  count = 0;
  slow = 0;
  ready = 0;
  const request = requestOf(load);
  for (let i = 0; i < load.connections; i++) {
    if (load.streams > 0) h2Connection(port, load);
    else new Connection(port, load, request);
  }
}

function stop(): void {
  running = false;
  for (const socket of sockets) {
    // its end is no failure, even if it comes when the next measurement has begun
    socket.removeAllListeners();
    socket.on('error', () => {});
    socket.destroy();
  }
  sockets.clear();
  for (const connection of h2Connections) connection.stop();
  h2Connections = [];
}

function main(): void {
  process.on('message', (command: LoadCommand) => {
    if ('origin' in command) {
      const { origin } = command;
      const started =
        origin === true
          ? startOrigin()
          : startH2Origin({ cert: readFileSync(origin.cert), key: readFileSync(origin.key) });
      started.then((port) => process.send!({ port } satisfies LoadReport), fail);
      return;
    }
    if ('start' in command) start(command.start.port, command.start.load);
    else if ('stop' in command) stop();
    else if ('pause' in command) running = false;
    process.send!({ count, slow, ready } satisfies LoadReport);
  });
  process.on('disconnect', () => process.exit());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();

/**
 * A body that is larger than the memory the proxy may take for it, on its way to somebody who reads slowly: it has to
 * arrive whole, and to wait where it comes from, not in the proxy.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { connect as connectHttp2, createSecureServer } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { selfSigned } from '../../src/utils/self-signed.ts';
import { Program } from '../support/program.ts';

const SIZE = 256 * 1024 * 1024;
/** What goes both ways before the proxy's memory is looked at. */
const WARM = 16 * 1024 * 1024;
/** So much may the proxy take above what it takes when idle, in bytes. */
const ALLOWED = 64 * 1024 * 1024;
const PIECE = 256 * 1024;
/** Whoever reads stops after so many bytes, for so long: far more would come meanwhile than may be kept. */
const PAUSE_EVERY = 64 * 1024 * 1024;
const PAUSE_MS = 250;

const pattern = Buffer.alloc(PIECE + 256, Buffer.from(Uint8Array.from({ length: 251 }, (_, i) => i)));

/** The body: pieces that differ, so that one that is lost, doubled or out of place shows in the hash. */
function* pieces(size: number): Generator<Buffer> {
  for (let i = 0; i < size / PIECE; i++) yield pattern.subarray(i % 251, (i % 251) + PIECE);
}
const expected = createHash('sha256');
for (const piece of pieces(SIZE)) expected.update(piece);
const HASH = expected.digest('hex');

/** Read slowly: begin with a pause, and pause again and again. Returns the hash of what came. */
async function slowly(source: Readable): Promise<string> {
  const hash = createHash('sha256');
  let until = 0;
  let got = 0;
  for await (const piece of source as AsyncIterable<Buffer>) {
    if (got >= until) {
      until += PAUSE_EVERY;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    got += piece.length;
    hash.update(piece);
  }
  return hash.digest('hex');
}

const body = (size = SIZE) => Readable.from(pieces(size), { objectMode: false, highWaterMark: PIECE });

interface Asked {
  method?: string;
  body?: Readable;
}

const closing: (() => unknown)[] = [];
let program: Program;
let http: number;
let https: number;
let idle: number;

async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

type Asking = Readable & { method?: string; url?: string };

/** Answers GET with the body, quickly, and POST with the hash of what came, read slowly. */
async function serve(incoming: Asking, outgoing: NodeJS.WritableStream): Promise<void> {
  if (incoming.method === 'POST') outgoing.end(await slowly(incoming));
  else body(incoming.url!.endsWith('warm') ? WARM : SIZE).pipe(outgoing);
}

beforeAll(async () => {
  if (!existsSync('/proc/self/status')) return;
  const h1 = createServer((incoming: IncomingMessage, outgoing: ServerResponse) => {
    serve(incoming, outgoing).catch(() => outgoing.destroy());
  });
  const { cert, key } = await selfSigned(['localhost']);
  const h2 = createSecureServer({ cert, key }, (incoming, outgoing) => {
    serve(incoming, outgoing).catch(() => outgoing.stream.destroy());
  });
  closing.push(() => h1.closeAllConnections());
  program = new Program('test/robustness/large-bodies-server.ts', [await listening(h1), await listening(h2)]);
  http = Number((await program.until(/http 127.0.0.1:(\d+)/))[1]);
  https = Number((await program.until(/https 127.0.0.1:(\d+)/))[1]);
  // Any load makes V8 grow its heap once, however little of it is kept.
  for (const over of [overHttp1, overHttp2]) {
    for (const path of ['/', '/h2/']) {
      await textOf(await over(path, { method: 'POST', body: body(WARM) }));
      await slowly(await over(`${path}warm`, {}));
    }
  }
  idle = memory();
});
afterAll(() => {
  program?.child.kill('SIGKILL');
  for (const close of closing) close();
});

/** The proxy's memory, in bytes. */
function memory(): number {
  const status = readFileSync(`/proc/${program.child.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024;
}

function overHttp1(path: string, { method = 'GET', body }: Asked): Promise<Readable> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port: http, path, method, agent: false }, resolve);
    asked.on('error', reject);
    if (body === undefined) asked.end();
    else body.pipe(asked);
  });
}

async function overHttp2(path: string, { method = 'GET', body }: Asked): Promise<Readable> {
  const session = connectHttp2(`https://127.0.0.1:${https}`, { rejectUnauthorized: false });
  const stream = session.request({ ':path': path, ':method': method });
  stream.on('close', () => session.close());
  if (body === undefined) stream.end();
  else body.pipe(stream);
  await once(stream, 'response');
  return stream;
}

async function textOf(source: Readable): Promise<string> {
  let text = '';
  for await (const piece of source) text += piece;
  return text;
}

/** The most memory the proxy took above what it has when idle, while `transfer` went on. */
async function growth(transfer: () => Promise<void>): Promise<number> {
  let most = 0;
  const sampling = setInterval(() => {
    most = Math.max(most, memory());
  }, 25);
  try {
    await transfer();
  } finally {
    clearInterval(sampling);
  }
  return most - idle;
}

describe.skipIf(!existsSync('/proc/self/status'))('256 MB', () => {
  test.each([
    ['HTTP/1 client', 'HTTP/1 origin', overHttp1, '/'],
    ['HTTP/2 client', 'HTTP/1 origin', overHttp2, '/'],
    ['HTTP/2 client', 'HTTP/2 origin', overHttp2, '/h2/'],
  ])('from an %s to a slow %s, and from that origin to that client, slow in its turn', async (_, __, over, path) => {
    const up = await growth(async () => {
      const answer = await over(path, { method: 'POST', body: body() });
      expect(await textOf(answer)).toBe(HASH);
    });
    const down = await growth(async () => {
      expect(await slowly(await over(path, {}))).toBe(HASH);
    });
    if (process.env.SHOW_MEMORY !== undefined) console.log(up / 2 ** 20, down / 2 ** 20);
    expect(up).toBeLessThan(ALLOWED);
    expect(down).toBeLessThan(ALLOWED);
  });
});

/** The origin of the matrix: `node:http2`, which goes as far as a request's path says and does there what it says. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  createSecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { HttpPeer } from '../../src/upstreams/peer.ts';

/** How far a response has gone. */
export const STAGES = ['before the head', 'after the head', 'in the body', 'after the body, before the end'] as const;

/** A piece of a body: what is sent between two stages, and a message of gRPC. */
export const PIECE = Buffer.from('\0\0\0\0\x05hello', 'latin1');

/** What happens at a stage: the origin resets, says GOAWAY and goes on, waits for the test, or waits for ever. */
export type Act = 'reset' | 'goaway' | 'hold' | 'stay';

export const pathOf = (stage: number, act: Act, id: number): string => `/at/${stage}/${act}/${id}`;

export interface MatrixOrigin {
  readonly port: number;
  readonly sessions: ServerHttp2Session[];
  peer(): HttpPeer;
  /** Resolves when the request for `path` is at its stage. */
  arrives(path: string): Promise<void>;
  /** Let the request for `path` go on. */
  release(path: string): void;
  /** Resolves when the stream of `path` was given up by the other side. */
  gone(path: string): Promise<void>;
  close(): Promise<void>;
}

/** One of several things that are waited for, by name, whether they have happened already or not. */
class Events {
  private readonly all = new Map<string, { promise: Promise<void>; resolve: () => void }>();

  private of(name: string) {
    let found = this.all.get(name);
    if (found === undefined) {
      let resolve = () => {};
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      found = { promise, resolve };
      this.all.set(name, found);
    }
    return found;
  }

  happens(name: string): void {
    this.of(name).resolve();
  }

  wait(name: string): Promise<void> {
    return this.of(name).promise;
  }
}

/** Bytes that aren't all alike. */
export function bytesOf(size: number): Buffer {
  const unit = Buffer.allocUnsafe(65_521);
  for (let i = 0; i < unit.length; i++) unit[i] = (i * 31 + (i >> 8)) & 255;
  return Buffer.alloc(size, unit);
}

export const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

async function takeIn(stream: ServerHttp2Stream): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of stream) hash.update(piece as Buffer);
  return hash.digest('hex');
}

/** Begin a response; with gRPC its end has a status. */
function respond(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, more: Record<string, string> = {}): void {
  const isGrpc = headers['content-type']?.startsWith('application/grpc') === true;
  const type = isGrpc ? 'application/grpc' : 'application/octet-stream';
  stream.respond({ ':status': 200, 'content-type': type, ...more }, { waitForTrailers: isGrpc || 'trailer' in more });
  stream.on('wantTrailers', () => stream.sendTrailers(isGrpc ? { 'grpc-status': '0' } : { 'x-end': 'yes' }));
}

async function atStage(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, events: Events): Promise<void> {
  const path = headers[':path']!;
  const [, , at, act] = path.split('/');
  stream.resume();
  stream.on('close', () => events.happens(`gone ${path}`));
  /** Whether it goes on after this stage. */
  const reached = async (stage: number): Promise<boolean> => {
    if (stage !== Number(at)) return true;
    events.happens(`arrives ${path}`);
    if (act === 'reset') stream.close(2);
    else if (act === 'goaway') stream.session!.goaway(0, stream.id);
    else if (act === 'hold') await events.wait(`release ${path}`);
    return act === 'hold' || act === 'goaway';
  };
  if (!(await reached(0))) return;
  // Node ends a stream that it resets: with a length that isn't reached its end is none
  respond(stream, headers, { 'content-length': String(2 * PIECE.length) });
  if (!(await reached(1))) return;
  stream.write(PIECE);
  if (!(await reached(2))) return;
  stream.write(PIECE);
  if (!(await reached(3))) return;
  stream.end();
}

async function serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, events: Events): Promise<void> {
  const [, what, size] = headers[':path']!.split('/');
  switch (what) {
    case 'at':
      await atStage(stream, headers, events);
      break;
    case 'echo':
      // what was asked to go on does so before there is an answer
      if (headers.expect === '100-continue') {
        stream.additionalHeaders({ ':status': 100 });
        await once(stream, 'readable');
      }
      respond(stream, headers);
      stream.pipe(stream);
      break;
    case 'down':
      stream.resume();
      respond(stream, headers, { 'content-length': size! });
      stream.end(bytesOf(Number(size)));
      break;
    case 'up': {
      const digest = await takeIn(stream);
      respond(stream, headers);
      stream.end(digest);
      break;
    }
    case 'trailers': {
      let got: string | undefined;
      stream.on('trailers', (trailers) => {
        got = trailers['x-sent'] as string;
      });
      await takeIn(stream);
      respond(stream, headers, { trailer: 'x-end', 'x-got': String(got) });
      stream.end('body');
      break;
    }
    case 'early':
      stream.additionalHeaders({ ':status': 103, link: '</style.css>; rel=preload' });
      await takeIn(stream);
      respond(stream, headers);
      stream.end('body');
      break;
    default:
      stream.respond({ ':status': 200, 'content-type': 'text/html' });
      // a browser asks for no icon then, which would be one request more
      stream.end('<!doctype html><title>page</title><link rel="icon" href="data:,">');
  }
}

/** Start it. */
export async function matrixOrigin(tls: { key: string; cert: string }): Promise<MatrixOrigin> {
  const events = new Events();
  const sessions: ServerHttp2Session[] = [];
  const server = createSecureServer({ ...tls, settings: { initialWindowSize: 1 << 20 } });
  server.on('session', (session) => {
    sessions.push(session);
    session.on('error', () => {});
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    serve(stream, headers, events).catch(() => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    sessions,
    peer: () => h2Peer(port),
    arrives: (path) => events.wait(`arrives ${path}`),
    release: (path) => events.happens(`release ${path}`),
    gone: (path) => events.wait(`gone ${path}`),
    async close() {
      for (const session of sessions) session.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** An origin of HTTP/2 at `port`. */
export function h2Peer(port: number): HttpPeer {
  const peer = HttpPeer.new(`127.0.0.1:${port}`, true, 'localhost');
  // the certificate is the test's own
  peer.options.verifyCert = false;
  peer.options.setHttpVersion(2, 2);
  return peer;
}

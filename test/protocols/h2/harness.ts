/** A TLS listener whose connections go to the port's HTTP/2, and `node:http2` clients for it. */

import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type OutgoingHttpHeaders } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { createServer, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { generate } from 'selfsigned';
import { type H2Connection, type H2Options, HttpSession, handshake } from '../../../src/protocols/h2/server.ts';
import { Stream } from '../../../src/protocols/l4/stream.ts';
import { polled, promised } from '../../../src/runtime/task.ts';

const certificate = generate([{ name: 'commonName', value: 'localhost' }], { algorithm: 'sha256' });

export interface Running {
  readonly port: number;
  readonly connections: H2Connection[];
  /** How the connections ended: undefined, or what accepting threw. */
  readonly ends: Promise<unknown>[];
  client(): ClientHttp2Session;
  /** A TLS connection that settled on h2 and says nothing. */
  raw(): Promise<TLSSocket>;
  close(): Promise<void>;
}

/** Listen, and call `serve` with each stream. What it throws is the answer to nothing: the stream is closed. */
export async function listen(serve: (session: HttpSession) => unknown, options?: H2Options): Promise<Running> {
  const { private: key, cert } = await certificate;
  const connections: H2Connection[] = [];
  const ends: Promise<unknown>[] = [];
  const clients: ClientHttp2Session[] = [];
  const accept = async (socket: TLSSocket): Promise<unknown> => {
    const connection = await promised(handshake(new Stream(socket), options));
    connections.push(connection);
    for (;;) {
      const session = await promised(HttpSession.fromH2Conn(connection));
      if (session === undefined) return undefined;
      const run = async () => {
        try {
          await serve(session);
        } finally {
          session.close();
        }
      };
      run().catch(() => {});
    }
  };
  const server = createServer({ key, cert, ALPNProtocols: ['h2'] }, (socket) => {
    ends.push(accept(socket).catch((error: unknown) => error));
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    connections,
    ends,
    client() {
      const client = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
      client.on('error', () => {});
      clients.push(client);
      return client;
    },
    async raw() {
      const socket = tlsConnect({ port, host: '127.0.0.1', ALPNProtocols: ['h2'], rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      socket.on('error', () => {});
      return socket;
    },
    async close() {
      for (const client of clients) client.destroy();
      for (const connection of connections) connection.close();
      server.close();
      await once(server, 'close');
    },
  };
}

export interface Answer {
  status: number | undefined;
  headers: Record<string, unknown>;
  body: Buffer;
  trailers: Record<string, unknown> | undefined;
  interim: number[];
  rstCode: number;
}

/** The body of a request, as latin1. */
export async function bodyOf(session: HttpSession): Promise<string> {
  let body = '';
  for (;;) {
    const piece = await polled(() => session.readBodyBytes());
    if (piece === undefined) return body;
    body += piece.toString('latin1');
  }
}

/** Everything that comes on a stream until it closes. */
export async function answer(stream: ClientHttp2Stream): Promise<Answer> {
  const got: Answer = {
    status: undefined,
    headers: {},
    body: Buffer.alloc(0),
    trailers: undefined,
    interim: [],
    rstCode: 0,
  };
  stream.on('headers', (headers) => got.interim.push(headers[':status'] as number));
  stream.on('response', (headers) => {
    got.status = headers[':status'];
    got.headers = headers;
  });
  stream.on('trailers', (headers) => {
    got.trailers = headers;
  });
  const pieces: Buffer[] = [];
  stream.on('data', (piece: Buffer) => pieces.push(piece));
  stream.on('error', () => {});
  // not once(): it rejects when the stream errs, and how it ended is what is asked
  if (!stream.destroyed) await new Promise((resolve) => stream.on('close', resolve));
  got.body = Buffer.concat(pieces);
  got.rstCode = stream.rstCode ?? 0;
  return got;
}

/** Send a whole request. */
export function request(client: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: string): Promise<Answer> {
  const stream = client.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return answer(stream);
}

/** One HTTP/2 frame. */
export function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** What every client says first. */
export const PREFACE = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  frame(4, 0, 0, Buffer.alloc(0)),
]);

/** Fields as HPACK literals that are not indexed: no table, no Huffman. */
export function hpack(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  const out: Buffer[] = [];
  for (const [name, value] of fields) {
    out.push(
      Buffer.from([0, name.length]),
      Buffer.from(name, 'latin1'),
      Buffer.from([value.length]),
      Buffer.from(value, 'latin1'),
    );
  }
  return Buffer.concat(out);
}

export interface Frame {
  type: number;
  flags: number;
  stream: number;
  payload: Buffer;
}

/** The frames that come on a raw connection, until `enough` says so or it ends. */
export function frames(socket: TLSSocket, enough: (frame: Frame) => boolean): Promise<Frame[]> {
  return new Promise((resolve) => {
    const got: Frame[] = [];
    let bytes = Buffer.alloc(0);
    const onData = (piece: Buffer) => {
      bytes = Buffer.concat([bytes, piece]);
      while (bytes.length >= 9) {
        const length = bytes.readUIntBE(0, 3);
        if (bytes.length < 9 + length) return;
        const one: Frame = {
          type: bytes.readUInt8(3),
          flags: bytes.readUInt8(4),
          stream: bytes.readUInt32BE(5) & 0x7fffffff,
          payload: bytes.subarray(9, 9 + length),
        };
        bytes = bytes.subarray(9 + length);
        got.push(one);
        if (enough(one)) {
          socket.off('data', onData);
          resolve(got);
          return;
        }
      }
    };
    socket.on('data', onData);
    socket.once('close', () => resolve(got));
  });
}

/** A promise and what settles it. */
export function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

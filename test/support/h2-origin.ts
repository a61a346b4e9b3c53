/** HTTP/2 origins over TLS, closed when the test ends. */
import { once } from 'node:events';
import {
  createSecureServer,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { generate } from 'selfsigned';
import { onTestFinished } from 'vitest';
import { HttpPeer } from '../../src/upstreams/peer.ts';

const certificate = generate([{ name: 'commonName', value: 'origin.test' }], { algorithm: 'sha256' });

export interface H2Origin {
  readonly port: number;
  readonly sessions: ServerHttp2Session[];
  /** The connections below TLS. */
  readonly sockets: Socket[];
  /** The heads of the requests, in their order. */
  readonly requests: IncomingHttpHeaders[];
  /** For HTTP/2 only, its certificate not verified. */
  peer(): HttpPeer;
}

/** `raw`: names and values in turns, as they came. */
export type Serve = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, raw: readonly string[]) => unknown;

/** `hello`, at once. */
export const hello: Serve = (stream) => {
  stream.respond({ ':status': 200, 'content-type': 'text/plain' });
  stream.end('hello');
};

function peerOf(port: number): HttpPeer {
  const peer = HttpPeer.new(`127.0.0.1:${port}`, true, 'origin.test');
  peer.options.verifyCert = false;
  peer.options.setHttpVersion(2, 2);
  return peer;
}

/** An origin that serves each stream with `serve`. */
export async function h2Origin(serve: Serve = hello, options: SecureServerOptions = {}): Promise<H2Origin> {
  const { private: key, cert } = await certificate;
  const sessions: ServerHttp2Session[] = [];
  const requests: IncomingHttpHeaders[] = [];
  const sockets: Socket[] = [];
  const server = createSecureServer({ key, cert, ...options });
  server.on('connection', (socket: Socket) => sockets.push(socket));
  server.on('session', (session) => {
    sessions.push(session);
    session.on('error', () => {});
  });
  // the list is there, and missing in the types
  server.on('stream', (...args: unknown[]) => {
    const [stream, headers, , raw] = args as [ServerHttp2Stream, IncomingHttpHeaders, number, string[]];
    requests.push(headers);
    stream.on('error', () => {});
    serve(stream, headers, raw);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    for (const session of sessions) session.destroy();
    server.close();
    await once(server, 'close');
  });
  const { port } = server.address() as AddressInfo;
  return { port, sessions, sockets, requests, peer: () => peerOf(port) };
}

/** An origin that chooses `protocol` and then does with the connection what `serve` says. */
export async function rawH2Origin(serve: (socket: TLSSocket) => unknown, protocol = 'h2'): Promise<HttpPeer> {
  const { private: key, cert } = await certificate;
  const sockets: TLSSocket[] = [];
  const server = createServer({ key, cert, ALPNProtocols: protocol.split(',') }, (socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return peerOf((server.address() as AddressInfo).port);
}

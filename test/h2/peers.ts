/** Both ends over real sockets, this project's and Node's. */
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect as connectNode,
  createServer as createNode,
  type ServerHttp2Stream,
} from 'node:http2';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { ClientConnection } from '../../src/h2/client.ts';
import { DuplexTransport, drive } from '../../src/h2/duplex.ts';
import type { Options } from '../../src/h2/options.ts';
import { ServerConnection } from '../../src/h2/server.ts';
import type { Stream } from '../../src/h2/stream.ts';
import { ready } from './poll.ts';

async function listening(server: { listen(port: number, host: string): unknown; address(): unknown }): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server as never, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Give each stream of a connection to `serve`. */
export async function acceptAll(connection: ServerConnection, serve: (stream: Stream) => Promise<void>): Promise<void> {
  try {
    for (;;) {
      const stream = await ready(() => connection.pollAccept());
      if (stream === undefined) return;
      serve(stream).then(
        () => stream.release(),
        () => stream.release(),
      );
    }
  } catch {
    // the connection broke, which its test sees elsewhere
  }
}

/** Our server on a port of its own, until the test ends. */
export async function ourServer(
  serve: (stream: Stream) => Promise<void>,
  options: Options = {},
): Promise<{ port: number; connections: ServerConnection[] }> {
  const connections: ServerConnection[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    const connection = new ServerConnection(new DuplexTransport(socket), options);
    connections.push(connection);
    drive(connection, socket);
    acceptAll(connection, serve).catch(() => {});
  });
  const port = await listening(server);
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return { port, connections };
}

/** Our client, connected to `port`, until the test ends. */
export async function ourClient(port: number, options: Options = {}): Promise<ClientConnection> {
  const socket = connect(port, '127.0.0.1');
  const connection = new ClientConnection(new DuplexTransport(socket), options);
  drive(connection, socket);
  onTestFinished(() => {
    socket.destroy();
  });
  await ready(() => connection.pollReady());
  return connection;
}

/** Node's server on a port of its own, until the test ends. */
export async function nodeServer(
  serve: (stream: ServerHttp2Stream, headers: any) => void,
  options = {},
): Promise<number> {
  const server = createNode(options);
  const sessions: { destroy(): void }[] = [];
  server.on('session', (session) => {
    sessions.push(session);
    session.on('error', () => {});
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    serve(stream, headers);
  });
  const port = await listening(server);
  onTestFinished(async () => {
    for (const session of sessions) session.destroy();
    server.close();
    await once(server, 'close');
  });
  return port;
}

/** Node's client, connected to `port`, until the test ends. */
export function nodeClient(port: number, options = {}): ClientHttp2Session {
  const session = connectNode(`http://127.0.0.1:${port}`, options);
  session.on('error', () => {});
  onTestFinished(() => session.destroy());
  return session;
}

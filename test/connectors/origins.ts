/** Servers for the connectors to connect to, closed at the end of each test. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { Worker } from 'node:worker_threads';
import { generate } from 'selfsigned';
import { afterEach } from 'vitest';

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Have `close` called at the end of the test. */
export function atEnd(close: () => unknown): void {
  closers.push(close);
}

export interface Origin {
  readonly server: Server;
  readonly address: string;
  readonly port: number;
  /** The server's ends of the connections, in the order in which they came. */
  readonly sockets: Socket[];
  /** The server's end of the next connection, or of one that nobody asked for yet. */
  accepted(): Promise<Socket>;
}

function closeWith(server: Server, sockets: readonly Socket[]): void {
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
}

async function listen(server: Server, path: string | undefined, event: string): Promise<Origin> {
  const sockets: Socket[] = [];
  const raw: Socket[] = [];
  let taken = 0;
  let wake: (() => void) | undefined;
  server.on('connection', (socket: Socket) => {
    raw.push(socket);
    socket.on('error', () => {});
  });
  server.on(event, (socket: Socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
    wake?.();
  });
  closeWith(server, raw);
  if (path === undefined) server.listen(0, '127.0.0.1');
  else server.listen(path);
  await once(server, 'listening');
  const port = path === undefined ? (server.address() as AddressInfo).port : 0;
  return {
    server,
    sockets,
    port,
    address: path ?? `127.0.0.1:${port}`,
    async accepted() {
      while (sockets.length <= taken) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return sockets[taken++]!;
    },
  };
}

/** A TCP server that says nothing of its own; on a Unix socket if there is a path. */
export function tcpOrigin(path?: string): Promise<Origin> {
  return listen(createServer(), path, 'connection');
}

/** A TLS server. `accepted` gives its connections after the handshake. */
export function tlsOrigin(options: TlsOptions): Promise<Origin> {
  const server = createTlsServer(options);
  server.on('tlsClientError', () => {});
  return listen(server, undefined, 'secureConnection');
}

/** The TLS side of a connection that {@link tlsOrigin} accepted. */
export function asTls(socket: Socket): TLSSocket {
  return socket as TLSSocket;
}

/** A path for a Unix socket, in a directory that is removed at the end of the test. */
export function socketPath(): string {
  const dir = mkdtempSync(join(tmpdir(), 'pingora-'));
  atEnd(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 's.sock');
}

/** A port where nobody listens: it was given by the system and closed again. */
export async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

/**
 * A port of which connections are neither accepted nor refused: a listener whose thread sleeps, its backlog full, so
 * that the kernel drops what comes.
 */
export async function blackhole(): Promise<number> {
  const worker = new Worker(
    `const { createServer, connect } = require('node:net');
     const { parentPort } = require('node:worker_threads');
     const server = createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       const { port } = server.address();
       for (let i = 0; i < 8; i++) connect(port, '127.0.0.1').on('error', () => {});
       // the attempts go out at the end of this turn, and the turn after that never ends
       setImmediate(() => {
         parentPort.postMessage(port);
         Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
       });
     });`,
    { eval: true },
  );
  atEnd(() => worker.terminate());
  const [port] = (await once(worker, 'message')) as [number];
  return port;
}

/** The sockets that this process opens to others from now on, until the end of the test. */
export function clientSockets(): Socket[] {
  const sockets: Socket[] = [];
  const opened = (message: unknown) => sockets.push((message as { socket: Socket }).socket);
  subscribe('net.client.socket', opened);
  atEnd(() => unsubscribe('net.client.socket', opened));
  return sockets;
}

export interface Pem {
  readonly cert: string;
  readonly key: string;
}

const validity = () => ({ notBeforeDate: new Date(Date.now() - 3_600_000) });

/** A CA of the test's own. */
export async function makeCa(name: string): Promise<Pem> {
  const made = await generate(
    [
      { name: 'commonName', value: name },
      { name: 'organizationName', value: 'Testers' },
    ],
    {
      keyType: 'ec',
      algorithm: 'sha256',
      ...validity(),
      extensions: [
        { name: 'basicConstraints', cA: true, critical: true },
        { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
      ],
    },
  );
  return { cert: made.cert, key: made.private };
}

/** A certificate for these DNS names, of `ca`. */
export async function makeCert(ca: Pem, ...names: string[]): Promise<Pem> {
  const made = await generate(
    [
      { name: 'commonName', value: names[0]! },
      { name: 'organizationName', value: 'Origins' },
    ],
    {
      keyType: 'ec',
      algorithm: 'sha256',
      ...validity(),
      ca,
      extensions: [{ name: 'subjectAltName', altNames: names.map((value) => ({ type: 2, value })) }],
    },
  );
  return { cert: made.cert, key: made.private };
}

/** The end of a connection, however it ends: who closes it with something unread resets it. */
export function closeOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.on('error', () => {});
    socket.once('close', () => resolve());
  });
}

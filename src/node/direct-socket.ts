/**
 * Reading a connection's bytes where Node has them, rather than where its streams bring them.
 *
 * With `onread` all sockets read into one buffer and what arrives is copied out (gain: docs/PERFORMANCE.md). `onread` is
 * public for sockets that connect; for one that was accepted, and one that is to be read so only after it has connected,
 * the handle has to be taken over, which is how Node itself makes its sockets but not documented. Of TLS the socket
 * stays, and is told what its handle is told when it is made with `onread`. Where neither can be, the stream is read.
 *
 * The port's own.
 */
import { Socket, type SocketConstructorOpts } from 'node:net';
import { TLSSocket } from 'node:tls';

/** As large as Node's own. */
const shared = Buffer.allocUnsafeSlow(64 * 1024);

/** What isn't in the types: how `node:net` makes a socket for a connection that it has accepted. */
interface Options extends SocketConstructorOpts {
  handle: object;
  pauseOnCreate: boolean;
  onread: { buffer: Uint8Array; callback: (length: number) => boolean };
}

/** Calls `onBytes` with a copy of what was read. */
const copying = (onBytes: (bytes: Buffer) => void) => (length: number) => {
  const bytes = Buffer.allocUnsafe(length);
  shared.copy(bytes, 0, 0, length);
  onBytes(bytes);
  return true;
};

/** What `node:net` keeps beside a socket: its handle, and the server that counts it among its connections. */
interface Inside {
  _handle: { useUserBuffer?(buffer: Uint8Array): void } | null;
  [symbol: symbol]: unknown;
  server?: unknown;
  _server?: unknown;
}

/** Where a socket keeps what `onread` gave it: undefined in a Node that keeps it elsewhere. */
const [kBuffer, kBufferCb] = ['kBuffer', 'kBufferCb'].map((name) =>
  Object.getOwnPropertySymbols(new Socket()).find(({ description }) => description === name),
);

/**
 * A socket for the connection of `socket` that calls `onBytes` where that would emit `data`: another one, paused, or of
 * TLS the same, which must have made its handshake. Undefined if there can't be one: something was read or waits to be
 * written, or it is a socket of another kind.
 */
export function readDirectly(socket: Socket, onBytes: (bytes: Buffer) => void): Socket | undefined {
  if (socket.destroyed || socket.readableEnded || socket.writableEnded) return undefined;
  return socket instanceof TLSSocket ? readTls(socket, onBytes) : takeOver(socket, onBytes);
}

/** Tells a TLS socket what it can't be told when it is made. What came with the handshake is handed on first. */
function readTls(socket: TLSSocket, onBytes: (bytes: Buffer) => void): TLSSocket | undefined {
  const inside = socket as unknown as Inside;
  const { _handle: handle } = inside;
  if (handle?.useUserBuffer === undefined || kBuffer === undefined || kBufferCb === undefined) return undefined;
  if (inside[kBuffer] !== null || inside[kBufferCb] !== null) return undefined;
  const early = socket.read() as Buffer | null;
  handle.useUserBuffer(shared);
  inside[kBuffer] = shared;
  inside[kBufferCb] = copying(onBytes);
  if (early !== null) onBytes(early);
  return socket;
}

function takeOver(socket: Socket, onBytes: (bytes: Buffer) => void): Socket | undefined {
  const inside = socket as unknown as Inside;
  const { _handle: handle } = inside;
  const isUsed = socket.connecting || socket.readableLength > 0 || socket.writableLength > 0;
  if (socket.constructor !== Socket || handle == null || isUsed) return undefined;
  const options: Options = {
    handle,
    allowHalfOpen: socket.allowHalfOpen,
    pauseOnCreate: true,
    onread: { buffer: shared, callback: copying(onBytes) },
  };
  const direct = new Socket(options);
  const successor = direct as unknown as Inside;
  successor.server = inside.server;
  successor._server = inside._server;
  inside._server = null;
  inside._handle = null;
  socket.destroy();
  return direct;
}

/**
 * Reading a connection's bytes where Node has them, rather than where its streams bring them.
 *
 * With `onread` all sockets read into one buffer and what arrives is copied out (gain: docs/PERFORMANCE.md). `onread` is
 * public for sockets that connect; for one that was accepted, and one that is to be read so only after it has connected,
 * the handle has to be taken over, which is how Node itself makes its sockets but not documented. Where it can't be, the
 * stream is read.
 *
 * The port's own.
 */
import { Socket, type SocketConstructorOpts } from 'node:net';

/** As large as Node's own. */
const shared = Buffer.allocUnsafeSlow(64 * 1024);

/** What isn't in the types: how `node:net` makes a socket for a connection that it has accepted. */
interface Options extends SocketConstructorOpts {
  handle: object;
  pauseOnCreate: boolean;
  onread: { buffer: Uint8Array; callback: (length: number) => boolean };
}

/** What `node:net` keeps beside a socket: its handle, and the server that counts it among its connections. */
interface Inside {
  _handle: object | null;
  server?: unknown;
  _server?: unknown;
}

/**
 * Another socket for the connection of `socket`, paused, which calls `onBytes` where that would emit `data`. Undefined
 * if there can't be one: something was read or waits to be written, or it is no plain socket.
 */
export function readDirectly(socket: Socket, onBytes: (bytes: Buffer) => void): Socket | undefined {
  const inside = socket as unknown as Inside;
  const { _handle: handle } = inside;
  if (
    socket.constructor !== Socket ||
    handle == null ||
    socket.connecting ||
    socket.destroyed ||
    socket.readableLength > 0 ||
    socket.readableEnded ||
    socket.writableLength > 0 ||
    socket.writableEnded
  ) {
    return undefined;
  }
  const options: Options = {
    handle,
    allowHalfOpen: socket.allowHalfOpen,
    pauseOnCreate: true,
    onread: {
      buffer: shared,
      callback: (length) => {
        const bytes = Buffer.allocUnsafe(length);
        shared.copy(bytes, 0, 0, length);
        onBytes(bytes);
        return true;
      },
    },
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

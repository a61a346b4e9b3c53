/**
 * How much of what was written the system has taken.
 *
 * `socket.bytesWritten` counts what still waits in the process, and `writableLength` falls only when a whole write is
 * through: a peer that takes ten bytes a second of a write of 64 KB seems to take nothing for two hours. Node itself
 * looks at `_handle.writeQueueSize` before it says `timeout`; that, and `bytesWritten` of a handle, isn't documented.
 * Under TLS the handle below is asked: what TLS has encrypted isn't taken yet.
 */
import type { Socket } from 'node:net';

interface Handle {
  bytesWritten?: number;
  writeQueueSize?: number;
  /** Of TLS: what is below it. */
  _parent?: Handle | null;
}

/** Bytes that `socket` has handed to the system; they grow as long as its peer reads. */
export function bytesTaken(socket: Socket): number {
  const { _handle: own } = socket as unknown as { _handle?: Handle | null };
  const handle = own?._parent ?? own;
  if (handle?.bytesWritten === undefined) return socket.bytesWritten - socket.writableLength;
  return handle.bytesWritten - (handle.writeQueueSize ?? 0);
}

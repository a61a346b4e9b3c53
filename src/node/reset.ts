/**
 * Whether a connection that says `end` was reset.
 *
 * When a reset comes together with the last bytes, libuv reads the bytes and reports the end without asking the system
 * for the error (`uv__stream_io`, `POLLHUP` after a partial read): a body that ends with the connection would look
 * whole. The system knows: a connection that the peer has ended still has a peer, one that was reset has none. Node asks
 * it in `_handle.getpeername`, which isn't documented; `remoteAddress` is remembered from before.
 */

import type { Socket } from 'node:net';
import { constants } from 'node:os';

interface Inside {
  _handle?: { getpeername?(out: object): number } | null;
}

/** Whether the system has dropped the connection of `socket`, whose `end` was just emitted. */
export function wasReset(socket: Socket): boolean {
  const { _handle: handle } = socket as unknown as Inside;
  return handle?.getpeername?.({}) === -constants.errno.ENOTCONN;
}

/** What Node would have said. */
export function connectionReset(): NodeJS.ErrnoException {
  return Object.assign(new Error('read ECONNRESET'), {
    code: 'ECONNRESET',
    errno: -constants.errno.ECONNRESET,
    syscall: 'read',
  });
}

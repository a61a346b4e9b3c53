/**
 * Which connection a TLS socket was made on. Node has it in `_parent`, which isn't documented, and nowhere else: the
 * events of a `tls.Server` give the TLS socket alone.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** The connection below `socket`, one of a `tls.Server`. */
export function parentOf(socket: TLSSocket): Socket {
  return (socket as unknown as { _parent: Socket })._parent;
}

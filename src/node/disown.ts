/**
 * A connection that another process goes on with. Node has the server that accepted it in `server`, which isn't
 * documented: while it is there, closing that server asks the other process for the end of the connection.
 */
import type { Socket } from 'node:net';

/** Have the server that accepted `socket` forget it. To be called before it is sent to another process. */
export function disown(socket: Socket): void {
  (socket as { server?: unknown }).server = undefined;
}

/**
 * The system's socket inside of a listening server. Node has it in `_handle`, which isn't documented; a server that
 * doesn't listen has none.
 */
import type { Server } from 'node:net';

interface Inside {
  readonly _handle?: { readonly fd?: number } | null;
}

/** Node's handle of the socket, to be sent to another process. Throws if the server doesn't listen. */
export function handleOf(server: Server): object {
  const handle = (server as unknown as Inside)._handle;
  if (handle == null) throw new Error('a server that does not listen has no handle');
  return handle;
}

/** The system's number of the socket; -1 where there is none. */
export function descriptorOf(server: Server): number {
  return (server as unknown as Inside)._handle?.fd ?? -1;
}

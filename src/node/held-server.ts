/**
 * A server that is bound and accepts nothing: its socket is for other processes.
 *
 * Node's own cluster makes such sockets with `_createServerHandle` of `node:net`, which isn't documented. The documented
 * `listen` accepts at once what comes.
 */
import net, { createServer, isIP, type ListenOptions, type Server } from 'node:net';
import { getSystemErrorName } from 'node:util';

/** A socket of the system, as Node has it inside. */
interface SystemHandle {
  getsockname?(address: object): number;
  close(): void;
}

const { _createServerHandle: createHandle } = net as unknown as {
  _createServerHandle(
    address: string | null,
    port: number | null,
    family: number | null,
    fd?: number,
    flags?: number,
  ): SystemHandle | number;
};
const UV_TCP_IPV6ONLY = 1;

/** Bind a socket, or take the one with number `fd`. Throws what `listen` throws. */
export function createHeld(options: ListenOptions & { fd?: number }): Server {
  const { host, port, path, fd, ipv6Only } = options;
  let handle: SystemHandle | number;
  if (fd !== undefined) handle = createHandle(null, null, null, fd);
  else if (path !== undefined) handle = createHandle(path, -1, -1);
  else handle = createHandle(host!, port!, isIP(host!), undefined, ipv6Only === true ? UV_TCP_IPV6ONLY : 0);
  let status = typeof handle === 'number' ? handle : 0;
  // that an address is in use is what libuv says when it is asked for the address
  if (typeof handle !== 'number' && path === undefined && fd === undefined) status = handle.getsockname?.({}) ?? 0;
  if (status !== 0) {
    if (typeof handle !== 'number') handle.close();
    const code = getSystemErrorName(status);
    const where = path ?? `${host}:${port}`;
    throw Object.assign(new Error(`listen ${code}: ${where}`), { code, errno: status, syscall: 'listen' });
  }
  return Object.assign(createServer(), { _handle: handle });
}

/** The addresses of the command line, looked at before the server is started. */
import { existsSync, lstatSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { splitAddress } from '../listeners/l4.ts';
import { Complaint } from './options.ts';

/** The parts of `address`, which came with `flag`. */
export function checkAddress(flag: string, address: string): { host: string; port: number } {
  const parts = splitAddress(address);
  if (parts === undefined) {
    throw new Complaint(`${flag} ${address}: not an address; write host:port, as 127.0.0.1:6188`, 2);
  }
  return parts;
}

/** What can be known before the server runs, so that it need not be found out by retrying for half a minute. */
export async function tryBind(flag: string, address: string): Promise<void> {
  const { host, port } = checkAddress(flag, address);
  if (port === 0) return;
  const probe = createServer();
  const error = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    probe.once('error', resolve);
    probe.listen({ host: host === '' ? '::' : host, port }, () => probe.close(() => resolve(undefined)));
  });
  if (error === undefined) return;
  switch (error.code) {
    case 'EADDRINUSE':
      throw new Complaint(`${flag} ${address}: the port is in use; stop what listens there or choose another port`);
    case 'EACCES':
      throw new Complaint(`${flag} ${address}: no right to listen there; a port from 1024 up needs none`);
    case 'EADDRNOTAVAIL':
      throw new Complaint(`${flag} ${address}: ${host} is no address of this machine; 0.0.0.0 is all of them`);
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      throw new Complaint(`${flag} ${address}: the name ${host} can't be resolved; write an IP address`);
    default:
      throw new Complaint(`${flag} ${address}: can't listen there: ${error.message}`);
  }
}

/** As {@link tryBind}, of a Unix socket. */
export async function tryUds(path: string): Promise<void> {
  if (!existsSync(path)) return;
  if (!lstatSync(path).isSocket()) {
    throw new Complaint(`--uds ${path}: the file exists and is not a socket; remove it or choose another path`);
  }
  const served = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (served) throw new Complaint(`--uds ${path}: another process serves it; stop it or choose another path`);
}

/** The addresses of the command line, looked at before the server is started. */
import { existsSync, lstatSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { LONGEST_UDS_PATH, splitAddress } from '../listeners/l4.ts';
import { isFolder } from '../utils/folder.ts';
import { Complaint } from './complaint.ts';

/** The parts of `address`, which came with `flag`. */
export function checkAddress(flag: string, address: string): { host: string; port: number } {
  const parts = splitAddress(address);
  if (parts === undefined) {
    throw new Complaint(`${flag} ${address}: not an address; write host:port, as 127.0.0.1:6188`, 2);
  }
  return parts;
}

/** As {@link checkAddress}, of where to connect to: nobody listens on port 0. */
export function checkTarget(flag: string, address: string): void {
  if (checkAddress(flag, address).port !== 0) return;
  const mended = address.replace(/0+$/, '8080');
  throw new Complaint(`${flag} ${address}: nothing listens on port 0; write the port of the origin, as ${mended}`, 2);
}

/** An address of the command line, and the flag that it came with. */
export interface Wanted {
  readonly flag: string;
  readonly address: string;
}

/**
 * What can be known before the server runs, so that it need not be found out by retrying for half a minute. All are
 * bound at the same time: two flags may want the same port.
 */
export async function tryBind(all: readonly Wanted[]): Promise<void> {
  const held: { wanted: Wanted; probe: Server }[] = [];
  try {
    for (const wanted of all) {
      const { host, port } = checkAddress(wanted.flag, wanted.address);
      if (port === 0) continue;
      const probe = createServer();
      const error = await bound(probe, host, port);
      if (error?.code === 'EADDRINUSE') await explainInUse(wanted, held);
      if (error !== undefined) throw complaint(wanted, host, error);
      held.push({ wanted, probe });
    }
  } finally {
    await Promise.all(held.map(({ probe }) => closed(probe)));
  }
}

function bound(probe: Server, host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    probe.once('error', resolve);
    probe.listen({ host: host === '' ? '::' : host, port }, () => resolve(undefined));
  });
}

function closed(probe: Server): Promise<void> {
  return new Promise((resolve) => probe.close(() => resolve()));
}

/** Throws if it is one of these that has the port: `[::]` takes IPv4 too. */
async function explainInUse({ flag, address }: Wanted, held: { wanted: Wanted; probe: Server }[]): Promise<void> {
  const { host, port } = checkAddress(flag, address);
  for (const { wanted, probe } of held.splice(0)) {
    await closed(probe);
    if (checkAddress(wanted.flag, wanted.address).port !== port) continue;
    const again = createServer();
    const error = await bound(again, host, port);
    if (error !== undefined) continue;
    await closed(again);
    if (wanted.address === address) throw new Complaint(`${flag} ${address}: given twice`, 2);
    throw new Complaint(`${flag} ${address}: ${wanted.flag} ${wanted.address} takes what comes there already`, 2);
  }
}

function complaint({ flag, address }: Wanted, host: string, error: NodeJS.ErrnoException): Complaint {
  switch (error.code) {
    case 'EADDRINUSE':
      return new Complaint(`${flag} ${address}: the port is in use; stop what listens there or choose another port`);
    case 'EACCES':
      return new Complaint(`${flag} ${address}: no right to listen there; a port from 1024 up needs none`);
    case 'EADDRNOTAVAIL':
      return new Complaint(`${flag} ${address}: ${host} is no address of this machine; 0.0.0.0 is all of them`);
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new Complaint(`${flag} ${address}: the name ${host} can't be resolved; write an IP address`);
    default:
      return new Complaint(`${flag} ${address}: can't listen there: ${error.message}`);
  }
}

/** As {@link tryBind}, of a Unix socket. */
export async function tryUds(path: string): Promise<void> {
  const folder = dirname(path);
  if (!isFolder(folder)) {
    throw new Complaint(`--uds ${path}: there is no folder ${folder}; make it or choose another path`);
  }
  if (Buffer.byteLength(path) > LONGEST_UDS_PATH) {
    throw new Complaint(`--uds ${path}: the path is longer than ${LONGEST_UDS_PATH} bytes; choose a shorter one`, 2);
  }
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

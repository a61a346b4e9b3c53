/**
 * Where the backends come from.
 *
 * Port of `pingora-load-balancing/src/discovery.rs`. Discovery by DNS, which is still to be done there, is in
 * `discovery-dns.ts`.
 */
import { lookup } from 'node:dns/promises';
import { SocketAddr } from '../protocols/l4/socket.ts';
import { ported, traced } from '../tracing/span.ts';
import { Backend } from './backend.ts';
import { BackendSet } from './backend-set.ts';

const rust = ported('pingora-load-balancing/src/discovery.rs');

/**
 * What was found: the backends, and by {@link Backend.hashKey} which of them may be used. One that isn't mentioned
 * stays as it is, and a new one may.
 */
export type Discovered = readonly [backends: Iterable<Backend>, enablement: ReadonlyMap<string, boolean>];

/** A way to find backends. */
export interface ServiceDiscovery {
  /** Find the backends. Called at each update; what it throws leaves them as they are. */
  discover(): Promise<Discovered>;
}

/** What can be resolved to socket addresses: `1.2.3.4:80`, `[::1]:80`, `name:80`, or an address already. */
export type ToSocketAddrs = string | SocketAddr | Backend;

const noEnablement: ReadonlyMap<string, boolean> = new Map();

/** The addresses of `address`; a name is looked up as the system does it. */
async function toSocketAddrs(address: ToSocketAddrs): Promise<SocketAddr[]> {
  if (typeof address !== 'string') {
    const addr = address instanceof Backend ? address.addr : address;
    if (addr.kind === 'unix') throw new Error('UDS socket cannot be used as inet socket');
    return [addr];
  }
  const addr = SocketAddr.parseInet(address);
  if (addr !== undefined) return [addr];
  const colon = address.lastIndexOf(':');
  if (colon < 0) throw new Error(`invalid socket address: ${address}`);
  const port = address.slice(colon + 1);
  if (!/^\d+$/.test(port) || Number(port) > 65535) throw new Error(`invalid port value: ${address}`);
  const found = await lookup(address.slice(0, colon), { all: true });
  return found.map(({ address: ip }) => SocketAddr.inet(ip, Number(port))).filter((addr) => addr !== undefined);
}

/** A set of backends that only the program changes. */
@traced
export class Static implements ServiceDiscovery {
  private backends: BackendSet;

  private constructor(backends: BackendSet) {
    this.backends = backends;
  }

  /** These backends, or none to begin with. */
  @rust.method
  static new(backends: Iterable<Backend> = []): Static {
    return new Static(BackendSet.from(backends));
  }

  /**
   * Backends of weight 1 at these addresses. Names are looked up, once, which is why this is async and the original
   * blocks; it throws when an address makes no sense or its name isn't found.
   */
  @rust.method
  static async tryFromIter(addresses: Iterable<ToSocketAddrs>): Promise<Static> {
    const found = await Promise.all(Array.from(addresses, toSocketAddrs));
    return Static.new(found.flat().map((addr) => new Backend(addr)));
  }

  /** The backends as they are now. */
  get(): BackendSet {
    return this.backends;
  }

  /** Replace all backends. The balancer learns of it at its next update. */
  @rust.method
  set(backends: Iterable<Backend>): void {
    this.backends = BackendSet.from(backends);
  }

  /** Add a backend; one of the same address and weight is there once. */
  @rust.method
  add(backend: Backend): void {
    this.set([...this.backends, backend]);
  }

  /** Remove the backend of this address and weight, if it is there. */
  @rust.method
  remove(backend: Backend): void {
    const key = backend.hashKey();
    this.set([...this.backends].filter((other) => other.hashKey() !== key));
  }

  /** The backends as they are now, each of them enabled. */
  @rust.method('<Static as ServiceDiscovery>::discover')
  async discover(): Promise<Discovered> {
    return [this.backends, noEnablement];
  }
}

/**
 * Backends by DNS: the addresses of names, looked up again with every update.
 *
 * The port's own. Pingora 0.1.0 has it on its list (`pingora-load-balancing/src/discovery.rs`).
 */
import { lookup } from 'node:dns/promises';
import { Log } from '../log.ts';
import { SocketAddr } from '../protocols/l4/socket.ts';
import { own } from '../tracing/span.ts';
import type { Discovered, ServiceDiscovery } from './discovery.ts';
import { Backend } from './lib.ts';

const log = new Log('pingora_load_balancing::discovery_dns');

/** Gives the IP addresses of a name; rejects if there are none. */
export type Resolver = (name: string) => Promise<readonly { readonly address: string }[]>;

const systemResolver: Resolver = (name) => lookup(name, { all: true });

/** A name to look up, and what its addresses become. */
export interface DnsName {
  /** The name to look up. */
  readonly name: string;
  /** The port of all backends of this name. */
  readonly port: number;
  /** The weight of each address. Default: 1. */
  readonly weight?: number;
}

const noEnablement: ReadonlyMap<string, boolean> = new Map();

/**
 * Looks names up whenever the load balancer updates: every `updateFrequency`, not by the answers' time to live, which
 * the system's resolver doesn't tell (and which it may keep to by itself).
 *
 * A name that can't be looked up, or has no addresses, keeps the backends that it had: an outage of DNS must not become
 * one of the service.
 */
export class DnsDiscovery implements ServiceDiscovery {
  private readonly names: readonly DnsName[];
  private readonly resolver: Resolver;
  /** What each of `names` was found to be last. */
  private readonly known: (readonly Backend[] | undefined)[] = [];

  private constructor(names: readonly DnsName[], resolver: Resolver) {
    this.names = names;
    this.resolver = resolver;
  }

  /**
   * Throws a `RangeError` for a port or a weight that is none. `resolver` takes the place of the system's, which knows
   * `/etc/hosts` too.
   */
  static new(names: readonly DnsName[], resolver: Resolver = systemResolver): DnsDiscovery {
    for (const { port, weight = 1 } of names) {
      const addr = SocketAddr.inet('0.0.0.0', port);
      if (addr === undefined) throw new RangeError(`invalid port ${port}`);
      new Backend(addr, weight);
    }
    return new DnsDiscovery(names, resolver);
  }

  /** Throws what the resolver throws for a name that never had an answer. */
  discover(): Promise<Discovered> {
    return discover(this.names, this.known, this.resolver);
  }
}

const discover = own.fn(
  '<DnsDiscovery as ServiceDiscovery>::discover',
  async (
    names: readonly DnsName[],
    known: (readonly Backend[] | undefined)[],
    resolver: Resolver,
  ): Promise<Discovered> => {
    const found = await Promise.all(
      names.map(async (name, i) => {
        try {
          known[i] = await backendsOf(name, resolver);
        } catch (error) {
          if (known[i] === undefined) throw error;
          log.warn(() => `looking up ${name.name} failed, its backends stay as they are: ${error}`);
        }
        return known[i]!;
      }),
    );
    return [found.flat(), noEnablement];
  },
);

async function backendsOf({ name, port, weight }: DnsName, resolver: Resolver): Promise<Backend[]> {
  const answers = await resolver(name);
  const backends: Backend[] = [];
  for (const { address } of answers) {
    const addr = SocketAddr.inet(address, port);
    if (addr !== undefined) backends.push(new Backend(addr, weight));
  }
  if (backends.length === 0) throw new Error(`${name} has no addresses`);
  return backends;
}

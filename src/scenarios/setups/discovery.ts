/** Backends that come, go and are taken out of use while requests are served; a part of them is found by name. */

import { Static } from '../../load-balancing/discovery.ts';
import { DnsDiscovery } from '../../load-balancing/discovery-dns.ts';
import { Backend, Backends, LoadBalancer } from '../../load-balancing/lib.ts';
import { RoundRobin } from '../../load-balancing/selection/mod.ts';
import { httpProxyService, ProxyHttp, type Session } from '../../proxy/lib.ts';
import { HttpPeer } from '../../upstreams/peer.ts';
import type { Setup } from './setup.ts';

/** Where nobody listens: never chosen, because it is always out of use or gone. */
const NOBODY = '127.0.0.1:9';

class Changing extends ProxyHttp<undefined> {
  readonly #origin: string;
  readonly #known = Static.new();
  readonly #lb: LoadBalancer<RoundRobin>;
  readonly #byName: LoadBalancer<RoundRobin>;

  constructor(origin: string) {
    super();
    this.#origin = origin;
    this.#lb = LoadBalancer.fromBackends(Backends.new(this.#known), RoundRobin);
    const name = { name: 'localhost', port: Number(origin.split(':')[1]) };
    const resolver = async () => [{ address: '127.0.0.1' }];
    this.#byName = LoadBalancer.fromBackends(Backends.new(DnsDiscovery.new([name], resolver)), RoundRobin);
  }

  newCtx(): undefined {
    return undefined;
  }

  override async requestFilter(session: Session): Promise<boolean> {
    const nobody = Backend.new(NOBODY);
    const { path } = session.reqHeader();
    if (path === '/known') {
      this.#known.set([Backend.new(this.#origin)]);
      this.#known.add(nobody);
      await this.#lb.update();
      this.#lb.backends().setEnable(nobody, false);
    } else if (path === '/fewer') {
      this.#known.remove(nobody);
      await this.#lb.update();
    } else await this.#byName.update();
    return false;
  }

  upstreamPeer(session: Session): HttpPeer {
    const lb = session.reqHeader().path === '/named' ? this.#byName : this.#lb;
    return HttpPeer.new(lb.select('', 256)!, false, '');
  }
}

export const setup: Setup = ({ server, origin }) => {
  const service = httpProxyService(server.configuration, new Changing(origin));
  service.addTcp('127.0.0.1:0');
  return [service];
};

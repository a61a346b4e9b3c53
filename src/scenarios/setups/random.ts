/** Chooses a backend at random. */
import { LoadBalancer } from '../../load-balancing/lib.ts';
import { Random } from '../../load-balancing/selection/mod.ts';
import { httpProxyService, ProxyHttp, type Session } from '../../proxy/lib.ts';
import { HttpPeer } from '../../upstreams/peer.ts';
import type { Setup } from './setup.ts';

class AtRandom extends ProxyHttp<undefined> {
  readonly #lb: LoadBalancer<Random>;

  constructor(lb: LoadBalancer<Random>) {
    super();
    this.#lb = lb;
  }

  newCtx(): undefined {
    return undefined;
  }

  upstreamPeer(session: Session): HttpPeer {
    const backend = this.#lb.select(session.reqHeader().path, 256)!;
    return HttpPeer.new(backend, false, '');
  }
}

export const setup: Setup = async ({ server, origin }) => {
  const lb = await LoadBalancer.tryFromIter([origin], Random);
  const service = httpProxyService(server.configuration, new AtRandom(lb));
  service.addTcp('127.0.0.1:0');
  return [service];
};

/** Asks the backend for a page over HTTP/2 every second, beside the proxy. */
import { Connector } from '../../connectors/http/mod.ts';
import { HttpHealthCheck } from '../../load-balancing/health-check.ts';
import { LoadBalancer } from '../../load-balancing/lib.ts';
import { RoundRobin } from '../../load-balancing/selection/mod.ts';
import { httpProxyService, ProxyHttp } from '../../proxy/lib.ts';
import { backgroundService } from '../../services/background.ts';
import { HttpPeer } from '../../upstreams/peer.ts';
import type { Setup } from './setup.ts';

class AskedOverH2 extends ProxyHttp<undefined> {
  readonly #lb: LoadBalancer<RoundRobin>;

  constructor(lb: LoadBalancer<RoundRobin>) {
    super();
    this.#lb = lb;
  }

  newCtx(): undefined {
    return undefined;
  }

  upstreamPeer(): HttpPeer {
    const peer = HttpPeer.new(this.#lb.select('', 256)!, true, 'localhost');
    peer.options.verifyCert = false;
    peer.options.setHttpVersion(2, 2);
    return peer;
  }
}

export const setup: Setup = async ({ server, origin }) => {
  const balancer = await LoadBalancer.tryFromIter([origin], RoundRobin);
  const check = HttpHealthCheck.new('localhost', true);
  check.peerTemplate.options.verifyCert = false;
  check.peerTemplate.options.setHttpVersion(2, 2);
  check.setConnector(Connector.new());
  balancer.setHealthCheck(check);
  balancer.healthCheckFrequency = 1000;
  const background = backgroundService('health check', balancer);
  const service = httpProxyService(server.configuration, new AskedOverH2(background.task()));
  service.addTcp('127.0.0.1:0');
  return [service, background];
};

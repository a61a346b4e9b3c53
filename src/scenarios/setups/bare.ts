/** An application that says where to go, and nothing else: every other hook is the default. */
import { httpProxyService, ProxyHttp } from '../../proxy/lib.ts';
import { HttpPeer } from '../../upstreams/peer.ts';
import type { Setup } from './setup.ts';

class Bare extends ProxyHttp<undefined> {
  readonly #origin: string;

  constructor(origin: string) {
    super();
    this.#origin = origin;
  }

  newCtx(): undefined {
    return undefined;
  }

  upstreamPeer(): HttpPeer {
    return HttpPeer.new(this.#origin, false, '');
  }
}

export const setup: Setup = ({ server, origin }) => {
  const service = httpProxyService(server.configuration, new Bare(origin));
  service.addTcp('127.0.0.1:0');
  return [service];
};

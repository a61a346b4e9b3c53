/** The origin listens on a Unix socket. */
import { join } from 'node:path';
import { httpProxyService, ProxyHttp } from '../../proxy/lib.ts';
import { HttpPeer } from '../../upstreams/peer.ts';
import type { Setup } from './setup.ts';

class OverUds extends ProxyHttp<undefined> {
  readonly #path: string;

  constructor(path: string) {
    super();
    this.#path = path;
  }

  newCtx(): undefined {
    return undefined;
  }

  upstreamPeer(): HttpPeer {
    return HttpPeer.newUds(this.#path, false, '');
  }
}

export const setup: Setup = ({ server, plan }) => {
  const service = httpProxyService(server.configuration, new OverUds(join(plan.dir, 'origin.sock')));
  service.addTcp('127.0.0.1:0');
  return [service];
};

/** Reaches the origin, over TLS, through a proxy that listens on a Unix socket and understands CONNECT. */
import { join } from 'node:path';
import { httpProxyService, ProxyHttp } from '../../proxy/lib.ts';
import { HttpPeer } from '../../upstreams/peer.ts';
import type { Setup } from './setup.ts';

class Proxied extends ProxyHttp<undefined> {
  readonly #port: number;
  readonly #nextHop: string;

  constructor(port: number, nextHop: string) {
    super();
    this.#port = port;
    this.#nextHop = nextHop;
  }

  newCtx(): undefined {
    return undefined;
  }

  upstreamPeer(): HttpPeer {
    const headers = { 'Proxy-Authorization': 'Basic c2NlbmFyaW8=' };
    const peer = HttpPeer.newProxy(this.#nextHop, '127.0.0.1', this.#port, true, 'localhost', headers);
    peer.options.verifyCert = false;
    peer.options.verifyHostname = false;
    return peer;
  }
}

export const setup: Setup = ({ server, plan }) => {
  const app = new Proxied(plan.origin, join(plan.dir, 'connect.sock'));
  const service = httpProxyService(server.configuration, app);
  service.addTcp('127.0.0.1:0');
  return [service];
};

/** Keeps a connection of HTTP/2 for a tenth of a second, and asks every 50 ms whether the origin is still there. */
import { httpProxyService, ProxyHttp } from '../../proxy/lib.ts';
import { HttpPeer } from '../../upstreams/peer.ts';
import type { Setup } from './setup.ts';

class Brief extends ProxyHttp<undefined> {
  readonly #origin: string;

  constructor(origin: string) {
    super();
    this.#origin = origin;
  }

  newCtx(): undefined {
    return undefined;
  }

  upstreamPeer(): HttpPeer {
    const peer = HttpPeer.new(this.#origin, true, 'localhost');
    peer.options.verifyCert = false;
    peer.options.setHttpVersion(2, 2);
    peer.options.h2PingInterval = 50;
    peer.options.idleTimeout = 100;
    return peer;
  }
}

export const setup: Setup = ({ server, origin }) => {
  const service = httpProxyService(server.configuration, new Brief(origin));
  service.addTcp('127.0.0.1:0');
  return [service];
};

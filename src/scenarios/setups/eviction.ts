/** Two peers that can't use each other's connections, and room for one connection between two requests. */
import { httpProxyService, ProxyHttp, type Session } from '../../proxy/lib.ts';
import { HttpPeer } from '../../upstreams/peer.ts';
import type { Setup } from './setup.ts';

class TwoPeers extends ProxyHttp<undefined> {
  readonly #origin: string;

  constructor(origin: string) {
    super();
    this.#origin = origin;
  }

  newCtx(): undefined {
    return undefined;
  }

  upstreamPeer(session: Session): HttpPeer {
    // the name is part of what tells peers apart, with TLS or without
    return HttpPeer.new(this.#origin, false, session.reqHeader().path.slice(1));
  }
}

export const setup: Setup = ({ server, origin }) => {
  server.configuration.upstreamKeepalivePoolSize = 1;
  const service = httpProxyService(server.configuration, new TwoPeers(origin));
  service.addTcp('127.0.0.1:0');
  return [service];
};

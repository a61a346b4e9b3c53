/** Chooses by a ring of ketama's alone, without a load balancer. */
import { Bucket, Continuum } from '../../ketama/lib.ts';
import { SocketAddr } from '../../protocols/l4/socket.ts';
import { httpProxyService, ProxyHttp, type Session } from '../../proxy/lib.ts';
import { HttpPeer } from '../../upstreams/peer.ts';
import type { Setup } from './setup.ts';

class OnRing extends ProxyHttp<undefined> {
  readonly #ring: Continuum;

  constructor(origin: string) {
    super();
    this.#ring = Continuum.new([Bucket.new(SocketAddr.parseInet(origin)!, 1)]);
  }

  newCtx(): undefined {
    return undefined;
  }

  upstreamPeer(session: Session): HttpPeer {
    const { path } = session.reqHeader();
    const key = Buffer.from(path);
    if (path !== '/next') return HttpPeer.new(this.#ring.node(key)!, false, '');
    const nodes = this.#ring.nodeIter(key);
    nodes.next();
    return HttpPeer.new(nodes.next().value!, false, '');
  }
}

export const setup: Setup = ({ server, origin }) => {
  const service = httpProxyService(server.configuration, new OnRing(origin));
  service.addTcp('127.0.0.1:0');
  return [service];
};

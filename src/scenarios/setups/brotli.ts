/** Compresses what the origin sends and the client accepts, and decompresses what the client doesn't accept. */
import { httpProxyService, ProxyHttp, type Session } from '../../proxy/lib.ts';
import { HttpPeer } from '../../upstreams/peer.ts';
import type { Setup } from './setup.ts';

class Compressing extends ProxyHttp<undefined> {
  readonly #origin: string;

  constructor(origin: string) {
    super();
    this.#origin = origin;
  }

  newCtx(): undefined {
    return undefined;
  }

  override requestFilter(session: Session): boolean {
    session.downstreamCompression.adjustLevel(6);
    session.downstreamCompression.adjustDecompression(true);
    return false;
  }

  upstreamPeer(): HttpPeer {
    return HttpPeer.new(this.#origin, false, '');
  }
}

export const setup: Setup = ({ server, origin }) => {
  const service = httpProxyService(server.configuration, new Compressing(origin));
  service.addTcp('127.0.0.1:0');
  return [service];
};

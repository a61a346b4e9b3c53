/** Answers a request of HTTP/1 with an error by itself, and gives a stream of HTTP/2 up without any answer. */

import { TlsSettings } from '../../listeners/tls.ts';
import { httpProxyService, ProxyHttp, type Session } from '../../proxy/lib.ts';
import { HttpPeer } from '../../upstreams/peer.ts';
import type { Setup } from './setup.ts';

class GivesUp extends ProxyHttp<undefined> {
  readonly #origin: string;

  constructor(origin: string) {
    super();
    this.#origin = origin;
  }

  newCtx(): undefined {
    return undefined;
  }

  override async requestFilter({ downstreamSession }: Session): Promise<boolean> {
    const h1 = downstreamSession.asHttp1();
    if (h1 !== undefined) await h1.respondError(429);
    else downstreamSession.shutdown();
    return true;
  }

  upstreamPeer(): HttpPeer {
    return HttpPeer.new(this.#origin, false, '');
  }
}

export const setup: Setup = ({ server, origin, plan }) => {
  const service = httpProxyService(server.configuration, new GivesUp(origin));
  service.addTcp('127.0.0.1:0');
  const tls = TlsSettings.intermediate(plan.cert, plan.key);
  tls.enableH2();
  service.addTlsWithSettings('127.0.0.1:0', undefined, tls);
  return [service];
};

/** Knows what the method PURGE means; there is no cache to remove anything from. */
import { TlsSettings } from '../../listeners/tls.ts';
import { httpProxyService, ProxyHttp, type Session } from '../../proxy/lib.ts';
import { HttpPeer } from '../../upstreams/peer.ts';
import type { Setup } from './setup.ts';

class Purging extends ProxyHttp<undefined> {
  readonly #origin: string;

  constructor(origin: string) {
    super();
    this.#origin = origin;
  }

  newCtx(): undefined {
    return undefined;
  }

  override isPurge(session: Session): boolean {
    return session.reqHeader().method === 'PURGE';
  }

  upstreamPeer(): HttpPeer {
    return HttpPeer.new(this.#origin, false, '');
  }
}

export const setup: Setup = ({ server, origin, plan }) => {
  const service = httpProxyService(server.configuration, new Purging(origin));
  service.addTcp('127.0.0.1:0');
  const tls = TlsSettings.intermediate(plan.cert, plan.key);
  tls.enableH2();
  service.addTlsWithSettings('127.0.0.1:0', undefined, tls);
  return [service];
};

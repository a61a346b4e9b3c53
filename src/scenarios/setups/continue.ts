/** Asks the client for the body that it has announced, before the origin does. */
import type { RequestHeader } from '../../http/lib.ts';
import { httpProxyService, ProxyHttp, type Session } from '../../proxy/lib.ts';
import { HttpPeer } from '../../upstreams/peer.ts';
import type { Setup } from './setup.ts';

class Asking extends ProxyHttp<undefined> {
  readonly #origin: string;

  constructor(origin: string) {
    super();
    this.#origin = origin;
  }

  newCtx(): undefined {
    return undefined;
  }

  override async requestFilter(session: Session): Promise<boolean> {
    await session.downstreamSession.writeContinueResponse();
    return false;
  }

  upstreamPeer(): HttpPeer {
    return HttpPeer.new(this.#origin, false, '');
  }

  override upstreamRequestFilter(_session: Session, request: RequestHeader): void {
    request.removeHeader('Expect');
  }
}

export const setup: Setup = ({ server, origin }) => {
  const service = httpProxyService(server.configuration, new Asking(origin));
  service.addTcp('127.0.0.1:0');
  return [service];
};

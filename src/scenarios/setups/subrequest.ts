/** Asks the origin once more for what a client has asked for, as a cache does that refreshes what it has. */
import { HttpProxy, ProxyHttp, type Session } from '../../proxy/lib.ts';
import { createDummySession } from '../../proxy/subrequest.ts';
import { spawn } from '../../runtime/lib.ts';
import type { ServerConf } from '../../server/configuration/mod.ts';
import { Service } from '../../services/listening.ts';
import { HttpPeer } from '../../upstreams/peer.ts';
import type { Setup } from './setup.ts';

class Refreshing extends ProxyHttp<undefined> {
  readonly #origin: string;
  readonly proxy: HttpProxy<undefined>;
  #asked = false;

  constructor(origin: string, conf: ServerConf) {
    super();
    this.#origin = origin;
    this.proxy = HttpProxy.new(this, conf);
  }

  newCtx(): undefined {
    return undefined;
  }

  upstreamPeer(): HttpPeer {
    return HttpPeer.new(this.#origin, false, '');
  }

  override logging(session: Session): void {
    if (this.#asked) return;
    this.#asked = true;
    const again = createDummySession(session.downstreamSession);
    spawn('subrequest', this.proxy.processSubrequest(again));
  }
}

export const setup: Setup = ({ server, origin }) => {
  const service = Service.new('Refreshing', new Refreshing(origin, server.configuration).proxy);
  service.addTcp('127.0.0.1:0');
  return [service];
};

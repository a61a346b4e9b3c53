/** An application that asks another server itself, with a connector of its own, before it proxies. */
import { Connector } from '../../connectors/http/mod.ts';
import { ConnectorOptions } from '../../connectors/mod.ts';
import { RequestHeader } from '../../http/lib.ts';
import { httpProxyService, ProxyHttp } from '../../proxy/lib.ts';
import { HttpPeer, PeerOptions } from '../../upstreams/peer.ts';
import type { Setup } from './setup.ts';

class Asks extends ProxyHttp<undefined> {
  readonly #origin: string;
  readonly #connector = Connector.new(ConnectorOptions.new(8));

  constructor(origin: string) {
    super();
    this.#origin = origin;
  }

  newCtx(): undefined {
    return undefined;
  }

  override async requestFilter(): Promise<boolean> {
    const peer = this.upstreamPeer();
    const [session] = await this.#connector.getHttpSession(peer);
    const request = RequestHeader.build('POST', '/asked');
    request.insertHeader('Host', 'localhost');
    request.insertHeader('Content-Length', 5);
    await session.writeRequestHeader(request);
    await session.writeRequestBody(Buffer.from('hello'), true);
    await session.finishRequestBody();
    await session.readResponseHeader();
    while ((await session.readResponseBody()) !== undefined);
    this.#connector.releaseHttpSession(session, peer, undefined);
    this.#connector.close();
    return false;
  }

  upstreamPeer(): HttpPeer {
    const peer = HttpPeer.new(this.#origin, false, '');
    peer.options = PeerOptions.new();
    return peer;
  }
}

export const setup: Setup = ({ server, origin }) => {
  const service = httpProxyService(server.configuration, new Asks(origin));
  service.addTcp('127.0.0.1:0');
  return [service];
};

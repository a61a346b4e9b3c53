/** One application behind four services, whose endpoints are given in every way there is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import { Listeners, type TlsAccept } from '../../listeners/mod.ts';
import { TlsSettings } from '../../listeners/tls.ts';
import { HttpProxy, ProxyHttp } from '../../proxy/lib.ts';
import { Service } from '../../services/listening.ts';
import { HttpPeer } from '../../upstreams/peer.ts';
import type { Setup } from './setup.ts';

/** One certificate, whatever name the client asks for. */
class OneForAll implements TlsAccept {
  readonly #context: SecureContext;

  constructor(cert: string, key: string) {
    this.#context = createSecureContext({ cert: readFileSync(cert), key: readFileSync(key) });
  }

  certificateCallback(): SecureContext {
    return this.#context;
  }
}

class Everywhere extends ProxyHttp<undefined> {
  readonly #origin: string;

  constructor(origin: string) {
    super();
    this.#origin = origin;
  }

  newCtx(): undefined {
    return undefined;
  }

  upstreamPeer(): HttpPeer {
    return HttpPeer.new(this.#origin, false, '');
  }
}

export const setup: Setup = ({ server, origin, plan }) => {
  const { cert, key, dir } = plan;
  const proxy = HttpProxy.new(new Everywhere(origin), server.configuration);
  const overTcp = Service.withListeners('TCP', Listeners.tcp('127.0.0.1:0'), proxy);
  overTcp.addTcpWithSettings('127.0.0.1:0', {});
  overTcp.addTls('127.0.0.1:0', cert, key);
  overTcp.addAddress({ type: 'uds', address: join(dir, 'one.sock') });
  const overUds = Service.withListeners('UDS', Listeners.uds(join(dir, 'two.sock'), 0o660), proxy);
  const overTls = Service.withListeners('TLS', Listeners.tls('127.0.0.1:0', cert, key), proxy);
  const byName = Service.new('SNI', proxy);
  const settings = TlsSettings.withCallbacks(new OneForAll(cert, key));
  byName.addTlsWithSettings('127.0.0.1:0', undefined, settings);
  // the last one added starts first
  server.addServices([byName, overTls, overUds]);
  return [overTcp];
};

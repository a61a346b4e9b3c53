/** A proxy service that speaks HTTP/2 with its clients. */
import { type ClientHttp2Session, connect } from 'node:http2';
import { generate } from 'selfsigned';
import { onTestFinished } from 'vitest';
import { TlsSettings } from '../../src/listeners/tls.ts';
import { httpProxyService, ProxyHttp } from '../../src/proxy/lib.ts';
import { ServerConf } from '../../src/server/configuration/mod.ts';
import type { HttpPeer } from '../../src/upstreams/peer.ts';
import { serveInTest } from './service.ts';

const certificate = generate([{ name: 'commonName', value: 'proxy.test' }], { algorithm: 'sha256' });

/** Everything goes to one peer. */
export class ToPeer extends ProxyHttp<undefined> {
  readonly #peer: HttpPeer;

  constructor(peer: HttpPeer) {
    super();
    this.#peer = peer;
  }

  newCtx(): undefined {
    return undefined;
  }

  upstreamPeer(): HttpPeer {
    return this.#peer;
  }
}

/** Run a proxy of `app` behind TLS with h2 until the test ends. */
export async function startH2Proxy<CTX>(app: ProxyHttp<CTX>): Promise<{ port: number; client(): ClientHttp2Session }> {
  const { private: key, cert } = await certificate;
  const settings = TlsSettings.fromPem(cert, key);
  settings.enableH2();
  const service = httpProxyService(ServerConf.new(), app);
  service.addTlsWithSettings('127.0.0.1:0', undefined, settings);
  const { tls: port } = await serveInTest(service);
  return {
    port,
    client() {
      const client = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
      client.on('error', () => {});
      onTestFinished(() => client.destroy());
      return client;
    },
  };
}

/** Shows a certificate to the origin, verifies the origin's, and has the kernel probe the connection. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { httpProxyService, ProxyHttp } from '../../proxy/lib.ts';
import { HttpPeer } from '../../upstreams/peer.ts';
import { CertKey } from '../../utils/mod.ts';
import type { Setup } from './setup.ts';

class Identified extends ProxyHttp<undefined> {
  readonly #origin: string;
  readonly #certificate: X509Certificate;
  readonly #certKey: CertKey;

  constructor(origin: string, cert: string, key: string) {
    super();
    this.#origin = origin;
    this.#certificate = new X509Certificate(readFileSync(cert));
    this.#certKey = CertKey.new([this.#certificate], createPrivateKey(readFileSync(key)));
  }

  newCtx(): undefined {
    return undefined;
  }

  upstreamPeer(): HttpPeer {
    const peer = HttpPeer.new(this.#origin, true, 'localhost');
    peer.options.ca = [this.#certificate];
    peer.clientCertKey = this.#certKey;
    peer.options.tcpKeepalive = { idle: 60_000, interval: 5_000, count: 5 };
    return peer;
  }
}

export const setup: Setup = ({ server, origin, plan }) => {
  const service = httpProxyService(server.configuration, new Identified(origin, plan.cert, plan.key));
  service.addTcp('127.0.0.1:0');
  return [service];
};

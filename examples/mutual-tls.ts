/**
 * Mutual TLS on both sides: only clients with a certificate of our authority may connect, and the proxy shows one of its
 * own to the origin.
 *
 *   CERTS=certs ORIGIN=127.0.0.1:8443 npm run example examples/mutual-tls.ts
 *   curl --cacert certs/ca.pem --cert certs/client.pem --key certs/client-key.pem https://localhost:6194/
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CertKey, HttpPeer, httpProxyService, Opt, ProxyHttp, Server, TlsSettings } from 'pingora-traced';

const LISTEN = process.env.LISTEN ?? '127.0.0.1:6194';
const ORIGIN = process.env.ORIGIN ?? '127.0.0.1:8443';
/** The name that the origin's certificate must have. */
const NAME = process.env.NAME ?? 'localhost';
/** Holds `ca.pem`, who signed all of them; `server.pem`, what clients see; `client.pem`, what the origin sees; keys. */
const CERTS = process.env.CERTS ?? 'certs';

const read = (name: string) => readFileSync(join(CERTS, name), 'utf8');

class Gateway extends ProxyHttp {
  // made once: connections are shared between peers with the same certificates
  private readonly shown = CertKey.fromPem(read('client.pem'), read('client-key.pem'));
  private readonly trusted = [new X509Certificate(read('ca.pem'))];

  newCtx(): undefined {}

  upstreamPeer(): HttpPeer {
    const peer = HttpPeer.new(ORIGIN, true, NAME);
    peer.clientCertKey = this.shown;
    peer.options.ca = this.trusted; // and nobody else
    return peer;
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();

const tls = TlsSettings.intermediate(join(CERTS, 'server.pem'), join(CERTS, 'server-key.pem'));
tls.enableH2();
// Node's own options: the handshake ends here for who shows no certificate, or another authority's
Object.assign(tls.options, { requestCert: true, rejectUnauthorized: true, ca: read('ca.pem') });

const gateway = httpProxyService(server.configuration, new Gateway());
gateway.addTlsWithSettings(LISTEN, undefined, tls);
gateway.events = { onListening: ({ bound }) => console.log(`listening on ${bound}`) };

server.addService(gateway);
await server.runForever();

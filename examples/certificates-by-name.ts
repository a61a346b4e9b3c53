/**
 * A certificate for each name that clients ask for (SNI), renewed while the server runs: `NAME.pem` and `NAME-key.pem` in
 * a folder, read again when they change. Connections that are open keep the certificate they began with.
 *
 *   CERTS=certs npm run example examples/certificates-by-name.ts
 *   curl --cacert certs/ca.pem --connect-to one.test::127.0.0.1:6195 https://one.test/
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import { HttpPeer, httpProxyService, Opt, ProxyHttp, Server, type TlsAccept, TlsSettings } from 'pingora-traced';

const LISTEN = process.env.LISTEN ?? '127.0.0.1:6195';
const ORIGIN = process.env.ORIGIN ?? '127.0.0.1:8080';
const CERTS = process.env.CERTS ?? 'certs';

class CertificatesByName implements TlsAccept {
  private readonly known = new Map<string, { written: number; context: SecureContext }>();

  /** Undefined refuses the handshake: the endpoint has no certificate of its own. */
  certificateCallback(name: string): SecureContext | undefined {
    if (!/^[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(name)) return undefined; // it becomes part of a path
    const [cert, key] = [join(CERTS, `${name}.pem`), join(CERTS, `${name}-key.pem`)];
    const before = this.known.get(name);
    try {
      const written = statSync(cert).mtimeMs;
      if (before?.written === written) return before.context;
      const context = createSecureContext({ cert: readFileSync(cert), key: readFileSync(key) });
      this.known.set(name, { written, context });
      console.log(`certificate of ${name} read`);
      return context;
    } catch (error) {
      // half written, or gone: the one from before is better than none
      console.log(`certificate of ${name}: ${error instanceof Error ? error.message : error}`);
      return before?.context;
    }
  }
}

class Gateway extends ProxyHttp {
  newCtx(): undefined {}

  upstreamPeer(): HttpPeer {
    return HttpPeer.new(ORIGIN, false, '');
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();

const tls = TlsSettings.withCallbacks(new CertificatesByName());
tls.enableH2();

const gateway = httpProxyService(server.configuration, new Gateway());
gateway.addTlsWithSettings(LISTEN, undefined, tls);
gateway.events = { onListening: ({ bound }) => console.log(`listening on ${bound}`) };

server.addService(gateway);
await server.runForever();

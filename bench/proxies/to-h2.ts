/** The port, to an origin of HTTP/2 over TLS. Arguments: port to listen on, port of the origin, certificate, key. */
import { HttpPeer, httpProxyService, ProxyHttp, Server, TlsSettings } from '../../src/index.ts';

const [listen, origin, cert, key] = process.argv.slice(2);

class ToH2 extends ProxyHttp {
  newCtx(): undefined {}

  upstreamPeer(): HttpPeer {
    const peer = HttpPeer.new(`127.0.0.1:${origin}`, true, 'localhost');
    // the certificate was made for this run, by the one who runs it
    peer.options.verifyCert = false;
    peer.options.setHttpVersion(2, 2);
    return peer;
  }
}

const server = Server.new();
await server.bootstrap();
const service = httpProxyService(server.configuration, new ToH2());
const settings = TlsSettings.intermediate(cert!, key!);
settings.enableH2();
service.addTlsWithSettings(`127.0.0.1:${listen}`, undefined, settings);
server.addService(service);
await server.runForever();

/** A proxy for the test of large bodies: to the HTTP/1 origin, or to the HTTP/2 one for paths that begin with /h2. */
import { TlsSettings } from '../../src/listeners/tls.ts';
import { httpProxyService, ProxyHttp, type Session } from '../../src/proxy/lib.ts';
import { Opt } from '../../src/server/configuration/mod.ts';
import { Server } from '../../src/server/mod.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { selfSigned } from '../../src/utils/self-signed.ts';

const [h1 = '', h2 = ''] = process.argv.slice(2);

class ToEither extends ProxyHttp {
  newCtx(): undefined {}

  upstreamPeer(session: Session): HttpPeer {
    if (!session.reqHeader().path.startsWith('/h2')) return HttpPeer.new(h1, false, '');
    const peer = HttpPeer.new(h2, true, 'localhost');
    peer.options.verifyCert = false;
    peer.options.setHttpVersion(2, 2);
    return peer;
  }
}

const server = Server.new(new Opt());
await server.bootstrap();
const proxy = httpProxyService(server.configuration, new ToEither());
const { cert, key } = await selfSigned(['localhost']);
const tls = TlsSettings.fromPem(cert, key);
tls.enableH2();
proxy.addTcp('127.0.0.1:0');
proxy.addTlsWithSettings('127.0.0.1:0', undefined, tls);
proxy.events = {
  onListening: ({ bound, tls }) => console.log(`${tls ? 'https' : 'http'} ${bound}`),
};
server.addService(proxy);
await server.runForever();

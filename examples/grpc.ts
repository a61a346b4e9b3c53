/**
 * gRPC through the proxy: HTTP/2 over TLS on both sides, messages both ways at once, the status in trailers.
 *
 *   ORIGIN=127.0.0.1:50051 CA=ca.pem npm run example examples/grpc.ts
 *   grpcurl -insecure 127.0.0.1:6193 list
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  HttpPeer,
  httpProxyService,
  Opt,
  ProxyHttp,
  type ResponseHeader,
  Server,
  type Session,
  TlsSettings,
} from 'pingora-traced';
import { generate } from 'selfsigned';

const LISTEN = process.env.LISTEN ?? '127.0.0.1:6193';
const ORIGIN = process.env.ORIGIN ?? '127.0.0.1:50051';
/** The name in the origin's certificate, and a file with who signed it. Default: who Node trusts. */
const NAME = process.env.NAME ?? 'localhost';
const CA = process.env.CA === undefined ? undefined : [new X509Certificate(readFileSync(process.env.CA))];

class Grpc extends ProxyHttp {
  newCtx(): undefined {}

  override async requestFilter(session: Session): Promise<boolean> {
    if (session.getHeader('Content-Type')?.startsWith('application/grpc')) return false;
    await session.respondError(415);
    return true;
  }

  upstreamPeer(): HttpPeer {
    const peer = HttpPeer.new(ORIGIN, true, NAME);
    peer.options.setHttpVersion(2, 2); // gRPC is HTTP/2 and nothing else: no falling back
    peer.options.ca = CA;
    return peer;
  }

  override responseFilter(session: Session, response: ResponseHeader): void {
    response.insertHeader('X-Method', session.reqHeader().path);
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();

// a certificate for trying out: clients have to be told not to check it
const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], { algorithm: 'sha256' });
const tls = TlsSettings.fromPem(cert, key);
tls.enableH2();

const grpc = httpProxyService(server.configuration, new Grpc());
grpc.addTlsWithSettings(LISTEN, undefined, tls);
grpc.events = { onListening: ({ bound }) => console.log(`listening on ${bound}`) };

server.addService(grpc);
await server.runForever();

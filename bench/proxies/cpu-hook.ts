/** The port with a hook that computes: how much of it two threads do that one can't. argv: port, origin, threads. */
import { createHash } from 'node:crypto';
import { httpProxyService, ProxyHttp } from '../../src/proxy/lib.ts';
import { ServerConf } from '../../src/server/configuration/mod.ts';
import { Server } from '../../src/server/mod.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';

/** So many hashes of a kilobyte a request: about five milliseconds. */
const HASHES = 3000;

const [port, origin, threads] = process.argv.slice(2).map(Number);
const data = Buffer.alloc(1024, 'pingora');

class Computing extends ProxyHttp<undefined> {
  newCtx(): undefined {}

  upstreamPeer(): HttpPeer {
    return HttpPeer.new(`127.0.0.1:${origin}`, false, '');
  }

  override requestFilter(): boolean {
    let hash = createHash('sha256').update(data).digest();
    for (let i = 1; i < HASHES; i++) hash = createHash('sha256').update(data).update(hash).digest();
    return hash.length === 0;
  }
}

const conf = ServerConf.new();
conf.threads = threads!;
const server = Server.withConf(conf);
await server.bootstrap();
const proxy = httpProxyService(server.configuration, new Computing());
proxy.addTcp(`127.0.0.1:${port}`);
server.addService(proxy);
await server.runForever();

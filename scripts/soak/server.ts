/** The proxy that `npm run soak` loads, in a process of its own; it says what it holds when it is asked. */
import { readdirSync } from 'node:fs';
import { TlsSettings } from '../../src/listeners/tls.ts';
import { Sampler } from '../../src/live/sampler.ts';
import { isLevel, setLog } from '../../src/log.ts';
import { HttpProxy, ProxyHttp, type Session } from '../../src/proxy/lib.ts';
import { runningTasks } from '../../src/runtime/lib.ts';
import { Opt } from '../../src/server/configuration/mod.ts';
import { Server } from '../../src/server/mod.ts';
import { Service } from '../../src/services/listening.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { selfSigned } from '../../src/utils/self-signed.ts';

/** What the process holds. */
export interface Held {
  heap: number;
  rss: number;
  descriptors: number;
  timers: number;
  tasks: number;
}

const [h1 = '', h2 = ''] = process.argv.slice(2);

class ToEither extends ProxyHttp<undefined> {
  newCtx(): undefined {}

  upstreamPeer(session: Session): HttpPeer {
    const overH2 = session.getHeader('x-origin') === 'h2';
    const peer = HttpPeer.new(overH2 ? h2 : h1, overH2, overH2 ? 'localhost' : '');
    if (overH2) {
      peer.options.verifyCert = false;
      peer.options.setHttpVersion(2, 2);
      peer.options.maxH2Streams = 8;
    }
    peer.options.connectionTimeout = 2000;
    // a machine that is busy with other things may let an origin wait for a second
    peer.options.readTimeout = 3000;
    peer.options.idleTimeout = 500;
    return peer;
  }
}

function held(): Held {
  globalThis.gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  const timers = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  return { heap: heapUsed, rss, descriptors: readdirSync('/proc/self/fd').length, timers, tasks: runningTasks() };
}

// what it logs is what the load is meant to cause; to see it, `SOAK_LOG=error`
const level = process.env.SOAK_LOG ?? 'silent';
setLog(isLevel(level) ? level : 'silent');
process.on('message', () => process.send?.(held()));
process.on('disconnect', () => process.exit(0));

const server = Server.new(new Opt());
await server.bootstrap();
const sampler = new Sampler(50, () => {});
const service = Service.new('proxy', sampler.wrap(HttpProxy.new(new ToEither(), server.configuration)));
const { cert, key } = await selfSigned(['localhost']);
const tls = TlsSettings.fromPem(cert, key);
tls.enableH2();
service.addTcp('127.0.0.1:0');
service.addTlsWithSettings('127.0.0.1:0', undefined, tls);
const ports: { plain?: number; tls?: number } = {};
service.events = {
  onListening({ bound, tls: secure }) {
    ports[secure ? 'tls' : 'plain'] = Number(bound.split(':').at(-1));
    if (ports.plain !== undefined && ports.tls !== undefined) process.send?.(ports);
  },
};
server.addService(service);
await server.runForever();

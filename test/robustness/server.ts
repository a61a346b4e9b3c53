/**
 * The server that the tests of bad input mistreat, a process of its own so that what it leaks can be counted.
 *
 * `/PORT/...` goes to the origin on that port of this machine; the field `X-Read-Timeout` limits each read from it, and
 * `X-Origin: h2` has it asked over HTTP/2. With `TRACED` in its environment every request is traced.
 */
import { readdirSync } from 'node:fs';
import type { HttpServerApp } from '../../src/apps/mod.ts';
import { TlsSettings } from '../../src/listeners/tls.ts';
import { Sampler } from '../../src/live/sampler.ts';
import { setLog } from '../../src/log.ts';
import { HttpProxy, ProxyHttp, type Session } from '../../src/proxy/lib.ts';
import { runningTasks } from '../../src/runtime/lib.ts';
import { Opt } from '../../src/server/configuration/mod.ts';
import { Server } from '../../src/server/mod.ts';
import { Service } from '../../src/services/listening.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { selfSigned } from '../../src/utils/self-signed.ts';

/** Where the server listens. */
export interface Ports {
  plain: number;
  tls: number;
  h2: number;
}

/** What the process holds. */
export interface Held {
  descriptors: number;
  /** Handles and timers that keep the process alive, by their kinds. */
  resources: Record<string, number>;
  tasks: number;
  heap: number;
  /** Memory outside of the heap: buffers. */
  buffers: number;
}

class ByPath extends ProxyHttp<undefined> {
  newCtx(): undefined {
    return undefined;
  }

  upstreamPeer(session: Session): HttpPeer {
    const port = /^\/(\d+)/.exec(session.reqHeader().rawPath())?.[1] ?? '1';
    const h2 = session.getHeader('x-origin') === 'h2';
    const peer = HttpPeer.new(`127.0.0.1:${port}`, h2, h2 ? 'localhost' : '');
    if (h2) {
      peer.options.verifyCert = false;
      peer.options.setHttpVersion(2, 2);
    }
    // connections that are kept are no leak, but would be counted as one
    if (session.getHeader('x-keep') === 'no') peer.options.idleTimeout = 0;
    const readTimeout = session.getHeader('x-read-timeout');
    if (readTimeout !== undefined) peer.options.readTimeout = Number(readTimeout);
    return peer;
  }
}

function held(): Held {
  globalThis.gc?.();
  const resources: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  const { heapUsed, external } = process.memoryUsage();
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    resources,
    tasks: runningTasks(),
    heap: heapUsed,
    buffers: external,
  };
}

setLog('silent');
process.on('message', () => process.send?.(held()));
process.on('disconnect', () => process.exit(0));

const server = Server.new(new Opt());
await server.bootstrap();
const proxy: HttpServerApp = HttpProxy.new(new ByPath(), server.configuration);
const traced = process.env.TRACED === undefined ? undefined : new Sampler(1, () => {});
const service = Service.new('proxy', traced === undefined ? proxy : traced.wrap(proxy));
const { cert, key } = await selfSigned([]);
const h2 = TlsSettings.fromPem(cert, key);
h2.enableH2();
service.addTcp('127.0.0.1:0');
service.addTlsWithSettings('127.0.0.1:0', undefined, TlsSettings.fromPem(cert, key));
service.addTlsWithSettings('127.0.0.1:0', undefined, h2);
const ports: number[] = [];
service.events = {
  onListening({ bound }) {
    ports.push(Number(bound.split(':').at(-1)));
    if (ports.length === 3) process.send?.({ plain: ports[0], tls: ports[1], h2: ports[2] });
  },
};
server.addService(service);
await server.runForever();

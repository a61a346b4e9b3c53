/**
 * The port with each request traced, and each trace thrown away. argv: port, origin, and what is recorded: `off`
 * (tracing is), `others` (no request of these, but calls are wrapped), `spans`, `values` (spans with their values) or
 * `bytes` (with values, and all events).
 */
import type { HttpServerApp } from '../../src/apps/mod.ts';
import { httpProxyService, ProxyHttp } from '../../src/proxy/lib.ts';
import { settle } from '../../src/runtime/future.ts';
import { Server } from '../../src/server/mod.ts';
import { Recorder, type RecorderOptions } from '../../src/tracing/recorder.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { values } from '../../src/values/mod.ts';

const [port, origin, what = ''] = process.argv.slice(2);

class Plain extends ProxyHttp<undefined> {
  newCtx(): undefined {}

  upstreamPeer(): HttpPeer {
    return HttpPeer.new(`127.0.0.1:${origin}`, false, '');
  }
}

const RECORDED: Readonly<Record<string, RecorderOptions>> = {
  spans: {},
  values: { values: values() },
  bytes: { values: values(), events: {} },
};
const options = RECORDED[what];

// attached, it makes that calls and events are told, to whoever records
if (what !== 'off') new Recorder({ events: { events: 0 } }).attach();

function wrap(app: HttpServerApp): HttpServerApp {
  return {
    processNewHttp: (session, shutdown) => {
      if (options === undefined) return app.processNewHttp(session, shutdown);
      const recorder = new Recorder(options);
      return recorder.rootFuture('request', () => settle(app.processNewHttp(session, shutdown)));
    },
    httpCleanup: () => app.httpCleanup?.(),
  };
}

const server = Server.new();
await server.bootstrap();
const proxy = httpProxyService(server.configuration, new Plain(), { wrap });
proxy.addTcp(`127.0.0.1:${port}`);
server.addService(proxy);
await server.runForever();

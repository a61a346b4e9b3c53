/** A proxy for the tests of threads. argv: settings, and what its services are. The thread tells the origin who it is. */
import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout as later } from 'node:timers/promises';
import type { RequestHeader, ResponseHeader } from '../../src/http/lib.ts';
import { TlsSettings } from '../../src/listeners/tls.ts';
import { setLog } from '../../src/log.ts';
import { httpProxyService, ProxyHttp, type Session } from '../../src/proxy/lib.ts';
import { shared, workerNumber } from '../../src/runtime/worker.ts';
import { Opt, ServerConf } from '../../src/server/configuration/mod.ts';
import { Server } from '../../src/server/mod.ts';
import { backgroundService } from '../../src/services/background.ts';
import type { Service } from '../../src/services/listening.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';

export interface Plan {
  readonly conf?: Partial<ServerConf>;
  /** The origin's port. */
  readonly origin: number;
  readonly uds?: string;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** More proxies beside, with so many threads each. */
  readonly beside?: readonly number[];
  readonly background?: boolean;
  /** Clients that end their side get their answer. */
  readonly halfClose?: number;
  /** Threads fail before they serve. */
  readonly broken?: boolean;
}

class Who extends ProxyHttp<undefined> {
  private readonly origin: number;
  private readonly secret: string;

  constructor(origin: number, secret: string) {
    super();
    this.origin = origin;
    this.secret = secret;
  }

  newCtx(): undefined {}

  upstreamPeer(): HttpPeer {
    return HttpPeer.new(`127.0.0.1:${this.origin}`, false, '');
  }

  override requestFilter(session: Session): boolean {
    const { path } = session.reqHeader();
    if (path === '/throw') {
      // before anything can be answered
      queueMicrotask(() => {
        throw new Error('boom');
      });
    }
    if (path.startsWith('/busy')) {
      writeFileSync(path.slice('/busy'.length), '');
      while (existsSync(path.slice('/busy'.length)));
    }
    if (path === '/exit') process.exit(3);
    if (path === '/kill') process.kill(process.pid, 'SIGKILL');
    return false;
  }

  override upstreamRequestFilter(_session: Session, request: RequestHeader): void {
    request.insertHeader('X-Thread', workerNumber());
  }

  override responseFilter(_session: Session, response: ResponseHeader): void {
    response.insertHeader('X-Thread', workerNumber());
    response.insertHeader('X-Pid', process.pid);
    response.insertHeader('X-Secret', this.secret);
  }
}

const plan = JSON.parse(process.argv[2] ?? '{}') as Plan;
setLog('info');
if (plan.broken && workerNumber() > 0) throw new Error('out of order');
const server = Server.withConf(Object.assign(ServerConf.new(), plan.conf), new Opt());
await server.bootstrap();
const secret = await shared('secret', () => String(Math.random()));

function add(name: string, threads?: number): Service {
  const service = httpProxyService(server.configuration, new Who(plan.origin, secret), {
    halfClose: plan.halfClose,
  });
  service.wantedThreads = threads;
  service.addTcp('127.0.0.1:0');
  service.events = { onListening: ({ bound, tls }) => process.stdout.write(`${name}${tls ? ' tls' : ''} ${bound}\n`) };
  server.addService(service);
  return service;
}

const proxy = add('proxy');
if (plan.uds !== undefined) proxy.addUds(plan.uds);
if (plan.tls !== undefined) {
  const settings = TlsSettings.intermediate(plan.tls.cert, plan.tls.key);
  settings.enableH2();
  proxy.addTlsWithSettings('127.0.0.1:0', undefined, settings);
}
for (const [i, threads] of (plan.beside ?? []).entries()) add(`beside${i}`, threads);
if (plan.background) {
  const task = {
    async start() {
      process.stdout.write(`background in ${workerNumber()}\n`);
      await later(2 ** 30, undefined, { ref: false });
    },
  };
  server.addService(backgroundService('task', task));
}
await server.runForever();

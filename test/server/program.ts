/** A server with a service that answers "hello", for the tests of its end. argv: settings, and what else to do. */
import { setTimeout as later } from 'node:timers/promises';
import { ServeHttp } from '../../src/apps/http-app.ts';
import { ResponseHeader } from '../../src/http/lib.ts';
import { setLog } from '../../src/log.ts';
import { Opt, ServerConf } from '../../src/server/configuration/mod.ts';
import { Server } from '../../src/server/mod.ts';
import { Service } from '../../src/services/listening.ts';

interface Plan {
  readonly conf?: Partial<ServerConf>;
  readonly opt?: Partial<Opt>;
  /** Leave out `bootstrap`, and with it the table of listening sockets. */
  readonly noBootstrap?: boolean;
  /** Background services beside, by name. */
  readonly beside?: readonly string[];
  /** A service beside that ends a while after it was told to, and says so. */
  readonly busy?: boolean;
  readonly uds?: string;
  /** How long the answer's body is. Default: "hello". */
  readonly bodySize?: number;
  /** How many threads those want. Default: 1. */
  readonly besideThreads?: number;
}

class Hello extends ServeHttp {
  response() {
    const body = plan.bodySize === undefined ? Buffer.from('hello') : Buffer.alloc(plan.bodySize, 'x');
    const head = ResponseHeader.build(200);
    head.insertHeader('Content-Length', body.length);
    return { head, body };
  }
}

const plan = JSON.parse(process.argv[2] ?? '{}') as Plan;
setLog('info');
const conf = Object.assign(ServerConf.new(), plan.conf);
const server = Server.withConf(conf, new Opt(plan.opt));
if (!plan.noBootstrap) await server.bootstrap();
const service = Service.new('Hello', new Hello());
service.addTcp('127.0.0.1:0');
if (plan.uds !== undefined) service.addUds(plan.uds);
service.events = { onListening: ({ bound }) => process.stdout.write(`listening on ${bound}\n`) };
server.addService(service);
server.addServices(
  (plan.beside ?? []).map((name) => ({
    name: () => name,
    threads: () => plan.besideThreads ?? 1,
    async startService() {
      process.stdout.write(`started ${name}\n`);
    },
  })),
);
if (plan.busy) {
  server.addService({
    name: () => 'busy',
    threads: () => 1,
    async startService(_fds, shutdown) {
      await shutdown.changed();
      await later(300);
      process.stdout.write('busy to the end\n');
    },
  });
}
await server.runForever();

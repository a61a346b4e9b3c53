/** A server with a service that answers "hello", for the tests of its end. argv: settings, and what else to do. */
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
  readonly uds?: string;
  /** How many threads those want. Default: 1. */
  readonly besideThreads?: number;
}

class Hello extends ServeHttp {
  response() {
    const head = ResponseHeader.build(200);
    head.insertHeader('Content-Length', 5);
    return { head, body: Buffer.from('hello') };
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
await server.runForever();

/**
 * A canary by weight: so many of a hundred requests go to the new version, and who has a test field always does.
 *
 *   CANARY=127.0.0.1:8081 PERCENT=5 npm run example examples/canary.ts
 *   curl -H 'X-Canary: always' http://127.0.0.1:6200/
 */
import { HttpPeer, httpProxyService, Opt, ProxyHttp, type ResponseHeader, Server, type Session } from 'pingora-traced';
import { Backend, Backends, LoadBalancer, Random, Static } from 'pingora-traced/load-balancing';

const LISTEN = process.env.LISTEN ?? '127.0.0.1:6200';
const STABLE = Backend.new(process.env.STABLE ?? '127.0.0.1:8080', 100 - Number(process.env.PERCENT ?? 5));
const CANARY = Backend.new(process.env.CANARY ?? '127.0.0.1:8081', Number(process.env.PERCENT ?? 5));

interface Ctx {
  version: 'stable' | 'canary';
}

class Canary extends ProxyHttp<Ctx> {
  private readonly versions: LoadBalancer<Random>;

  constructor(versions: LoadBalancer<Random>) {
    super();
    this.versions = versions;
  }

  newCtx(): Ctx {
    return { version: 'stable' };
  }

  upstreamPeer(session: Session, ctx: Ctx): HttpPeer {
    const always = session.getHeader('X-Canary') === 'always';
    const chosen = always ? CANARY : (this.versions.select('', 16) ?? STABLE);
    if (chosen.equals(CANARY)) ctx.version = 'canary';
    return HttpPeer.new(chosen, false, '');
  }

  override responseFilter(_session: Session, response: ResponseHeader, ctx: Ctx): void {
    response.insertHeader('X-Version', ctx.version);
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();

// weights are the backends'; a discovery may change them while the server runs
const versions = LoadBalancer.fromBackends(Backends.new(Static.new([STABLE, CANARY])), Random);
await versions.update();

const canary = httpProxyService(server.configuration, new Canary(versions));
canary.addTcp(LISTEN);
canary.events = { onListening: ({ bound }) => console.log(`listening on ${bound}`) };

server.addService(canary);
await server.runForever();

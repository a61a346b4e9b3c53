/**
 * Sticky sessions: a client gets a cookie, and whoever brings it goes to the same origin each time, found on a ring, so
 * that an origin that comes or goes moves only its own share of them.
 *
 *   npm run example examples/sticky-sessions.ts
 *   curl -c jar -b jar http://127.0.0.1:6197/
 */
import { randomUUID } from 'node:crypto';
import {
  backgroundService,
  Consistent,
  HttpPeer,
  httpProxyService,
  LoadBalancer,
  Opt,
  ProxyHttp,
  type ResponseHeader,
  Server,
  type Session,
  TcpHealthCheck,
} from 'pingora-traced';

const LISTEN = process.env.LISTEN ?? '127.0.0.1:6197';
const ORIGINS = (process.env.ORIGINS ?? '127.0.0.1:8080,127.0.0.1:8081').split(',');
const COOKIE = 'sticky';

interface Ctx {
  id: string;
  isNew: boolean;
}

class Sticky extends ProxyHttp<Ctx> {
  private readonly origins: LoadBalancer<Consistent>;

  constructor(origins: LoadBalancer<Consistent>) {
    super();
    this.origins = origins;
  }

  newCtx(): Ctx {
    return { id: '', isNew: false };
  }

  override requestFilter(session: Session, ctx: Ctx): boolean {
    const cookies = session.getHeader('Cookie') ?? '';
    const found = new RegExp(`(?:^|;\\s*)${COOKIE}=([0-9a-f-]{36})(?:;|$)`).exec(cookies);
    ctx.isNew = found === null;
    ctx.id = found?.[1] ?? randomUUID();
    return false;
  }

  upstreamPeer(_session: Session, ctx: Ctx): HttpPeer {
    const backend = this.origins.select(ctx.id, 256); // the next one on the ring, while the first is ill
    if (backend === undefined) throw new Error('no origin is healthy');
    return HttpPeer.new(backend, false, '');
  }

  override responseFilter(_session: Session, response: ResponseHeader, ctx: Ctx): void {
    if (ctx.isNew) response.appendHeader('Set-Cookie', `${COOKIE}=${ctx.id}; Path=/; HttpOnly; SameSite=Lax`);
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();

const origins = await LoadBalancer.tryFromIter(ORIGINS, Consistent);
origins.setHealthCheck(TcpHealthCheck.new());
origins.healthCheckFrequency = 1000;
const background = backgroundService('health check', origins);

const sticky = httpProxyService(server.configuration, new Sticky(background.task()));
sticky.addTcp(LISTEN);
sticky.events = { onListening: ({ bound }) => console.log(`listening on ${bound}`) };

server.addService(sticky);
server.addService(background);
await server.runForever();

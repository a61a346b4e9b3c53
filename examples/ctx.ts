/**
 * What a request carries from hook to hook, and what all requests share.
 *
 *   npm run example examples/ctx.ts
 *   curl http://127.0.0.1:6190/
 *   curl -H 'Beta-Flag: 1' http://127.0.0.1:6190/
 */
import { HttpPeer, httpProxyService, Opt, ProxyHttp, type ResponseHeader, Server, type Session } from 'pingora-traced';

const LISTEN = process.env.LISTEN ?? '127.0.0.1:6190';
const STABLE = process.env.STABLE ?? '127.0.0.1:8080';
const BETA = process.env.BETA ?? '127.0.0.1:8081';

interface Ctx {
  betaUser: boolean;
}

class MyProxy extends ProxyHttp<Ctx> {
  // of all requests: one event loop serves them, so that no lock is needed
  private requests = 0;
  private betaRequests = 0;

  // of one request: made anew for each, gone after its log
  newCtx(): Ctx {
    return { betaUser: false };
  }

  override requestFilter(session: Session, ctx: Ctx): boolean {
    ctx.betaUser = session.getHeader('Beta-Flag') !== undefined;
    return false;
  }

  upstreamPeer(_session: Session, ctx: Ctx): HttpPeer {
    this.requests++;
    if (ctx.betaUser) this.betaRequests++;
    return HttpPeer.new(ctx.betaUser ? BETA : STABLE, false, '');
  }

  override responseFilter(_session: Session, response: ResponseHeader, ctx: Ctx): void {
    response.insertHeader('X-User', ctx.betaUser ? `beta #${this.betaRequests}` : `#${this.requests}`);
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();

const proxy = httpProxyService(server.configuration, new MyProxy());
proxy.addTcp(LISTEN);
proxy.events = { onListening: ({ bound }) => console.log(`listening on ${bound}`) };

server.addService(proxy);
await server.runForever();

/**
 * A rate limit: so many requests a second for each client, the rest is answered 429 and never reaches the origin.
 *
 *   npm run example examples/rate-limit.ts
 *   for i in 1 2 3 4; do curl -s -o /dev/null -w '%{http_code}\n' -H 'AppId: 1' http://127.0.0.1:6192/; done
 */
import { HttpPeer, httpProxyService, Opt, ProxyHttp, ResponseHeader, Server, type Session } from 'pingora-traced';

const LISTEN = process.env.LISTEN ?? '127.0.0.1:6192';
const ORIGIN = process.env.ORIGIN ?? '127.0.0.1:8080';
const LIMIT = Number(process.env.LIMIT ?? 2);

/** Counts per second; what was counted is forgotten with the second. */
class Rate {
  private second = 0;
  private counts = new Map<string, number>();

  observe(key: string): number {
    const now = Math.floor(Date.now() / 1000);
    if (now !== this.second) {
      this.second = now;
      this.counts = new Map();
    }
    const count = (this.counts.get(key) ?? 0) + 1;
    this.counts.set(key, count);
    return count;
  }
}

class Limited extends ProxyHttp {
  private readonly rate = new Rate();

  newCtx(): undefined {}

  override async requestFilter(session: Session): Promise<boolean> {
    const app = session.getHeader('AppId');
    if (app === undefined) return false; // nobody's: not limited
    const seen = this.rate.observe(app);
    if (seen <= LIMIT) return false;

    const response = ResponseHeader.build(429);
    response.insertHeader('X-Rate-Limit-Limit', LIMIT);
    response.insertHeader('X-Rate-Limit-Remaining', 0);
    response.insertHeader('X-Rate-Limit-Reset', 1);
    response.insertHeader('Content-Length', 0);
    await session.writeResponseHeader(response);
    return true;
  }

  upstreamPeer(): HttpPeer {
    return HttpPeer.new(ORIGIN, false, '');
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();

const proxy = httpProxyService(server.configuration, new Limited());
proxy.addTcp(LISTEN);
proxy.events = { onListening: ({ bound }) => console.log(`listening on ${bound}`) };

server.addService(proxy);
await server.runForever();

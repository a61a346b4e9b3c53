/**
 * Routes by host and path: the first line of the table that fits decides, and may cut its prefix off.
 *
 *   npm run example examples/routing.ts
 *   curl -H 'Host: api.test' http://127.0.0.1:6196/v1/users
 */
import { HttpPeer, httpProxyService, Opt, ProxyHttp, type RequestHeader, Server, type Session } from 'pingora-traced';

const LISTEN = process.env.LISTEN ?? '127.0.0.1:6196';

interface Route {
  /** Any host, if left out. */
  readonly host?: string;
  /** The path or what it begins with, up to a slash. */
  readonly prefix: string;
  /** Whether the origin gets the path without it. */
  readonly cut?: boolean;
  readonly origin: string;
}

const ROUTES: readonly Route[] = JSON.parse(
  process.env.ROUTES ??
    `[{ "host": "api.test", "prefix": "/v1", "cut": true, "origin": "127.0.0.1:8081" },
      { "host": "api.test", "prefix": "/", "origin": "127.0.0.1:8082" },
      { "prefix": "/static", "origin": "127.0.0.1:8083" }]`,
);

/** The host that is asked for, without its port: the Host field, or HTTP/2's `:authority`. */
function hostOf(session: Session): string {
  return (session.reqHeader().authority ?? session.getHeader('Host') ?? '').replace(/:\d*$/, '').toLowerCase();
}

const fits = (path: string, prefix: string) =>
  path === prefix || path.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`);

interface Ctx {
  route: Route | undefined;
}

class Router extends ProxyHttp<Ctx> {
  newCtx(): Ctx {
    return { route: undefined };
  }

  override async requestFilter(session: Session, ctx: Ctx): Promise<boolean> {
    const host = hostOf(session);
    const { path } = session.reqHeader();
    ctx.route = ROUTES.find((route) => (route.host ?? host) === host && fits(path, route.prefix));
    if (ctx.route !== undefined) return false;
    await session.respondError(404);
    return true;
  }

  upstreamPeer(_session: Session, { route }: Ctx): HttpPeer {
    return HttpPeer.new(route!.origin, false, '');
  }

  override upstreamRequestFilter(_session: Session, request: RequestHeader, { route }: Ctx): void {
    if (route?.cut !== true) return;
    const rest = request.rawPath().slice(route.prefix.length);
    request.setUri(rest.startsWith('/') ? rest : `/${rest}`);
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();

const router = httpProxyService(server.configuration, new Router());
router.addTcp(LISTEN);
router.events = { onListening: ({ bound }) => console.log(`listening on ${bound}`) };

server.addService(router);
await server.runForever();

/**
 * An admin service beside the proxy, on an address of its own: it shows the origins, takes one out of use, puts it back.
 *
 *   npm run example examples/admin.ts
 *   curl http://127.0.0.1:6202/origins
 *   curl -X PUT -d off http://127.0.0.1:6202/origins/127.0.0.1:8080
 */
import {
  HttpPeer,
  HttpServer,
  httpProxyService,
  LoadBalancer,
  Opt,
  ProxyHttp,
  type Response,
  ResponseHeader,
  RoundRobin,
  ServeHttp,
  Server,
  type ServerSession,
  Service,
} from 'pingora-traced';

const LISTEN = process.env.LISTEN ?? '127.0.0.1:6201';
/** Nobody else may reach it: it asks for no password. */
const ADMIN = process.env.ADMIN ?? '127.0.0.1:6202';
const ORIGINS = (process.env.ORIGINS ?? '127.0.0.1:8080,127.0.0.1:8081').split(',');

class Balanced extends ProxyHttp {
  private readonly origins: LoadBalancer<RoundRobin>;

  constructor(origins: LoadBalancer<RoundRobin>) {
    super();
    this.origins = origins;
  }

  newCtx(): undefined {}

  upstreamPeer(): HttpPeer {
    const backend = this.origins.select('', 256);
    if (backend === undefined) throw new Error('no origin is in use');
    return HttpPeer.new(backend, false, '');
  }
}

function text(status: number, content: string): Response {
  const body = Buffer.from(content);
  const head = ResponseHeader.build(status);
  head.insertHeader('Content-Type', 'text/plain');
  head.insertHeader('Content-Length', body.length);
  return { head, body };
}

class Admin extends ServeHttp {
  private readonly origins: LoadBalancer<RoundRobin>;

  constructor(origins: LoadBalancer<RoundRobin>) {
    super();
    this.origins = origins;
  }

  async response(session: ServerSession): Promise<Response> {
    const { method, path } = session.reqHeader();
    const known = this.origins.backends();
    const all = [...known.getBackend()];
    if (method === 'GET' && path === '/origins') {
      return text(200, all.map((backend) => `${backend} ${known.ready(backend) ? 'on' : 'off'}\n`).join(''));
    }
    const backend = all.find((each) => path === `/origins/${each}`);
    if (method !== 'PUT' || backend === undefined) return text(404, 'GET /origins, PUT /origins/ADDRESS\n');
    const wish = (await session.readRequestBody())?.toString();
    if (wish !== 'on' && wish !== 'off') return text(400, 'on or off\n');
    known.setEnable(backend, wish === 'on');
    return text(200, `${backend} ${wish}\n`);
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();
const origins = await LoadBalancer.tryFromIter(ORIGINS, RoundRobin);

const proxy = httpProxyService(server.configuration, new Balanced(origins));
proxy.addTcp(LISTEN);
proxy.events = { onListening: ({ bound }) => console.log(`listening on ${bound}`) };

const admin = Service.new('admin', HttpServer.newApp(new Admin(origins)));
admin.addTcp(ADMIN);
admin.wantedThreads = 1; // of several processes each would have its own switches
admin.events = { onListening: ({ bound }) => console.log(`admin on ${bound}`) };

server.addService(proxy);
server.addService(admin);
await server.runForever();

/**
 * A load balancer with health checks: requests go to the origins in turn, and never to one that doesn't answer.
 *
 *   npm run example examples/load-balancer.ts
 *   curl http://127.0.0.1:6188/
 */
import {
  backgroundService,
  HttpPeer,
  httpProxyService,
  LoadBalancer,
  Opt,
  ProxyHttp,
  RoundRobin,
  Server,
  TcpHealthCheck,
} from 'pingora-traced';

const LISTEN = process.env.LISTEN ?? '127.0.0.1:6188';
// the last one is a port where nothing listens
const ORIGINS = (process.env.ORIGINS ?? '127.0.0.1:8080,127.0.0.1:8081,127.0.0.1:343').split(',');

class LB extends ProxyHttp {
  private readonly upstreams: LoadBalancer<RoundRobin>;

  constructor(upstreams: LoadBalancer<RoundRobin>) {
    super();
    this.upstreams = upstreams;
  }

  newCtx(): undefined {}

  upstreamPeer(): HttpPeer {
    const backend = this.upstreams.select('', 256); // round robin needs no key
    if (backend === undefined) throw new Error('no origin is healthy');
    return HttpPeer.new(backend, false, '');
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();

const upstreams = await LoadBalancer.tryFromIter(ORIGINS, RoundRobin);
upstreams.setHealthCheck(TcpHealthCheck.new());
upstreams.healthCheckFrequency = 1000;
const background = backgroundService('health check', upstreams);

const lb = httpProxyService(server.configuration, new LB(background.task()));
lb.addTcp(LISTEN);
lb.events = { onListening: ({ bound }) => console.log(`listening on ${bound}`) };

server.addService(lb);
server.addService(background);
await server.runForever();

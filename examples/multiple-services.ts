/**
 * One server, four services: an echo on bare connections, a forwarder of bare connections, a proxy, and its metrics.
 *
 *   npm run example examples/multiple-services.ts
 *   echo hello | nc -N 127.0.0.1 6142
 *   curl http://127.0.0.1:6144/         # through the forwarder
 *   curl http://127.0.0.1:6143/         # through the proxy
 *   curl http://127.0.0.1:6150/metrics
 */
import {
  type BackgroundService,
  BasicPeer,
  backgroundService,
  HttpPeer,
  httpProxyService,
  Opt,
  ProxyHttp,
  Server,
  type ServerApp,
  Service,
  type ShutdownWatch,
  type Stream,
  TransportConnector,
} from 'pingora-traced';

const ORIGIN = process.env.ORIGIN ?? '127.0.0.1:8080';
const LISTEN = process.env.LISTEN?.split(',') ?? [
  '127.0.0.1:6142',
  '127.0.0.1:6144',
  '127.0.0.1:6143',
  '127.0.0.1:6150',
];

/** Sends back whatever comes. */
class EchoApp implements ServerApp {
  async processNew(stream: Stream): Promise<undefined> {
    for (;;) {
      const data = await stream.read(1024);
      if (data.length === 0) return undefined; // what isn't returned is closed
      stream.write(data);
      stream.flush();
      await stream.drained();
    }
  }
}

/** Joins each connection to one of its own to the origin. */
class ForwardApp implements ServerApp {
  private readonly connector = TransportConnector.new(undefined);

  async processNew(client: Stream): Promise<undefined> {
    const origin = await this.connector.newStream(BasicPeer.new(ORIGIN));
    await Promise.all([copy(client, origin), copy(origin, client)]);
    return undefined;
  }
}

async function copy(from: Stream, to: Stream): Promise<void> {
  try {
    for (let data = await from.read(65536); data.length > 0; data = await from.read(65536)) {
      to.write(data);
      to.flush();
      await to.drained();
    }
  } finally {
    to.shutdown();
  }
}

class Gateway extends ProxyHttp {
  newCtx(): undefined {}

  upstreamPeer(): HttpPeer {
    return HttpPeer.new(ORIGIN, false, '');
  }
}

/** Says that the server is still there, until it isn't. */
class Heartbeat implements BackgroundService {
  async start(shutdown: ShutdownWatch): Promise<void> {
    const beat = setInterval(() => console.log('still here'), 10_000);
    await shutdown.changed();
    clearInterval(beat);
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();

const echo = Service.new('Echo Service', new EchoApp());
const forward = Service.new('Forward Service', new ForwardApp());
const proxy = httpProxyService(server.configuration, new Gateway());
const metrics = Service.prometheusHttpService();
for (const [i, service] of [echo, forward, proxy, metrics].entries()) {
  service.addTcp(LISTEN[i]!);
  service.events = { onListening: ({ bound }) => console.log(`listening on ${bound}: ${service.name()}`) };
}

server.addServices([echo, forward, proxy, metrics, backgroundService('heartbeat', new Heartbeat())]);
await server.runForever();

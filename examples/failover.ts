/**
 * Retry and failover, with a budget: a request that can't reach an origin, or gets 503 from it, goes to another one, as
 * long as retries are at most a share of all requests. Without a budget, retries multiply the load of an overload.
 *
 *   npm run example examples/failover.ts
 *   curl -i http://127.0.0.1:6198/
 */
import {
  type Backend,
  ErrorType,
  HttpPeer,
  httpProxyService,
  LoadBalancer,
  Opt,
  PingoraError,
  ProxyHttp,
  type ResponseHeader,
  RoundRobin,
  Server,
  type Session,
} from 'pingora-traced';

const LISTEN = process.env.LISTEN ?? '127.0.0.1:6198';
const ORIGINS = (process.env.ORIGINS ?? '127.0.0.1:343,127.0.0.1:8080').split(',');
/** A retry is allowed for so many requests. */
const BUDGET = Number(process.env.BUDGET ?? 0.2);

/** Each request puts its share in, each retry takes one out; a little is there from the start, and no more than that is saved. */
class Budget {
  private left = 10;

  request(): void {
    this.left = Math.min(10, this.left + BUDGET);
  }

  take(): boolean {
    if (this.left < 1) return false;
    this.left--;
    return true;
  }
}

interface Ctx {
  readonly tried: Set<Backend>;
}

class Failover extends ProxyHttp<Ctx> {
  private readonly origins: LoadBalancer<RoundRobin>;
  private readonly budget = new Budget();

  constructor(origins: LoadBalancer<RoundRobin>) {
    super();
    this.origins = origins;
  }

  newCtx(): Ctx {
    this.budget.request();
    return { tried: new Set() };
  }

  upstreamPeer(_session: Session, { tried }: Ctx): HttpPeer {
    // called again for each try: another origin than those before
    const next = this.origins.selectWith('', 256, (backend, ready) => ready && !tried.has(backend));
    if (next === undefined) throw PingoraError.explain(ErrorType.ConnectProxyFailure, 'no origin is left');
    tried.add(next);
    const peer = HttpPeer.new(next, false, '');
    peer.options.connectionTimeout = 1000;
    return peer;
  }

  /** Nothing was sent yet: any request can be tried again. */
  override failToConnect(_session: Session, _peer: HttpPeer, _ctx: Ctx, error: PingoraError): PingoraError {
    error.setRetry(this.budget.take());
    return error;
  }

  /** The origin has seen the request: only what may be done twice is tried again, and nothing of this answer was sent. */
  override upstreamResponseFilter(session: Session, response: ResponseHeader, { tried }: Ctx): void {
    const isSafe = ['GET', 'HEAD', 'OPTIONS'].includes(session.reqHeader().method);
    if (response.status !== 503 || !isSafe || tried.size >= ORIGINS.length || !this.budget.take()) return;
    const error = PingoraError.explain(ErrorType.HTTPStatus(503), 'the origin is overloaded');
    error.setRetry(true);
    throw error;
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();

const failover = httpProxyService(
  server.configuration,
  new Failover(await LoadBalancer.tryFromIter(ORIGINS, RoundRobin)),
);
failover.addTcp(LISTEN);
failover.events = { onListening: ({ bound }) => console.log(`listening on ${bound}`) };

server.addService(failover);
await server.runForever();

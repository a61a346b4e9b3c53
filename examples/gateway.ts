/**
 * A gateway: routes by path, asks for a password on one of them, changes responses, counts and logs requests.
 *
 *   npm run example examples/gateway.ts
 *   curl http://127.0.0.1:6191/family/
 *   curl -H 'Authorization: password' http://127.0.0.1:6191/login
 */
import {
  HttpPeer,
  httpProxyService,
  Opt,
  type PingoraError,
  ProxyHttp,
  type RequestHeader,
  type ResponseHeader,
  Server,
  type Session,
} from 'pingora-traced';

const LISTEN = process.env.LISTEN ?? '127.0.0.1:6191';
const MAIN = process.env.MAIN ?? '127.0.0.1:8080';
const FAMILY = process.env.FAMILY ?? '127.0.0.1:8081';

function isLoggedIn(request: RequestHeader): boolean {
  return request.headers.get('Authorization') === 'password';
}

class Gateway extends ProxyHttp {
  private requests = 0;

  newCtx(): undefined {}

  override async requestFilter(session: Session): Promise<boolean> {
    const request = session.reqHeader();
    if (!request.path.startsWith('/login') || isLoggedIn(request)) return false;
    await session.respondError(403);
    return true; // answered: the request ends here
  }

  upstreamPeer(session: Session): HttpPeer {
    const address = session.reqHeader().path.startsWith('/family') ? FAMILY : MAIN;
    return HttpPeer.new(address, false, '');
  }

  override responseFilter(_session: Session, response: ResponseHeader): void {
    response.insertHeader('Server', 'MyGateway');
    response.removeHeader('Alt-Svc'); // there is no HTTP/3 here
  }

  override logging(session: Session, error: PingoraError | undefined): void {
    this.requests++;
    const status = session.responseWritten()?.status ?? 0;
    console.log(`#${this.requests} ${session.requestSummary()} ${status}${error ? ` ${error}` : ''}`);
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();

const gateway = httpProxyService(server.configuration, new Gateway());
gateway.addTcp(LISTEN);
gateway.events = { onListening: ({ bound }) => console.log(`listening on ${bound}`) };

server.addService(gateway);
await server.runForever();

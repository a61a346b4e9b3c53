/**
 * Not a proxy: an HTTP server that answers with the body that it got.
 *
 *   npm run example examples/echo-server.ts
 *   curl -d hello http://127.0.0.1:6145/
 */
import { Opt, type Response, ResponseHeader, ServeHttp, Server, type ServerSession, Service } from 'pingora-traced';

const LISTEN = process.env.LISTEN ?? '127.0.0.1:6145';

class Echo extends ServeHttp {
  async response(session: ServerSession): Promise<Response> {
    const pieces: Buffer[] = [];
    for (let piece = await session.readRequestBody(); piece !== undefined; piece = await session.readRequestBody()) {
      pieces.push(piece);
    }
    const body = pieces.length > 0 ? Buffer.concat(pieces) : Buffer.from('no body!');
    const head = ResponseHeader.build(200);
    head.insertHeader('Content-Type', 'text/html');
    head.insertHeader('Content-Length', body.length);
    return { head, body };
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();

const echo = Service.new('Echo Service HTTP', new Echo());
echo.addTcp(LISTEN);
echo.events = { onListening: ({ bound }) => console.log(`listening on ${bound}`) };

server.addService(echo);
await server.runForever();

/**
 * Changes bodies: JSON that the origin answers becomes YAML.
 *
 *   npm run example examples/response-modification.ts
 *   curl http://127.0.0.1:6194/data.json
 */

import {
  HttpPeer,
  httpProxyService,
  Opt,
  ProxyHttp,
  type RequestHeader,
  type ResponseHeader,
  Server,
  type Session,
} from 'pingora-traced';
import { stringify } from 'yaml';

const LISTEN = process.env.LISTEN ?? '127.0.0.1:6194';
const ORIGIN = process.env.ORIGIN ?? '127.0.0.1:8080';
/** A longer body is passed on as it is. */
const LIMIT = 1024 * 1024;

interface Ctx {
  /** What came of a body that is to be changed; null: it isn't. */
  json: Buffer[] | null;
}

class JsonToYaml extends ProxyHttp<Ctx> {
  newCtx(): Ctx {
    return { json: null };
  }

  upstreamPeer(): HttpPeer {
    return HttpPeer.new(ORIGIN, false, '');
  }

  override upstreamRequestFilter(_session: Session, request: RequestHeader): void {
    request.removeHeader('Accept-Encoding'); // what is compressed can't be read here
    request.removeHeader('Range'); // nor a part
  }

  override responseFilter(_session: Session, response: ResponseHeader, ctx: Ctx): void {
    const { headers } = response;
    const length = Number(headers.get('Content-Length') ?? LIMIT + 1);
    if (!headers.get('Content-Type')?.startsWith('application/json') || length > LIMIT) return;
    ctx.json = [];
    response.insertHeader('Content-Type', 'application/yaml');
    response.removeHeader('Content-Length'); // it will be another one: the body goes in chunks
    response.removeHeader('ETag');
  }

  override responseBodyFilter(_session: Session, body: Buffer | undefined, ctx: Ctx, end: boolean): Buffer | undefined {
    if (ctx.json === null) return undefined; // unchanged
    if (body !== undefined) ctx.json.push(body);
    if (!end) return Buffer.alloc(0); // nothing yet
    return Buffer.from(stringify(JSON.parse(Buffer.concat(ctx.json).toString())));
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();

const proxy = httpProxyService(server.configuration, new JsonToYaml());
proxy.addTcp(LISTEN);
proxy.events = { onListening: ({ bound }) => console.log(`listening on ${bound}`) };

server.addService(proxy);
await server.runForever();

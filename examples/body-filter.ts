/**
 * A body filter that streams: a word is replaced in text as it passes, and no more of it is held back than may be the
 * beginning of the word. A body of any length goes through, and each piece at once.
 *
 *   npm run example examples/body-filter.ts
 *   curl http://127.0.0.1:6199/
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

const LISTEN = process.env.LISTEN ?? '127.0.0.1:6199';
const ORIGIN = process.env.ORIGIN ?? '127.0.0.1:8080';
const FROM = Buffer.from(process.env.FROM ?? 'colour');
const TO = Buffer.from(process.env.TO ?? 'color');

/** Replaces in bytes that come in pieces. */
class Replacer {
  private kept = Buffer.alloc(0);

  /** What can go on of all that has come. */
  push(piece: Buffer, isLast: boolean): Buffer {
    const bytes = Buffer.concat([this.kept, piece]);
    const out: Buffer[] = [];
    let from = 0;
    for (let at = bytes.indexOf(FROM); at >= 0; at = bytes.indexOf(FROM, from)) {
      out.push(bytes.subarray(from, at), TO);
      from = at + FROM.length;
    }
    const rest = bytes.subarray(from);
    const held = isLast ? 0 : beginning(rest);
    this.kept = Buffer.from(rest.subarray(rest.length - held));
    return Buffer.concat([...out, rest.subarray(0, rest.length - held)]);
  }
}

/** How many of the last bytes are the beginning of the word. */
function beginning(bytes: Buffer): number {
  for (let length = Math.min(FROM.length - 1, bytes.length); length > 0; length--) {
    if (bytes.subarray(bytes.length - length).equals(FROM.subarray(0, length))) return length;
  }
  return 0;
}

interface Ctx {
  replacer: Replacer | undefined;
}

class Rewriting extends ProxyHttp<Ctx> {
  newCtx(): Ctx {
    return { replacer: undefined };
  }

  upstreamPeer(): HttpPeer {
    return HttpPeer.new(ORIGIN, false, '');
  }

  override upstreamRequestFilter(_session: Session, request: RequestHeader): void {
    request.removeHeader('Accept-Encoding'); // what is compressed can't be read here
  }

  override upstreamResponseFilter(_session: Session, response: ResponseHeader, ctx: Ctx): void {
    if (!response.headers.get('Content-Type')?.startsWith('text/')) return;
    ctx.replacer = new Replacer();
    // its length isn't known before its end: it is sent in chunks
    response.removeHeader('Content-Length');
    response.insertHeader('Transfer-Encoding', 'chunked');
  }

  override upstreamResponseBodyFilter(
    _session: Session,
    body: Buffer | undefined,
    endOfStream: boolean,
    { replacer }: Ctx,
  ): Buffer | undefined {
    return replacer?.push(body ?? Buffer.alloc(0), endOfStream);
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();

const rewriting = httpProxyService(server.configuration, new Rewriting());
rewriting.addTcp(LISTEN);
rewriting.events = { onListening: ({ bound }) => console.log(`listening on ${bound}`) };

server.addService(rewriting);
await server.runForever();

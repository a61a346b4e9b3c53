/**
 * HTTP/1 against llhttp, as node:http has it: what the proxy forwards is what llhttp reads out of the same bytes, or
 * less, never something else.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcp, type Socket } from 'node:net';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { startProxy, ToOrigin } from '../support/proxy.ts';
import type { Chance } from '../support/random.ts';

/** What is made of: each line is a thing that parsers have been known to read in two ways. */
export const REQUESTS: readonly string[] = [
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /x?y=%20 HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\nX-Empty:\r\nX-Tab: \ta\t\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
  'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nA;x="y"\r\n0123456789\r\n00\r\nX-Sum: 1\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello',
  'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
  'POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi',
  'PUT /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc',
  'HEAD / HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\nConnection: x-hop, TE\r\nTE: trailers\r\nx-hop: 1\r\n\r\n',
];

export const RESPONSES: readonly string[] = [
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=1\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n',
  'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end',
  'HTTP/1.0 200 OK\r\n\r\nold',
  'HTTP/1.1 204 No Content\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "x"\r\n\r\n',
  'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
];

/** The end of each connection's bytes: a request that ends it, if it is read as one. */
const LAST = 'GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
/** A request whose end never comes is given up after so many milliseconds. */
const PATIENCE_MS = 250;

export interface Seen {
  method: string;
  url: string;
  body: string;
}

/** Where the proxy, as the original, takes what llhttp refuses, and forwards it so that nobody can read it otherwise. */
const GENEROUS: readonly RegExp[] = [
  // RFC 9110 8.6: one length, said twice; one is sent on
  /content-length:[ \t]*(\d+)[ \t]*\r\n(?:.*\r\n)*?content-length:[ \t]*\1[ \t]*\r\n/i,
  // a space in the target is sent on as %20
  /^(?:GET|POST|PUT|HEAD|OPTIONS)? ?[^\r\n]* [^\r\n]* [^\r\n]*HTTP\/1/m,
  // RFC 9112 2.2: a line feed alone may end a line
  /(?:^|[^\r])\n/,
  // of an origin: chunks go before a length (RFC 9112 6.3), which isn't sent on
  /^HTTP[\s\S]*content-length[\s\S]*transfer-encoding/i,
  // RFC 9112 5.1: white space before a colon is taken out of an origin's fields
  /^HTTP[\s\S]*\n[^\r\n:]+[ \t]:/i,
  // what stands in a chunk's extension is dropped
  /\r\n[0-9a-f]+[ \t]*;[^\r\n]*\r\n/i,
];

/** What was read out of one connection, in order, and whether the connection came to its end by itself. */
export interface Outcome {
  seen: Seen[];
  ended: boolean;
}

const digest = (body: Buffer) => createHash('sha1').update(body).digest('base64');

/** llhttp, with what it has read. */
class Oracle {
  readonly server: Server;
  seen: Seen[] = [];

  constructor() {
    this.server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('end', () => {
        this.seen.push({ method: request.method!, url: request.url!, body: digest(Buffer.concat(pieces)) });
        response.end('ok');
      });
    });
    this.server.on('clientError', (_error, socket) => socket.destroy());
    // unless there is one, requests to upgrade are read as any others; this is that there is none
    this.server.on('checkContinue', (request, response) => {
      response.writeContinue();
      this.server.emit('request', request, response);
    });
  }

  async listen(): Promise<number> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return (this.server.address() as AddressInfo).port;
  }
}

/** The proxy's way to the oracle, and the way past it. */
export class Requests {
  private readonly direct = new Oracle();
  private readonly behind = new Oracle();
  private directPort = 0;
  private proxyPort = 0;

  static async start(): Promise<Requests> {
    const pair = new Requests();
    pair.directPort = await pair.direct.listen();
    const origin = await pair.behind.listen();
    class NotKept extends ToOrigin {
      override upstreamPeer(): HttpPeer {
        const peer = HttpPeer.new(`127.0.0.1:${origin}`, false, '');
        peer.options.idleTimeout = 0;
        return peer;
      }
    }
    pair.proxyPort = (await startProxy(new NotKept(''))).port;
    return pair;
  }

  stop(): void {
    for (const { server } of [this.direct, this.behind]) {
      server.closeAllConnections();
      server.close();
    }
  }

  /** Send it in these pieces, past the proxy or through it. */
  async send(pieces: readonly string[], through: boolean): Promise<Outcome> {
    const oracle = through ? this.behind : this.direct;
    oracle.seen = [];
    const ended = await say(through ? this.proxyPort : this.directPort, pieces);
    const { seen } = oracle;
    // what comes late is no part of the next one
    oracle.seen = [];
    return { seen, ended };
  }
}

async function say(port: number, pieces: readonly string[]): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let ended = false;
  socket.on('error', () => {});
  socket.on('data', () => {});
  const closed = new Promise<void>((resolve) => {
    socket.on('end', () => {
      ended = true;
    });
    socket.on('close', () => resolve());
  });
  for (const piece of pieces) {
    socket.write(Buffer.from(piece, 'latin1'));
    if (pieces.length > 1) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  const timer = setTimeout(() => socket.destroy(), PATIENCE_MS);
  await closed;
  clearTimeout(timer);
  return ended;
}

/** `text` in up to `most` pieces. */
export function split(chance: Chance, text: string, most: number): string[] {
  const cuts = Array.from({ length: 1 + chance.below(most) }, () => chance.below(text.length)).sort((a, b) => a - b);
  return [0, ...cuts].map((from, i) => text.slice(from, cuts[i] ?? text.length)).filter((piece) => piece !== '');
}

/** What is wrong with how the proxy read these bytes; undefined: nothing. */
export async function judgeRequests(pair: Requests, text: string, chance: Chance): Promise<string | undefined> {
  const bytes = text + LAST;
  const direct = await pair.send([bytes], false);
  const through = await pair.send([bytes], true);
  const parts = await pair.send(split(chance, bytes, 6), true);
  for (const { seen } of [through, parts]) {
    for (const [i, one] of seen.entries()) {
      const other = direct.seen[i];
      if (other === undefined) {
        // llhttp refused it, or waits for more of it: the proxy was more generous
        if (GENEROUS.some((pattern) => pattern.test(text + LAST))) break;
        if (direct.ended) return `request ${i + 1} was forwarded, ${JSON.stringify(one)}, and llhttp refuses it`;
        return `request ${i + 1} was forwarded, ${JSON.stringify(one)}, and for llhttp it isn't whole`;
      }
      const plain = other.url.startsWith('/');
      if (
        one.method !== other.method ||
        one.body !== other.body ||
        (plain && unescape(one.url) !== unescape(other.url))
      ) {
        return `request ${i + 1} was ${JSON.stringify(other)} and became ${JSON.stringify(one)}`;
      }
    }
  }
  if (through.ended && parts.ended && through.seen.length !== parts.seen.length) {
    return `in one piece ${through.seen.length} requests, in several ${parts.seen.length}`;
  }
  return undefined;
}

interface Answer {
  status: number;
  body: string;
  whole: boolean;
}

function ask(port: number): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    let came = false;
    const request = get({ host: '127.0.0.1', port, path: '/', agent: false, timeout: PATIENCE_MS }, (response) => {
      came = true;
      read(response).then(resolve, () => resolve(undefined));
    });
    request.on('timeout', () => request.destroy());
    // what comes after the answer is an error too
    request.on('error', () => {
      if (!came) resolve(undefined);
    });
  });
}

function read(response: IncomingMessage): Promise<Answer> {
  return new Promise((resolve) => {
    const pieces: Buffer[] = [];
    response.on('data', (piece: Buffer) => pieces.push(piece));
    response.on('error', () => {});
    response.on('close', () => {
      resolve({ status: response.statusCode!, body: digest(Buffer.concat(pieces)), whole: response.complete });
    });
  });
}

/** An origin that answers any request with the same bytes, the proxy before it, and the way past that. */
export class Responses {
  private pieces: readonly string[] = [];
  private port = 0;
  private proxyPort = 0;
  private readonly sockets = new Set<Socket>();
  private readonly server = createTcp((socket) => {
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => {});
    socket.once('data', () => {
      const write = ([piece, ...rest]: readonly string[]) => {
        if (piece === undefined) socket.end();
        else {
          socket.write(Buffer.from(piece, 'latin1'));
          setImmediate(write, rest);
        }
      };
      write(this.pieces);
    });
  });

  static async start(): Promise<Responses> {
    const pair = new Responses();
    pair.server.listen(0, '127.0.0.1');
    await once(pair.server, 'listening');
    pair.port = (pair.server.address() as AddressInfo).port;
    class NotKept extends ToOrigin {
      override upstreamPeer(): HttpPeer {
        const peer = HttpPeer.new(`127.0.0.1:${pair.port}`, false, '');
        peer.options.idleTimeout = 0;
        return peer;
      }
    }
    pair.proxyPort = (await startProxy(new NotKept(''))).port;
    return pair;
  }

  stop(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }

  /** What is wrong with what the proxy made of it; undefined: nothing. */
  async judge(text: string, chance: Chance): Promise<string | undefined> {
    this.pieces = [text];
    const direct = await ask(this.port);
    for (const pieces of [[text], split(chance, text, 6)]) {
      this.pieces = pieces;
      const through = await ask(this.proxyPort);
      if (through === undefined || !through.whole || through.status === 502) continue;
      const way = pieces.length > 1 ? ', in pieces' : '';
      if (!direct?.whole && GENEROUS.some((pattern) => pattern.test(text))) continue;
      if (direct === undefined)
        return `refused by llhttp and whole through the proxy: ${JSON.stringify(through)}${way}`;
      if (!direct.whole) return `cut short, and whole through the proxy: ${JSON.stringify(through)}${way}`;
      if (direct.status !== through.status || direct.body !== through.body) {
        return `${JSON.stringify(direct)} became ${JSON.stringify(through)}${way}`;
      }
    }
    return undefined;
  }
}

/** One of the corpus, spoilt; sometimes two after each other. */
export function made(chance: Chance, corpus: readonly string[]): string {
  const text = chance.below(4) === 0 ? chance.pick(corpus) + chance.pick(corpus) : chance.pick(corpus);
  return chance.below(10) === 0 ? text : chance.spoil(text, 3, WORDS);
}

const WORDS = [
  ...['\r', '\n', '\r\n', '\r\n\r\n', ' ', '\t', '\0', ':', ',', ';', '"', '\\', '\x0b', '\x7f', '\x80', '\xff'],
  ...['Content-Length: 3\r\n', 'Content-Length: +3\r\n', 'Content-Length : 3\r\n', 'Transfer-Encoding: chunked\r\n'],
  ...['Transfer-Encoding:\x0bchunked\r\n', 'Transfer-Encoding: xchunked\r\n', 'Transfer-Encoding: chunked, x\r\n'],
  ...['Connection: close\r\n', 'Connection: Content-Length\r\n', ' folded\r\n', 'Host: b\r\n', '0\r\n\r\n', '0x5\r\n'],
  ...['-', '+', '_', 'ffffffffffffffff', '18446744073709551616', 'HTTP/1.0', 'HTTP/2.0', 'http://b/', '//', '%00', '#'],
];

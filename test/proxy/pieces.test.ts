/**
 * What comes is passed on when it comes, however it is framed: the next piece is sent only once the one before has
 * arrived, so that a proxy that waits for more of it waits for ever.
 */
import { once } from 'node:events';
import type { ServerHttp2Stream } from 'node:http2';
import { describe, expect, test } from 'vitest';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { h2Origin } from '../support/h2-origin.ts';
import { startH2Proxy, ToPeer } from '../support/h2-proxy.ts';
import { Origin } from '../support/origin.ts';
import { startProxy } from '../support/proxy.ts';
import type { Peer } from '../support/streams.ts';

type Framing = 'length' | 'chunks';
const PIECES = ['a', 'bc', 'def'];
const TOTAL = String(PIECES.join('').length);

/** One end of an exchange, seen by the test: it sends a head and pieces, and sees what has arrived of the other end's. */
interface End {
  head(framing: Framing): void;
  piece(text: string, last: boolean): void;
  /** Resolves when the other end's head has come. */
  gotHead(): Promise<unknown>;
  /** Resolves when all that has come of the other end's body is `text`. */
  got(text: string): Promise<unknown>;
}

/** HTTP/1, of either side. */
class OverH1 implements End {
  private readonly peer: Peer;
  private readonly first: string;
  private framing: Framing = 'length';

  constructor(peer: Peer, first: string) {
    this.peer = peer;
    this.first = first;
  }

  head(framing: Framing): void {
    this.framing = framing;
    const field = framing === 'length' ? `Content-Length: ${TOTAL}` : 'Transfer-Encoding: chunked';
    this.peer.send(`${this.first}${field}\r\n\r\n`);
  }

  piece(text: string, last: boolean): void {
    if (this.framing === 'length') this.peer.send(text);
    else this.peer.send(`${text.length}\r\n${text}\r\n${last ? '0\r\n\r\n' : ''}`);
  }

  gotHead(): Promise<unknown> {
    return this.peer.until((got) => got.includes('\r\n\r\n'));
  }

  got(text: string): Promise<unknown> {
    // letters are the body, digits are the chunks' sizes
    return this.peer.until((got) => got.slice(got.indexOf('\r\n\r\n') + 4).replace(/[^a-z]/g, '') === text);
  }
}

/** What both kinds of HTTP/2 streams of Node's have. */
interface Both {
  on(event: 'data', listener: (piece: Buffer) => void): unknown;
  write(text: string): unknown;
  end(text?: string): unknown;
}

/** HTTP/2, of either side. */
class OverH2 implements End {
  private readonly stream: Both;
  private readonly begin: (framing: Framing) => void;
  private readonly headed: Promise<unknown>;
  private body = '';
  private wake = () => {};

  constructor(stream: Both, begin: (framing: Framing) => void, headed: Promise<unknown>) {
    this.stream = stream;
    this.begin = begin;
    this.headed = headed;
    stream.on('data', (piece) => {
      this.body += piece.toString();
      this.wake();
    });
  }

  head(framing: Framing): void {
    this.begin(framing);
  }

  piece(text: string, last: boolean): void {
    if (last) this.stream.end(text);
    else this.stream.write(text);
  }

  gotHead(): Promise<unknown> {
    return this.headed;
  }

  async got(text: string): Promise<void> {
    while (this.body !== text) await new Promise<void>((resolve) => (this.wake = resolve));
  }
}

const fields = (framing: Framing) => (framing === 'length' ? { 'content-length': TOTAL } : {});

/** An origin; the end that it has of the one request that it gets. */
const ORIGINS: Record<string, () => Promise<{ peer: HttpPeer; end: Promise<End> }>> = {
  h1: async () => {
    let resolve!: (end: End) => void;
    const end = new Promise<End>((got) => (resolve = got));
    const origin = await Origin.start((connection) => resolve(new OverH1(connection, 'HTTP/1.1 200 OK\r\n')));
    return { peer: HttpPeer.new(`127.0.0.1:${origin.port}`, false, ''), end };
  },
  h2: async () => {
    let resolve!: (end: End) => void;
    const end = new Promise<End>((got) => (resolve = got));
    const origin = await h2Origin((stream: ServerHttp2Stream) => {
      const begin = (framing: Framing) => stream.respond({ ':status': 200, ...fields(framing) });
      resolve(new OverH2(stream, begin, Promise.resolve()));
    });
    return { peer: origin.peer(), end };
  },
};

/** A client, which sends the head of a request with a body, or of one without. */
const CLIENTS: Record<string, (peer: HttpPeer, upload: Framing | undefined) => Promise<End>> = {
  h1: async (peer, upload) => {
    const client = await (await startProxy(new ToPeer(peer))).client();
    const end = new OverH1(client, 'POST / HTTP/1.1\r\nHost: a.test\r\n');
    if (upload === undefined) client.send('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n');
    else end.head(upload);
    return end;
  },
  h2: async (peer, upload) => {
    const client = (await startH2Proxy(new ToPeer(peer))).client();
    const head = { ':method': upload === undefined ? 'GET' : 'POST', ...fields(upload ?? 'chunks') };
    const stream = client.request(head, { endStream: upload === undefined });
    return new OverH2(stream, () => {}, once(stream, 'response'));
  },
};

const MATRIX = ['h1', 'h2'].flatMap((client) =>
  ['h1', 'h2'].flatMap((origin) =>
    (['length', 'chunks'] as const).map((framing) => [client, origin, framing] as const),
  ),
);

/** Send the pieces, each when the one before has come. Returns what has come at the end. */
async function passedOn(from: End, to: End): Promise<string> {
  let sent = '';
  for (const [i, piece] of PIECES.entries()) {
    from.piece(piece, i === PIECES.length - 1);
    sent += piece;
    await to.got(sent);
  }
  return sent;
}

describe.each(MATRIX)(
  'each piece is passed on when it has come: %s client, %s origin, by %s',
  (client, origin, framing) => {
    test('of a response, its head first', async () => {
      const { peer, end } = await ORIGINS[origin]!();
      const asking = await CLIENTS[client]!(peer, undefined);
      const answering = await end;
      await answering.gotHead();
      answering.head(framing);
      await asking.gotHead();
      expect(await passedOn(answering, asking)).toBe('abcdef');
    });

    test('of a request, its head first', async () => {
      const { peer, end } = await ORIGINS[origin]!();
      const asking = await CLIENTS[client]!(peer, framing);
      const answering = await end;
      await answering.gotHead();
      expect(await passedOn(asking, answering)).toBe('abcdef');
      answering.head('length');
      await asking.gotHead();
      expect(await passedOn(answering, asking)).toBe('abcdef');
    });
  },
);

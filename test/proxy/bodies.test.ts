/** What happens to bodies on their way: changed by the application, announced, refused, followed by trailers. */
import { once } from 'node:events';
import type { ClientHttp2Stream, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { setTimeout as later } from 'node:timers';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { HMap, RequestHeader, ResponseHeader } from '../../src/http/lib.ts';
import type { Session } from '../../src/proxy/lib.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { request } from '../protocols/h2/harness.ts';
import { h2Origin } from '../support/h2-origin.ts';
import { startH2Proxy, ToPeer } from '../support/h2-proxy.ts';
import { answering, dechunk, HELLO, Origin } from '../support/origin.ts';
import { startProxy, ToOrigin } from '../support/proxy.ts';

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n';
const GET = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';
const h1Peer = (origin: Origin) => HttpPeer.new(`127.0.0.1:${origin.port}`, false, '');
const bodyOf = (message: string) => message.slice(message.indexOf('\r\n\r\n') + 4);

/** Keeps the whole body back and sends it in capitals, with a mark, at its end. */
class Loud extends ToOrigin {
  private kept = '';
  readonly ends: boolean[] = [];

  override upstreamResponseFilter(_session: Session, response: ResponseHeader): void {
    response.removeHeader('Content-Length');
  }

  override upstreamResponseBodyFilter(_session: Session, body: Buffer | undefined, end: boolean): Buffer {
    this.ends.push(end);
    this.kept += body?.toString() ?? '';
    if (!end) return Buffer.alloc(0);
    const whole = Buffer.from(`${this.kept.toUpperCase()}!`);
    this.kept = '';
    return whole;
  }
}

describe('a response body', () => {
  test.each([
    ['with a length', HELLO, 'HELLO!'],
    ['in chunks', CHUNKED, 'ABCDE!'],
    ['that ends with the connection', 'HTTP/1.1 200 OK\r\n\r\nend', 'END!'],
  ])('%s can be replaced by one of another length', async (_, answer, body) => {
    const closes = !answer.includes('Content-Length') && !answer.includes('chunked');
    const origin = await Origin.start(async (connection) => {
      for (let asked = 1; ; asked++) {
        await connection.until((got) => got.split('\r\n\r\n').length > asked);
        connection.send(answer);
        if (closes) connection.socket.end();
      }
    });
    const app = new Loud(`127.0.0.1:${origin.port}`);
    const client = await (await startProxy(app)).client();
    for (const _ of [1, 2]) {
      client.received = '';
      client.send(GET);
      const got = await client.until((text) => text.endsWith('0\r\n\r\n'));
      expect(got).toContain('Connection: keep-alive\r\n');
      expect(dechunk(bodyOf(got)).body).toBe(body);
    }
    expect(app.ends.filter((end) => end)).toHaveLength(2);
  });

  test('of an HTTP/2 origin can be replaced too, its trailers after it', async () => {
    const origin = await h2Origin((stream) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '5' }));
      stream.write('ab');
      stream.end('cde');
    });
    class App extends ToPeer {
      override responseBodyFilter(
        _session: Session,
        body: Buffer | undefined,
        _ctx: undefined,
        end: boolean,
      ): Buffer | undefined {
        return end ? Buffer.from('.') : body && Buffer.from(body.toString().toUpperCase());
      }
    }
    const proxy = await startH2Proxy(new App(origin.peer()));
    const stream = proxy.client().request({ ':path': '/', te: 'trailers' });
    let trailers: IncomingHttpHeaders | undefined;
    stream.on('trailers', (fields) => {
      trailers = fields;
    });
    expect(await textOf(stream)).toBe('ABCDE.');
    expect(trailers).toMatchObject({ 'x-sum': '5' });
  });

  test('that a filter makes longer than the length said is cut there', async () => {
    const origin = await Origin.start();
    class App extends ToOrigin {
      override responseBodyFilter(): Buffer {
        return Buffer.from('hello, smuggled');
      }
    }
    const client = await (await startProxy(new App(`127.0.0.1:${origin.port}`))).client();
    client.send(GET);
    expect(bodyOf(await client.until((text) => bodyOf(text).length >= 5))).toBe('hello');
  });

  test('whose length a late filter removed is sent in chunks', async () => {
    const origin = await Origin.start();
    class App extends ToOrigin {
      override responseFilter(_session: Session, response: ResponseHeader): void {
        response.removeHeader('Content-Length');
      }
    }
    const client = await (await startProxy(new App(`127.0.0.1:${origin.port}`))).client();
    client.send(GET);
    const got = await client.until((text) => text.endsWith('0\r\n\r\n'));
    expect(dechunk(bodyOf(got)).body).toBe('hello');
    expect(got).toContain('Connection: keep-alive');
  });
});

describe('a request body', () => {
  /** Sends each piece twice; its length goes. */
  class Twice extends ToPeer {
    override upstreamRequestFilter(_session: Session, request: RequestHeader): void {
      request.removeHeader('Content-Length');
    }
    override async requestBodyFilter(_session: Session, body: Buffer | undefined, end: boolean): Promise<Buffer> {
      const piece = body ?? Buffer.alloc(0);
      return Buffer.concat([piece, piece, Buffer.from(end ? '.' : '')]);
    }
  }

  test('can be replaced by one of another length, which then goes in chunks', async () => {
    const origin = await Origin.start();
    const client = await (await startProxy(new Twice(h1Peer(origin)))).client();
    client.send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc');
    await client.until((text) => text.endsWith('hello'));
    expect(origin.received).not.toContain('Content-Length');
    expect(dechunk(bodyOf(origin.received)).body).toBe('abcabc.');
  });

  test('can be replaced on its way to an HTTP/2 origin', async () => {
    const origin = await h2Origin((stream) => {
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
    });
    const client = await (await startProxy(new Twice(origin.peer()))).client();
    client.send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc');
    expect(dechunk(bodyOf(await client.until((text) => text.endsWith('0\r\n\r\n')))).body).toBe('abcabc.');
  });

  test('that a filter fails on ends the request', async () => {
    const origin = await Origin.start(() => {});
    class App extends ToPeer {
      override requestBodyFilter(): undefined {
        throw new Error('too bad');
      }
    }
    const client = await (await startProxy(new App(h1Peer(origin)))).client();
    client.send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc');
    expect(await client.end()).toMatch(/^HTTP\/1\.1 500 /);
  });

  // Ended with a last chunk, what had come before the fault would be a whole request to the origin.
  test.each([
    ['whose chunks are bad', 'zz\r\nabc\r\n0\r\n\r\n', undefined],
    ['whose chunks go bad', '3\r\nabc0\r\n\r\n', undefined],
    ['that a filter fails on', '3\r\nabc\r\n0\r\n\r\n', new Error('too bad')],
  ])('%s does not end for the origin', async (_, chunks, failure) => {
    const origin = await Origin.start(() => {});
    class App extends ToPeer {
      override requestBodyFilter(_session: Session, body: Buffer | undefined): Buffer | undefined {
        if (failure !== undefined) throw failure;
        return body;
      }
    }
    const client = await (await startProxy(new App(h1Peer(origin)))).client();
    client.send(`POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`);
    await client.end();
    expect(bodyOf(await origin.connections[0]!.end())).toMatch(/^(?:3\r\nabc\r\n)?$/);
  });
});

describe("a response's head", () => {
  // The original begins to read the head anew with each piece of the request's body: what had come of it is gone.
  test('is kept when a piece of the request body comes in the middle of it', async () => {
    const half = 'HTTP/1.1 200 OK\r\nContent-Le';
    const origin = await Origin.start(async (connection) => {
      await connection.until((got) => got.endsWith('12345'));
      connection.send(half);
      await connection.until((got) => got.endsWith('67890'));
      connection.send('ngth: 5\r\n\r\nhello');
    });
    const client = await (await startProxy(new ToOrigin(`127.0.0.1:${origin.port}`))).client();
    client.send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\n12345');
    while (origin.connections[0]?.socket.bytesWritten !== half.length) await setImmediate();
    // all of it is in this process: some turns later the proxy has read the half
    for (let turn = 0; turn < 20; turn++) await setImmediate();
    client.send('67890');
    expect(await client.until((text) => text.includes('\r\n\r\n'))).toMatch(/^HTTP\/1\.1 200 /);
    expect(await client.until((text) => text.endsWith('hello'))).toContain('Content-Length: 5\r\n');
  });
});

describe('an upload may take longer than read_timeout, as long as it goes on', () => {
  test.each(['h1', 'h2'])('when the client is slow (%s origin)', async (kind) => {
    const peer = kind === 'h1' ? h1Peer(await Origin.start()) : (await h2Origin(afterBody)).peer();
    peer.options.readTimeout = 300;
    const client = await (await startProxy(new ToPeer(peer))).client();
    client.send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 8\r\n\r\n');
    for (let piece = 1; piece <= 8; piece++) {
      // the pieces are what takes time here: together more than twice as long as a read may take
      await setTimeout(100);
      client.send(`${piece}`);
    }
    expect(await client.until((text) => text.includes('hello'))).toMatch(/^HTTP\/1\.1 200 /);
  });

  // Uploads that share a connection wait for each other: of some that were going on all ended in 502 together.
  test('when an HTTP/2 origin reads slowly, for the others of the connection too', async () => {
    const SLICE = 32 * 1024;
    const origin = await h2Origin((stream) => {
      let got = 0;
      stream.on('data', (piece: Buffer) => {
        const slices = Math.floor(got / SLICE);
        got += piece.length;
        if (Math.floor(got / SLICE) === slices) return;
        stream.pause();
        later(() => stream.resume(), 50);
      });
      stream.on('end', () => {
        if (stream.destroyed) return;
        stream.respond({ ':status': 200 });
        stream.end(String(got));
      });
    });
    const peer = origin.peer();
    peer.options.readTimeout = 600;
    peer.options.maxH2Streams = 4;
    const client = (await startH2Proxy(new ToPeer(peer))).client();
    // the connection that they share
    await request(client, { ':method': 'POST' }, 'x');
    const answers = Array.from({ length: 4 }, () => request(client, { ':method': 'POST' }, 'x'.repeat(800_000)));
    for (const { status, body } of await Promise.all(answers)) {
      expect([status, body.toString()]).toEqual([200, '800000']);
    }
    expect(origin.sessions).toHaveLength(1);
  });
});

/** `hello`, once the whole body has come. */
function afterBody(stream: ServerHttp2Stream): void {
  stream.on('end', () => {
    if (stream.destroyed) return;
    stream.respond({ ':status': 200 });
    stream.end('hello');
  });
  stream.resume();
}

describe('Expect: 100-continue', () => {
  const HEAD = 'POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n';
  const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

  test('is the origin’s to answer, and the body goes on then', async () => {
    const origin = await Origin.start(async (connection) => {
      await connection.until((got) => got.endsWith('\r\n\r\n'));
      connection.send(CONTINUE);
      await connection.until((got) => got.endsWith('body'));
      connection.send(HELLO);
    });
    const client = await (await startProxy(new ToPeer(h1Peer(origin)))).client();
    client.send(HEAD);
    expect(await client.until((got) => got.endsWith('\r\n\r\n'))).toBe(CONTINUE);
    client.send('body');
    expect(await client.until((got) => got.endsWith('hello'))).toContain('HTTP/1.1 200 OK');
  });

  test.each(['h1', 'h2'])(
    'is over with a final answer (%s origin): the connections end, no body is waited for',
    async (kind) => {
      const refuse = 'HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno';
      const h1 = await Origin.start(async (connection) => {
        await connection.until((got) => got.endsWith('\r\n\r\n'));
        connection.send(refuse);
      });
      const h2 = await h2Origin((stream) => {
        stream.respond({ ':status': 417, 'content-length': 2 });
        stream.end('no');
      });
      let logged = 0;
      class App extends ToPeer {
        override logging(): void {
          logged++;
        }
      }
      const client = await (await startProxy(new App(kind === 'h1' ? h1Peer(h1) : h2.peer()))).client();
      client.send(HEAD);
      const got = await client.end();
      expect(got).toMatch(/^HTTP\/1\.1 417 /);
      expect(got).toContain('Connection: close\r\n');
      expect(bodyOf(got)).toBe('no');
      expect(logged).toBe(1);
      if (kind === 'h1') await h1.connections[0]!.end();
    },
  );

  test('of an HTTP/2 client is passed on and answered', async () => {
    const origin = await Origin.start(async (connection) => {
      await connection.until((got) => got.endsWith('\r\n\r\n'));
      connection.send(CONTINUE);
      await connection.until((got) => got.includes('body'));
      connection.send(HELLO);
    });
    const proxy = await startH2Proxy(new ToPeer(h1Peer(origin)));
    const stream = proxy.client().request({ ':path': '/', ':method': 'POST', expect: '100-continue' });
    await once(stream, 'continue');
    stream.end('body');
    expect(await textOf(stream)).toBe('hello');
  });
});

describe('103 Early Hints', () => {
  const HINTS = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n';
  const hinting = () =>
    Origin.start(async (connection) => {
      await connection.until((got) => got.endsWith('\r\n\r\n'));
      connection.send(HINTS);
      connection.send(HINTS);
      connection.send(HELLO);
    });

  test('come before the answer, as often as they are sent', async () => {
    const client = await (await startProxy(new ToPeer(h1Peer(await hinting())))).client();
    client.send(GET);
    const got = await client.until((text) => text.endsWith('hello'));
    expect(got.split(HINTS)).toHaveLength(3);
    expect(got).toContain('HTTP/1.1 200 OK');
  });

  test('reach an HTTP/2 client', async () => {
    const proxy = await startH2Proxy(new ToPeer(h1Peer(await hinting())));
    const stream = proxy.client().request({ ':path': '/' });
    const hints: IncomingHttpHeaders[] = [];
    stream.on('headers', (fields) => hints.push(fields));
    expect(await textOf(stream)).toBe('hello');
    expect(hints.map((fields) => [fields[':status'], fields.link])).toEqual([
      [103, '</a.css>'],
      [103, '</a.css>'],
    ]);
  });
});

describe('trailers', () => {
  const WITH = (head = '') =>
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${head}\r\n2\r\nab\r\n0\r\nX-Sum: 2\r\nContent-Length: 9\r\n\r\n`;
  const TE = 'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: TE\r\nTE: trailers\r\n\r\n';

  test.each([
    ['that the client asks for', TE, ''],
    ['that the head announces', GET, 'Trailer: X-Sum\r\n'],
  ])('of a response %s are passed on, but not what has to be in a head', async (_, ask, head) => {
    const origin = await Origin.start(answering(() => WITH(head)));
    const client = await (await startProxy(new ToPeer(h1Peer(origin)))).client();
    for (const _ of [1, 2]) {
      client.received = '';
      client.send(ask);
      const got = await client.until((text) => /0\r\n(X-.*\r\n)?\r\n$/.test(text));
      expect(bodyOf(got)).toBe('2\r\nab\r\n0\r\nX-Sum: 2\r\n\r\n');
    }
  });

  test('that nobody asks for are left out', async () => {
    const origin = await Origin.start(answering(() => WITH()));
    const client = await (await startProxy(new ToPeer(h1Peer(origin)))).client();
    client.send(GET);
    expect(bodyOf(await client.until((text) => text.includes('\r\n0\r\n')))).toBe('2\r\nab\r\n0\r\n\r\n');
  });

  test('of an HTTP/1 origin reach an HTTP/2 client, and the application first', async () => {
    const origin = await Origin.start(answering(() => WITH()));
    class App extends ToPeer {
      override responseTrailerFilter(_session: Session, trailers: HMap): undefined {
        trailers.appendUnchecked('x-seen', trailers.get('x-sum') ?? '');
      }
    }
    const proxy = await startH2Proxy(new App(h1Peer(origin)));
    const stream = proxy.client().request({ ':path': '/', te: 'trailers' });
    let trailers: IncomingHttpHeaders = {};
    stream.on('trailers', (fields) => {
      trailers = fields;
    });
    expect(await textOf(stream)).toBe('ab');
    expect(Object.entries(trailers)).toEqual([
      ['x-sum', '2'],
      ['x-seen', '2'],
    ]);
  });

  test('of an HTTP/2 origin reach an HTTP/1 client that asks for them', async () => {
    const origin = await h2Origin((stream) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '2' }));
      stream.end('ab');
    });
    const client = await (await startProxy(new ToPeer(origin.peer()))).client();
    client.send(TE);
    const got = await client.until((text) => /\r\n0\r\n(x-.*\r\n)?\r\n$/.test(text));
    expect(bodyOf(got)).toBe('2\r\nab\r\n0\r\nx-sum: 2\r\n\r\n');
  });

  test.each(['h1', 'h2'])('of a request (%s client) reach an HTTP/1 origin', async (kind) => {
    const origin = await Origin.start(async (connection) => {
      await connection.until((got) => /\r\n0\r\n(x-.*\r\n)?\r\n$/i.test(got));
      connection.send(HELLO);
    });
    const app = new ToPeer(h1Peer(origin));
    if (kind === 'h1') {
      const client = await (await startProxy(app)).client();
      client.send('POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n');
      client.send('2\r\nab\r\n0\r\nX-Sum: 2\r\nHost: other.test\r\n\r\n');
      await client.until((got) => got.endsWith('hello'));
    } else {
      const proxy = await startH2Proxy(app);
      const stream = proxy.client().request({ ':path': '/', ':method': 'POST' }, { waitForTrailers: true } as never);
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '2' }));
      stream.end('ab');
      expect(await textOf(stream)).toBe('hello');
    }
    expect(bodyOf(origin.received).toLowerCase()).toBe('2\r\nab\r\n0\r\nx-sum: 2\r\n\r\n');
  });
});

async function textOf(stream: ClientHttp2Stream): Promise<string> {
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (piece: string) => {
    text += piece;
  });
  await once(stream, 'end');
  return text;
}

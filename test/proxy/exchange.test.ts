/** What an exchange does in the cases that nothing else looks at. */
import { once } from 'node:events';
import { constants } from 'node:http2';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { PingoraError } from '../../src/error/lib.ts';
import type { Session } from '../../src/proxy/lib.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { request } from '../protocols/h2/harness.ts';
import { h2Origin } from '../support/h2-origin.ts';
import { startH2Proxy, ToPeer } from '../support/h2-proxy.ts';
import { captureLog } from '../support/log.ts';
import { answering, HELLO, Origin, requestEnd } from '../support/origin.ts';
import { startProxy } from '../support/proxy.ts';
import type { Peer } from '../support/streams.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';
const h1Peer = (origin: Origin) => HttpPeer.new(`127.0.0.1:${origin.port}`, false, '');

describe('a request to remove what a cache holds is answered 405, without asking the origin', () => {
  class App extends ToPeer {
    override isPurge(): boolean {
      return true;
    }
  }

  test('over HTTP/1, where another request may follow', async () => {
    const origin = await Origin.start();
    const client = await (await startProxy(new App(h1Peer(origin)))).client();
    for (let n = 0; n < 2; n++) {
      client.received = '';
      client.send(GET);
      expect(await client.until((got) => got.includes('\r\n\r\n'))).toMatch(
        /^HTTP\/1\.1 405 (?:.|\s)*Connection: keep-alive/,
      );
    }
    expect(origin.connections).toHaveLength(0);
  });

  test('over HTTP/2', async () => {
    const origin = await Origin.start();
    const client = (await startH2Proxy(new App(h1Peer(origin)))).client();
    for (let n = 0; n < 2; n++) expect((await request(client, {})).status).toBe(405);
    expect(origin.connections).toHaveLength(0);
  });
});

test('there are sixteen tries and no more', async () => {
  captureLog();
  let tries = 0;
  class App extends ToPeer {
    override upstreamPeer(): HttpPeer {
      tries++;
      return super.upstreamPeer();
    }
    override failToConnect(_session: Session, _peer: HttpPeer, _ctx: undefined, error: PingoraError): PingoraError {
      error.setRetry(true);
      return error;
    }
  }
  const client = await (await startProxy(new App(HttpPeer.new('127.0.0.1:1', false, '')))).client();
  client.send(GET);
  expect(await client.until((got) => got.includes('\r\n\r\n'))).toMatch(/^HTTP\/1\.1 502 /);
  expect(tries).toBe(16);
});

test('an origin that wants HTTP/1.1 does not get it where the peer allows HTTP/2 only', async () => {
  captureLog();
  let tries = 0;
  class App extends ToPeer {
    override upstreamPeer(): HttpPeer {
      tries++;
      return super.upstreamPeer();
    }
  }
  const origin = await h2Origin((stream) => stream.close(constants.NGHTTP2_HTTP_1_1_REQUIRED));
  const proxy = await startH2Proxy(new App(origin.peer()));
  expect((await request(proxy.client(), {})).status).toBe(502);
  expect(tries).toBe(1);
});

test('what was kept of a body is sent again when a reused connection breaks', async () => {
  captureLog();
  const bodies: string[] = [];
  const origin = await Origin.start((connection, index) =>
    answering((text, nth) => {
      bodies.push(bodyOf(text));
      if (index > 0 || nth === 0) return HELLO;
      connection.socket.end();
      return undefined;
    })(connection, index),
  );
  const client = await (await startProxy(new ToPeer(h1Peer(origin)))).client();
  client.send(GET);
  await client.until((got) => got.endsWith('hello'));
  client.received = '';
  client.send('PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody');
  expect(await client.until((got) => got.includes('\r\n\r\n'))).toMatch(/^HTTP\/1\.1 200 /);
  expect(bodies).toEqual(['', 'body', 'body']);
});

/** Origins that answer at the head of a request and read its body nevertheless: how to reach them, and the bodies. */
const EARLY: Record<string, (bodies: string[]) => Promise<HttpPeer>> = {
  'HTTP/1': async (bodies) => {
    const origin = await Origin.start(async (connection) => {
      for (let at = 0; ; at = connection.received.length) {
        await connection.until((got) => got.includes('\r\n\r\n', at));
        connection.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
        await connection.until((got) => requestEnd(got.slice(at)) > 0);
        bodies.push(bodyOf(connection.received.slice(at)));
      }
    });
    return h1Peer(origin);
  },
  'HTTP/2': async (bodies) => {
    const origin = await h2Origin((stream) => {
      let body = '';
      stream.respond({ ':status': 200, 'content-length': '2' });
      stream.end('ok');
      stream.on('data', (piece: Buffer) => {
        body += piece.toString();
      });
      stream.on('end', () => bodies.push(body));
    });
    return origin.peer();
  },
};
const bodyOf = (request: string) => request.slice(request.indexOf('\r\n\r\n') + 4);
const ways = Object.keys(EARLY).flatMap((origin) => ['h1', 'h2'].map((client) => [origin, client] as const));

describe.each(ways)('an %s origin that answers whole and goes on reading (%s client)', (origin, kind) => {
  test('gets the rest of the upload, and the next request after it', async () => {
    const bodies: string[] = [];
    const peer = await EARLY[origin]!(bodies);
    const pieces = ['one', 'two', 'end'];
    if (kind === 'h1') {
      const client = await (await startProxy(new ToPeer(peer))).client();
      client.send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\n');
      await client.until((got) => got.endsWith('ok'));
      for (const piece of pieces) {
        client.send(piece);
        for (let turn = 0; turn < 5; turn++) await setImmediate();
      }
      client.send(GET);
      await client.until((got) => got.split('HTTP/1.1 200').length === 3 && got.endsWith('ok'));
    } else {
      const client = (await startH2Proxy(new ToPeer(peer))).client();
      const stream = client.request({ ':method': 'POST', 'content-length': '9' });
      stream.resume();
      await once(stream, 'response');
      for (const piece of pieces) {
        stream.write(piece);
        for (let turn = 0; turn < 5; turn++) await setImmediate();
      }
      stream.end();
      await once(stream, 'close');
      expect((await request(client, {})).status).toBe(200);
    }
    while (bodies.length < 2) await setImmediate();
    expect(bodies).toEqual(['onetwoend', '']);
  });
});

test.each(['h1', 'h2'])('nothing is sent to an origin (%s) before connected_to_upstream has ended', async (kind) => {
  let connected = () => {};
  const told = new Promise<void>((resolve) => (connected = resolve));
  let go = () => {};
  const may = new Promise<void>((resolve) => (go = resolve));
  class App extends ToPeer {
    override async connectedToUpstream(): Promise<void> {
      connected();
      await may;
    }
  }
  const h1 = await Origin.start();
  const h2 = await h2Origin();
  const client = await (await startProxy(new App(kind === 'h1' ? h1Peer(h1) : h2.peer()))).client();
  client.send(GET);
  await told;
  for (let turn = 0; turn < 50; turn++) await setImmediate();
  expect([h1.received, h2.requests.length]).toEqual(['', 0]);
  go();
  expect(await client.until((got) => got.includes('\r\n\r\n'))).toMatch(/^HTTP\/1\.1 200 /);
});

describe('what logging is told of bytes', () => {
  class Counting extends ToPeer {
    logged!: Promise<[read: number, sent: number]>;
    #tell!: (counts: [number, number]) => void;
    override newCtx(): undefined {
      this.logged = new Promise((resolve) => (this.#tell = resolve));
    }
    override logging(session: Session): void {
      this.#tell([session.bodyBytesRead(), session.bodyBytesSent()]);
    }
  }

  test.each(['h1', 'h2'])('of a request over HTTP/2 to an origin of %s', async (kind) => {
    const app = new Counting(kind === 'h1' ? h1Peer(await Origin.start()) : (await h2Origin()).peer());
    await request((await startH2Proxy(app)).client(), { ':method': 'POST' }, 'four');
    expect(await app.logged).toEqual([4, 5]);
  });

  const upgrade = async (request: string, answer: (connection: Peer) => void) => {
    const origin = await Origin.start(async (connection) => {
      await connection.until((got) => requestEnd(got) > 0);
      answer(connection);
      await connection.until((got) => got.endsWith('nine byte'));
      connection.socket.end();
    });
    const app = new Counting(h1Peer(origin));
    const client = await (await startProxy(app)).client();
    client.send(`POST / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n${request}`);
    await client.until((got) => got.includes('\r\n\r\n'));
    origin.connections[0]!.send('seven b');
    await client.until((got) => got.endsWith('seven b'));
    client.send('nine byte');
    await client.end();
    return app.logged;
  };
  const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n';

  test('of an upgraded connection', async () => {
    expect(await upgrade('\r\n', (connection) => connection.send(SWITCH))).toEqual([9, 7]);
  });

  test('of an upgraded connection whose first bytes come with the 101', async () => {
    expect(await upgrade('\r\n', (connection) => connection.send(`${SWITCH}three`))).toEqual([9, 12]);
  });

  test('of an upgraded connection whose request had a body', async () => {
    const request = 'Content-Length: 4\r\n\r\nbody';
    expect(await upgrade(request, (connection) => connection.send(SWITCH))).toEqual([13, 7]);
  });
});

describe('a head a little over the limit is refused though it comes at once', () => {
  /** A head of `size` bytes that begins so. */
  const head = (begin: string, size: number) => {
    const lines = Math.floor((size - begin.length - 100) / 8000);
    const text = begin + `X: ${'y'.repeat(7995)}\r\n`.repeat(lines);
    const whole = `${text}Z: ${'z'.repeat(size - text.length - 7)}\r\n\r\n`;
    expect(whole).toHaveLength(size);
    return whole;
  };
  const LIMIT = 1_048_575;

  test('of a request', async () => {
    captureLog();
    const origin = await Origin.start();
    const client = await (await startProxy(new ToPeer(h1Peer(origin)))).client();
    client.send(head('GET / HTTP/1.1\r\nHost: a.test\r\n', LIMIT + 1));
    expect(await client.until((got) => got.includes('\r\n\r\n'))).toMatch(/^HTTP\/1\.1 431 /);
    expect(origin.connections).toHaveLength(0);
  });

  test.each(['h1', 'h2'])('of a response (%s client)', async (kind) => {
    captureLog();
    const origin = await Origin.start(answering(() => head('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n', LIMIT + 1)));
    const app = new ToPeer(h1Peer(origin));
    if (kind === 'h1') {
      const client = await (await startProxy(app)).client();
      client.send(GET);
      expect(await client.until((got) => got.includes('\r\n\r\n'))).toMatch(/^HTTP\/1\.1 502 /);
    } else expect((await request((await startH2Proxy(app)).client(), {})).status).toBe(502);
  });
});

/**
 * Answers that come before the request's body has: what is said of the client's connection is what happens to it (RFC 9112
 * 9.6).
 */
import { once } from 'node:events';
import { constants, type ServerHttp2Stream } from 'node:http2';
import { describe, expect, test, vi } from 'vitest';
import { armedTimers } from '../../src/timeout/lib.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { answer, deferred, request } from '../protocols/h2/harness.ts';
import { fakeClock } from '../support/clock.ts';
import { h2Origin } from '../support/h2-origin.ts';
import { startH2Proxy, ToPeer } from '../support/h2-proxy.ts';
import { captureLog } from '../support/log.ts';
import { HELLO, Origin, requestEnd } from '../support/origin.ts';
import { startProxy } from '../support/proxy.ts';
import { type Peer, turn } from '../support/streams.ts';

/** What an origin does with an upload, once it has its head. */
interface Way {
  h1(connection: Peer): void;
  h2(stream: ServerHttp2Stream): void;
}

const TOO_LARGE = 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n';

/** It refuses the upload and takes no more of it. */
const REFUSES: Way = {
  h1(connection) {
    connection.send(`${TOO_LARGE}Connection: close\r\n\r\nno`);
    connection.socket.destroySoon();
  },
  h2(stream) {
    stream.respond({ ':status': 413, 'content-length': 2 });
    stream.end('no');
    stream.close(constants.NGHTTP2_NO_ERROR);
  },
};

/** It refuses the upload, and neither reads nor closes. */
const STALLS: Way = {
  h1(connection) {
    connection.socket.pause();
    connection.send(`${TOO_LARGE}\r\nno`);
  },
  h2(stream) {
    stream.respond({ ':status': 413, 'content-length': 2 });
    stream.end('no');
  },
};

/** It answers `status` and takes the rest. */
const reads = (status: number): Way => ({
  h1(connection) {
    connection.send(`HTTP/1.1 ${status} Whatever\r\nContent-Length: 2\r\n\r\nno`);
  },
  h2(stream) {
    stream.respond({ ':status': status, 'content-length': 2 });
    stream.end('no');
    stream.resume();
  },
});

/** An origin that does so with POST, and answers `hello` to anything else. */
const ORIGINS: Record<string, (way: Way) => Promise<HttpPeer>> = {
  'an HTTP/1 origin': async (way) => {
    const origin = await Origin.start((connection) => {
      let at = 0;
      let answered = false;
      connection.socket.on('data', () => {
        for (;;) {
          const text = connection.received.slice(at);
          if (text.startsWith('POST') && text.includes('\r\n\r\n') && !answered) {
            answered = true;
            way.h1(connection);
          }
          const end = requestEnd(text);
          if (end < 0) return;
          at += end;
          if (text.startsWith('GET')) connection.send(HELLO);
        }
      });
      connection.socket.on('end', () => connection.socket.end());
    });
    return HttpPeer.new(`127.0.0.1:${origin.port}`, false, '');
  },
  'an HTTP/2 origin': async (way) => {
    const origin = await h2Origin((stream, { ':method': method }) => {
      if (method === 'POST') way.h2(stream);
      else {
        stream.respond({ ':status': 200, 'content-length': 5 });
        stream.end('hello');
      }
    });
    return origin.peer();
  },
};

const post = (framing: string) => `POST / HTTP/1.1\r\nHost: a.test\r\n${framing}\r\n\r\n`;
const GET = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';
const LARGE = 1_000_000;

/** The client's connection goes on: it is answered another request. */
async function goesOn(client: Peer): Promise<void> {
  client.received = '';
  client.send(GET);
  expect(await client.until((got) => got.endsWith('hello'))).toMatch(/^HTTP\/1\.1 200 /);
}

describe.each(Object.keys(ORIGINS))('an HTTP/1 client that %s answers', (origin) => {
  const start = async (way: Way) => {
    captureLog('silent');
    return (await startProxy(new ToPeer(await ORIGINS[origin]!(way)))).client();
  };

  test.each([
    ['a long body', `Content-Length: ${LARGE}`],
    ['a body of unknown length', 'Transfer-Encoding: chunked'],
  ])('with an error before %s has come is told that its connection closes', async (_, framing) => {
    const client = await start(REFUSES);
    client.send(post(framing));
    expect(await client.end()).toMatch(/^HTTP\/1\.1 413 .*\r\nConnection: close\r\n.*no$/s);
  });

  test.each([
    ['takes no more of it', STALLS],
    ['would take it', reads(413)],
  ])('with an error, and that sends no more then, is let go, though the origin %s', async (_, way) => {
    const client = await start(way);
    client.send(post(`Content-Length: ${LARGE}`));
    client.send(Buffer.alloc(LARGE / 100));
    expect(await client.end()).toMatch(/^HTTP\/1\.1 413 .*\r\nConnection: close\r\n.*no$/s);
  });

  test('with an error, and that sends all the same, is answered when the origin takes it', async () => {
    const client = await start(reads(413));
    client.send(post(`Content-Length: ${LARGE}`));
    const errors: Error[] = [];
    client.socket.on('error', (error) => errors.push(error));
    client.socket.pause();
    for (let sent = 0; sent < LARGE; sent += LARGE / 5) {
      client.send(Buffer.alloc(LARGE / 5));
      // it takes longer than a body may rest
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    client.socket.resume();
    expect(await client.end()).toMatch(/^HTTP\/1\.1 413 .*\r\nConnection: close\r\n.*no$/s);
    expect(errors).toEqual([]);
  });

  test('with an error before a short body has come may go on, if the origin takes no more of it', async () => {
    const client = await start(REFUSES);
    client.send(post('Content-Length: 8'));
    const got = await client.until((text) => text.endsWith('no'));
    expect(got).toMatch(/^HTTP\/1\.1 413 .*\r\nConnection: keep-alive\r\n/s);
    client.send('12345678');
    await goesOn(client);
  });

  test('may go on, if the origin takes the rest', async () => {
    const client = await start(reads(403));
    client.send(post('Content-Length: 8'));
    const got = await client.until((text) => text.endsWith('no'));
    expect(got).toMatch(/^HTTP\/1\.1 403 .*\r\nConnection: keep-alive\r\n/s);
    client.send('12345678');
    await goesOn(client);
  });

  test('well before a long body has come may go on with it, and then with its connection', async () => {
    const client = await start(reads(200));
    client.send(post(`Content-Length: ${LARGE}`));
    const got = await client.until((text) => text.endsWith('no'));
    expect(got).toMatch(/^HTTP\/1\.1 200 .*\r\nConnection: keep-alive\r\n/s);
    client.send(Buffer.alloc(LARGE));
    await goesOn(client);
  });

  test('is not waited for without end, if the rest of a short body does not come', async () => {
    const client = await start(REFUSES);
    client.send(post('Content-Length: 8'));
    expect(await client.end()).toMatch(/^HTTP\/1\.1 413 .*no$/s);
  });
});

/** Says when a request is over. */
class Told extends ToPeer {
  readonly over = deferred<void>();

  override logging(): void {
    this.over.resolve();
  }
}

test('a client that leaves after an early error leaves no timer', async () => {
  captureLog('silent');
  // no timer ends by itself
  fakeClock();
  const app = new Told(await ORIGINS['an HTTP/1 origin']!(reads(413)));
  const client = await (await startProxy(app)).client();
  const before = armedTimers();
  client.send(post(`Content-Length: ${LARGE}`));
  await client.until((text) => text.endsWith('no'));
  client.socket.resetAndDestroy();
  await app.over.promise;
  for (let n = 0; n < 20; n++) await turn();
  const after = armedTimers();
  vi.useRealTimers();
  expect(after).toBe(before);
});

describe.each(Object.keys(ORIGINS))('an HTTP/2 client that %s answers', (origin) => {
  test.each([
    ['and takes no more', REFUSES],
    ['and takes the rest', reads(413)],
  ])('before its body has come %s gets all of it, and its connection goes on', async (_, way) => {
    captureLog('silent');
    const client = (await startH2Proxy(new ToPeer(await ORIGINS[origin]!(way)))).client();
    const stream = client.request({ ':method': 'POST' });
    stream.on('error', () => {});
    stream.write(Buffer.alloc(1000));
    const ended = answer(stream);
    await once(stream, 'response');
    stream.end();
    const got = await ended;
    expect([got.status, got.body.toString(), got.rstCode]).toEqual([413, 'no', constants.NGHTTP2_NO_ERROR]);
    expect((await request(client, {})).status).toBe(200);
  });
});

/** What belongs to one connection and goes no further, and what a head without a body may say: RFC 9110 7.6.1, 7.8, 8.6. */
import { connect } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { RequestHeader } from '../../src/http/lib.ts';
import type { Session } from '../../src/proxy/lib.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { GET, headers } from '../h2/raw.ts';
import { PREFACE, request } from '../protocols/h2/harness.ts';
import { h2Origin } from '../support/h2-origin.ts';
import { startH2Proxy, ToPeer } from '../support/h2-proxy.ts';
import { answering, HELLO, Origin } from '../support/origin.ts';
import { startProxy } from '../support/proxy.ts';
import { Peer } from '../support/streams.ts';

const h1Peer = (origin: Origin) => HttpPeer.new(`127.0.0.1:${origin.port}`, false, '');

/** Send `fields` to an HTTP/1 origin that answers `answer`. Returns what the origin and the client have got. */
async function through(fields: string, answer = HELLO): Promise<{ asked: string; got: string }> {
  const origin = await Origin.start(answering(() => answer));
  const client = await (await startProxy(new ToPeer(h1Peer(origin)))).client();
  client.send(`GET / HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`);
  const got = await client.until((text) => text.includes('\r\n\r\n'));
  return { asked: origin.received, got };
}

const PLAIN = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';

describe('an HTTP/1 request', () => {
  test.each([
    ['TE that Connection names', 'Connection: TE\r\nTE: trailers\r\n'],
    ['TE that Connection does not name', 'TE: trailers, deflate\r\n'],
    // the requests that follow would reach the origin past every filter
    [
      'an upgrade to HTTP/2',
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n',
    ],
    [
      'an upgrade to HTTP/2 whose settings Connection does not name',
      'Connection: Upgrade\r\nUpgrade: H2C\r\nHTTP2-Settings: AA\r\n',
    ],
  ])('leaves out %s', async (_, fields) => {
    expect((await through(fields)).asked).toBe(PLAIN);
  });

  test('asks for another protocol only, where HTTP/2 is one of two', async () => {
    const { asked } = await through('Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n');
    expect(asked).toMatch(/\r\nUpgrade: websocket\r\n/);
    expect(asked).toMatch(/\r\nConnection: Upgrade\r\n/);
  });

  test('gets no tunnel for HTTP/2, whatever the origin says', async () => {
    const switches = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n';
    const { got } = await through('Upgrade: h2c\r\nConnection: Upgrade\r\n', switches);
    expect(got).toMatch(/^HTTP\/1\.1 502 /);
  });

  test('leaves them out on its way to an HTTP/2 origin too', async () => {
    const origin = await h2Origin();
    const client = await (await startProxy(new ToPeer(origin.peer()))).client();
    client.send('GET / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n');
    await client.until((text) => text.endsWith('0\r\n\r\n'));
    const [seen] = origin.requests;
    expect([seen!.te, seen!.upgrade, seen!['http2-settings']]).toEqual([undefined, undefined, undefined]);
  });
});

describe('HTTP2-Settings has no place in HTTP/2', () => {
  test('for an HTTP/2 origin, though the application adds it', async () => {
    class App extends ToPeer {
      override upstreamRequestFilter(_session: Session, upstreamRequest: RequestHeader): void {
        upstreamRequest.insertHeader('HTTP2-Settings', 'AA');
        upstreamRequest.insertHeader('X-Settings', 'AA');
      }
    }
    const origin = await h2Origin();
    const client = await (await startProxy(new App(origin.peer()))).client();
    client.send(PLAIN);
    await client.until((text) => text.endsWith('0\r\n\r\n'));
    const [seen] = origin.requests;
    expect([seen!['x-settings'], seen!['http2-settings']]).toEqual(['AA', undefined]);
  });

  test('for an HTTP/2 client, though the origin sends it', async () => {
    const answer = HELLO.replace('\r\n\r\n', '\r\nHTTP2-Settings: AA\r\nX-Settings: AA\r\n\r\n');
    const origin = await Origin.start(answering(() => answer));
    const { headers } = await request((await startH2Proxy(new ToPeer(h1Peer(origin)))).client(), {});
    expect([headers['x-settings'], headers['http2-settings']]).toEqual(['AA', undefined]);
  });
});

test('TE of an HTTP/2 client goes no further to an HTTP/1 origin, and on to an HTTP/2 one', async () => {
  const h1 = await Origin.start();
  await request((await startH2Proxy(new ToPeer(h1Peer(h1)))).client(), { te: 'trailers' });
  expect(h1.received.toLowerCase()).not.toContain('\r\nte:');
  const h2 = await h2Origin();
  await request((await startH2Proxy(new ToPeer(h2.peer()))).client(), { te: 'trailers' });
  expect(h2.requests[0]!.te).toBe('trailers');
});

// Node's own client refuses to send it
test.each(['h1', 'h2'])('HTTP2-Settings of an HTTP/2 client goes no further (%s origin)', async (kind) => {
  const h1 = await Origin.start();
  const h2 = await h2Origin();
  const { port } = await startH2Proxy(new ToPeer(kind === 'h1' ? h1Peer(h1) : h2.peer()));
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] });
  const client = new Peer(socket);
  onTestFinished(() => {
    socket.destroy();
  });
  const fields = [...GET, ['http2-settings', 'AAMAAABkAAQAAP__'], ['x-a', '1']] as const;
  client.send(Buffer.concat([PREFACE, headers(1, fields)]));
  const asked = () => (kind === 'h1' ? h1.received.includes('\r\n\r\n') : h2.requests.length > 0);
  await client.until(asked);
  if (kind === 'h2') expect([h2.requests[0]!['x-a'], h2.requests[0]!['http2-settings']]).toEqual(['1', undefined]);
  else expect(h1.received.toLowerCase()).toBe('get / http/1.1\r\nx-a: 1\r\nhost: a.test\r\n\r\n');
});

test.each(['h1', 'h2'])('HTTP2-Settings among the trailers of a request (%s origin) goes no further', async (kind) => {
  const h1 = await Origin.start(async (connection) => {
    await connection.until((got) => /\r\n0\r\n(.+\r\n)*\r\n$/.test(got));
    connection.send(HELLO);
  });
  let trailers: unknown;
  const h2 = await h2Origin((stream) => {
    stream.on('trailers', (fields) => {
      trailers = [fields['x-sum'], fields['http2-settings']];
    });
    stream.on('end', () => stream.respond({ ':status': 200 }, { endStream: true }));
    stream.resume();
  });
  const client = await (await startProxy(new ToPeer(kind === 'h1' ? h1Peer(h1) : h2.peer()))).client();
  client.send('POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n');
  client.send('2\r\nab\r\n0\r\nX-Sum: 2\r\nHTTP2-Settings: AA\r\n\r\n');
  expect(await client.until((got) => got.includes('\r\n\r\n'))).toMatch(/^HTTP\/1\.1 200 /);
  if (kind === 'h2') expect(trailers).toEqual(['2', undefined]);
  else expect(h1.received).toMatch(/\r\n0\r\nX-Sum: 2\r\n\r\n$/);
});

describe('204', () => {
  test.each([
    ['Content-Length', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n'],
    ['Transfer-Encoding', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ])('of an HTTP/1 origin loses its %s, for clients of either version', async (_, answer) => {
    const { got } = await through('', answer);
    expect(got).toMatch(/^HTTP\/1\.1 204 /);
    expect(got).not.toMatch(/content-length|transfer-encoding/i);
    const origin = await Origin.start(answering(() => answer));
    const over = await request((await startH2Proxy(new ToPeer(h1Peer(origin)))).client(), {});
    expect([over.status, over.headers['content-length']]).toEqual([204, undefined]);
  });

  test('of an HTTP/2 origin loses its Content-Length', async () => {
    const origin = await h2Origin((stream) =>
      stream.respond({ ':status': 204, 'content-length': '0' }, { endStream: true }),
    );
    const client = await (await startProxy(new ToPeer(origin.peer()))).client();
    client.send(PLAIN);
    const got = await client.until((text) => text.includes('\r\n\r\n'));
    expect(got).toMatch(/^HTTP\/1\.1 204 /);
    expect(got).not.toMatch(/content-length|transfer-encoding/i);
  });
});

test('205 of an HTTP/1 origin reaches an HTTP/2 client without the length of the body that it loses', async () => {
  const origin = await Origin.start(answering(() => 'HTTP/1.1 205 Reset Content\r\nContent-Length: 2\r\n\r\nok'));
  const over = await request((await startH2Proxy(new ToPeer(h1Peer(origin)))).client(), {});
  expect([over.status, over.headers['content-length']]).toEqual([205, undefined]);
});

test('what an informational response says of the origin’s connection goes no further', async () => {
  const hints = 'HTTP/1.1 103 Early Hints\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nLink: </a.css>\r\n\r\n';
  const origin = await Origin.start(answering(() => `${hints}${HELLO}`));
  const client = await (await startProxy(new ToPeer(h1Peer(origin)))).client();
  client.send(PLAIN);
  const got = await client.until((text) => text.endsWith('hello'));
  expect(got).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
});

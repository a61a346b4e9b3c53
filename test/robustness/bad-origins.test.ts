/** What origins do that they shouldn't, seen by clients of either version of HTTP. */
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { answering, HELLO, Origin } from '../support/origin.ts';
import type { Peer } from '../support/streams.ts';
import { Victim } from './harness.ts';

let victim: Victim;

beforeAll(async () => {
  victim = await Victim.start();
});

// registered first, so that it is called last, when the test's own connections are closed
beforeEach(() => onTestFinished(() => victim.isWell()));

afterAll(() => victim.stop());

const asked = (connection: Peer) => connection.until((got) => got.includes('\r\n\r\n'));

/** Do it once a request has come. */
const asks = (then: (connection: Peer) => unknown) => async (connection: Peer) => {
  await asked(connection);
  then(connection);
};

/** What the origin does with a connection, and what the client gets. `whole`: whether the answer comes to its end. */
const ORIGINS: [string, (connection: Peer) => unknown, { status: number; whole: boolean; body?: string }][] = [
  ['closes without an answer', asks((c) => c.socket.end()), { status: 502, whole: true }],
  ['closes at once', (c) => c.socket.end(), { status: 502, whole: true }],
  ['resets without an answer', asks((c) => c.reset()), { status: 502, whole: true }],
  ['resets at once', (c) => c.reset(), { status: 502, whole: true }],
  ['closes in its head', asks((c) => c.socket.end('HTTP/1.1 200 OK\r\nConte')), { status: 502, whole: true }],
  ['sends noise', asks((c) => c.send(Buffer.alloc(5000, 0xf7))), { status: 502, whole: true }],
  ['speaks another protocol', (c) => c.send('220 mail.test ESMTP\r\n'), { status: 502, whole: true }],
  ['begins TLS', (c) => c.send(Buffer.from('1603010200', 'hex')), { status: 502, whole: true }],
  [
    'sends two lengths',
    asks((c) => c.send('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 5\r\n\r\nhello')),
    { status: 502, whole: true },
  ],
  [
    'switches to what nobody asked for',
    asks((c) => c.send('HTTP/1.1 101 Switching Protocols\r\n\r\nhello')),
    { status: 502, whole: true },
  ],
  [
    'sends a head of more than a megabyte',
    asks((c) => c.send(`HTTP/1.1 200 OK\r\n${`X: ${'y'.repeat(8000)}\r\n`.repeat(200)}`)),
    { status: 502, whole: true },
  ],
  [
    'closes in its body',
    asks((c) => c.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')),
    { status: 200, whole: false, body: 'hello' },
  ],
  [
    'closes in its chunks',
    asks((c) => c.socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')),
    { status: 200, whole: false, body: 'hello' },
  ],
  [
    'sends a chunk that is none',
    asks((c) => c.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0x5\r\n')),
    { status: 200, whole: false, body: 'hello' },
  ],
  [
    'sends more than it announced',
    asks((c) => c.send(`${HELLO}${HELLO}`)),
    { status: 200, whole: true, body: 'hello' },
  ],
];

describe.each(ORIGINS)('an origin that %s', (_how, serve, expected) => {
  it.each([0, 1, 2])('is no more than one answer to a client, way %i', async (index) => {
    const way = victim.ways()[index]!;
    const origin = await Origin.start(serve);
    const answer = await way.send(`/${origin.port}`);
    expect(answer).toMatchObject({ ...expected, body: expected.body ?? '' });
  });
});

describe.each([0, 1, 2])('a client, way %i', (index) => {
  const way = () => victim.ways()[index]!;

  it('gets 502 from an origin that never answers, when its time is up', async () => {
    const origin = await Origin.start(answering(() => undefined));
    expect(await way().send(`/${origin.port}`, { headers: { 'x-read-timeout': '50' } })).toMatchObject({
      status: 502,
      whole: true,
    });
    await origin.connections[0]!.end();
  });

  it('gets a broken answer from an origin that stops in its body, when its time is up', async () => {
    const origin = await Origin.start(
      answering(() => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'),
    );
    expect(await way().send(`/${origin.port}`, { headers: { 'x-read-timeout': '50' } })).toMatchObject({
      status: 200,
      whole: false,
      body: 'hello',
    });
    await origin.connections[0]!.end();
  });

  it('gets an answer that came before its body was read', async () => {
    const origin = await Origin.start(async (connection) => {
      await asked(connection);
      connection.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge');
    });
    const answer = await way().send(`/${origin.port}`, {
      body: 'x'.repeat(500_000),
      headers: { 'content-length': '500000' },
    });
    expect(answer).toMatchObject({ status: 413, body: 'large' });
  });

  it('never gets the rest of somebody else’s answer', async () => {
    const origin = await Origin.start(
      answering((request) => {
        const name = /\/\d+(\w+)/.exec(request)![1]!;
        return `HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${name}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`;
      }),
    );
    for (const name of ['a', 'b', 'c', 'd']) {
      expect(await way().send(`/${origin.port}${name}`)).toMatchObject({ status: 200, body: name });
    }
  });
});

/** What a client refuses of a server. */
import { describe, expect, test } from 'vitest';
import type { ClientConnection } from '../../src/h2/client.ts';
import { Reason, reasonName } from '../../src/h2/reason.ts';
import { client, frame, headers, literals, u32, verdict } from './raw.ts';

const REQUEST = { method: 'GET', scheme: 'https', authority: 'a.test', path: '/', names: [], values: [] };

function get(connection: ClientConnection) {
  return connection.request(REQUEST, true);
}

const OK: [string, string][] = [[':status', '200']];

describe('a client refuses', () => {
  test.each<[what: string, bytes: Buffer[], level: string, reason: number]>([
    ['PUSH_PROMISE', [frame(5, 4, 1, Buffer.concat([u32(2), literals(OK)]))], 'connection', Reason.PROTOCOL_ERROR],
    ['ENABLE_PUSH of a server', [frame(4, 0, 0, '000200000001')], 'connection', Reason.PROTOCOL_ERROR],
    ['HEADERS on a stream that it has not opened', [headers(3, OK)], 'connection', Reason.PROTOCOL_ERROR],
    ['HEADERS on an even stream', [headers(2, OK)], 'connection', Reason.PROTOCOL_ERROR],
    ['DATA before HEADERS', [frame(0, 1, 1, 'aa')], 'stream', Reason.PROTOCOL_ERROR],
    ['a response without :status', [headers(1, [['x-a', '1']])], 'stream', Reason.PROTOCOL_ERROR],
    ['a status that is none', [headers(1, [[':status', '2000']])], 'stream', Reason.PROTOCOL_ERROR],
    ['101', [headers(1, [[':status', '101']], false)], 'stream', Reason.PROTOCOL_ERROR],
    ['103 that ends the stream', [headers(1, [[':status', '103']])], 'stream', Reason.PROTOCOL_ERROR],
    [
      '103 without an end of them',
      Array.from({ length: 65 }, () => headers(1, [[':status', '103']], false)),
      'stream',
      Reason.ENHANCE_YOUR_CALM,
    ],
    [':path in a response', [headers(1, [...OK, [':path', '/']])], 'stream', Reason.PROTOCOL_ERROR],
    ['a value with CR and LF', [headers(1, [...OK, ['x-a', 'a\r\nb: c']])], 'stream', Reason.PROTOCOL_ERROR],
    ['transfer-encoding', [headers(1, [...OK, ['transfer-encoding', 'chunked']])], 'stream', Reason.PROTOCOL_ERROR],
    [
      'a body longer than its length',
      [headers(1, [...OK, ['content-length', '1']], false), frame(0, 1, 1, 'aaaa')],
      'stream',
      Reason.PROTOCOL_ERROR,
    ],
    [
      'a body shorter than its length',
      [headers(1, [...OK, ['content-length', '3']], false), frame(0, 1, 1, 'aaaa')],
      'stream',
      Reason.PROTOCOL_ERROR,
    ],
    [
      'a body of 204',
      [headers(1, [[':status', '204']], false), frame(0, 1, 1, 'aaaa')],
      'stream',
      Reason.PROTOCOL_ERROR,
    ],
    [
      'a head that is too large',
      [headers(1, [...OK, ...Array.from({ length: 300 }, (_, n): [string, string] => [`x-${n}`, ''])])],
      'stream',
      Reason.ENHANCE_YOUR_CALM,
    ],
  ])('%s', async (_what, bytes, level, reason) => {
    const { connection, out } = await client();
    const stream = get(connection);
    await out.frames();
    connection.receive(Buffer.concat(bytes));
    const found = verdict(await out.frames());
    expect([found?.level, found && reasonName(found.reason)]).toEqual([level, reasonName(reason)]);
    // whatever came before it may have been good
    const read = () => {
      while (typeof stream.pollHead() === 'object') {
        // the next one
      }
    };
    expect(read).toThrow(expect.objectContaining({ reason }));
  });
});

describe('a client', () => {
  test('takes a response to HEAD with a length, and fields that repeat in their order', async () => {
    const { connection } = await client();
    const stream = connection.request({ ...REQUEST, method: 'HEAD' }, true);
    connection.receive(
      headers(1, [...OK, ['content-length', '5'], ['set-cookie', 'a'], ['x-a', '1'], ['set-cookie', 'b']]),
    );
    expect(stream.pollHead()).toMatchObject({
      names: ['content-length', 'set-cookie', 'set-cookie', 'x-a'],
      values: ['5', 'a', 'b', '1'],
    });
    expect(stream.pollData()).toBeUndefined();
  });

  test('drops a stream that it gave up and reads on what was on its way', async () => {
    const { connection, out } = await client();
    const stream = get(connection);
    stream.release();
    expect(verdict(await out.frames())).toEqual({ level: 'stream', reason: Reason.CANCEL, stream: 1 });
    connection.receive(Buffer.concat([headers(1, OK, false), frame(0, 1, 1, Buffer.alloc(1000))]));
    expect(connection.closed).toBe(false);
    expect(connection.openStreams).toBe(0);
  });

  test('gives the connection its window back for data that nobody reads', async () => {
    const { connection, out } = await client();
    for (let n = 0; n < 20; n++) {
      const stream = get(connection);
      connection.receive(Buffer.concat([headers(stream.id, OK, false), frame(0, 0, stream.id, Buffer.alloc(16_000))]));
      stream.release();
    }
    const updates = (await out.frames()).filter((one) => one.type === 8 && one.stream === 0);
    expect(updates.length).toBeGreaterThan(4);
    expect(connection.closed).toBe(false);
  });

  test('writes what a turn has made in one write', async () => {
    const { connection, out } = await client();
    out.writes = 0;
    for (let n = 0; n < 16; n++) get(connection);
    expect(await out.frames()).toHaveLength(16);
    expect(out.writes).toBe(1);
  });

  test('says after GOAWAY which streams were not processed', async () => {
    const { connection } = await client();
    const [first, second] = [get(connection), get(connection)];
    connection.receive(frame(7, 0, 0, Buffer.concat([u32(1), u32(0)])));
    expect([first.isUnprocessed, second.isUnprocessed]).toEqual([false, true]);
    expect(connection.closed).toBe(false);
    connection.receive(headers(1, OK));
    expect(first.pollHead()).toMatchObject({ status: 200 });
    expect(connection.closed).toBe(true);
  });
});

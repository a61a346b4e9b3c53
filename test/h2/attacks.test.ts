/** Attacks on HTTP/2, each told first, and where it ends. */
import { describe, expect, test, vi } from 'vitest';
import { PREFACE } from '../../src/h2/frame.ts';
import { DEFAULT_LIMITS } from '../../src/h2/limits.ts';
import { Reason, reasonName } from '../../src/h2/reason.ts';
import type { ServerConnection } from '../../src/h2/server.ts';
import type { Stream } from '../../src/h2/stream.ts';
import { fakeClock } from '../support/clock.ts';
import {
  client,
  frame,
  fresh,
  GET,
  headers,
  literals,
  POST,
  type Served,
  served,
  settings,
  u32,
  verdict,
} from './raw.ts';

/** How often `bytes` can be sent before the connection ends, and how it ends. */
async function until(made: Served, most: number, bytes: (n: number) => Buffer): Promise<[count: number, why: string]> {
  const { connection, out } = made;
  let count = 0;
  while (!connection.closed && count < most) {
    connection.receive(bytes(count++));
    accept(connection);
    if (count % 1000 === 0) {
      await new Promise((resolve) => setImmediate(resolve));
      if (!connection.closed) out.bytes = Buffer.alloc(0);
    }
  }
  const found = verdict((await out.frames()).filter((one) => one.type === 7));
  return [count, found === null ? 'open' : reasonName(found.reason)];
}

/** As an application that works on a stream for ever. */
function accept(connection: ServerConnection): Stream | null {
  const stream = connection.closed ? undefined : connection.pollAccept();
  return typeof stream === 'object' ? stream : null;
}

describe('floods', () => {
  test('rapid reset (CVE-2023-44487): streams opened and reset at once', async () => {
    const made = await served();
    const [count, why] = await until(made, 5000, (n) =>
      Buffer.concat([headers(2 * n + 1, GET), frame(3, 0, 2 * n + 1, u32(8))]),
    );
    expect(why).toBe('ENHANCE_YOUR_CALM');
    expect(count).toBeLessThan(DEFAULT_LIMITS.resets.atOnce + 100);
  });

  test('rapid reset leaves no more work than twice the streams that are allowed', async () => {
    const { connection, out } = await served({ limits: { maxConcurrentStreams: 10 } });
    const accepted: Stream[] = [];
    for (let n = 0; n < 100; n++) {
      connection.receive(Buffer.concat([headers(2 * n + 1, GET), frame(3, 0, 2 * n + 1, u32(8))]));
      const stream = accept(connection);
      if (stream !== null) accepted.push(stream);
    }
    expect(accepted).toHaveLength(20);
    expect(verdict(await out.frames())).toMatchObject({ level: 'stream', reason: Reason.REFUSED_STREAM });
    // once the application has noticed, others have their turn
    for (const stream of accepted) stream.release();
    connection.receive(headers(201, GET));
    expect(accept(connection)).toMatchObject({ id: 201 });
  });

  test('MadeYouReset (CVE-2025-8671): the server is made to reset, by frames that break a rule of the stream', async () => {
    const made = await served();
    const [count, why] = await until(made, 5000, (n) =>
      Buffer.concat([headers(2 * n + 1, GET), frame(8, 0, 2 * n + 1, u32(0))]),
    );
    expect(why).toBe('ENHANCE_YOUR_CALM');
    expect(count).toBeLessThan(DEFAULT_LIMITS.resets.atOnce + 100);
  });

  test('requests that are malformed, one after the other', async () => {
    const made = await served();
    const [count, why] = await until(made, 5000, (n) => headers(2 * n + 1, [...GET, ['X', '1']]));
    expect(why).toBe('ENHANCE_YOUR_CALM');
    expect(count).toBeLessThan(DEFAULT_LIMITS.resets.atOnce + 100);
  });

  test.each<[attack: string, limit: number, bytes: (n: number) => Buffer]>([
    ['SETTINGS flood (CVE-2019-9515)', DEFAULT_LIMITS.settings.atOnce, () => settings([4, 65_535])],
    ['PING flood (CVE-2019-9512)', DEFAULT_LIMITS.control.atOnce, () => frame(6, 0, 0, Buffer.alloc(8))],
    [
      'PRIORITY flood (CVE-2019-9513)',
      DEFAULT_LIMITS.control.atOnce,
      (n) => frame(2, 0, (2 * n + 1) % 1000, `${u32(0x7ffffff1).toString('hex')}00`),
    ],
    ['unknown frames', DEFAULT_LIMITS.control.atOnce, () => frame(0xcc, 0, 0)],
    [
      'acknowledgements of PINGs that were not sent',
      DEFAULT_LIMITS.control.atOnce,
      () => frame(6, 1, 0, Buffer.alloc(8)),
    ],
    ['window updates that nobody needs', DEFAULT_LIMITS.control.atOnce, () => frame(8, 0, 0, u32(1))],
  ])('%s', async (_attack, limit, bytes) => {
    const [count, why] = await until(await served(), 20_000, bytes);
    expect(why).toBe('ENHANCE_YOUR_CALM');
    expect(count).toBeGreaterThanOrEqual(limit - 10);
    expect(count).toBeLessThan(limit * 1.5);
  });

  test('empty DATA without an end (CVE-2019-9518)', async () => {
    const made = await served();
    made.connection.receive(headers(1, POST, false));
    const [count, why] = await until(made, 5000, () => frame(0, 0, 1));
    expect(why).toBe('ENHANCE_YOUR_CALM');
    expect(count).toBeLessThan(DEFAULT_LIMITS.emptyData.atOnce + 20);
  });

  test('DATA that is all padding counts as empty', async () => {
    const made = await served();
    made.connection.receive(headers(1, POST, false));
    const [, why] = await until(made, 5000, () => frame(0, 8, 1, 'ff'.padEnd(512, '0')));
    expect(why).toBe('ENHANCE_YOUR_CALM');
  });

  test('what moves messages earns its control frames: a PING for each piece of data goes on for ever', async () => {
    const made = await served({ connectionWindowSize: 1 << 20 });
    made.connection.receive(headers(1, POST, false));
    const stream = accept(made.connection)!;
    const [count, why] = await until(made, 10_000, () => {
      stream.pollData();
      return Buffer.concat([frame(0, 0, 1, 'aaaa'), frame(6, 0, 0, Buffer.alloc(8)), frame(8, 0, 0, u32(1))]);
    });
    expect([count, why]).toEqual([10_000, 'open']);
  });
});

describe('heads', () => {
  test('CONTINUATION flood (CVE-2024-27316): a block that never ends', async () => {
    const made = await served();
    made.connection.receive(frame(1, 1, 1, literals(GET)));
    const [count, why] = await until(made, 20_000, () => frame(9, 0, 1, Buffer.alloc(1000, 0x82)));
    expect(why).toBe('ENHANCE_YOUR_CALM');
    expect(count).toBeLessThan(140);
  });

  test('empty CONTINUATIONs', async () => {
    const made = await served();
    made.connection.receive(frame(1, 1, 1, literals(GET)));
    const [count, why] = await until(made, 20_000, () => frame(9, 0, 1));
    expect(why).toBe('ENHANCE_YOUR_CALM');
    expect(count).toBeLessThan(4000);
  });

  test('many small CONTINUATIONs that end are a head like any other', async () => {
    const { connection } = await served();
    const block = literals([...GET, ['x-long', 'v'.repeat(500)]]);
    const bytes = [frame(1, 1, 1, block.subarray(0, 1))];
    for (let n = 1; n < block.length; n++)
      bytes.push(frame(9, n === block.length - 1 ? 4 : 0, 1, block.subarray(n, n + 1)));
    connection.receive(Buffer.concat(bytes));
    expect(accept(connection)).toMatchObject({ head: { names: ['x-long'], values: ['v'.repeat(500)] } });
  });

  test('HPACK bomb: one large entry of the table, named again and again', async () => {
    const { connection, out } = await served();
    const large = Buffer.concat([
      Buffer.from([0x40]),
      Buffer.from('0362696d', 'hex').subarray(0, 4),
      Buffer.from([0x7f, 0xf1, 0x1d]),
      Buffer.alloc(3952, 'v'),
    ]);
    const bomb = Buffer.concat([literals(GET), large, Buffer.alloc(12_000, 0xbe)]);
    const before = process.memoryUsage().arrayBuffers;
    connection.receive(frame(1, 5, 1, bomb));
    expect(accept(connection)).toBeNull();
    const answered = await out.frames();
    expect(answered[0]).toMatchObject({ type: 1, flags: 5, stream: 1 });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
    connection.receive(headers(3, GET));
    expect(accept(connection)).toMatchObject({ id: 3 });
  });

  test.each<[what: string, fields: [string, string][]]>([
    ['a head that is too large', [['x-large', 'v'.repeat(70_000)]]],
    ['a head with too many fields', Array.from({ length: 300 }, (_, n): [string, string] => [`x-${n}`, ''])],
  ])('%s is answered 431', async (_what, fields) => {
    const { connection, out, refused } = await served();
    const block = literals([...GET, ...fields]);
    const parts: Buffer[] = [];
    for (let pos = 0; pos < block.length; pos += 16_000) parts.push(block.subarray(pos, pos + 16_000));
    connection.receive(
      Buffer.concat(
        parts.map((part, n) => frame(n === 0 ? 1 : 9, (n === 0 ? 1 : 0) | (n === parts.length - 1 ? 4 : 0), 1, part)),
      ),
    );
    const [answer] = await out.frames();
    // :status 431, not in the static table: name 8, three digits
    expect(answer).toMatchObject({ type: 1, flags: 5, stream: 1 });
    expect(accept(connection)).toBeNull();
    expect(refused).toHaveLength(1);
    expect(connection.closed).toBe(false);
  });
});

describe('windows', () => {
  test('a byte at a time (CVE-2019-9511): windows that grow by one while there is much to send', async () => {
    const made = await served({}, [[4, 0]]);
    made.connection.receive(headers(1, GET));
    const stream = accept(made.connection)!;
    stream.respond(200, [], [], false);
    stream.sendData(Buffer.alloc(60_000), true);
    const [count, why] = await until(made, 20_000, () => frame(8, 0, 1, u32(1)));
    expect(why).toBe('ENHANCE_YOUR_CALM');
    expect(count).toBeLessThan(DEFAULT_LIMITS.tinyWindows.atOnce + 200);
  });

  test('a window of zero: what is sent waits, and its writer too', async () => {
    const { connection, out } = await served({}, [[4, 0]]);
    connection.receive(headers(1, GET));
    const stream = accept(connection)!;
    stream.respond(200, [], [], false);
    stream.sendData(Buffer.alloc(70_000), false);
    expect(typeof stream.pollCapacity()).toBe('symbol');
    expect((await out.frames()).map((one) => one.type)).toEqual([1]);
  });

  test('a body of one-byte frames takes the memory of its bytes, not that of its frames', async () => {
    const { connection } = await served({ connectionWindowSize: 1 << 20, initialWindowSize: 1 << 20 });
    connection.receive(headers(1, POST, false));
    const stream = accept(connection)!;
    const one = Buffer.concat(Array.from({ length: 1000 }, () => frame(0, 0, 1, 'aa')));
    for (let n = 0; n < 60; n++) connection.receive(one);
    expect(stream.buffered).toBe(60_000);
    let pieces = 0;
    let bytes = 0;
    while (bytes < 60_000) {
      const piece = stream.pollData();
      if (!Buffer.isBuffer(piece)) throw new Error('no data');
      bytes += piece.length;
      pieces++;
    }
    expect(pieces).toBeLessThan(20);
  });
});

describe('peers that take their time', () => {
  const shortly = { prefaceMs: 50, headersMs: 50, settingsAckMs: 50, stalledMs: 50, silenceMs: 0 };

  test.each<[what: string, bytes: Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['half a preface', PREFACE.subarray(0, 12)],
    ['a preface and no SETTINGS', PREFACE],
  ])('slow preface: %s', async (_what, bytes) => {
    fakeClock();
    const { connection, out } = fresh({ limits: shortly });
    if (bytes.length > 0) connection.receive(bytes);
    vi.advanceTimersByTime(100);
    expect(connection.closed).toBe(true);
    expect(out.isEnded).toBe(true);
  });

  test('a field block that does not go on', async () => {
    fakeClock();
    const { connection } = fresh({ limits: shortly });
    connection.receive(Buffer.concat([PREFACE, settings(), frame(4, 1, 0), frame(1, 0, 1, '82')]));
    vi.advanceTimersByTime(100);
    expect(connection.error).toMatchObject({ reason: Reason.ENHANCE_YOUR_CALM });
  });

  test('SETTINGS that are never acknowledged', async () => {
    fakeClock();
    const { connection } = fresh({ limits: shortly });
    connection.receive(Buffer.concat([PREFACE, settings()]));
    vi.advanceTimersByTime(100);
    expect(connection.error).toMatchObject({ reason: Reason.SETTINGS_TIMEOUT });
  });

  test('a peer that never reads', async () => {
    fakeClock();
    const { connection, out } = fresh({ limits: shortly });
    connection.receive(Buffer.concat([PREFACE, settings(), frame(4, 1, 0)]));
    out.reads = false;
    connection.flush();
    connection.receive(frame(6, 0, 0, Buffer.alloc(8)));
    vi.advanceTimersByTime(100);
    expect(connection.error).toMatchObject({ kind: 'io', cause: { code: 'ETIMEDOUT' } });
    expect(out.isDestroyed).toBe(true);
  });

  test('a peer that asks and never reads (CVE-2019-9517): what waits for it has a limit', async () => {
    const made = await served({ limits: { maxUnsent: 10_000, control: { atOnce: 1e6, perSecond: 1 } } });
    const { connection, out } = made;
    out.reads = false;
    for (let n = 0; n < 1000 && !connection.closed; n++) {
      connection.receive(frame(6, 0, 0, Buffer.alloc(8)));
      connection.flush();
    }
    expect(connection.error).toMatchObject({ reason: Reason.ENHANCE_YOUR_CALM });
    expect(out.isDestroyed).toBe(true);
  });

  test('a silent peer is asked, and let go if it does not answer; one that answers stays', async () => {
    fakeClock();
    const { connection, out } = fresh({ limits: { silenceMs: 100 } });
    connection.receive(Buffer.concat([PREFACE, settings(), frame(4, 1, 0)]));
    vi.advanceTimersByTime(120);
    connection.flush();
    const asked = out.bytes.subarray(-8);
    connection.receive(frame(6, 1, 0, asked));
    vi.advanceTimersByTime(90);
    expect(connection.closed).toBe(false);
    vi.advanceTimersByTime(300);
    expect(connection.error).toMatchObject({ kind: 'io' });
  });
});

describe('streams that never end', () => {
  const limits = { streamStalledMs: 1000, streamIdleMs: 2000, uploadRestMs: 500, silenceMs: 0 };

  /** A server's end, on which time has not passed yet. */
  function begun(clientSettings: [number, number][] = []): Served {
    fakeClock();
    const made = fresh({ limits });
    made.connection.receive(Buffer.concat([PREFACE, settings(...clientSettings), frame(4, 1, 0)]));
    return made;
  }

  test('a window that never opens: the response that waits for it is given up, and others are not', async () => {
    const { connection, out, refused } = begun([[4, 0]]);
    connection.receive(Buffer.concat([headers(1, GET), headers(3, GET)]));
    const [stuck, quick] = [accept(connection)!, accept(connection)!];
    stuck.respond(200, [], [], false);
    stuck.sendData(Buffer.alloc(60_000), true);
    stuck.release();
    quick.respond(200, [], [], false);
    vi.advanceTimersByTime(1600);
    expect(verdict(await out.frames())).toEqual({ level: 'stream', reason: Reason.ENHANCE_YOUR_CALM, stream: 1 });
    expect(refused).toHaveLength(1);
    expect(stuck.unsent).toBe(0);
    expect(connection.openStreams).toBe(1);
    quick.sendData(Buffer.alloc(0), true);
    expect(connection.openStreams).toBe(0);
  });

  test('whoever waits to write to such a stream is told', async () => {
    const { connection } = begun([[4, 0]]);
    connection.receive(headers(1, GET));
    const stream = accept(connection)!;
    stream.respond(200, [], [], false);
    stream.sendData(Buffer.alloc(70_000), false);
    vi.advanceTimersByTime(1600);
    expect(() => stream.pollCapacity()).toThrow('does not open');
  });

  test('a window that opens now and then keeps its stream', async () => {
    const { connection } = begun([[4, 0]]);
    connection.receive(headers(1, GET));
    const stream = accept(connection)!;
    stream.respond(200, [], [], false);
    stream.sendData(Buffer.alloc(60_000), true);
    for (let n = 0; n < 10; n++) {
      vi.advanceTimersByTime(800);
      connection.receive(frame(8, 0, 1, u32(100)));
    }
    expect(stream.sent).toBe(1000);
    expect(connection.openStreams).toBe(1);
  });

  test('a request whose rest never comes is given up; one that goes on slowly is not', async () => {
    const { connection, out } = begun();
    connection.receive(Buffer.concat([headers(1, POST, false), headers(3, POST, false)]));
    const [silent, slow] = [accept(connection)!, accept(connection)!];
    for (let n = 0; n < 5; n++) {
      vi.advanceTimersByTime(1000);
      connection.receive(frame(0, 0, 3, 'aa'));
    }
    expect(verdict(await out.frames())).toEqual({ level: 'stream', reason: Reason.ENHANCE_YOUR_CALM, stream: 1 });
    expect(() => silent.pollData()).toThrow('does not go on');
    expect(slow.buffered).toBe(5);
  });

  test('a response may take any time once the request is complete, and its pieces may be as far apart', async () => {
    const { connection } = begun();
    connection.receive(headers(1, GET));
    const stream = accept(connection)!;
    vi.advanceTimersByTime(10_000);
    stream.respond(200, [], [], false);
    vi.advanceTimersByTime(10_000);
    stream.sendData(Buffer.from('event'), true);
    expect(connection.openStreams).toBe(0);
  });

  test('no limit where it is 0', async () => {
    fakeClock();
    const { connection } = fresh({ limits: { streamStalledMs: 0, streamIdleMs: 0, silenceMs: 0 } });
    connection.receive(Buffer.concat([PREFACE, settings([4, 0]), frame(4, 1, 0), headers(1, POST, false)]));
    const stream = accept(connection)!;
    stream.respond(200, [], [], false);
    stream.sendData(Buffer.alloc(100), true);
    vi.advanceTimersByTime(100_000_000);
    expect(connection.openStreams).toBe(1);
  });

  const UPLOAD = { method: 'POST', scheme: 'https', authority: 'a.test', path: '/', names: [], values: [] };

  test('a server that answers whole and reads no more: the rest of the upload is given up with CANCEL', async () => {
    fakeClock();
    const { connection, out } = await client({ limits }, [[4, 100]]);
    const stream = connection.request(UPLOAD, false);
    stream.sendData(Buffer.alloc(60_000), true);
    connection.receive(headers(1, [[':status', '200']]));
    expect(stream.pollHead()).toMatchObject({ status: 200 });
    expect(stream.pollData()).toBeUndefined();
    stream.release();
    vi.advanceTimersByTime(1000);
    expect(verdict(await out.frames())).toEqual({ level: 'stream', reason: Reason.CANCEL, stream: 1 });
    expect(connection.openStreams).toBe(0);
    expect(stream.unsent).toBe(0);
  });

  test('a server that answers whole and reads on slowly gets all of the upload', async () => {
    fakeClock();
    const { connection } = await client({ limits }, [[4, 100]]);
    const stream = connection.request(UPLOAD, false);
    stream.sendData(Buffer.alloc(1000), true);
    connection.receive(headers(1, [[':status', '200']]));
    stream.release();
    for (let n = 0; n < 9; n++) {
      vi.advanceTimersByTime(400);
      connection.receive(frame(8, 0, 1, u32(100)));
    }
    expect(stream.sent).toBe(1000);
    expect(connection.openStreams).toBe(0);
  });

  test('nobody wants the response any more: the rest of the upload is given up at once, with what waits of it', async () => {
    const { connection, out } = await client({}, [[4, 0]]);
    const stream = connection.request(UPLOAD, false);
    stream.sendData(Buffer.alloc(60_000), true);
    stream.release();
    expect(verdict(await out.frames())).toEqual({ level: 'stream', reason: Reason.CANCEL, stream: 1 });
    expect(connection.openStreams).toBe(0);
    expect(stream.unsent).toBe(0);
  });
});

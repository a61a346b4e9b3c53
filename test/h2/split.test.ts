/** However the bytes of a connection are cut into pieces, the same arrives. */
import { once } from 'node:events';
import { connect } from 'node:http2';
import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { DuplexTransport, drive } from '../../src/h2/duplex.ts';
import { PREFACE } from '../../src/h2/frame.ts';
import { ServerConnection } from '../../src/h2/server.ts';
import type { Stream } from '../../src/h2/stream.ts';
import { PENDING } from '../../src/runtime/poll.ts';
import { acceptAll } from './peers.ts';
import { ready, whole } from './poll.ts';
import { Captured, frame, GET, headers, literals, POST, settings } from './raw.ts';

/** Two ends of a connection in memory; `heard` gets what the first one writes. */
function pair(heard: (bytes: Buffer) => void): [Duplex, Duplex] {
  const make = (other: () => Duplex, tap: (bytes: Buffer) => void) =>
    new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        tap(chunk);
        setImmediate(() => {
          other().push(chunk);
          done();
        });
      },
      final(done) {
        other().push(null);
        done();
      },
    });
  const first: Duplex = make(() => second, heard);
  const second: Duplex = make(
    () => first,
    () => {},
  );
  return [first, second];
}

/** What a server made of a connection's bytes: heads, bodies and trailers by stream. */
type Seen = Map<number, unknown>;

async function see(stream: Stream, seen: Seen): Promise<void> {
  const { head } = stream;
  const body = await whole(stream);
  seen.set(stream.id, {
    target: [head!.method, head!.scheme, head!.authority, head!.path],
    names: head!.names,
    values: head!.values,
    body: body.toString('latin1'),
    trailers: stream.trailers === null ? null : [stream.trailers.names, stream.trailers.values],
  });
}

/** Feed pieces to a server's end. */
async function fed(pieces: Iterable<Buffer>): Promise<Seen> {
  const seen: Seen = new Map();
  const out = new Captured();
  const connection = new ServerConnection(out, { initialWindowSize: 1 << 20, connectionWindowSize: 1 << 20 });
  out.connection = connection;
  acceptAll(connection, (stream) => see(stream, seen)).catch(() => {});
  for (const piece of pieces) connection.receive(piece);
  for (let n = 0; n < 10; n++) await new Promise((resolve) => setImmediate(resolve));
  expect(connection.error).toBeNull();
  connection.abort();
  return seen;
}

function* cut(bytes: Buffer, ...at: number[]): Generator<Buffer> {
  let from = 0;
  for (const to of [...at, bytes.length]) {
    // a copy: what arrives belongs to the connection
    yield Buffer.from(bytes.subarray(from, to));
    from = to;
  }
}

/** What the client of node:http2 sends for some requests. */
async function recorded(): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const [near, far] = pair((bytes) => pieces.push(bytes));
  const connection = new ServerConnection(new DuplexTransport(far), {});
  drive(connection, far);
  acceptAll(connection, async (stream) => {
    await whole(stream);
    stream.respond(200, ['x-a'], ['1'], true);
  }).catch(() => {});
  const client = connect('http://a.test', { createConnection: () => near as never });
  for (let n = 0; n < 4; n++) {
    const stream = client.request(
      {
        ':path': `/${n}`,
        ':method': n === 0 ? 'GET' : 'POST',
        'x-long': 'v'.repeat(n === 3 ? 20_000 : 10),
        cookie: ['a=1', 'b=2'],
      },
      { waitForTrailers: n === 2 },
    );
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }));
    if (n > 0) stream.end('body'.repeat(n * 50));
    stream.resume();
    await once(stream, 'close');
  }
  client.close();
  return Buffer.concat(pieces);
}

test('what node:http2 sends is the same at every cut, and byte by byte', async () => {
  const bytes = await recorded();
  const whole = await fed([Buffer.from(bytes)]);
  expect(whole.size).toBe(4);
  expect(whole.get(5)).toMatchObject({ trailers: [['x-end'], ['yes']], body: 'body'.repeat(100) });
  expect(await fed(cut(bytes, ...bytes.keys()))).toEqual(whole);
  for (let at = 1; at < bytes.length; at += at < 2000 ? 1 : 97) {
    expect(await fed(cut(bytes, at)), `cut at ${at}`).toEqual(whole);
  }
}, 120_000);

test('frames of all types, padded and not, are the same at every cut', async () => {
  const block = literals([...POST, ['x-a', '1']]);
  const bytes = Buffer.concat([
    PREFACE,
    settings([3, 7]),
    frame(4, 1, 0),
    frame(6, 0, 0, Buffer.alloc(8, 1)),
    frame(1, 0x28, 1, Buffer.concat([Buffer.from([3]), Buffer.alloc(5), block.subarray(0, 20), Buffer.alloc(3)])),
    frame(9, 0, 1, block.subarray(20, 21)),
    frame(9, 0, 1),
    frame(9, 4, 1, block.subarray(21)),
    frame(0, 8, 1, Buffer.concat([Buffer.from([5]), Buffer.from('padded'), Buffer.alloc(5)])),
    frame(0xf0, 0, 1, 'abcdef'),
    frame(0, 8, 1, '00'),
    frame(2, 0, 9, Buffer.alloc(5)),
    frame(0, 0, 1, Buffer.from('plain')),
    frame(8, 0, 1, Buffer.from([0, 0, 0, 9])),
    frame(0, 9, 1, '0100'),
    headers(3, GET),
    headers(5, POST, false),
    frame(0, 0, 5, Buffer.from('x')),
    headers(5, [['x-end', 'yes']]),
  ]);
  const all = await fed([Buffer.from(bytes)]);
  expect(all.size).toBe(3);
  expect(all.get(1)).toMatchObject({ body: 'paddedplain', names: ['x-a'] });
  expect(await fed(cut(bytes, ...bytes.keys()))).toEqual(all);
  for (let at = 1; at < bytes.length; at++) expect(await fed(cut(bytes, at)), `cut at ${at}`).toEqual(all);
});

test('long frames of data, padded and not, are the same at every cut', async () => {
  const data = Buffer.from(Array.from({ length: 16_384 }, (_, i) => i % 251));
  const bytes = Buffer.concat([
    PREFACE,
    settings(),
    headers(1, POST, false),
    frame(0, 0, 1, data),
    frame(0, 8, 1, Buffer.concat([Buffer.from([200]), data.subarray(0, 12_000), Buffer.alloc(200)])),
    headers(3, POST, false),
    frame(0, 0, 3, data.subarray(0, 9000)),
    frame(0, 1, 1, data.subarray(1)),
    frame(0, 1, 3),
  ]);
  const all = await fed([Buffer.from(bytes)]);
  const bodies = [data, data.subarray(0, 12_000), data.subarray(1)];
  expect(all.get(1)).toMatchObject({ body: Buffer.concat(bodies).toString('latin1') });
  for (let at = 1; at < bytes.length; at += 131) {
    expect(await fed(cut(bytes, at)), `cut at ${at}`).toEqual(all);
    expect(await fed(cut(bytes, at, Math.min(at + 9, bytes.length))), `cut at ${at}, and 9 on`).toEqual(all);
  }
});

test.each([
  ['waits for the rest of a frame that is nearly whole', 9, [16_384]],
  ['goes on without the rest of a frame where that is long', 8000, [8384, 8000]],
])('a large piece of data %s', async (_, rest, pieces) => {
  const out = new Captured();
  const connection = new ServerConnection(out);
  out.connection = connection;
  connection.receive(Buffer.concat([PREFACE, settings(), headers(1, POST, false)]));
  const stream = (await ready(() => connection.pollAccept()))!;
  const data = frame(0, 0, 1, Buffer.alloc(16_384));
  connection.receive(Buffer.from(data.subarray(0, -rest)));
  expect(stream.pollData() === PENDING).toBe(pieces.length === 1);
  connection.receive(Buffer.from(data.subarray(-rest)));
  expect(await ready(() => stream.pollData())).toHaveLength(pieces.at(-1)!);
  expect(stream.pollData()).toBe(PENDING);
});

test('whatever arrives, nothing is thrown past the connection, and no stream is left', async () => {
  const { garble } = await import('./garble.ts');
  await garble(Date.now() & 0xffff, 300);
});

test('a wait that is polled again is the same wait', async () => {
  const out = new Captured();
  const connection = new ServerConnection(out);
  out.connection = connection;
  connection.receive(Buffer.concat([PREFACE, settings(), headers(1, POST, false)]));
  const stream = await ready(() => connection.pollAccept());
  const data = ready(() => stream!.pollData());
  expect(typeof stream!.pollData()).toBe('symbol');
  const again = ready(() => stream!.pollData());
  connection.receive(frame(0, 1, 1, 'aa'));
  expect(await again).toHaveLength(1);
  data.catch(() => {});
});

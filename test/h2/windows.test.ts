/** What leaves when a client opens its windows step by step (RFC 9113 5.2 and 6.9). */
import { expect, test } from 'vitest';
import type { Stream } from '../../src/h2/stream.ts';
import { type Frame, frame, GET, headers, type Served, served, settings, u32 } from './raw.ts';

/** A response that has begun, of a client whose windows are as they come. */
async function responding(clientSettings: [number, number][] = []): Promise<Served & { stream: Stream }> {
  const made = await served({}, clientSettings);
  made.connection.receive(headers(1, GET));
  const stream = made.connection.pollAccept();
  if (typeof stream !== 'object') throw new Error('no stream');
  stream.respond(200, [], [], false);
  await made.out.frames();
  return { ...made, stream };
}

const dataOf = (all: Frame[]): Frame[] => all.filter(({ type }) => type === 0);
const grow = (stream: number, bytes: number): Buffer => frame(8, 0, stream, u32(bytes));

/**
 * Takes a response of `pieces` pieces, as a client that gives back the bytes of each frame as they come, for the
 * connection and for the stream. Returns the sizes of the frames.
 */
async function taken({ connection, out, stream }: Served & { stream: Stream }, piece: Buffer, pieces: number) {
  const sizes: number[] = [];
  let left = pieces;
  do {
    for (; left > 0 && stream.unsent < 65_536; left--) stream.sendData(piece, false);
    for (const { payload } of dataOf(await out.frames())) {
      sizes.push(payload.length);
      connection.receive(grow(0, payload.length));
      connection.receive(grow(1, payload.length));
    }
  } while (!connection.closed && (left > 0 || stream.unsent > 0));
  for (const { payload } of dataOf(await out.frames())) sizes.push(payload.length);
  return sizes;
}

// The sizes of frames come back as the sizes of updates. Cut at each piece's end, they would become so small after some
// megabytes that the client would look like one that plays with tiny windows (CVE-2019-9511).
test.each([
  [100, 40_000],
  [65_530, 150],
  [16_385, 500],
])('a client that gives back each frame gets pieces of %i bytes whole', async (size, pieces) => {
  const made = await responding();
  const sizes = await taken(made, Buffer.alloc(size), pieces);
  expect(made.refused).toEqual([]);
  expect(sizes.reduce((sum, length) => sum + length)).toBe(size * pieces);
});

// More updates than a client may send of its own accord (CVE-2019-9512 and the like), one for each that it got something for.
test('a client may give back each of many small frames once it has got them all', async () => {
  const { connection, out, stream } = await responding([[4, 1 << 20]]);
  connection.receive(grow(0, 1 << 20));
  for (let n = 0; n < 5000; n++) stream.sendData(Buffer.alloc(10), false);
  const sizes = dataOf(await out.frames()).map(({ payload }) => payload.length);
  expect(sizes).toHaveLength(5000);
  for (const size of sizes) connection.receive(Buffer.concat([grow(0, size), grow(1, size)]));
  expect(connection.closed).toBe(false);
});

test('small pieces that wait leave in frames as long as may be', async () => {
  const { connection, out, stream } = await responding([[4, 0]]);
  for (let n = 0; n < 300; n++) stream.sendData(Buffer.alloc(100, n), n === 299);
  connection.receive(grow(1, 20_000));
  const first = dataOf(await out.frames());
  connection.receive(grow(1, 20_000));
  const second = dataOf(await out.frames());
  expect([first, second].map((all) => all.map(({ payload, flags }) => [payload.length, flags]))).toEqual([
    [
      [16_384, 0],
      [3616, 0],
    ],
    [[10_000, 1]],
  ]);
  const expected = Buffer.concat(Array.from({ length: 300 }, (_, n) => Buffer.alloc(100, n)));
  expect(Buffer.concat([...first, ...second].map(({ payload }) => payload)).equals(expected)).toBe(true);
});

test.each<[what: string, bytes: Buffer]>([
  ['updates of a stream', Buffer.concat(Array.from({ length: 10 }, () => grow(1, 10)))],
  ['an update and SETTINGS', Buffer.concat([grow(1, 60), settings([4, 40])])],
])('%s that arrive together let out one frame', async (_what, bytes) => {
  const { connection, out, stream } = await responding([[4, 0]]);
  stream.sendData(Buffer.alloc(1000), true);
  connection.receive(bytes);
  expect(dataOf(await out.frames()).map(({ payload }) => payload.length)).toEqual([100]);
});

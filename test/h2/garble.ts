/** Connections that are fed what nobody would send. */
import { PREFACE } from '../../src/h2/frame.ts';
import { Encoder } from '../../src/h2/hpack/encoder.ts';
import { ServerConnection } from '../../src/h2/server.ts';
import type { Stream } from '../../src/h2/stream.ts';
import { PENDING } from '../../src/runtime/poll.ts';
import { Captured, encoded, frame, GET, POST, settings, u32 } from './raw.ts';

/** Numbers that depend on `seed` only. */
export function random(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function someFrame(pick: (below: number) => number, encoder: Encoder): Buffer {
  const stream = [0, 1, 1, 3, 3, 5, 7, 9, 2, 0x7fffffff][pick(10)]!;
  switch (pick(14)) {
    case 0:
      return frame(0, pick(2), stream, Buffer.alloc(pick(40)));
    case 1:
    case 2:
    case 3:
      return frame(1, 4 | pick(2), stream, encoded(encoder, pick(3) === 0 ? POST : GET));
    case 4:
      return frame(1, pick(64), stream, Buffer.from(Array.from({ length: pick(30) }, () => pick(256))));
    case 5:
      return frame(3, 0, stream, u32(pick(16)));
    case 6:
      return settings([1 + pick(8), pick(2) === 0 ? pick(70_000) : pick(0x7fffffff)]);
    case 7:
      return frame(6, pick(2), 0, Buffer.alloc(8));
    case 8:
      return frame(8, 0, stream, u32(pick(4) === 0 ? 0x7fffffff : pick(1000)));
    case 9:
      return frame(9, 4 * pick(2), stream, Buffer.alloc(pick(20), 0x82));
    case 10:
      return frame(7, 0, 0, Buffer.concat([u32(pick(10)), u32(pick(14))]));
    case 11:
      return frame(2, 0, stream, Buffer.alloc(pick(2) === 0 ? 5 : pick(8)));
    case 12:
      return frame(0, 8 | pick(2), stream, Buffer.from([pick(8), ...Array.from({ length: pick(12) }, () => 0)]));
    default:
      return frame(pick(256), pick(256), stream, Buffer.from(Array.from({ length: pick(30) }, () => pick(256))));
  }
}

/** An application that does anything at any time. */
function play(streams: Stream[], pick: (below: number) => number): void {
  const stream = streams[pick(streams.length)]!;
  try {
    switch (pick(8)) {
      case 0:
        if (!stream.headSent) stream.respond(200, ['x-a'], ['1'], pick(2) === 0);
        break;
      case 1:
        if (stream.headSent) stream.sendData(Buffer.alloc(pick(3000)), pick(3) === 0);
        break;
      case 2:
        if (stream.headSent) stream.sendTrailers(['x-t'], ['1']);
        break;
      case 3:
        stream.sendReset(pick(14));
        break;
      case 4:
        stream.release();
        streams.splice(streams.indexOf(stream), 1);
        break;
      default:
        while (typeof stream.pollData() === 'object') {
          // read on
        }
    }
  } catch {
    // the stream has ended, which the application is told so
  }
}

/** Feed `count` connections from `seed` on. Throws when something is thrown, or something is left. */
export async function garble(seed: number, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    const pick = random(seed * 7919 + n);
    const out = new Captured();
    const connection = new ServerConnection(out, { limits: { maxConcurrentStreams: 4 } });
    out.connection = connection;
    out.reads = pick(4) !== 0;
    const encoder = new Encoder();
    const streams: Stream[] = [];
    let bytes = Buffer.concat([PREFACE, settings()]);
    for (let i = pick(60); i > 0; i--) bytes = Buffer.concat([bytes, someFrame(pick, encoder)]);
    for (let i = pick(4); i > 0 && bytes.length > 0; i--) bytes[pick(bytes.length)] = pick(256);
    try {
      for (let pos = 0; pos < bytes.length; ) {
        const length = 1 + pick(200);
        connection.receive(Buffer.from(bytes.subarray(pos, pos + length)));
        pos += length;
        if (pick(3) === 0) connection.flush();
        if (pick(10) === 0) {
          out.reads = true;
          connection.drained();
        }
        accept(connection, streams);
        if (streams.length > 0) play(streams, pick);
      }
      accept(connection, streams);
      connection.ended(pick(2) === 0 ? undefined : new Error('broken'));
      for (const stream of streams) stream.release();
      if (!connection.closed) throw new Error('not closed');
      const left = connection.streams as unknown as { size: number; zombies: number };
      if (left.size !== 0 || left.zombies !== 0) throw new Error(`${left.size} streams, ${left.zombies} left`);
    } catch (error) {
      throw new Error(`garble(${seed}, …), connection ${n}: ${(error as Error).stack}`);
    }
    if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

function accept(connection: ServerConnection, streams: Stream[]): void {
  for (;;) {
    let stream: Stream | undefined | typeof PENDING;
    try {
      stream = connection.pollAccept();
    } catch {
      return;
    }
    if (stream === PENDING || stream === undefined) return;
    streams.push(stream);
  }
}

/** A connection in memory, and the frames that are fed to it and come out of it. */
import { ClientConnection } from '../../src/h2/client.ts';
import type { Connection } from '../../src/h2/connection.ts';
import { PREFACE } from '../../src/h2/frame.ts';
import { Decoder } from '../../src/h2/hpack/decoder.ts';
import type { Encoder } from '../../src/h2/hpack/encoder.ts';
import { Names } from '../../src/h2/names.ts';
import type { Options, Transport } from '../../src/h2/options.ts';
import { Output } from '../../src/h2/output.ts';
import type { H2Error } from '../../src/h2/reason.ts';
import { ServerConnection } from '../../src/h2/server.ts';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export type Fields = readonly (readonly [name: string, value: string])[];

export function frame(type: number, flags: number, stream: number, payload: Buffer | string = Buffer.alloc(0)): Buffer {
  const bytes = typeof payload === 'string' ? Buffer.from(payload, 'hex') : payload;
  const header = Buffer.alloc(9);
  header.writeUIntBE(bytes.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, bytes]);
}

export function frames(bytes: Buffer): Frame[] {
  const all: Frame[] = [];
  for (let pos = 0; pos < bytes.length; ) {
    const length = bytes.readUIntBE(pos, 3);
    all.push({
      type: bytes[pos + 3]!,
      flags: bytes[pos + 4]!,
      stream: bytes.readUInt32BE(pos + 5),
      payload: bytes.subarray(pos + 9, pos + 9 + length),
    });
    pos += 9 + length;
  }
  return all;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export function settings(...pairs: [id: number, value: number][]): Buffer {
  return frame(
    4,
    0,
    0,
    Buffer.concat(pairs.map(([id, value]) => Buffer.concat([Buffer.from([id >> 8, id & 255]), u32(value)]))),
  );
}

/** Fields as literals without indexing, so that no table is needed and nothing is checked. */
export function literals(fields: Fields): Buffer {
  const length = (text: string) => {
    const n = Buffer.byteLength(text, 'latin1');
    if (n < 127) return Buffer.from([n]);
    const bytes = [127];
    let rest = n - 127;
    for (; rest >= 128; rest >>>= 7) bytes.push((rest & 127) | 128);
    return Buffer.from([...bytes, rest]);
  };
  const string = (text: string) => Buffer.concat([length(text), Buffer.from(text, 'latin1')]);
  return Buffer.concat(fields.map(([name, value]) => Buffer.concat([Buffer.from([0]), string(name), string(value)])));
}

export const GET: Fields = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':path', '/'],
  [':authority', 'a.test'],
];
export const POST: Fields = [[':method', 'POST'], ...GET.slice(1)];

/** HEADERS with a whole block. */
export function headers(stream: number, fields: Fields, end = true): Buffer {
  return frame(1, 4 | (end ? 1 : 0), stream, literals(fields));
}

/** Collects what a connection writes. */
export class Captured implements Transport {
  connection!: Connection;
  bytes = Buffer.alloc(0);
  writes = 0;
  isEnded = false;
  isDestroyed = false;
  /** What `write` answers. */
  reads = true;
  private scheduled = false;

  write(pieces: Buffer[]): boolean {
    this.writes++;
    this.bytes = Buffer.concat([this.bytes, ...pieces]);
    return this.reads;
  }

  flushLater(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    queueMicrotask(() => {
      this.scheduled = false;
      this.connection.flush();
    });
  }

  end(): void {
    this.isEnded = true;
  }

  destroy(): void {
    this.isDestroyed = true;
  }

  /** The frames that were written since the last time. */
  async frames(): Promise<Frame[]> {
    await new Promise((resolve) => setImmediate(resolve));
    const all = frames(this.bytes);
    this.bytes = Buffer.alloc(0);
    return all;
  }
}

export interface Served {
  readonly connection: ServerConnection;
  readonly out: Captured;
  readonly refused: [error: H2Error, stream: number][];
}

/** A server's end, whose client has said hello and been answered. */
export async function served(options: Options = {}, clientSettings: [number, number][] = []): Promise<Served> {
  const made = fresh(options);
  made.connection.receive(Buffer.concat([PREFACE, settings(...clientSettings), frame(4, 1, 0)]));
  await made.out.frames();
  return made;
}

/** A server's end that nothing was sent to. */
export function fresh(options: Options = {}): Served {
  const out = new Captured();
  const refused: [H2Error, number][] = [];
  const connection = new ServerConnection(out, {
    onRefused: (error, stream) => refused.push([error, stream]),
    ...options,
  });
  out.connection = connection;
  return { connection, out, refused };
}

/** A client's end, whose server has said hello. */
export async function client(
  options: Options = {},
  serverSettings: [number, number][] = [],
): Promise<{ connection: ClientConnection; out: Captured }> {
  const out = new Captured();
  const connection = new ClientConnection(out, options);
  out.connection = connection;
  await new Promise((resolve) => setImmediate(resolve));
  out.bytes = out.bytes.subarray(PREFACE.length);
  await out.frames();
  connection.receive(Buffer.concat([settings(...serverSettings), frame(4, 1, 0)]));
  await out.frames();
  return { connection, out };
}

/** What a GOAWAY or RST_STREAM among `all` says. */
export function verdict(
  all: readonly Frame[],
): { level: 'connection' | 'stream'; reason: number; stream: number } | null {
  for (const one of all) {
    if (one.type === 7) return { level: 'connection', reason: one.payload.readUInt32BE(4), stream: 0 };
    if (one.type === 3) return { level: 'stream', reason: one.payload.readUInt32BE(0), stream: one.stream };
  }
  return null;
}

/** Decode the blocks of a connection's output. */
export class Blocks {
  private readonly decoder = new Decoder(new Names());

  read(one: Frame): [string, string][] {
    const fields: [string, string][] = [];
    this.decoder.decode(one.payload, 0, one.payload.length, { add: (name, value) => fields.push([name.text, value]) });
    return fields;
  }
}

/** Encode blocks with a table, as a real peer does. */
export function encoded(encoder: Encoder, fields: Fields): Buffer {
  const out = new Output();
  encoder.begin(out);
  for (const [name, value] of fields) encoder.field(out, name, value);
  return Buffer.concat(out.take());
}

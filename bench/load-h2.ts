/**
 * One connection of HTTP/2 that asks for the same thing again and again, on so many streams at a time.
 *
 * It reads what it has to of each frame and nothing more: `node:http2`'s client takes longer for a request than the
 * proxies that are to be measured, which would sleep for half of the time. As with h2load its windows are too large to
 * matter, and a head is the numbers of fields that the first head has put into the table (RFC 7541 6.1).
 */
import { connect, type TLSSocket } from 'node:tls';
import { Flag, FrameType, HEADER_LENGTH, PREFACE, putHeader } from '../src/h2/frame.ts';
import { DEFAULT_FRAME, DEFAULT_WINDOW, Setting } from '../src/h2/settings.ts';
import { readDirectly } from '../src/node/direct-socket.ts';
import type { Case } from './cases.ts';

/** What a connection tells of itself. */
export interface LoadEvents {
  /** Whether more is to be asked for. */
  goesOn(): boolean;
  /** An answer is whole and right; `since`: when it was asked for. */
  answered(since: number): void;
  /** The first one is. */
  ready(): void;
  failed(reason: string): void;
}

/** 2^30 - 1 bytes, h2load's default. */
const WINDOW = 2 ** 30 - 1;
/** Bytes that may wait to be written. */
const HIGH_WATER = 1024 * 1024;

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_LENGTH + payload.length);
  putHeader(bytes, 0, payload.length, type, flags, stream);
  bytes.set(payload, HEADER_LENGTH);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** RFC 7541 5.2, of less than 127 bytes and not compressed. */
function text(value: string): Buffer {
  return Buffer.concat([Buffer.of(value.length), Buffer.from(value, 'latin1')]);
}

/** The field blocks of a request: the first, which fills the table, and all others, which point into it. */
function blocks(load: Case, more: readonly (readonly [string, string])[]): [first: Buffer, others: Buffer] {
  const fields: [name: number | string, value: string][] = [
    [1, 'localhost'],
    [4, `/${load.answer}`],
    [58, 'bench'],
    [19, '*/*'],
    ...more.map(([name, value]): [string, string] => [name, value]),
  ];
  if (load.body > 0) fields.push([28, String(load.body)]);
  // RFC 7541 appendix A: `:method` is 2 for GET and 3 for POST, `:scheme: https` is 7
  const known = Buffer.of(0x80 | (load.body > 0 ? 3 : 2), 0x80 | 7);
  const literals = fields.map(([name, value]) =>
    typeof name === 'number'
      ? Buffer.concat([Buffer.of(0x40 | name), text(value)])
      : Buffer.concat([Buffer.of(0x40), text(name), text(value)]),
  );
  // the table begins behind the 61 of the appendix, with what came last
  const indexed = fields.map((_, i) => 0x80 | (62 + fields.length - 1 - i));
  return [Buffer.concat([known, ...literals]), Buffer.concat([known, Buffer.from(indexed)])];
}

/** A request that waits for its answer. */
interface Asked {
  readonly since: number;
  /** Bytes of the answer's body that have come; -1: its head hasn't. */
  length: number;
  /** Bytes of the request's body that have been sent, and that the peer still lets it send. */
  sent: number;
  window: number;
}

const ENDED: LoadEvents = { goesOn: () => false, answered: () => {}, ready: () => {}, failed: () => {} };

/** A connection that asks. */
export class H2Load {
  private readonly socket: TLSSocket;
  private readonly load: Case;
  private events: LoadEvents;
  private readonly others: Buffer;
  private block: Buffer;
  private readonly body: Buffer;
  private readonly asked = new Map<number, Asked>();
  private nextId = 1;
  private isReady = false;
  /** A frame that isn't whole. */
  private rest: Buffer | undefined;
  private out: Buffer[] = [];
  /** Bytes that may come before the peer is told that more may. */
  private received = 0;
  private window: number = DEFAULT_WINDOW;
  private streamWindow: number = DEFAULT_WINDOW;

  constructor(port: number, load: Case, more: readonly (readonly [string, string])[], events: LoadEvents) {
    this.load = load;
    this.events = events;
    [this.block, this.others] = blocks(load, more);
    this.body = Buffer.alloc(Math.min(load.body, DEFAULT_FRAME), 'x');
    // the certificate was made for this run, by the one who runs it
    this.socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] });
    this.socket.setNoDelay(true);
    this.socket.on('error', (error) => this.events.failed(`connection: ${error.message}`));
    this.socket.on('close', () => this.events.failed('the proxy closed a connection'));
    this.socket.once('secureConnect', () => this.begin());
  }

  private begin(): void {
    const { socket } = this;
    const read = (bytes: Buffer) => this.read(bytes);
    if (readDirectly(socket, read) === undefined) socket.on('data', read);
    socket.on('drain', () => this.goOn());
    socket.resume();
    const window = Buffer.concat([Buffer.of(0, Setting.INITIAL_WINDOW_SIZE), uint32(WINDOW)]);
    this.out.push(PREFACE, frame(FrameType.SETTINGS, 0, 0, window));
    this.out.push(frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(WINDOW - DEFAULT_WINDOW)));
    for (let i = 0; i < this.load.streams; i++) this.ask();
    this.write();
  }

  /** Close, and take what was asked for no more. */
  stop(): void {
    this.events = ENDED;
    if (this.nextId === 1) {
      this.socket.destroy();
      return;
    }
    this.out.push(frame(FrameType.GOAWAY, 0, 0, Buffer.alloc(8)));
    this.write();
    // what is on its way here is read: a reset might overtake it, and not every proxy survives that
    this.socket.end();
  }

  private write(): void {
    const { out } = this;
    if (out.length === 0) return;
    this.out = [];
    this.socket.write(out.length === 1 ? out[0]! : Buffer.concat(out));
  }

  private ask(): void {
    if (!this.events.goesOn()) return;
    const id = this.nextId;
    this.nextId += 2;
    const { load, block } = this;
    this.out.push(frame(FrameType.HEADERS, Flag.END_HEADERS | (load.body === 0 ? Flag.END_STREAM : 0), id, block));
    this.block = this.others;
    const asked: Asked = { since: performance.now(), length: -1, sent: 0, window: this.streamWindow };
    this.asked.set(id, asked);
    this.sendBody(id, asked);
  }

  /** Send what the windows allow now, and what else there is. */
  private goOn(): void {
    if (this.load.body > 0) for (const [id, asked] of this.asked) this.sendBody(id, asked);
    this.write();
  }

  private sendBody(id: number, asked: Asked): void {
    const { load, body } = this;
    let room = HIGH_WATER - this.socket.writableLength;
    while (asked.sent < load.body && room > 0) {
      const length = Math.min(load.body - asked.sent, body.length, this.window, asked.window);
      if (length <= 0) return;
      asked.sent += length;
      asked.window -= length;
      this.window -= length;
      room -= length;
      this.out.push(
        frame(FrameType.DATA, asked.sent === load.body ? Flag.END_STREAM : 0, id, body.subarray(0, length)),
      );
    }
  }

  private read(bytes: Buffer): void {
    const { rest } = this;
    const data = rest === undefined ? bytes : Buffer.concat([rest, bytes]);
    let at = 0;
    while (data.length - at >= HEADER_LENGTH) {
      const end = at + HEADER_LENGTH + data.readUIntBE(at, 3);
      if (end > data.length) break;
      const wrong = this.frame(
        data[at + 3]!,
        data[at + 4]!,
        data.readUInt32BE(at + 5),
        data.subarray(at + HEADER_LENGTH, end),
      );
      if (wrong !== undefined) {
        this.events.failed(wrong);
        return;
      }
      at = end;
    }
    this.rest = at < data.length ? data.subarray(at) : undefined;
    this.goOn();
  }

  /** What is wrong with a frame, if anything is. */
  private frame(type: number, flags: number, id: number, payload: Buffer): string | undefined {
    switch (type) {
      case FrameType.HEADERS:
        return this.head(flags, id, payload) ?? this.endOf(flags, id);
      case FrameType.DATA:
        return this.data(flags, id, payload) ?? this.endOf(flags, id);
      case FrameType.SETTINGS:
        if ((flags & Flag.ACK) === 0) this.settings(payload);
        return undefined;
      case FrameType.PING:
        if ((flags & Flag.ACK) === 0) this.out.push(frame(FrameType.PING, Flag.ACK, 0, payload));
        return undefined;
      case FrameType.WINDOW_UPDATE:
        this.grow(id, payload.readUInt32BE());
        return undefined;
      case FrameType.RST_STREAM:
        // RFC 9113 8.1: a server may, of a stream that it has answered
        return this.asked.has(id) ? `stream: reset with error ${payload.readUInt32BE()}` : undefined;
      case FrameType.GOAWAY:
        return `the proxy goes away: error ${payload.readUInt32BE(4)} ${payload.toString('latin1', 8)}`;
      default:
        return undefined;
    }
  }

  private head(flags: number, id: number, payload: Buffer): string | undefined {
    const asked = this.asked.get(id);
    if (asked === undefined || asked.length >= 0) return undefined;
    let at = (flags & Flag.PADDED ? 1 : 0) + (flags & Flag.PRIORITY ? 5 : 0);
    // RFC 7541 6.3: the table's size
    while ((payload[at]! & 0xe0) === 0x20) at++;
    // RFC 7541 appendix A: `:status: 200` is 8
    if (payload[at] !== (0x80 | 8)) return `not a 200: ${payload.toString('hex', at, at + 16)}`;
    asked.length = 0;
    return undefined;
  }

  private data(flags: number, id: number, payload: Buffer): string | undefined {
    const asked = this.asked.get(id);
    if (asked === undefined) return 'data on a stream that has ended';
    asked.length += payload.length - (flags & Flag.PADDED ? 1 + payload[0]! : 0);
    this.received += payload.length;
    if (this.received < WINDOW / 2) return undefined;
    this.out.push(frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(this.received)));
    this.received = 0;
    return undefined;
  }

  private endOf(flags: number, id: number): string | undefined {
    const asked = this.asked.get(id);
    if ((flags & Flag.END_STREAM) === 0 || asked === undefined) return undefined;
    this.asked.delete(id);
    const { answer } = this.load;
    if (asked.length !== answer) return `not the origin's answer: ${asked.length} bytes of ${answer}`;
    this.events.answered(asked.since);
    if (!this.isReady) this.events.ready();
    this.isReady = true;
    this.ask();
    return undefined;
  }

  private settings(payload: Buffer): void {
    for (let at = 0; at < payload.length; at += 6) {
      if (payload.readUInt16BE(at) !== Setting.INITIAL_WINDOW_SIZE) continue;
      const window = payload.readUInt32BE(at + 2);
      for (const asked of this.asked.values()) asked.window += window - this.streamWindow;
      this.streamWindow = window;
    }
    this.out.push(frame(FrameType.SETTINGS, Flag.ACK, 0, Buffer.alloc(0)));
  }

  private grow(id: number, more: number): void {
    if (id === 0) this.window += more;
    else {
      const asked = this.asked.get(id);
      if (asked !== undefined) asked.window += more;
    }
  }
}

/**
 * What a connection receives: frames are read here, in the order and of the form that RFC 9113 asks for, within this end's
 * windows, and given to whom they concern.
 */
import type { Deadlines } from './deadlines.ts';
import { Flag, FrameType, get32, MAX_31 } from './frame.ts';
import { Head } from './head.ts';
import { Decoder } from './hpack/decoder.ts';
import { Budget, type Limits } from './limits.ts';
import { Names } from './names.ts';
import type { FrameDetail, FrameObserver, Options } from './options.ts';
import { FrameReader, type FrameSink } from './reader.ts';
import { H2Error, Reason } from './reason.ts';
import type { Send } from './send.ts';
import { DEFAULT_FRAME, DEFAULT_WINDOW } from './settings.ts';
import type { Stream, StreamRecv } from './stream.ts';
import type { Streams, StreamsOwner } from './streams.ts';

/** What a frame of a field block costs beside its bytes. */
const BLOCK_FRAME_COST = 41;

/** A client's wish for the order of responses (RFC 9218 7.1): an extension, so that it isn't among the types of RFC 9113. */
const PRIORITY_UPDATE = 0x10;

const NO_NAMES = new Names();

/** A field block that is still to be completed by CONTINUATION. */
interface Block {
  readonly stream: number;
  readonly flags: number;
  readonly dependsOnItself: boolean;
  bytes: Buffer;
  length: number;
  /** What it costs: its bytes and something a frame. */
  cost: number;
}

/** What receiving needs of the connection, which acts on the frames that aren't of a stream. */
export interface RecvOwner extends StreamsOwner {
  readonly streams: Streams;
  /** RFC 9113 6.5: the pairs of a SETTINGS frame are `bytes[start, end)`. */
  settingsCame(bytes: Buffer, start: number, end: number): void;
  /** RFC 9113 6.7. */
  pinged(isAnswer: boolean, payload: Buffer): void;
  /** RFC 9113 6.8. */
  goawayCame(last: number, error: H2Error): void;
}

/** The receiving half of a connection. */
export class Recv implements FrameSink, StreamRecv {
  /** A window's size of a stream, as the peer knows it. */
  streamWindow = DEFAULT_WINDOW;
  private readonly owner: RecvOwner;
  private readonly options: Options;
  private readonly limits: Limits;
  private readonly deadlines: Deadlines;
  private readonly streams: Streams;
  private readonly send: Send;
  private readonly observer: FrameObserver | null;
  private readonly reader: FrameReader;
  private readonly decoder: Decoder;

  // flow control of the connection (RFC 9113 6.9)
  private window = DEFAULT_WINDOW;
  private readonly windowSize: number;
  private unclaimed = 0;

  // what is being read
  private dataStream: Stream | null = null;
  private dataLength = 0;
  private block: Block | null = null;
  private settingsSeen = false;
  private settingsUnacked = 1;

  // budgets of what a peer may ask
  private readonly controlBudget: Budget;
  private readonly settingsBudget: Budget;
  private readonly emptyBudget: Budget;

  constructor(owner: RecvOwner) {
    const { options, limits } = owner;
    this.owner = owner;
    this.options = options;
    this.limits = limits;
    this.deadlines = owner.deadlines;
    this.streams = owner.streams;
    this.send = owner.send;
    this.observer = options.observer ?? null;
    this.reader = new FrameReader(this, owner.isServer);
    this.reader.maxFrameSize = options.maxFrameSize ?? DEFAULT_FRAME;
    this.decoder = new Decoder(options.names ?? NO_NAMES);
    this.windowSize = options.connectionWindowSize ?? DEFAULT_WINDOW;
    this.controlBudget = owner.controlBudget;
    this.settingsBudget = new Budget(limits.settings);
    this.emptyBudget = new Budget(limits.emptyData);
  }

  /** Open the connection's window as far as it was asked for. */
  begin(): void {
    const more = this.windowSize - DEFAULT_WINDOW;
    if (more <= 0) return;
    this.window += more;
    this.send.windowUpdate(0, more);
  }

  /** Take these bytes apart. Throws what ends the connection. */
  feed(chunk: Buffer): void {
    this.reader.feed(chunk);
  }

  /** Nothing more is wanted. */
  stop(): void {
    this.reader.stopped = true;
  }

  /** Whether the peer has begun the connection and no frame is half here. */
  get isBetweenFrames(): boolean {
    return this.settingsSeen && !this.reader.isInside;
  }

  preface(): void {}

  frame(length: number, type: number, flags: number, id: number): boolean {
    if (type === FrameType.DATA || (type > FrameType.CONTINUATION && type !== PRIORITY_UPDATE)) {
      this.observer?.frame('in', type, flags, id, length);
    }
    // RFC 9113 3.4
    if (!this.settingsSeen && (type !== FrameType.SETTINGS || (flags & Flag.ACK) !== 0)) {
      throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'the first frame is no SETTINGS');
    }
    // RFC 9113 6.10: nothing comes between the frames of a field block
    if (this.block !== null && (type !== FrameType.CONTINUATION || id !== this.block.stream)) {
      throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'a frame within a field block');
    }
    switch (type) {
      case FrameType.DATA:
        this.dataBegins(length, id);
        return true;
      case FrameType.HEADERS:
      case FrameType.CONTINUATION:
        return true;
      case FrameType.PUSH_PROMISE:
        // RFC 9113 8.4: a client can't push, and this client has said that it takes none
        throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'PUSH_PROMISE');
      case FrameType.SETTINGS:
      case FrameType.GOAWAY:
      case FrameType.RST_STREAM:
        return true;
      case FrameType.WINDOW_UPDATE:
        if (!this.send.isUpdateDue()) this.controlBudget.spend('control frames');
        return true;
      case FrameType.PRIORITY:
      case FrameType.PING:
        this.controlBudget.spend('control frames');
        return true;
      default:
        // RFC 9113 4.1: what isn't known is ignored
        this.controlBudget.spend('control frames');
        return type === PRIORITY_UPDATE;
    }
  }

  // --- DATA (RFC 9113 6.1) ---

  private dataBegins(length: number, id: number): void {
    if (id === 0) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'DATA on stream 0');
    const { streams } = this;
    this.dataLength = length;
    this.window -= length;
    // RFC 9113 6.9
    if (this.window < 0) throw H2Error.goaway(Reason.FLOW_CONTROL_ERROR, 'more than the connection window');
    const stream = streams.get(id);
    if (stream === undefined || stream.remoteEnded) {
      this.dataStream = null;
      streams.late(stream, id, FrameType.DATA);
      return;
    }
    this.dataStream = stream;
    stream.recvWindow -= length;
    if (stream.recvWindow < 0) streams.fail(stream, Reason.FLOW_CONTROL_ERROR, 'more than the window');
    else if (!this.owner.mayHaveData(stream)) streams.fail(stream, Reason.PROTOCOL_ERROR, 'DATA before HEADERS');
  }

  data(piece: Buffer): void {
    const stream = this.dataStream;
    const { length } = piece;
    if (length === 0) return;
    if (stream === null || stream.error !== null || stream.released) {
      this.claim(length);
      return;
    }
    if (stream.expected >= 0) {
      stream.expected -= length;
      if (stream.expected < 0) {
        // RFC 9113 8.1.1
        this.streams.fail(stream, Reason.PROTOCOL_ERROR, 'more than the content-length');
        this.claim(length);
        return;
      }
    }
    stream.pushData(piece);
  }

  dataEnd(flags: number, _id: number, padding: number): void {
    const stream = this.dataStream;
    this.dataStream = null;
    const ends = (flags & Flag.END_STREAM) !== 0;
    if (padding > 0) {
      if (stream !== null && !ends) stream.claim(padding);
      else this.claim(padding);
    }
    if (this.dataLength - padding > 0) this.controlBudget.earn(4);
    else if (!ends) this.emptyBudget.spend('empty DATA frames');
    if (ends && stream !== null && stream.error === null) this.streams.remoteEnd(stream);
  }

  /** `bytes` of what arrived have been read, or will never be. */
  claim(bytes: number): void {
    if (this.send.closed) return;
    this.unclaimed += bytes;
    if (this.unclaimed * 2 < this.windowSize) return;
    this.window += this.unclaimed;
    this.send.windowUpdate(0, this.unclaimed);
    this.unclaimed = 0;
  }

  // --- all the other frames ---

  payload(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (this.observer !== null && type !== FrameType.HEADERS && type !== FrameType.CONTINUATION) {
      this.observer.frame('in', type, flags, id, end - start, detailOf(type, bytes, start, end));
    }
    switch (type) {
      case FrameType.HEADERS:
        this.headers(flags, id, bytes, start, end);
        break;
      case FrameType.CONTINUATION:
        this.continuation(flags, id, bytes, start, end);
        break;
      case FrameType.SETTINGS:
        this.settings(flags, id, bytes, start, end);
        break;
      case FrameType.WINDOW_UPDATE:
        this.windowUpdate(id, bytes, start, end);
        break;
      case FrameType.RST_STREAM:
        this.rstStream(id, bytes, start, end);
        break;
      case FrameType.PING:
        this.ping(flags, id, bytes, start, end);
        break;
      case FrameType.GOAWAY:
        this.goaway(id, bytes, start, end);
        break;
      case FrameType.PRIORITY:
        this.priority(id, bytes, start, end);
        break;
      case PRIORITY_UPDATE:
        this.priorityUpdate(id, bytes, start, end);
        break;
      default:
    }
  }

  /** RFC 9113 6.2. */
  private headers(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (id === 0) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'HEADERS on stream 0');
    let start = from;
    let end = to;
    if ((flags & Flag.PADDED) !== 0) {
      if (start === end) throw H2Error.goaway(Reason.FRAME_SIZE_ERROR, 'no length of the padding');
      end -= bytes[start++]!;
    }
    let dependsOnItself = false;
    if ((flags & Flag.PRIORITY) !== 0) {
      if (to - start < 5) throw H2Error.goaway(Reason.FRAME_SIZE_ERROR, 'no priority');
      dependsOnItself = (get32(bytes, start) & MAX_31) === id;
      start += 5;
    }
    if (end < start) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'too much padding');
    if ((flags & Flag.END_HEADERS) !== 0) {
      this.fieldBlock(id, flags, FrameType.HEADERS, to - from, dependsOnItself, bytes, start, end);
      return;
    }
    this.observer?.frame('in', FrameType.HEADERS, flags, id, to - from);
    const length = end - start;
    this.block = {
      stream: id,
      flags,
      dependsOnItself,
      bytes: Buffer.from(bytes.subarray(start, end)),
      length,
      cost: length + BLOCK_FRAME_COST,
    };
    this.deadlines.block = performance.now() + this.limits.headersMs;
    this.deadlines.checkBy(this.deadlines.block);
  }

  /** RFC 9113 6.10. */
  private continuation(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    const { block } = this;
    if (block === null) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'CONTINUATION without HEADERS');
    const length = end - start;
    block.cost += length + BLOCK_FRAME_COST;
    // CVE-2024-27316
    if (block.cost > this.limits.maxHeaderBlock) {
      throw H2Error.goaway(Reason.ENHANCE_YOUR_CALM, 'too long a field block');
    }
    if (block.bytes.length - block.length < length) {
      const larger = Buffer.allocUnsafe(Math.max(4096, 2 * (block.length + length)));
      block.bytes.copy(larger, 0, 0, block.length);
      block.bytes = larger;
    }
    block.length += bytes.copy(block.bytes, block.length, start, end);
    if ((flags & Flag.END_HEADERS) === 0) {
      this.observer?.frame('in', FrameType.CONTINUATION, flags, id, length);
      return;
    }
    this.block = null;
    this.deadlines.block = Infinity;
    const all = block.flags | Flag.END_HEADERS;
    this.fieldBlock(id, all, FrameType.CONTINUATION, length, block.dependsOnItself, block.bytes, 0, block.length);
  }

  /** A field block is whole. It is decoded in any case, for later ones build on its tables (RFC 9113 4.3). */
  private fieldBlock(
    id: number,
    flags: number,
    type: number,
    frameLength: number,
    dependsOnItself: boolean,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    const { streams, limits } = this;
    const stream = streams.get(id);
    const head = new Head(this.owner.headOf(stream), limits.maxHeaderListSize, limits.maxHeaderFields);
    this.decoder.decode(bytes, start, end, head);
    this.observer?.frame('in', type, flags, id, frameLength, head);
    head.complete(this.options.enableConnectProtocol === true);
    this.controlBudget.earn(4);
    streams.head(stream, id, head, (flags & Flag.END_STREAM) !== 0, dependsOnItself);
  }

  /** RFC 9113 6.5. */
  private settings(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'SETTINGS on a stream');
    if ((flags & Flag.ACK) !== 0) {
      if (start !== end) throw H2Error.goaway(Reason.FRAME_SIZE_ERROR, 'an acknowledgement with settings');
      this.settingsAcked();
      return;
    }
    if ((end - start) % 6 !== 0) throw H2Error.goaway(Reason.FRAME_SIZE_ERROR, 'half a setting');
    this.settingsBudget.spend('SETTINGS');
    this.settingsSeen = true;
    this.deadlines.settings = Infinity;
    this.owner.settingsCame(bytes, start, end);
  }

  private settingsAcked(): void {
    if (this.settingsUnacked === 0) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'an acknowledgement of nothing');
    this.settingsUnacked--;
    this.deadlines.settingsAck = Infinity;
    const { initialWindowSize, headerTableSize } = this.options;
    if (headerTableSize !== undefined) this.decoder.setLimit(headerTableSize);
    // RFC 9113 6.9.2: windows of streams that are open change too
    const more = (initialWindowSize ?? DEFAULT_WINDOW) - this.streamWindow;
    this.streamWindow += more;
    for (const stream of this.streams) stream.recvWindow += more;
  }

  /** RFC 9113 6.9. */
  private windowUpdate(id: number, bytes: Buffer, start: number, end: number): void {
    if (end - start !== 4) throw H2Error.goaway(Reason.FRAME_SIZE_ERROR, 'WINDOW_UPDATE');
    const more = get32(bytes, start) & MAX_31;
    if (id !== 0) this.streams.windowUpdate(id, more);
    else if (more === 0) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'a window update of 0');
    else this.send.grow(more);
  }

  /** RFC 9113 6.4. */
  private rstStream(id: number, bytes: Buffer, start: number, end: number): void {
    if (end - start !== 4) throw H2Error.goaway(Reason.FRAME_SIZE_ERROR, 'RST_STREAM');
    if (id === 0) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'RST_STREAM on stream 0');
    this.streams.resetByPeer(id, get32(bytes, start));
  }

  /** RFC 9113 6.7. */
  private ping(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'PING on a stream');
    if (end - start !== 8) throw H2Error.goaway(Reason.FRAME_SIZE_ERROR, 'PING');
    this.owner.pinged((flags & Flag.ACK) !== 0, bytes.subarray(start, end));
  }

  /** RFC 9113 6.8. */
  private goaway(id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'GOAWAY on a stream');
    if (end - start < 8) throw H2Error.goaway(Reason.FRAME_SIZE_ERROR, 'GOAWAY');
    const last = get32(bytes, start) & MAX_31;
    const debug = bytes.toString('latin1', start + 8, Math.min(end, start + 8 + 256)).replace(/[^\x20-\x7e]/g, '?');
    this.owner.goawayCame(last, new H2Error('goaway', get32(bytes, start + 4), 'remote', debug));
  }

  /** RFC 9113 6.3: read and ignored; RFC 9218 has priorities in a field, which is passed on. */
  private priority(id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'PRIORITY on stream 0');
    if (end - start !== 5) this.streams.failId(id, Reason.FRAME_SIZE_ERROR, 'PRIORITY');
    else if ((get32(bytes, start) & MAX_31) === id) this.streams.failId(id, Reason.PROTOCOL_ERROR, 'PRIORITY');
  }

  /** RFC 9218 7.1: looked at as far as it can be wrong, and ignored. */
  private priorityUpdate(id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0 || !this.owner.isServer) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'PRIORITY_UPDATE out of place');
    if (end - start < 4) throw H2Error.goaway(Reason.FRAME_SIZE_ERROR, 'PRIORITY_UPDATE');
    const stream = get32(bytes, start) & MAX_31;
    // an even one would be a push, and there are none
    if (stream % 2 === 0) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'PRIORITY_UPDATE of no request');
  }
}

/** What matters of a frame that came. */
function detailOf(type: number, bytes: Buffer, start: number, end: number): FrameDetail {
  const length = end - start;
  switch (type) {
    case FrameType.WINDOW_UPDATE:
      return length === 4 ? get32(bytes, start) & MAX_31 : undefined;
    case FrameType.RST_STREAM:
      return length === 4 ? get32(bytes, start) : undefined;
    case FrameType.GOAWAY:
      return length >= 8 ? get32(bytes, start + 4) : undefined;
    case FrameType.SETTINGS: {
      const pairs: [number, number][] = [];
      for (let pos = start; pos + 6 <= end; pos += 6) {
        pairs.push([(bytes[pos]! << 8) | bytes[pos + 1]!, get32(bytes, pos + 2)]);
      }
      return pairs;
    }
    default:
      return undefined;
  }
}

/**
 * A connection of HTTP/2, seen from either end: what servers and clients have in common (RFC 9113 3 to 7).
 *
 * It is given what arrives with {@link Connection.receive} and writes through a {@link Transport}. Frames that are made
 * in one turn leave in one write.
 */
import { type Armed, arm } from '../timeout/lib.ts';
import {
  Flag,
  FrameType,
  get32,
  HEADER_LENGTH,
  MAX_31,
  putHeader,
  write32,
  writeGoAway,
  writePing,
  writeSettings,
} from './frame.ts';
import { Head, type HeadOf, type RequestHead } from './head.ts';
import { Decoder, HpackError } from './hpack/decoder.ts';
import { Encoder } from './hpack/encoder.ts';
import { Budget, DEFAULT_LIMITS, type Limits } from './limits.ts';
import { Names } from './names.ts';
import { Output } from './output.ts';
import { Progress } from './progress.ts';
import { FrameReader, type FrameSink } from './reader.ts';
import { H2Error, Reason } from './reason.ts';
import { Setting, Settings } from './settings.ts';
import { SEND_LIMIT, type Stream } from './stream.ts';
import { currentWaker, PENDING, type Poll, type Waker } from './wait.ts';

/** What carries a connection. */
export interface Transport {
  /**
   * Send these bytes. False: the peer reads too slowly; {@link Connection.drained} is called once it has caught up,
   * and whatever is written before that waits.
   */
  write(pieces: Buffer[]): boolean;
  /** Call {@link Connection.flush} at the end of this turn. */
  flushLater(connection: Connection): void;
  /** Nothing more is sent: close when all is written, and read on a little so that it arrives. */
  end(): void;
  /** Close at once. */
  destroy(): void;
}

/**
 * What matters of a frame: the head of HEADERS (a status where a response is sent), the pairs of SETTINGS, an error code,
 * how much a window grows.
 */
export type FrameDetail = Head | RequestHead | number | readonly (readonly [number, number])[] | undefined;

/** Told of each frame, for traces. `names` and `values`: the fields of a head that is sent. */
export interface FrameObserver {
  frame(
    direction: 'in' | 'out',
    type: number,
    flags: number,
    stream: number,
    length: number,
    detail?: FrameDetail,
    names?: readonly string[],
    values?: readonly string[],
  ): void;
}

/** How a connection is to be. */
export interface Options {
  readonly limits?: Partial<Limits> | undefined;
  /** Bytes that the peer may send on a stream before they are read (SETTINGS_INITIAL_WINDOW_SIZE). Default: 65,535. */
  readonly initialWindowSize?: number | undefined;
  /** Bytes that the peer may send on the connection before they are read. */
  readonly connectionWindowSize?: number | undefined;
  /** The longest frame that this end takes (SETTINGS_MAX_FRAME_SIZE). Default: 16,384. */
  readonly maxFrameSize?: number | undefined;
  /** Bytes of the table for fields that arrive (SETTINGS_HEADER_TABLE_SIZE). Default: 4,096. */
  readonly headerTableSize?: number | undefined;
  /** At a server: take extended CONNECT (RFC 8441). Default: no. */
  readonly enableConnectProtocol?: boolean | undefined;
  /** How names of fields are handed out. Default: in lower case, as they come. */
  readonly names?: Names | undefined;
  readonly observer?: FrameObserver | undefined;
  /** Told once of each peer that went over a limit or broke a rule: where, with what error, and the detail. */
  readonly onRefused?: ((error: H2Error, stream: number) => void) | undefined;
}

const DEFAULT_WINDOW = 65_535;
/** So many bytes are put together before they are written within a turn. */
const WRITE_SIZE = 256 * 1024;
/** Streams that were reset are remembered, so many of them, for frames that were on their way. */
const REMEMBERED = 512;
/** Windows smaller than this are games when there is more to send. */
const TINY_WINDOW = 64;
/** After saying GOAWAY in good order the peer has so many milliseconds to hear of it. */
const GOAWAY_PATIENCE = 1000;

const SHUTDOWN_PING = Buffer.from('shutdown');
const ALIVE_PING = Buffer.from('alive? \0');
const NO_NAMES = new Names();
const EMPTY = Buffer.alloc(0);

function refuse(reason: number, detail: string): H2Error {
  return new H2Error('goaway', reason, 'library', detail);
}

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

/** A connection. */
export abstract class Connection implements FrameSink {
  /** What the peer has said of itself. */
  readonly remote = new Settings();
  readonly limits: Limits;
  /** @internal A window's size of a stream, as the peer knows it. */
  streamWindow = DEFAULT_WINDOW;
  /** Why it ended; null if it hasn't, or ended in good order. */
  error: H2Error | null = null;
  /** It has ended: nothing arrives and nothing is sent any more. */
  closed = false;
  /** The error code of the peer's GOAWAY; -1 if none came. */
  goawayReceived = -1;

  protected readonly transport: Transport;
  protected readonly options: Options;
  protected readonly streams = new Map<number, Stream>();
  protected readonly output = new Output();
  private readonly reader: FrameReader;
  private readonly decoder: Decoder;
  private readonly encoder = new Encoder();
  private readonly observer: FrameObserver | null;

  // flow control of the connection (RFC 9113 6.9)
  private recvWindow = DEFAULT_WINDOW;
  private readonly recvWindowSize: number;
  private unclaimed = 0;
  private sendWindow = DEFAULT_WINDOW;
  /** Streams that have something to send and may. */
  private line: Stream[] = [];
  /** The peer reads too slowly. */
  private blocked = false;
  private flushing = false;

  /** The highest stream of the peer's that was seen, and those below it that were passed over. */
  protected lastPeerStream = 0;
  private skipped: [from: number, to: number][] = [];
  /** Streams that were reset, by whom. */
  private resets: Map<number, 'us' | 'peer'> | null = null;
  /** Streams that have ended and whose users don't know yet. */
  private zombies = 0;
  /** The last stream that the last GOAWAY of this end named. */
  protected goawaySent = Infinity;
  private shutdownBegun = false;
  private shutdownTimer: Armed | null = null;

  // what is being read
  private dataStream: Stream | null = null;
  private dataLength = 0;
  private block: Block | null = null;
  private settingsSeen = false;
  private settingsUnacked = 1;
  /** Who takes apart what arrives, and what has arrived for it. */
  protected driver: Waker | null = null;
  private inbox: Buffer[] = [];
  private woken: Waker[] = [];
  private receiving = false;
  private readonly waiting = new Set<Waker>();

  // budgets of what a peer may ask
  private readonly resetBudget: Budget;
  private readonly settingsBudget: Budget;
  private readonly controlBudget: Budget;
  private readonly emptyBudget: Budget;
  private readonly tinyBudget: Budget;

  // time
  private heard = performance.now();
  private asked = false;
  private settingsAckBy: number;
  private settingsBy: number;
  private blockBy = Infinity;
  private stalledBy = Infinity;
  private readonly progress: Progress;
  /** When streams are looked at for those that don't get on; Infinity while there are none. */
  private progressAt = Infinity;
  private checkAt = Infinity;
  private timer: Armed | null = null;

  // pings of the user's
  private pingSent: 'no' | 'sent' | 'answered' = 'no';
  private pinger: Waker | null = null;

  /** Whether this end is the server. */
  abstract readonly isServer: boolean;

  constructor(transport: Transport, options: Options, isServer: boolean, defaults: Partial<Limits>) {
    this.transport = transport;
    this.options = options;
    this.limits = { ...DEFAULT_LIMITS, ...defaults, ...defined(options.limits) };
    const { limits } = this;
    this.reader = new FrameReader(this, isServer);
    this.reader.maxFrameSize = options.maxFrameSize ?? 16_384;
    this.decoder = new Decoder(options.names ?? NO_NAMES);
    this.observer = options.observer ?? null;
    this.recvWindowSize = options.connectionWindowSize ?? DEFAULT_WINDOW;
    this.resetBudget = new Budget(limits.resets);
    this.settingsBudget = new Budget(limits.settings);
    this.controlBudget = new Budget(limits.control);
    this.emptyBudget = new Budget(limits.emptyData);
    this.tinyBudget = new Budget(limits.tinyWindows);
    this.progress = new Progress(limits, isServer);
    this.settingsBy = this.heard + limits.prefaceMs;
    this.settingsAckBy = this.heard + limits.settingsAckMs;
    this.checkBy(this.settingsBy);
  }

  // --- the beginning ---

  /** Say what this end is like (RFC 9113 3.4). */
  protected sayHello(): void {
    const { options, limits } = this;
    const pairs: [number, number][] = [];
    if (this.isServer) {
      pairs.push([Setting.MAX_CONCURRENT_STREAMS, limits.maxConcurrentStreams]);
      if (options.enableConnectProtocol) pairs.push([Setting.ENABLE_CONNECT_PROTOCOL, 1]);
    } else pairs.push([Setting.ENABLE_PUSH, 0]);
    if (options.headerTableSize !== undefined && options.headerTableSize !== 4096) {
      pairs.push([Setting.HEADER_TABLE_SIZE, options.headerTableSize]);
    }
    if (options.initialWindowSize !== undefined && options.initialWindowSize !== DEFAULT_WINDOW) {
      pairs.push([Setting.INITIAL_WINDOW_SIZE, options.initialWindowSize]);
    }
    if (this.reader.maxFrameSize !== 16_384) pairs.push([Setting.MAX_FRAME_SIZE, this.reader.maxFrameSize]);
    pairs.push([Setting.MAX_HEADER_LIST_SIZE, limits.maxHeaderListSize]);
    this.observer?.frame('out', FrameType.SETTINGS, 0, 0, 6 * pairs.length, pairs);
    writeSettings(this.output, 0, pairs);
    if (this.recvWindowSize > DEFAULT_WINDOW) {
      const more = this.recvWindowSize - DEFAULT_WINDOW;
      this.recvWindow += more;
      this.sendWindowUpdate(0, more);
    }
    this.flushLater();
  }

  // --- what arrives ---

  /**
   * These bytes have arrived; they belong to the connection from now on. Whoever drives the connection takes them apart
   * at its next poll, so that frames are read in the task that reads them; without one that is done at once.
   */
  arrive(chunk: Buffer): void {
    const { driver } = this;
    if (driver === null) {
      this.receive(chunk);
      return;
    }
    this.inbox.push(chunk);
    driver.wake();
  }

  /** Take apart what has arrived. */
  protected drive(): void {
    while (this.inbox.length > 0) {
      const { inbox } = this;
      this.inbox = [];
      for (const chunk of inbox) this.receive(chunk);
    }
  }

  /** Take these bytes apart now. */
  receive(chunk: Buffer): void {
    if (this.closed) return;
    this.heard = performance.now();
    this.asked = false;
    this.receiving = true;
    try {
      this.reader.feed(chunk);
    } catch (error) {
      if (error instanceof H2Error) this.fail(error);
      else if (error instanceof HpackError) this.fail(refuse(Reason.COMPRESSION_ERROR, error.message));
      else this.fail(refuse(Reason.INTERNAL_ERROR, String(error)));
    }
    this.receiving = false;
    this.wakeAll();
  }

  /** Nothing more arrives: the peer has closed the connection, or it broke. */
  ended(error?: Error): void {
    // whoever drives the connection is about to read what came before
    if (this.inbox.length > 0 && !this.closed) setImmediate(ended, this, error);
    else this.endedNow(error);
  }

  /** @internal */
  endedNow(error?: Error): void {
    this.drive();
    if (this.closed) return;
    const { streams } = this;
    if (error !== undefined) this.close(H2Error.io(error));
    else if (streams.size > 0 || this.reader.isInside || !this.settingsSeen) {
      this.close(H2Error.io(Object.assign(new Error('the peer closed the connection'), { code: 'EPIPE' })));
    } else this.close(null);
  }

  /** @internal Wake a task once everything that has arrived together was read. */
  wakeLater(waker: Waker): void {
    if (this.receiving) this.woken.push(waker);
    else waker.wake();
  }

  private wakeAll(): void {
    const { woken } = this;
    if (woken.length === 0) return;
    this.woken = [];
    for (const waker of woken) waker.wake();
  }

  preface(): void {}

  frame(length: number, type: number, flags: number, id: number): boolean {
    if (type === FrameType.DATA || type > FrameType.CONTINUATION) this.observer?.frame('in', type, flags, id, length);
    // RFC 9113 3.4
    if (!this.settingsSeen && (type !== FrameType.SETTINGS || (flags & Flag.ACK) !== 0)) {
      throw refuse(Reason.PROTOCOL_ERROR, 'the first frame is no SETTINGS');
    }
    // RFC 9113 6.10: nothing comes between the frames of a field block
    if (this.block !== null && (type !== FrameType.CONTINUATION || id !== this.block.stream)) {
      throw refuse(Reason.PROTOCOL_ERROR, 'a frame within a field block');
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
        throw refuse(Reason.PROTOCOL_ERROR, 'PUSH_PROMISE');
      case FrameType.SETTINGS:
      case FrameType.GOAWAY:
      case FrameType.RST_STREAM:
        return true;
      case FrameType.PRIORITY:
      case FrameType.PING:
      case FrameType.WINDOW_UPDATE:
        this.control();
        return true;
      default:
        // RFC 9113 4.1: what isn't known is ignored
        this.control();
        return false;
    }
  }

  private control(): void {
    if (!this.controlBudget.take()) throw refuse(Reason.ENHANCE_YOUR_CALM, 'too many control frames');
  }

  // --- DATA (RFC 9113 6.1) ---

  private dataBegins(length: number, id: number): void {
    if (id === 0) throw refuse(Reason.PROTOCOL_ERROR, 'DATA on stream 0');
    this.dataLength = length;
    this.recvWindow -= length;
    // RFC 9113 6.9
    if (this.recvWindow < 0) throw refuse(Reason.FLOW_CONTROL_ERROR, 'more than the connection window');
    const stream = this.streams.get(id);
    if (stream === undefined || stream.remoteEnded) {
      this.dataStream = null;
      this.lateFrame(stream, id, FrameType.DATA);
      return;
    }
    this.dataStream = stream;
    stream.recvWindow -= length;
    if (stream.recvWindow < 0) this.streamError(stream, Reason.FLOW_CONTROL_ERROR, 'more than the window');
    else if (!this.mayHaveData(stream)) this.streamError(stream, Reason.PROTOCOL_ERROR, 'DATA before HEADERS');
  }

  /** Whether a head has come before the data (RFC 9113 8.1). */
  protected abstract mayHaveData(stream: Stream): boolean;

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
        this.streamError(stream, Reason.PROTOCOL_ERROR, 'more than the content-length');
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
    else if (!ends && !this.emptyBudget.take()) throw refuse(Reason.ENHANCE_YOUR_CALM, 'too many empty DATA frames');
    if (ends && stream !== null && stream.error === null) this.remoteEnd(stream);
  }

  /** The peer's message has ended. */
  protected remoteEnd(stream: Stream): void {
    if (stream.expected > 0) {
      // RFC 9113 8.1.1
      this.streamError(stream, Reason.PROTOCOL_ERROR, 'less than the content-length');
      return;
    }
    stream.endRemote();
    this.settle(stream);
  }

  /** @internal `bytes` of what arrived have been read, or will never be. */
  claim(bytes: number): void {
    if (this.closed) return;
    this.unclaimed += bytes;
    if (this.unclaimed * 2 < this.recvWindowSize) return;
    this.recvWindow += this.unclaimed;
    this.sendWindowUpdate(0, this.unclaimed);
    this.unclaimed = 0;
  }

  /** @internal */
  sendWindowUpdate(stream: number, bytes: number): void {
    if (this.closed) return;
    this.observer?.frame('out', FrameType.WINDOW_UPDATE, 0, stream, 4, bytes);
    write32(this.output, FrameType.WINDOW_UPDATE, stream, bytes);
    this.flushLater();
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
      default:
    }
  }

  /** RFC 9113 6.2. */
  private headers(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (id === 0) throw refuse(Reason.PROTOCOL_ERROR, 'HEADERS on stream 0');
    let start = from;
    let end = to;
    if ((flags & Flag.PADDED) !== 0) {
      if (start === end) throw refuse(Reason.FRAME_SIZE_ERROR, 'no length of the padding');
      end -= bytes[start++]!;
    }
    let dependsOnItself = false;
    if ((flags & Flag.PRIORITY) !== 0) {
      if (to - start < 5) throw refuse(Reason.FRAME_SIZE_ERROR, 'no priority');
      dependsOnItself = (get32(bytes, start) & MAX_31) === id;
      start += 5;
    }
    if (end < start) throw refuse(Reason.PROTOCOL_ERROR, 'too much padding');
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
      cost: length + 41,
    };
    this.blockBy = performance.now() + this.limits.headersMs;
    this.checkBy(this.blockBy);
  }

  /** RFC 9113 6.10. */
  private continuation(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    const { block } = this;
    if (block === null) throw refuse(Reason.PROTOCOL_ERROR, 'CONTINUATION without HEADERS');
    const length = end - start;
    block.cost += length + 41;
    // CVE-2024-27316
    if (block.cost > this.limits.maxHeaderBlock) throw refuse(Reason.ENHANCE_YOUR_CALM, 'too long a field block');
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
    this.blockBy = Infinity;
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
    const stream = this.streams.get(id);
    const ends = (flags & Flag.END_STREAM) !== 0;
    const { limits } = this;
    const head = new Head(this.headOf(stream), limits.maxHeaderListSize, limits.maxHeaderFields);
    this.decoder.decode(bytes, start, end, head);
    this.observer?.frame('in', type, flags, id, frameLength, head);
    head.complete(this.options.enableConnectProtocol === true);
    this.controlBudget.earn(4);
    if (stream === undefined) {
      if (this.opens(id)) {
        this.opened(id, head, ends, dependsOnItself);
        return;
      }
      this.lateFrame(undefined, id, FrameType.HEADERS);
      return;
    }
    if (stream.error !== null) return;
    if (stream.remoteEnded) {
      this.lateFrame(stream, id, FrameType.HEADERS);
      return;
    }
    // RFC 7540 5.3.1; RFC 9113 has no priorities any more
    if (dependsOnItself) this.streamError(stream, Reason.PROTOCOL_ERROR, 'a stream that depends on itself');
    else if (head.malformed !== null) this.streamError(stream, Reason.PROTOCOL_ERROR, head.malformed);
    else if (head.of === 'trailers') this.trailers(stream, head, ends);
    else this.moreHead(stream, head, ends);
  }

  private trailers(stream: Stream, head: Head, ends: boolean): void {
    // RFC 9113 8.1: what comes after the data ends the message
    if (!ends) this.streamError(stream, Reason.PROTOCOL_ERROR, 'trailers without the end of the stream');
    else if (head.tooLarge) this.streamError(stream, Reason.ENHANCE_YOUR_CALM, 'too many trailers');
    else {
      stream.trailers = head;
      this.remoteEnd(stream);
    }
  }

  /** What a field block on `stream` is. */
  protected abstract headOf(stream: Stream | undefined): HeadOf;
  /** Whether HEADERS on this stream, which isn't here, begin it. Throws for one that can't be the peer's. */
  protected abstract opens(id: number): boolean;
  /** The peer has begun a stream. */
  protected abstract opened(id: number, head: Head, ends: boolean, dependsOnItself: boolean): void;
  /** A head that is no trailers, on a stream that is here. */
  protected abstract moreHead(stream: Stream, head: Head, ends: boolean): void;
  /** Whether the stream has never been used by anybody. */
  protected abstract isIdle(id: number): boolean;

  /** @internal At a server: a stream `id` begins; those that it passes over can't be used any more (RFC 9113 5.1.1). */
  protected passOver(id: number): void {
    const next = this.lastPeerStream === 0 ? 1 : this.lastPeerStream + 2;
    if (id > next) {
      this.skipped.push([next, id - 2]);
      if (this.skipped.length > REMEMBERED) this.skipped.shift();
    }
    this.lastPeerStream = id;
  }

  /** A frame of a message on a stream whose message has ended, or that isn't here. */
  private lateFrame(stream: Stream | undefined, id: number, type: number): void {
    if (stream !== undefined) {
      if (stream.error !== null) return;
      // RFC 9113 5.1, half-closed (remote)
      this.streamError(stream, Reason.STREAM_CLOSED, 'a frame after the end of the stream');
      return;
    }
    // RFC 9113 5.1, idle
    if (this.isIdle(id)) throw refuse(Reason.PROTOCOL_ERROR, 'a frame on an idle stream');
    const by = this.resets?.get(id);
    if (by === 'us') {
      // RFC 9113 5.1: it may have been on its way
      this.control();
      return;
    }
    if (by === 'peer') {
      // RFC 9113 5.1: an error of the stream
      this.glitch(new H2Error('reset', Reason.STREAM_CLOSED, 'library', 'a frame after RST_STREAM'), id);
      this.writeReset(id, Reason.STREAM_CLOSED);
      return;
    }
    if (this.goawaySent < id && this.isServer) {
      // RFC 9113 6.8: streams that GOAWAY has refused
      this.control();
      return;
    }
    // RFC 9113 5.1.1: a stream that was passed over
    if (type === FrameType.HEADERS && this.skipped.some(([from, to]) => id >= from && id <= to)) {
      throw refuse(Reason.PROTOCOL_ERROR, 'a stream below one that was opened');
    }
    // RFC 9113 5.1, closed
    throw refuse(Reason.STREAM_CLOSED, 'a frame after the end of the stream');
  }

  /** RFC 9113 6.5. */
  private settings(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw refuse(Reason.PROTOCOL_ERROR, 'SETTINGS on a stream');
    if ((flags & Flag.ACK) !== 0) {
      if (start !== end) throw refuse(Reason.FRAME_SIZE_ERROR, 'an acknowledgement with settings');
      this.settingsAcked();
      return;
    }
    if ((end - start) % 6 !== 0) throw refuse(Reason.FRAME_SIZE_ERROR, 'half a setting');
    if (!this.settingsBudget.take()) throw refuse(Reason.ENHANCE_YOUR_CALM, 'too many SETTINGS');
    const { remote } = this;
    const window = remote.initialWindowSize;
    remote.read(bytes, start, end, !this.isServer);
    this.encoder.setMaxSize(remote.headerTableSize);
    this.settingsSeen = true;
    this.settingsBy = Infinity;
    // RFC 9113 6.5.3: at once, before anything is sent that the settings allow
    this.observer?.frame('out', FrameType.SETTINGS, Flag.ACK, 0, 0);
    writeSettings(this.output, Flag.ACK, []);
    const more = remote.initialWindowSize - window;
    if (more !== 0) this.adjustWindows(more);
    this.flushLater();
    this.remoteChanged();
  }

  /** The peer's settings have changed. */
  protected remoteChanged(): void {}

  private settingsAcked(): void {
    if (this.settingsUnacked === 0) throw refuse(Reason.PROTOCOL_ERROR, 'an acknowledgement of nothing');
    this.settingsUnacked--;
    this.settingsAckBy = Infinity;
    const { initialWindowSize, headerTableSize } = this.options;
    if (headerTableSize !== undefined) this.decoder.setLimit(headerTableSize);
    // RFC 9113 6.9.2: windows of streams that are open change too
    const more = (initialWindowSize ?? DEFAULT_WINDOW) - this.streamWindow;
    this.streamWindow += more;
    for (const stream of this.streams.values()) stream.recvWindow += more;
  }

  /** RFC 9113 6.9.2: windows of streams move with the initial one, below zero too. */
  private adjustWindows(more: number): void {
    for (const stream of this.streams.values()) {
      stream.sendWindow += more;
      if (stream.sendWindow > MAX_31) throw refuse(Reason.FLOW_CONTROL_ERROR, 'a window above 2^31-1');
      if (more > 0) this.getInLine(stream);
    }
    if (more > 0) this.pump();
  }

  /** RFC 9113 6.9. */
  private windowUpdate(id: number, bytes: Buffer, start: number, end: number): void {
    if (end - start !== 4) throw refuse(Reason.FRAME_SIZE_ERROR, 'WINDOW_UPDATE');
    const more = get32(bytes, start) & MAX_31;
    if (id === 0) {
      if (more === 0) throw refuse(Reason.PROTOCOL_ERROR, 'a window update of 0');
      this.sendWindow += more;
      if (this.sendWindow > MAX_31) throw refuse(Reason.FLOW_CONTROL_ERROR, 'a window above 2^31-1');
      if (more < TINY_WINDOW && this.line.length > 0) this.tiny();
      this.pump();
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (this.isIdle(id)) throw refuse(Reason.PROTOCOL_ERROR, 'WINDOW_UPDATE on an idle stream');
      return;
    }
    if (stream.error !== null) return;
    if (more === 0) {
      this.streamError(stream, Reason.PROTOCOL_ERROR, 'a window update of 0');
      return;
    }
    stream.sendWindow += more;
    if (stream.sendWindow > MAX_31) {
      this.streamError(stream, Reason.FLOW_CONTROL_ERROR, 'a window above 2^31-1');
      return;
    }
    if (more < TINY_WINDOW && stream.unsent > more) this.tiny();
    this.getInLine(stream);
    this.pump();
  }

  private tiny(): void {
    if (!this.tinyBudget.take()) throw refuse(Reason.ENHANCE_YOUR_CALM, 'too many tiny window updates');
  }

  /** RFC 9113 6.4. */
  private rstStream(id: number, bytes: Buffer, start: number, end: number): void {
    if (end - start !== 4) throw refuse(Reason.FRAME_SIZE_ERROR, 'RST_STREAM');
    if (id === 0) throw refuse(Reason.PROTOCOL_ERROR, 'RST_STREAM on stream 0');
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (this.isIdle(id)) throw refuse(Reason.PROTOCOL_ERROR, 'RST_STREAM on an idle stream');
      this.control();
      return;
    }
    // a server's clients are many and a client's server is one that it chose
    if (this.isServer && !this.resetBudget.take()) throw refuse(Reason.ENHANCE_YOUR_CALM, 'too many resets');
    this.remember(id, 'peer');
    this.gone(stream, new H2Error('reset', get32(bytes, start), 'remote'));
  }

  /** RFC 9113 6.7. */
  private ping(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw refuse(Reason.PROTOCOL_ERROR, 'PING on a stream');
    if (end - start !== 8) throw refuse(Reason.FRAME_SIZE_ERROR, 'PING');
    const payload = bytes.subarray(start, end);
    if ((flags & Flag.ACK) === 0) {
      this.observer?.frame('out', FrameType.PING, Flag.ACK, 0, 8);
      writePing(this.output, Flag.ACK, payload);
      this.flushLater();
      return;
    }
    if (payload.equals(SHUTDOWN_PING)) this.shutdownHeard();
    else if (this.pingSent === 'sent' && !payload.equals(ALIVE_PING)) {
      this.pingSent = 'answered';
      if (this.pinger !== null) this.wakeLater(this.pinger);
      this.pinger = null;
    }
  }

  /** RFC 9113 6.8. */
  private goaway(id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw refuse(Reason.PROTOCOL_ERROR, 'GOAWAY on a stream');
    if (end - start < 8) throw refuse(Reason.FRAME_SIZE_ERROR, 'GOAWAY');
    const last = get32(bytes, start) & MAX_31;
    const reason = get32(bytes, start + 4);
    const debug = bytes.toString('latin1', start + 8, Math.min(end, start + 8 + 256)).replace(/[^\x20-\x7e]/g, '?');
    this.goawayReceived = reason;
    this.goneAway(last, new H2Error('goaway', reason, 'remote', debug));
    if (this.streams.size === 0) this.finish();
  }

  /** The peer takes no streams of this end's above `last`. */
  protected goneAway(_last: number, _error: H2Error): void {}

  /** RFC 9113 6.3: read and ignored; RFC 9218 has priorities in a field, which is passed on. */
  private priority(id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0) throw refuse(Reason.PROTOCOL_ERROR, 'PRIORITY on stream 0');
    const wrongLength = end - start !== 5;
    if (!wrongLength && (get32(bytes, start) & MAX_31) !== id) return;
    const reason = wrongLength ? Reason.FRAME_SIZE_ERROR : Reason.PROTOCOL_ERROR;
    const stream = this.streams.get(id);
    if (stream !== undefined) this.streamError(stream, reason, 'PRIORITY');
    else {
      this.glitch(new H2Error('reset', reason, 'library', 'PRIORITY'), id);
      this.writeReset(id, reason);
    }
  }

  // --- the ends of streams ---

  /** The peer broke a rule on a stream: the stream ends, and too many of these end the connection (CVE-2025-8671). */
  protected streamError(stream: Stream, reason: number, detail: string): void {
    const error = new H2Error('reset', reason, 'library', detail);
    this.glitch(error, stream.id);
    this.resetStream(stream, error);
  }

  protected glitch(error: H2Error, stream: number): void {
    this.options.onRefused?.(error, stream);
    if (!this.resetBudget.take()) throw refuse(Reason.ENHANCE_YOUR_CALM, 'too many errors of streams');
  }

  /** Reset a stream whose message is well-formed for this end and not for whoever uses it; it counts as refused. */
  refuseStream(stream: Stream, reason: number, detail: string): void {
    if (stream.error !== null) return;
    const error = new H2Error('reset', reason, 'library', detail);
    this.options.onRefused?.(error, stream.id);
    this.resetStream(stream, error);
  }

  /** @internal Reset a stream from this end. */
  resetStream(stream: Stream, error: H2Error): void {
    if (!this.closed) {
      this.remember(stream.id, 'us');
      this.writeReset(stream.id, error.reason);
    }
    this.gone(stream, error);
  }

  protected writeReset(id: number, reason: number): void {
    if (this.closed) return;
    this.observer?.frame('out', FrameType.RST_STREAM, 0, id, 4, reason);
    write32(this.output, FrameType.RST_STREAM, id, reason);
    this.flushLater();
  }

  private failStream(stream: Stream, error: H2Error): void {
    if (!stream.released) {
      stream.isZombie = true;
      this.zombies++;
    }
    stream.fail(error);
  }

  /** A stream ends before its end. */
  protected gone(stream: Stream, error: H2Error): void {
    this.failStream(stream, error);
    this.remove(stream);
  }

  protected remember(id: number, by: 'us' | 'peer'): void {
    this.resets ??= new Map();
    this.resets.set(id, by);
    if (this.resets.size <= REMEMBERED) return;
    for (const oldest of this.resets.keys()) {
      this.resets.delete(oldest);
      break;
    }
  }

  /** A stream begins. */
  protected add(stream: Stream): void {
    this.streams.set(stream.id, stream);
    if (this.progressAt === Infinity) this.lookLater(performance.now());
  }

  private lookLater(now: number): void {
    this.progressAt = now + this.progress.interval;
    this.checkBy(this.progressAt);
  }

  /** End the streams that don't get on. */
  private look(now: number): void {
    this.progressAt = Infinity;
    for (const [stream, error] of this.progress.overdue(this.streams.values(), now)) {
      if (error.initiator === 'library') this.options.onRefused?.(error, stream.id);
      this.resetStream(stream, error);
    }
    if (this.streams.size > 0) this.lookLater(now);
  }

  /** @internal END_STREAM was sent. */
  localEnd(stream: Stream): void {
    stream.localEnded = true;
    this.settle(stream);
  }

  private settle(stream: Stream): void {
    if (stream.localEnded && stream.remoteEnded) this.remove(stream);
    else if (stream.localEnded && stream.released) setImmediate(resetRest, this, stream);
  }

  private remove(stream: Stream): void {
    this.streams.delete(stream.id);
    this.streamRemoved();
    if (this.streams.size === 0 && this.isEnding) this.finish();
  }

  /** Streams that are open. */
  get openStreams(): number {
    return this.streams.size;
  }

  /** Whether it closes when it has no streams. */
  protected get isEnding(): boolean {
    return this.goawaySent !== Infinity || this.goawayReceived >= 0;
  }

  /** A stream has ended. */
  protected streamRemoved(): void {}

  /** @internal Its user is done with it. */
  released(stream: Stream): void {
    if (stream.isZombie) this.zombies--;
  }

  /** @internal Nobody wants the rest of the peer's message; this end's has to be sent first. */
  resetWhenSent(stream: Stream): void {
    if (this.closed || stream.error !== null || !stream.localEnded || stream.remoteEnded) return;
    this.resetStream(stream, new H2Error('reset', this.isServer ? Reason.NO_ERROR : Reason.CANCEL, 'user'));
  }

  /**
   * Whether another stream of the peer's may begin. Those that were reset count until whoever works for them has
   * noticed: resetting them doesn't make room for more work.
   */
  protected hasRoom(): boolean {
    const { maxConcurrentStreams } = this.limits;
    return this.streams.size < maxConcurrentStreams && this.streams.size + this.zombies < 2 * maxConcurrentStreams;
  }

  // --- sending ---

  /** @internal A head of a response. */
  writeHead(stream: Stream, status: number, names: readonly string[], values: readonly string[], end: boolean): void {
    const start = this.beginBlock(names, values, 0);
    this.encoder.field(this.output, ':status', statusText(status));
    this.endBlock(stream.id, start, names, values, end, status);
  }

  /** A head of a request. */
  protected writeRequest(stream: Stream, head: RequestHead, end: boolean): void {
    const { method, scheme, authority, path, names, values } = head;
    const { output, encoder } = this;
    const more = method.length + (scheme?.length ?? 0) + (authority?.length ?? 0) + (path?.length ?? 0) + 160;
    const start = this.beginBlock(names, values, more);
    encoder.field(output, ':method', method);
    if (scheme !== undefined) encoder.field(output, ':scheme', scheme);
    if (authority !== undefined) encoder.field(output, ':authority', authority);
    if (path !== undefined) encoder.field(output, ':path', path);
    this.endBlock(stream.id, start, names, values, end, head);
  }

  private beginBlock(names: readonly string[], values: readonly string[], more: number): number {
    // what the block takes at most, so that it is in one piece
    let most = HEADER_LENGTH + 64 + more;
    for (let i = 0; i < names.length; i++) most += names[i]!.length + values[i]!.length + 24;
    const { output } = this;
    output.reserve(most);
    const start = output.pos;
    output.pos += HEADER_LENGTH;
    this.encoder.begin(output);
    return start;
  }

  private endBlock(
    id: number,
    start: number,
    names: readonly string[],
    values: readonly string[],
    end: boolean,
    detail: FrameDetail,
  ): void {
    const { output, encoder } = this;
    for (let i = 0; i < names.length; i++) encoder.field(output, names[i]!, values[i]!);
    const length = output.pos - start - HEADER_LENGTH;
    const flags = end ? Flag.END_STREAM : 0;
    if (length <= this.remote.maxFrameSize) {
      putHeader(output.buffer, start, length, FrameType.HEADERS, flags | Flag.END_HEADERS, id);
    } else this.splitBlock(id, start, length, flags);
    this.observer?.frame('out', FrameType.HEADERS, flags | Flag.END_HEADERS, id, length, detail, names, values);
    this.controlBudget.earn(4);
    this.flushLater();
  }

  /** RFC 9113 6.10: what is longer than a frame goes on in CONTINUATION. */
  private splitBlock(id: number, start: number, length: number, flags: number): void {
    const { output } = this;
    const { maxFrameSize } = this.remote;
    const block = Buffer.from(output.buffer.subarray(start + HEADER_LENGTH, start + HEADER_LENGTH + length));
    output.pos = start;
    for (let pos = 0; pos < length; pos += maxFrameSize) {
      const part = block.subarray(pos, pos + maxFrameSize);
      const type = pos === 0 ? FrameType.HEADERS : FrameType.CONTINUATION;
      const last = pos + part.length === length ? Flag.END_HEADERS : 0;
      output.reserve(HEADER_LENGTH);
      putHeader(output.buffer, output.pos, part.length, type, (pos === 0 ? flags : 0) | last, id);
      output.pos += HEADER_LENGTH;
      output.append(part);
    }
  }

  /** @internal */
  sendData(stream: Stream, data: Buffer, end: boolean): void {
    const { length } = data;
    let sent = 0;
    if (stream.sendQueue.length === 0 && !this.blocked) {
      while (sent < length) {
        const room = Math.min(length - sent, stream.sendWindow, this.sendWindow, this.remote.maxFrameSize);
        if (room <= 0) break;
        const last = sent + room === length;
        this.writeData(stream, sent === 0 && last ? data : data.subarray(sent, sent + room), end && last);
        sent += room;
        // within a turn as much as that goes out without waiting for its end, so that it doesn't pile up
        if (this.output.length >= WRITE_SIZE) {
          this.flush();
          if (this.blocked || this.closed) break;
        }
      }
      if (sent === length) {
        if (length === 0 && end) this.writeData(stream, data, true);
        return;
      }
    }
    if (this.closed || stream.error !== null) return;
    if (sent < length) {
      stream.sendQueue.push(sent === 0 ? data : data.subarray(sent));
      stream.unsent += length - sent;
    }
    stream.endQueued = end;
    this.getInLine(stream);
    if (!this.blocked && stream.unsent === 0) this.pump();
  }

  /** @internal */
  sendTrailers(stream: Stream, names: readonly string[], values: readonly string[]): void {
    if (stream.sendQueue.length > 0) {
      stream.trailersQueued = [names, values];
      stream.endQueued = true;
      return;
    }
    this.writeTrailers(stream, names, values);
  }

  private writeTrailers(stream: Stream, names: readonly string[], values: readonly string[]): void {
    this.endBlock(stream.id, this.beginBlock(names, values, 0), names, values, true, undefined);
    this.localEnd(stream);
  }

  private writeData(stream: Stream, piece: Buffer, end: boolean): void {
    const { output } = this;
    const { length } = piece;
    const flags = end ? Flag.END_STREAM : 0;
    this.observer?.frame('out', FrameType.DATA, flags, stream.id, length);
    output.reserve(HEADER_LENGTH);
    putHeader(output.buffer, output.pos, length, FrameType.DATA, flags, stream.id);
    output.pos += HEADER_LENGTH;
    if (length > 0) output.append(piece);
    stream.sendWindow -= length;
    stream.sent += length;
    this.sendWindow -= length;
    this.controlBudget.earn(4);
    this.flushLater();
    if (end) this.localEnd(stream);
  }

  private getInLine(stream: Stream): void {
    if (stream.inLine || (stream.sendQueue.length === 0 && !stream.endQueued)) return;
    stream.inLine = true;
    this.line.push(stream);
  }

  /** Send what waits, a frame of each stream in its turn, as far as the windows and the peer's reading allow. */
  private pump(): void {
    const { line } = this;
    while (line.length > 0 && !this.blocked && !this.closed) {
      const stream = line[0]!;
      if (this.sendWindow <= 0 && stream.sendQueue.length > 0) return;
      line.shift();
      stream.inLine = false;
      if (stream.error !== null || stream.localEnded) continue;
      this.sendSome(stream);
      if (this.output.length >= WRITE_SIZE) this.flush();
    }
  }

  private sendSome(stream: Stream): void {
    const { sendQueue } = stream;
    const before = stream.unsent;
    if (sendQueue.length > 0) {
      const first = sendQueue[0]!;
      const room = Math.min(first.length, stream.sendWindow, this.sendWindow, this.remote.maxFrameSize);
      // its own window is used up; the next update puts it in line again
      if (room <= 0) return;
      if (room === first.length) sendQueue.shift();
      else sendQueue[0] = first.subarray(room);
      stream.unsent -= room;
      const end = stream.unsent === 0 && stream.endQueued && stream.trailersQueued === null;
      this.writeData(stream, room === first.length ? first : first.subarray(0, room), end);
    } else if (stream.endQueued && stream.trailersQueued === null) this.writeData(stream, EMPTY, true);
    if (stream.unsent === 0 && stream.trailersQueued !== null) {
      const [names, values] = stream.trailersQueued;
      stream.trailersQueued = null;
      this.writeTrailers(stream, names, values);
    }
    if (stream.unsent > 0) this.getInLine(stream);
    if (stream.unsent <= SEND_LIMIT / 2 && (before > SEND_LIMIT / 2 || stream.unsent === 0)) stream.wakeWriter();
  }

  protected flushLater(): void {
    if (this.flushing || this.closed) return;
    this.flushing = true;
    this.transport.flushLater(this);
  }

  /** Write what was made. The transport calls it at the end of a turn. */
  flush(): void {
    this.flushing = false;
    if (this.closed || this.output.length === 0) return;
    if (this.blocked) {
      // CVE-2019-9517: a peer that asks and asks and never reads
      if (this.output.length > this.limits.maxUnsent) {
        const error = refuse(Reason.ENHANCE_YOUR_CALM, 'the peer does not read');
        this.options.onRefused?.(error, 0);
        this.close(error);
        this.transport.destroy();
      }
      return;
    }
    if (!this.transport.write(this.output.take())) {
      this.blocked = true;
      this.stalledBy = performance.now() + this.limits.stalledMs;
      this.checkBy(this.stalledBy);
    }
  }

  /** The peer has read what was written. */
  drained(): void {
    if (this.closed || !this.blocked) return;
    this.blocked = false;
    this.stalledBy = Infinity;
    if (this.output.length > 0) this.flush();
    this.pump();
    this.flushLater();
  }

  // --- the end ---

  /**
   * Have the peer open no more streams, and close when the last one has ended. Nothing is lost: a first GOAWAY names no
   * stream, and only when the peer has surely read it a second one says which was the last (RFC 9113 6.8).
   */
  gracefulShutdown(): void {
    if (this.closed || this.shutdownBegun) return;
    this.shutdownBegun = true;
    this.observer?.frame('out', FrameType.GOAWAY, 0, 0, 8, Reason.NO_ERROR);
    writeGoAway(this.output, MAX_31, Reason.NO_ERROR, '');
    writePing(this.output, 0, SHUTDOWN_PING);
    this.flushLater();
    this.shutdownTimer = arm(GOAWAY_PATIENCE, () => this.shutdownHeard());
  }

  private shutdownHeard(): void {
    if (this.closed || !this.shutdownBegun || this.goawaySent !== Infinity) return;
    this.shutdownTimer?.cancel();
    this.shutdownTimer = null;
    this.goAway(Reason.NO_ERROR, '');
    if (this.streams.size === 0) this.finish();
  }

  /** Whether {@link Connection.gracefulShutdown} was called. */
  get isShuttingDown(): boolean {
    return this.shutdownBegun;
  }

  private goAway(reason: number, debug: string): void {
    this.goawaySent = this.lastPeerStream;
    this.observer?.frame('out', FrameType.GOAWAY, 0, 0, 8 + debug.length, reason);
    writeGoAway(this.output, this.lastPeerStream, reason, debug);
    this.flushLater();
  }

  /** RFC 9113 5.4.1: say why, and close. */
  protected fail(error: H2Error): void {
    if (this.closed) return;
    this.options.onRefused?.(error, 0);
    this.goAway(error.reason, error.message);
    this.close(error);
  }

  /** End the connection with all its streams now. */
  abort(reason: number = Reason.NO_ERROR): void {
    if (this.closed) return;
    this.goAway(reason, '');
    this.close(new H2Error('goaway', reason, 'user'));
  }

  /** Everything has been said. */
  protected finish(): void {
    if (this.closed) return;
    if (this.goawaySent === Infinity) this.goAway(Reason.NO_ERROR, '');
    this.close(null);
  }

  private close(error: H2Error | null): void {
    if (this.closed) return;
    this.error ??= error;
    this.reader.stopped = true;
    this.timer?.cancel();
    this.timer = null;
    this.shutdownTimer?.cancel();
    this.shutdownTimer = null;
    if (this.output.length > 0 && error?.kind !== 'io') this.transport.write(this.output.take());
    this.closed = true;
    this.output.take();
    const streams = [...this.streams.values()];
    this.streams.clear();
    this.line = [];
    const why = error ?? H2Error.io(new Error('the connection is closed'));
    for (const stream of streams) {
      this.failStream(stream, why);
    }
    if (this.pinger !== null) this.wakeLater(this.pinger);
    this.pinger = null;
    for (const waker of this.waiting) this.wakeLater(waker);
    this.waiting.clear();
    if (this.driver !== null) this.wakeLater(this.driver);
    this.streamRemoved();
    this.hasClosed();
    if (error?.kind === 'io') this.transport.destroy();
    else this.transport.end();
  }

  /** The connection has ended. */
  protected abstract hasClosed(): void;

  /** As {@link Connection.pollClosed}, and reads what arrives meanwhile: for the one task that drives the connection. */
  pollDrive(): Poll<void> {
    // who polls needs no waking
    this.driver = null;
    this.drive();
    if (this.closed) return undefined;
    this.driver = currentWaker();
    return PENDING;
  }

  /** Ready once the connection has ended; {@link Connection.error} says how. */
  pollClosed(): Poll<void> {
    if (this.closed) return undefined;
    this.waiting.add(currentWaker());
    return PENDING;
  }

  // --- pings of the user's, and time ---

  /** Ask the peer whether it is there; {@link Connection.pollPong} waits for the answer. One at a time. */
  sendPing(payload: Buffer = Buffer.alloc(8)): void {
    if (this.closed) return;
    this.pingSent = 'sent';
    this.observer?.frame('out', FrameType.PING, 0, 0, 8);
    writePing(this.output, 0, payload);
    this.flushLater();
  }

  /** Ready when the answer to {@link Connection.sendPing} has come. Throws {@link H2Error} if there won't be one. */
  pollPong(): Poll<void> {
    if (this.pingSent === 'answered') {
      this.pingSent = 'no';
      return undefined;
    }
    if (this.closed) throw this.error ?? H2Error.io(new Error('the connection is closed'));
    this.pinger = currentWaker();
    return PENDING;
  }

  /** Look after what takes too long at `time`, or before. */
  private checkBy(time: number): void {
    const silent = this.silentAt();
    const at = Math.min(time, silent);
    if (at >= this.checkAt) return;
    this.checkAt = at;
    this.timer?.cancel();
    this.timer = arm(Math.max(0, at - performance.now()), () => this.check());
  }

  private silentAt(): number {
    const { silenceMs } = this.limits;
    return silenceMs > 0 ? this.heard + silenceMs : Infinity;
  }

  private check(): void {
    this.timer = null;
    this.checkAt = Infinity;
    if (this.closed) return;
    const now = performance.now();
    if (now >= this.settingsBy) this.fail(refuse(Reason.PROTOCOL_ERROR, 'no SETTINGS in time'));
    else if (now >= this.blockBy) this.fail(refuse(Reason.ENHANCE_YOUR_CALM, 'a field block that does not end'));
    else if (now >= this.settingsAckBy) this.fail(refuse(Reason.SETTINGS_TIMEOUT, 'SETTINGS not acknowledged'));
    else if (now >= this.stalledBy) {
      // there is no way to tell the peer
      this.options.onRefused?.(refuse(Reason.ENHANCE_YOUR_CALM, 'the peer does not read'), 0);
      this.close(H2Error.io(Object.assign(new Error('the peer does not read'), { code: 'ETIMEDOUT' })));
    } else if (now >= this.silentAt()) {
      if (this.asked) {
        this.close(H2Error.io(Object.assign(new Error('the peer does not answer'), { code: 'ETIMEDOUT' })));
        return;
      }
      this.asked = true;
      this.heard = now;
      writePing(this.output, 0, ALIVE_PING);
      this.flushLater();
    }
    if (!this.closed && now >= this.progressAt) this.look(now);
    if (this.closed) return;
    this.checkBy(Math.min(this.settingsBy, this.blockBy, this.settingsAckBy, this.stalledBy, this.progressAt));
  }
}

function ended(connection: Connection, error: Error | undefined): void {
  connection.endedNow(error);
}

function resetRest(connection: Connection, stream: Stream): void {
  connection.resetWhenSent(stream);
}

const STATUS_TEXTS: string[] = [];

function statusText(status: number): string {
  const known = STATUS_TEXTS[status];
  if (known !== undefined) return known;
  const text = String(status);
  if (status >= 100 && status <= 999) STATUS_TEXTS[status] = text;
  return text;
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

function defined<T extends object>(values: T | undefined): Partial<T> {
  if (values === undefined) return {};
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}

/**
 * What a connection sends: frames are made here, as far as the peer's windows allow (RFC 9113 5.2), and those that are
 * made in one turn leave in one write. What the windows hold back waits at its stream, which waits in line here.
 */
import type { Deadlines } from './deadlines.ts';
import {
  Flag,
  FrameType,
  HEADER_LENGTH,
  MAX_31,
  putHeader,
  write32,
  writeGoAway,
  writePing,
  writeSettings,
} from './frame.ts';
import type { RequestHead } from './head.ts';
import { Encoder } from './hpack/encoder.ts';
import { Budget, type Limits } from './limits.ts';
import type { FrameDetail, FrameObserver, Options, Transport } from './options.ts';
import { Output } from './output.ts';
import { H2Error, Reason } from './reason.ts';
import { DEFAULT_WINDOW, type Settings } from './settings.ts';
import { SEND_LIMIT, type Stream, type StreamSend } from './stream.ts';

/** So many bytes are put together before they are written within a turn. */
const WRITE_SIZE = 256 * 1024;
/** Windows smaller than this are games when there is more to send. */
const TINY_WINDOW = 64;
/**
 * So many bytes that a peer's windows let out make up for a tiny one: clients that give back each frame's bytes as they
 * come repeat the sizes of the frames that they get.
 */
const BYTES_A_TINY_WINDOW = 256;

const EMPTY = Buffer.alloc(0);

/** What sending needs of the connection. */
export interface SendOwner {
  readonly transport: Transport;
  readonly options: Options;
  readonly limits: Limits;
  /** What the peer has said of itself. */
  readonly remote: Settings;
  /** Of what moves no message; what does gives something back. */
  readonly controlBudget: Budget;
  readonly deadlines: Deadlines;
  /** END_STREAM was sent. */
  localEnd(stream: Stream): void;
  /** More waits for the peer than may. */
  overflowed(): void;
}

/** The sending half of a connection. */
export class Send implements StreamSend {
  /** Nothing is sent any more. */
  closed = false;
  private readonly owner: SendOwner;
  private readonly transport: Transport;
  private readonly remote: Settings;
  private readonly controlBudget: Budget;
  private readonly tinyBudget: Budget;
  /** Frames that were small because a window was, and aren't in the budget yet. */
  private tiny = 0;
  /** Bytes of DATA that make up for them. */
  private sentSinceTiny = 0;
  /** Window updates that a client may send for the frames that it got: one for the connection, and one for the stream. */
  private updatesDue = 0;
  private readonly observer: FrameObserver | null;
  private readonly output = new Output();
  private readonly encoder = new Encoder();
  /** What the peer lets this end send on all streams together (RFC 9113 6.9). */
  private window = DEFAULT_WINDOW;
  /** Streams that have something to send and may. */
  private line: Stream[] = [];
  /** The peer reads too slowly. */
  private blocked = false;
  private flushing = false;

  constructor(owner: SendOwner) {
    this.owner = owner;
    this.transport = owner.transport;
    this.remote = owner.remote;
    this.controlBudget = owner.controlBudget;
    this.tinyBudget = new Budget(owner.limits.tinyWindows);
    this.observer = owner.options.observer ?? null;
  }

  // --- frames without a body ---

  /** What a connection begins with, where this end is a client (RFC 9113 3.4). */
  preface(bytes: Buffer): void {
    this.output.append(bytes);
  }

  /** RFC 9113 6.5. */
  settings(flags: number, pairs: readonly (readonly [number, number])[]): void {
    this.observer?.frame('out', FrameType.SETTINGS, flags, 0, 6 * pairs.length, pairs);
    writeSettings(this.output, flags, pairs);
    this.flushLater();
  }

  /** RFC 9113 6.9. Stream 0 is the connection. */
  windowUpdate(stream: number, bytes: number): void {
    if (this.closed) return;
    this.observer?.frame('out', FrameType.WINDOW_UPDATE, 0, stream, 4, bytes);
    write32(this.output, FrameType.WINDOW_UPDATE, stream, bytes);
    this.flushLater();
  }

  /** RFC 9113 6.4. */
  reset(stream: number, reason: number): void {
    if (this.closed) return;
    this.observer?.frame('out', FrameType.RST_STREAM, 0, stream, 4, reason);
    write32(this.output, FrameType.RST_STREAM, stream, reason);
    this.flushLater();
  }

  /** RFC 9113 6.7. */
  ping(flags: number, payload: Buffer): void {
    this.observer?.frame('out', FrameType.PING, flags, 0, 8);
    writePing(this.output, flags, payload);
    this.flushLater();
  }

  /** RFC 9113 6.8. */
  goAway(last: number, reason: number, debug: string): void {
    this.observer?.frame('out', FrameType.GOAWAY, 0, 0, 8 + debug.length, reason);
    writeGoAway(this.output, last, reason, debug);
    this.flushLater();
  }

  // --- heads (RFC 9113 6.2) ---

  response(stream: Stream, status: number, names: readonly string[], values: readonly string[], end: boolean): void {
    const start = this.beginBlock(names, values, 0);
    this.encoder.field(this.output, ':status', statusText(status));
    this.endBlock(stream.id, start, names, values, end, status);
  }

  request(stream: Stream, head: RequestHead, end: boolean): void {
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

  /** Trailers, after what waits of the body. */
  trailers(stream: Stream, names: readonly string[], values: readonly string[]): void {
    if (stream.sendQueue.length > 0) {
      stream.trailersQueued = [names, values];
      stream.endQueued = true;
      return;
    }
    this.writeTrailers(stream, names, values);
  }

  private writeTrailers(stream: Stream, names: readonly string[], values: readonly string[]): void {
    this.endBlock(stream.id, this.beginBlock(names, values, 0), names, values, true, undefined);
    this.owner.localEnd(stream);
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

  // --- DATA (RFC 9113 6.1) ---

  data(stream: Stream, data: Buffer, end: boolean): void {
    const { length } = data;
    let sent = 0;
    if (stream.sendQueue.length === 0 && !this.blocked) {
      while (sent < length) {
        const room = Math.min(length - sent, stream.sendWindow, this.window, this.remote.maxFrameSize);
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

  private writeData(stream: Stream, piece: Buffer, end: boolean): void {
    const { length } = piece;
    this.beginData(stream, length, end);
    if (length > 0) this.output.append(piece);
    if (end) this.owner.localEnd(stream);
  }

  /** The header of a DATA frame; its `length` bytes are to follow. */
  private beginData(stream: Stream, length: number, end: boolean): void {
    const { output } = this;
    const flags = end ? Flag.END_STREAM : 0;
    this.observer?.frame('out', FrameType.DATA, flags, stream.id, length);
    output.reserve(HEADER_LENGTH);
    putHeader(output.buffer, output.pos, length, FrameType.DATA, flags, stream.id);
    output.pos += HEADER_LENGTH;
    stream.sendWindow -= length;
    stream.sent += length;
    this.window -= length;
    this.controlBudget.earn(4);
    this.updatesDue += 2;
    this.sentSinceTiny += length;
    this.flushLater();
  }

  private getInLine(stream: Stream): void {
    if (stream.inLine || (stream.sendQueue.length === 0 && !stream.endQueued)) return;
    stream.inLine = true;
    this.line.push(stream);
  }

  /**
   * Send what the windows let out now. Called once what has arrived together was read, so that windows that grew in several
   * steps let out one frame, not one a step. Throws {@link H2Error} if they let out next to nothing again and again
   * (CVE-2019-9511).
   */
  windowsOpened(): void {
    this.pump();
    if (this.tiny === 0) return;
    this.tinyBudget.earn(this.sentSinceTiny / BYTES_A_TINY_WINDOW);
    this.sentSinceTiny = 0;
    for (; this.tiny > 0; this.tiny--) this.tinyBudget.spend('tiny window updates');
  }

  /** Send what waits, a frame of each stream in its turn, as far as the windows and the peer's reading allow. */
  private pump(): void {
    const { line } = this;
    while (line.length > 0 && !this.blocked && !this.closed) {
      const stream = line[0]!;
      if (this.window <= 0 && stream.sendQueue.length > 0) return;
      line.shift();
      stream.inLine = false;
      if (stream.error !== null || stream.localEnded) continue;
      this.sendSome(stream);
      if (this.output.length >= WRITE_SIZE) this.flush();
    }
  }

  private sendSome(stream: Stream): void {
    const before = stream.unsent;
    if (before > 0) {
      const room = Math.min(before, stream.sendWindow, this.window, this.remote.maxFrameSize);
      // its own window is used up; the next update puts it in line again
      if (room <= 0) return;
      if (room < TINY_WINDOW && room < before) this.tiny++;
      this.writeQueued(stream, room, room === before && stream.endQueued && stream.trailersQueued === null);
    } else if (stream.endQueued && stream.trailersQueued === null) this.writeData(stream, EMPTY, true);
    if (stream.unsent === 0 && stream.trailersQueued !== null) {
      const [names, values] = stream.trailersQueued;
      stream.trailersQueued = null;
      this.writeTrailers(stream, names, values);
    }
    if (stream.unsent > 0) this.getInLine(stream);
    if (stream.unsent <= SEND_LIMIT / 2 && (before > SEND_LIMIT / 2 || stream.unsent === 0)) stream.wakeWriter();
  }

  /** `length` bytes of what waits on a stream in one frame, of however many pieces they are. */
  private writeQueued(stream: Stream, length: number, end: boolean): void {
    const { sendQueue } = stream;
    stream.unsent -= length;
    this.beginData(stream, length, end);
    for (let left = length; left > 0; ) {
      const first = sendQueue[0]!;
      if (first.length <= left) {
        sendQueue.shift();
        this.output.append(first);
        left -= first.length;
      } else {
        sendQueue[0] = first.subarray(left);
        this.output.append(first.subarray(0, left));
        left = 0;
      }
    }
    if (end) this.owner.localEnd(stream);
  }

  // --- the peer's windows (RFC 9113 6.9) ---

  /** Whether a window update is one of those that clients send for what they got. */
  isUpdateDue(): boolean {
    if (this.updatesDue === 0) return false;
    this.updatesDue--;
    return true;
  }

  /**
   * Whether an update lets out a whole frame, which then leaves at once; less waits for what has come with it. A client
   * with a window of 64 KB gives back half of it in each of two updates, and keeps that up. When both waited for each
   * other a part of the window stayed unused for the rest of the body: 100 MiB to h2load cost 330 ms instead of 245.
   */
  private isWhole(update: number): boolean {
    return update >= this.remote.maxFrameSize;
  }

  /** The connection's window grows; {@link Send.windowsOpened} is to follow. Throws {@link H2Error} if it grows too much. */
  grow(more: number): void {
    this.window += more;
    if (this.window > MAX_31) throw windowTooLarge();
    if (this.isWhole(more)) this.pump();
  }

  /** A stream's window grows; {@link Send.windowsOpened} is to follow. False: it grows too much. */
  growStream(stream: Stream, more: number): boolean {
    stream.sendWindow += more;
    if (stream.sendWindow > MAX_31) return false;
    this.getInLine(stream);
    if (this.isWhole(more)) this.pump();
    return true;
  }

  /** The peer's settings are others now, where its initial window was `windowBefore`: acknowledge them. */
  remoteChanged(windowBefore: number, streams: Iterable<Stream>): void {
    this.encoder.setMaxSize(this.remote.smallestTableSize);
    this.encoder.setMaxSize(this.remote.headerTableSize);
    // RFC 9113 6.5.3: at once, before anything is sent that the settings allow
    this.settings(Flag.ACK, []);
    const more = this.remote.initialWindowSize - windowBefore;
    if (more === 0) return;
    // RFC 9113 6.9.2: windows of streams move with the initial one, below zero too
    for (const stream of streams) {
      stream.sendWindow += more;
      if (stream.sendWindow > MAX_31) throw windowTooLarge();
      if (more > 0) this.getInLine(stream);
    }
  }

  // --- writing ---

  private flushLater(): void {
    if (this.flushing || this.closed) return;
    this.flushing = true;
    this.transport.flushLater(this);
  }

  /** Write what was made. The transport calls it at the end of a turn. */
  flush(): void {
    this.flushing = false;
    if (this.closed || this.output.length === 0) return;
    const { deadlines, limits } = this.owner;
    if (this.blocked) {
      // CVE-2019-9517: a peer that asks and asks and never reads
      if (this.output.length > limits.maxUnsent) this.owner.overflowed();
      return;
    }
    if (!this.transport.write(this.output.take())) {
      this.blocked = true;
      deadlines.stalled = performance.now() + limits.stalledMs;
      deadlines.checkBy(deadlines.stalled);
    }
  }

  /** The peer has read what was written. */
  drained(): void {
    if (this.closed || !this.blocked) return;
    this.blocked = false;
    this.owner.deadlines.stalled = Infinity;
    if (this.output.length > 0) this.flush();
    this.pump();
    this.flushLater();
  }

  /** Send nothing any more; what was made still leaves, unless what carries the connection is `broken`. */
  close(broken: boolean): void {
    if (this.output.length > 0 && !broken) this.transport.write(this.output.take());
    this.closed = true;
    this.output.take();
    this.line = [];
  }
}

function windowTooLarge(): H2Error {
  return H2Error.goaway(Reason.FLOW_CONTROL_ERROR, 'a window above 2^31-1');
}

const STATUS_TEXTS: string[] = [];

function statusText(status: number): string {
  const known = STATUS_TEXTS[status];
  if (known !== undefined) return known;
  const text = String(status);
  if (status >= 100 && status <= 999) STATUS_TEXTS[status] = text;
  return text;
}

/**
 * The streams of a connection: which there are, which have been, how they begin and end, and who may send on them (RFC 9113
 * 5.1).
 */
import type { Deadlines } from './deadlines.ts';
import { FrameType } from './frame.ts';
import type { Head, HeadOf } from './head.ts';
import { Budget, type Limits } from './limits.ts';
import type { Options } from './options.ts';
import { Progress } from './progress.ts';
import { H2Error, Reason } from './reason.ts';
import type { Send } from './send.ts';
import type { Stream } from './stream.ts';
import { StreamTable } from './table.ts';

/** Streams that were reset are remembered, so many of them, for frames that were on their way. */
const REMEMBERED = 512;

/** What streams need of the connection, and what a client and a server do differently. */
export interface StreamsOwner {
  readonly isServer: boolean;
  readonly closed: boolean;
  readonly options: Options;
  readonly limits: Limits;
  readonly controlBudget: Budget;
  readonly deadlines: Deadlines;
  readonly send: Send;
  /** What a field block on `stream` is. */
  headOf(stream: Stream | undefined): HeadOf;
  /** Whether a head has come before the data (RFC 9113 8.1). */
  mayHaveData(stream: Stream): boolean;
  /** Whether the stream has never been used by anybody. */
  isIdle(id: number): boolean;
  /** Whether HEADERS on this stream, which isn't here, begin it. Throws for one that can't be the peer's. */
  opens(id: number): boolean;
  /** The peer has begun a stream. */
  opened(id: number, head: Head, ends: boolean, dependsOnItself: boolean): void;
  /** A head that is no trailers, on a stream that is here. */
  moreHead(stream: Stream, head: Head, ends: boolean): void;
  /** A stream has ended. */
  streamRemoved(): void;
}

/** The streams of a connection. */
export class Streams {
  /** The highest stream of the peer's that was seen. */
  lastPeerStream = 0;
  /** The last stream that the last GOAWAY of this end named. */
  goawaySent = Infinity;
  private readonly owner: StreamsOwner;
  private readonly open = new StreamTable();
  /** Streams of the peer's that were passed over. */
  private skipped: [from: number, to: number][] = [];
  /** Streams that were reset, by whom. */
  private resets: Map<number, 'us' | 'peer'> | null = null;
  private readonly resetBudget: Budget;
  /** Streams that have ended and whose users don't know yet. */
  private zombies = 0;
  private readonly progress: Progress;

  constructor(owner: StreamsOwner) {
    this.owner = owner;
    this.resetBudget = new Budget(owner.limits.resets);
    this.progress = new Progress(owner.limits, owner.isServer);
  }

  get size(): number {
    return this.open.size;
  }

  get(id: number): Stream | undefined {
    return this.open.get(id);
  }

  [Symbol.iterator](): IterableIterator<Stream> {
    return this.open[Symbol.iterator]();
  }

  // --- how they begin ---

  /** A stream begins. */
  add(stream: Stream): void {
    this.open.add(stream);
    if (this.owner.deadlines.progress === Infinity) this.lookLater(performance.now());
  }

  /** At a server: a stream `id` begins; those that it passes over can't be used any more (RFC 9113 5.1.1). */
  passOver(id: number): void {
    const next = this.lastPeerStream === 0 ? 1 : this.lastPeerStream + 2;
    if (id > next) {
      this.skipped.push([next, id - 2]);
      if (this.skipped.length > REMEMBERED) this.skipped.shift();
    }
    this.lastPeerStream = id;
  }

  /**
   * Whether another stream of the peer's may begin. Those that were reset count until whoever works for them has
   * noticed: resetting them doesn't make room for more work.
   */
  hasRoom(): boolean {
    const { maxConcurrentStreams } = this.owner.limits;
    return this.size < maxConcurrentStreams && this.size + this.zombies < 2 * maxConcurrentStreams;
  }

  // --- what comes ---

  /** A head or trailers have come for `stream`, which is here unless it is undefined. */
  head(stream: Stream | undefined, id: number, head: Head, ends: boolean, dependsOnItself: boolean): void {
    if (stream === undefined) {
      if (this.owner.opens(id)) this.owner.opened(id, head, ends, dependsOnItself);
      else this.late(undefined, id, FrameType.HEADERS);
      return;
    }
    if (stream.error !== null) return;
    if (stream.remoteEnded) this.late(stream, id, FrameType.HEADERS);
    // RFC 7540 5.3.1; RFC 9113 has no priorities any more
    else if (dependsOnItself) this.fail(stream, Reason.PROTOCOL_ERROR, 'a stream that depends on itself');
    else if (head.malformed !== null) this.fail(stream, Reason.PROTOCOL_ERROR, head.malformed);
    else if (head.of === 'trailers') this.trailers(stream, head, ends);
    else this.owner.moreHead(stream, head, ends);
  }

  private trailers(stream: Stream, head: Head, ends: boolean): void {
    // RFC 9113 8.1: what comes after the data ends the message
    if (!ends) this.fail(stream, Reason.PROTOCOL_ERROR, 'trailers without the end of the stream');
    else if (head.tooLarge) this.fail(stream, Reason.ENHANCE_YOUR_CALM, 'too many trailers');
    else {
      stream.trailers = head;
      this.remoteEnd(stream);
    }
  }

  /** A frame of a message on a stream whose message has ended, or that isn't here. */
  late(stream: Stream | undefined, id: number, type: number): void {
    const { owner } = this;
    if (stream !== undefined) {
      // RFC 9113 5.1, half-closed (remote)
      if (stream.error === null) this.fail(stream, Reason.STREAM_CLOSED, 'a frame after the end of the stream');
      return;
    }
    // RFC 9113 5.1, idle
    if (owner.isIdle(id)) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'a frame on an idle stream');
    const by = this.resets?.get(id);
    if (by === 'us') {
      // RFC 9113 5.1: it may have been on its way
      owner.controlBudget.spend('control frames');
      return;
    }
    if (by === 'peer') {
      // RFC 9113 5.1: an error of the stream
      this.glitch(H2Error.reset(Reason.STREAM_CLOSED, 'a frame after RST_STREAM'), id);
      owner.send.reset(id, Reason.STREAM_CLOSED);
      return;
    }
    if (this.goawaySent < id && owner.isServer) {
      // RFC 9113 6.8: streams that GOAWAY has refused
      owner.controlBudget.spend('control frames');
      return;
    }
    // RFC 9113 5.1.1: a stream that was passed over
    if (type === FrameType.HEADERS && this.skipped.some(([from, to]) => id >= from && id <= to)) {
      throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'a stream below one that was opened');
    }
    // RFC 9113 5.1, closed
    throw H2Error.goaway(Reason.STREAM_CLOSED, 'a frame after the end of the stream');
  }

  /** RFC 9113 6.9. */
  windowUpdate(id: number, more: number): void {
    const stream = this.open.get(id);
    if (stream === undefined) {
      if (this.owner.isIdle(id)) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'WINDOW_UPDATE on an idle stream');
      return;
    }
    if (stream.error !== null) return;
    if (more === 0) this.fail(stream, Reason.PROTOCOL_ERROR, 'a window update of 0');
    else if (!this.owner.send.growStream(stream, more)) {
      this.fail(stream, Reason.FLOW_CONTROL_ERROR, 'a window above 2^31-1');
    }
  }

  /** RFC 9113 6.4. */
  resetByPeer(id: number, reason: number): void {
    const stream = this.open.get(id);
    if (stream === undefined) {
      if (this.owner.isIdle(id)) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'RST_STREAM on an idle stream');
      this.owner.controlBudget.spend('control frames');
      return;
    }
    // a server's clients are many and a client's server is one that it chose
    if (this.owner.isServer) this.resetBudget.spend('resets');
    this.remember(id, 'peer');
    this.gone(stream, new H2Error('reset', reason, 'remote'));
  }

  // --- how they end ---

  /** END_STREAM was sent. */
  localEnd(stream: Stream): void {
    stream.localEnded = true;
    this.settle(stream);
  }

  /** The peer's message has ended. */
  remoteEnd(stream: Stream): void {
    if (stream.expected > 0) {
      // RFC 9113 8.1.1
      this.fail(stream, Reason.PROTOCOL_ERROR, 'less than the content-length');
      return;
    }
    stream.endRemote();
    this.settle(stream);
  }

  private settle(stream: Stream): void {
    if (stream.localEnded && stream.remoteEnded) this.remove(stream);
    else if (stream.localEnded && stream.released) setImmediate(resetRest, this, stream);
  }

  private remove(stream: Stream): void {
    this.open.delete(stream.id);
    this.owner.streamRemoved();
  }

  /** The peer broke a rule on a stream: the stream ends, and too many of these end the connection (CVE-2025-8671). */
  fail(stream: Stream, reason: number, detail: string): void {
    const error = H2Error.reset(reason, detail);
    this.glitch(error, stream.id);
    this.reset(stream, error);
  }

  /** As {@link Streams.fail}, for a stream that may not be here. */
  failId(id: number, reason: number, detail: string): void {
    const stream = this.open.get(id);
    if (stream !== undefined) this.fail(stream, reason, detail);
    else {
      this.glitch(H2Error.reset(reason, detail), id);
      this.owner.send.reset(id, reason);
    }
  }

  private glitch(error: H2Error, stream: number): void {
    this.owner.options.onRefused?.(error, stream);
    this.resetBudget.spend('errors of streams');
  }

  /** At a server: don't begin a stream that the client opened. */
  refuse(id: number, error: H2Error): void {
    this.owner.send.reset(id, error.reason);
    this.remember(id, 'us');
    this.glitch(error, id);
  }

  /** Reset a stream from this end. */
  reset(stream: Stream, error: H2Error): void {
    if (!this.owner.closed) {
      this.remember(stream.id, 'us');
      this.owner.send.reset(stream.id, error.reason);
    }
    this.gone(stream, error);
  }

  /** Nobody wants the rest of the peer's message; this end's has to be sent first. */
  resetWhenSent(stream: Stream): void {
    const { closed, isServer } = this.owner;
    if (closed || stream.error !== null || !stream.localEnded || stream.remoteEnded) return;
    this.reset(stream, new H2Error('reset', isServer ? Reason.NO_ERROR : Reason.CANCEL, 'user'));
  }

  private remember(id: number, by: 'us' | 'peer'): void {
    this.resets ??= new Map();
    this.resets.set(id, by);
    if (this.resets.size <= REMEMBERED) return;
    for (const oldest of this.resets.keys()) {
      this.resets.delete(oldest);
      break;
    }
  }

  /** A stream ends before its end. */
  gone(stream: Stream, error: H2Error): void {
    this.end(stream, error);
    this.remove(stream);
  }

  private end(stream: Stream, error: H2Error): void {
    if (!stream.released) {
      stream.isZombie = true;
      this.zombies++;
    }
    stream.fail(error);
  }

  /** Its user is done with it. */
  released(stream: Stream): void {
    if (stream.isZombie) this.zombies--;
  }

  /** The connection has ended, and with it all streams. */
  close(error: H2Error): void {
    const streams = [...this];
    this.open.clear();
    for (const stream of streams) this.end(stream, error);
  }

  private lookLater(now: number): void {
    const { deadlines } = this.owner;
    deadlines.progress = now + this.progress.interval;
    deadlines.checkBy(deadlines.progress);
  }

  /** End the streams that don't get on. */
  look(now: number): void {
    const { options, deadlines } = this.owner;
    deadlines.progress = Infinity;
    for (const [stream, error] of this.progress.overdue(this, now)) {
      if (error.initiator === 'library') options.onRefused?.(error, stream.id);
      this.reset(stream, error);
    }
    if (this.size > 0) this.lookLater(now);
  }
}

function resetRest(streams: Streams, stream: Stream): void {
  streams.resetWhenSent(stream);
}

/**
 * A connection of HTTP/2, seen from either end: what servers and clients have in common (RFC 9113 3 to 7).
 *
 * It is given what arrives with {@link Connection.receive} and writes through a {@link Transport}. It ties together what
 * reads frames ({@link Recv}), what makes them ({@link Send}) and the streams ({@link Streams}), and ends all of it.
 */
import { currentWaker, PENDING, type Poll, type Waker } from '../runtime/poll.ts';
import { type Armed, arm } from '../timeout/lib.ts';
import { Deadlines, type DeadlinesOwner } from './deadlines.ts';
import { Flag, MAX_31 } from './frame.ts';
import type { Head, HeadOf } from './head.ts';
import { HpackError } from './hpack/decoder.ts';
import { Budget, DEFAULT_LIMITS, type Limits } from './limits.ts';
import type { Options, Transport } from './options.ts';
import { H2Error, Reason } from './reason.ts';
import { Recv, type RecvOwner } from './recv.ts';
import { Send, type SendOwner } from './send.ts';
import { ownSettings, Settings } from './settings.ts';
import type { Stream, StreamOwner } from './stream.ts';
import { Streams } from './streams.ts';

/** After saying GOAWAY in good order the peer has so many milliseconds to hear of it. */
const GOAWAY_PATIENCE = 1000;

const UNREAD = 'the peer does not read';
const SHUTDOWN_PING = Buffer.from('shutdown');
const ALIVE_PING = Buffer.from('alive? \0');

/** A connection. */
export abstract class Connection implements RecvOwner, SendOwner, StreamOwner, DeadlinesOwner {
  /** What the peer has said of itself. */
  readonly remote = new Settings();
  readonly limits: Limits;
  /** Why it ended; null if it hasn't, or ended in good order. */
  error: H2Error | null = null;
  /** The error code of the peer's GOAWAY; -1 if none came. */
  goawayReceived = -1;

  /** @internal */
  readonly transport: Transport;
  /** @internal */
  readonly options: Options;
  /** @internal */
  readonly controlBudget: Budget;
  /** @internal */
  readonly deadlines: Deadlines;
  /** @internal */
  readonly send: Send;
  /** @internal */
  readonly streams: Streams;
  /** @internal */
  readonly recv: Recv;

  /** Who takes apart what arrives, and what has arrived for it. */
  protected driver: Waker | null = null;
  private inbox: Buffer[] = [];
  private woken: Waker[] = [];
  private receiving = false;
  private readonly waiting = new Set<Waker>();

  private shutdownBegun = false;
  private shutdownTimer: Armed | null = null;

  // pings of the user's
  private pingSent: 'no' | 'sent' | 'answered' = 'no';
  private pinger: Waker | null = null;

  /** Whether this end is the server. */
  abstract readonly isServer: boolean;

  constructor(transport: Transport, options: Options, defaults: Partial<Limits>) {
    this.transport = transport;
    this.options = options;
    this.limits = { ...DEFAULT_LIMITS, ...defaults, ...defined(options.limits) };
    this.controlBudget = new Budget(this.limits.control);
    this.deadlines = new Deadlines(this, this.limits);
    this.send = new Send(this);
    this.streams = new Streams(this);
    this.recv = new Recv(this);
  }

  /** It has ended: nothing arrives and nothing is sent any more. */
  get closed(): boolean {
    return this.send.closed;
  }

  /** Say what this end is like (RFC 9113 3.4). */
  protected sayHello(): void {
    this.send.settings(0, ownSettings(this.options, this.limits, this.isServer));
    this.recv.begin();
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
    this.deadlines.heard();
    this.receiving = true;
    try {
      this.recv.feed(chunk);
      this.send.windowsOpened();
    } catch (error) {
      if (error instanceof H2Error) this.fail(error);
      else if (error instanceof HpackError) this.fail(H2Error.goaway(Reason.COMPRESSION_ERROR, error.message));
      else this.fail(H2Error.goaway(Reason.INTERNAL_ERROR, String(error)));
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
    if (error !== undefined) this.close(H2Error.io(error));
    else if (this.streams.size === 0 && this.recv.isBetweenFrames) this.close(null);
    else this.lost('EPIPE', 'the peer closed the connection');
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

  /** @internal */
  settingsCame(bytes: Buffer, start: number, end: number): void {
    const { remote } = this;
    const window = remote.initialWindowSize;
    remote.read(bytes, start, end, !this.isServer);
    this.send.remoteChanged(window, this.streams);
    this.remoteChanged();
  }

  /** The peer's settings have changed. */
  protected remoteChanged(): void {}

  /** @internal */
  pinged(isAnswer: boolean, payload: Buffer): void {
    if (!isAnswer) this.send.ping(Flag.ACK, payload);
    else if (payload.equals(SHUTDOWN_PING)) this.shutdownHeard();
    else if (this.pingSent === 'sent' && !payload.equals(ALIVE_PING)) {
      this.pingSent = 'answered';
      if (this.pinger !== null) this.wakeLater(this.pinger);
      this.pinger = null;
    }
  }

  /** @internal */
  goawayCame(last: number, error: H2Error): void {
    this.goawayReceived = error.reason;
    this.goneAway(last, error);
    if (this.streams.size === 0) this.finish();
  }

  /** The peer takes no streams of this end's above `last`. */
  protected goneAway(_last: number, _error: H2Error): void {}

  // --- streams ---

  /** @internal */
  abstract headOf(stream: Stream | undefined): HeadOf;
  /** @internal */
  abstract mayHaveData(stream: Stream): boolean;
  /** @internal */
  abstract isIdle(id: number): boolean;
  /** @internal */
  abstract opens(id: number): boolean;
  /** @internal */
  abstract opened(id: number, head: Head, ends: boolean, dependsOnItself: boolean): void;
  /** @internal */
  abstract moreHead(stream: Stream, head: Head, ends: boolean): void;

  /** Streams that are open. */
  get openStreams(): number {
    return this.streams.size;
  }

  /** Reset a stream whose message is well-formed for this end and not for whoever uses it; it counts as refused. */
  refuseStream(stream: Stream, reason: number, detail: string): void {
    if (stream.error !== null) return;
    const error = H2Error.reset(reason, detail);
    this.options.onRefused?.(error, stream.id);
    this.streams.reset(stream, error);
  }

  /** @internal */
  localEnd(stream: Stream): void {
    this.streams.localEnd(stream);
  }

  /** @internal */
  streamRemoved(): void {
    if (this.streams.size === 0 && this.isEnding) this.finish();
  }

  /** Whether it closes when it has no streams. */
  protected get isEnding(): boolean {
    return this.streams.goawaySent !== Infinity || this.goawayReceived >= 0;
  }

  // --- what is sent ---

  /** Write what was made. */
  flush(): void {
    this.send.flush();
  }

  /** The peer has read what was written. */
  drained(): void {
    this.send.drained();
  }

  /** @internal CVE-2019-9517. */
  overflowed(): void {
    this.close(this.refuseUnread());
    this.transport.destroy();
  }

  /** @internal */
  stalled(): void {
    // there is no way to tell the peer
    this.refuseUnread();
    this.lost('ETIMEDOUT', UNREAD);
  }

  private refuseUnread(): H2Error {
    const error = H2Error.goaway(Reason.ENHANCE_YOUR_CALM, UNREAD);
    this.options.onRefused?.(error, 0);
    return error;
  }

  // --- the end ---

  /**
   * Have the peer open no more streams, and close when the last one has ended. Nothing is lost: a first GOAWAY names no
   * stream, and only when the peer has surely read it a second one says which was the last (RFC 9113 6.8).
   */
  gracefulShutdown(): void {
    if (this.closed || this.shutdownBegun) return;
    this.shutdownBegun = true;
    this.send.goAway(MAX_31, Reason.NO_ERROR, '');
    // its answer says that the first one was read
    this.send.ping(0, SHUTDOWN_PING);
    this.shutdownTimer = arm(GOAWAY_PATIENCE, () => this.shutdownHeard());
  }

  private shutdownHeard(): void {
    if (this.closed || !this.shutdownBegun || this.streams.goawaySent !== Infinity) return;
    this.shutdownTimer?.cancel();
    this.shutdownTimer = null;
    this.goAway(Reason.NO_ERROR, '');
    if (this.streams.size === 0) this.finish();
  }

  private goAway(reason: number, debug: string): void {
    const { streams } = this;
    streams.goawaySent = streams.lastPeerStream;
    this.send.goAway(streams.lastPeerStream, reason, debug);
  }

  /** RFC 9113 5.4.1: say why, and close. */
  fail(error: H2Error): void {
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
    if (this.streams.goawaySent === Infinity) this.goAway(Reason.NO_ERROR, '');
    this.close(null);
  }

  /** What carries the connection has failed. */
  private lost(code: string, what: string): void {
    this.close(H2Error.io(Object.assign(new Error(what), { code })));
  }

  private close(error: H2Error | null): void {
    if (this.closed) return;
    this.error ??= error;
    this.recv.stop();
    this.deadlines.stop();
    this.shutdownTimer?.cancel();
    this.shutdownTimer = null;
    const isBroken = error?.kind === 'io';
    this.send.close(isBroken);
    this.streams.close(error ?? H2Error.io(new Error('the connection is closed')));
    if (this.pinger !== null) this.wakeLater(this.pinger);
    this.pinger = null;
    for (const waker of this.waiting) this.wakeLater(waker);
    this.waiting.clear();
    if (this.driver !== null) this.wakeLater(this.driver);
    this.hasClosed();
    if (isBroken) this.transport.destroy();
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

  // --- whether the peer is there ---

  /** Ask the peer whether it is there; {@link Connection.pollPong} waits for the answer. One at a time. */
  sendPing(payload: Buffer = Buffer.alloc(8)): void {
    if (this.closed) return;
    this.pingSent = 'sent';
    this.send.ping(0, payload);
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

  /** @internal */
  askPeer(): void {
    this.send.ping(0, ALIVE_PING);
  }

  /** @internal */
  silent(): void {
    this.lost('ETIMEDOUT', 'the peer does not answer');
  }

  /** @internal */
  lookAtStreams(now: number): void {
    this.streams.look(now);
  }
}

function ended(connection: Connection, error: Error | undefined): void {
  connection.endedNow(error);
}

function defined<T extends object>(values: T | undefined): Partial<T> {
  if (values === undefined) return {};
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}

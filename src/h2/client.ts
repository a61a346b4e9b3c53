/** The client's end of a connection. */
import { currentWaker, PENDING, type Poll, type Waker } from '../runtime/poll.ts';
import { Connection } from './connection.ts';
import { MAX_31, PREFACE } from './frame.ts';
import type { Head, HeadOf, RequestHead } from './head.ts';
import type { Options, Transport } from './options.ts';
import { H2Error, Reason } from './reason.ts';
import { Stream } from './stream.ts';

/** So many streams are opened before the server has said how many it takes. */
const INITIAL_STREAMS = 100;
/** Interim responses (1xx) to one request. */
const MAX_INTERIMS = 64;

/** A connection with a server. */
export class ClientConnection extends Connection {
  override get isServer(): boolean {
    return false;
  }
  private nextStream = 1;
  private knows = false;
  private ready: Waker[] = [];
  private closing = false;

  constructor(transport: Transport, options: Options = {}) {
    super(transport, options, { silenceMs: 0, streamIdleMs: 0 });
    this.send.preface(PREFACE);
    this.sayHello();
  }

  /** How many streams the server takes at a time. */
  get maxStreams(): number {
    return this.knows ? this.remote.maxConcurrentStreams : INITIAL_STREAMS;
  }

  /** Whether a stream can be opened now or later: the connection is open and the server hasn't said goodbye. */
  get isOpen(): boolean {
    return !this.closed && !this.closing && this.goawayReceived < 0 && this.nextStream <= MAX_31;
  }

  /** Ready when another stream can be opened. Throws {@link H2Error} when none can any more. */
  pollReady(): Poll<void> {
    if (!this.isOpen) throw this.notOpen();
    if (this.streams.size < this.maxStreams) return undefined;
    this.ready.push(currentWaker());
    return PENDING;
  }

  private notOpen(): H2Error {
    if (this.error !== null) return this.error;
    if (this.goawayReceived >= 0) return new H2Error('goaway', this.goawayReceived, 'remote');
    return H2Error.io(new Error('the connection is closed'));
  }

  /** Open a stream with a request; `end` if nothing follows. Throws {@link H2Error} when none can be opened. */
  request(head: RequestHead, end: boolean): Stream {
    if (!this.isOpen) throw this.notOpen();
    const stream = new Stream(this.nextStream, this, this.recv.streamWindow, this.remote.initialWindowSize);
    this.nextStream += 2;
    this.streams.add(stream);
    stream.isBodiless = head.method === 'HEAD';
    this.send.request(stream, head, end);
    if (end) this.streams.localEnd(stream);
    return stream;
  }

  /** Open no more streams, and close when the last one has ended. */
  shutdown(): void {
    this.closing = true;
    if (this.streams.size === 0) this.finish();
  }

  protected override get isEnding(): boolean {
    return this.closing || super.isEnding;
  }

  protected override remoteChanged(): void {
    this.knows = true;
    this.wakeReady();
  }

  override streamRemoved(): void {
    this.wakeReady();
    super.streamRemoved();
  }

  private wakeReady(): void {
    if (this.ready.length === 0) return;
    const { ready } = this;
    this.ready = [];
    for (const waker of ready) this.wakeLater(waker);
  }

  override headOf(stream: Stream | undefined): HeadOf {
    return stream !== undefined && stream.head !== null ? 'trailers' : 'response';
  }

  override mayHaveData(stream: Stream): boolean {
    return stream.head !== null;
  }

  override isIdle(id: number): boolean {
    // RFC 9113 5.1.1: even ones are the server's to open, which it can only with PUSH_PROMISE
    return id % 2 === 0 || id >= this.nextStream;
  }

  override opens(id: number): boolean {
    // RFC 9113 5.1: the server opens none
    if (this.isIdle(id)) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'HEADERS on an idle stream');
    return false;
  }

  override opened(): void {}

  override moreHead(stream: Stream, head: Head, ends: boolean): void {
    if (head.tooLarge) {
      this.streams.fail(stream, Reason.ENHANCE_YOUR_CALM, 'too large a head');
      return;
    }
    if (head.status < 200) {
      // RFC 9113 8.1: an interim response doesn't end the stream
      if (ends) this.streams.fail(stream, Reason.PROTOCOL_ERROR, 'an interim response that ends the stream');
      else if (++stream.interims > MAX_INTERIMS)
        this.streams.fail(stream, Reason.ENHANCE_YOUR_CALM, 'too many interim responses');
      else stream.pushHead(head);
      return;
    }
    stream.head = head;
    // RFC 9110 6.4.1: whatever the length says, there is no body
    const bodiless = stream.isBodiless || head.status === 204 || head.status === 304;
    stream.expected = bodiless ? 0 : head.contentLength;
    if (ends && stream.expected > 0 && !bodiless) {
      // RFC 9113 8.1.1
      this.streams.fail(stream, Reason.PROTOCOL_ERROR, 'less than the content-length');
      return;
    }
    stream.pushHead(head);
    if (ends) this.streams.remoteEnd(stream);
  }

  protected override goneAway(last: number, error: H2Error): void {
    // RFC 9113 6.8: streams above were not and won't be processed
    for (const stream of this.streams) {
      if (stream.id <= last) continue;
      stream.isUnprocessed = true;
      this.streams.gone(stream, error);
    }
    this.wakeReady();
  }

  protected override hasClosed(): void {
    this.wakeReady();
  }
}

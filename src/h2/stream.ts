/**
 * One stream of a connection (RFC 9113 5.1): a request and its response, seen from either end.
 *
 * What arrives waits here until it is polled; what is sent goes straight into the connection's output as far as the
 * windows allow, and waits here beyond that.
 */
import { currentWaker, PENDING, type Poll, type Waker } from '../runtime/poll.ts';
import type { Head } from './head.ts';
import { H2Error, Reason } from './reason.ts';

/** Pieces smaller than this are gathered, so that many of them cost their bytes and little more. */
const SMALL_PIECE = 1024;
const GATHERED = 4096;
/** Who sends has to wait once so many bytes wait here, and may go on when half of them are gone. */
export const SEND_LIMIT = 64 * 1024;

/** What sends for a stream: the connection's, see `send.ts`. */
export interface StreamSend {
  response(stream: Stream, status: number, names: readonly string[], values: readonly string[], end: boolean): void;
  data(stream: Stream, data: Buffer, end: boolean): void;
  trailers(stream: Stream, names: readonly string[], values: readonly string[]): void;
  windowUpdate(stream: number, bytes: number): void;
}

/** What receives for a stream: the connection's, see `recv.ts`. */
export interface StreamRecv {
  /** A window's size of a stream, as the peer knows it. */
  readonly streamWindow: number;
  /** `bytes` of what arrived have been read, or will never be. */
  claim(bytes: number): void;
}

/** What a stream needs of its connection. */
export interface StreamOwner {
  readonly isServer: boolean;
  readonly send: StreamSend;
  readonly recv: StreamRecv;
  /** All streams: see `streams.ts`. */
  readonly streams: {
    localEnd(stream: Stream): void;
    reset(stream: Stream, error: H2Error): void;
    resetWhenSent(stream: Stream): void;
    released(stream: Stream): void;
  };
  /** Wake a task once everything that has arrived together was read. */
  wakeLater(waker: Waker): void;
}

/** One stream. */
export class Stream {
  readonly id: number;
  /** @internal */
  readonly connection: StreamOwner;
  /** The request's head (at a server), or the response's final one (at a client) once it has come. */
  head: Head | null = null;
  /** What came after the data; null if nothing did. Known once {@link Stream.pollData} has said that it is over. */
  trailers: Head | null = null;

  // --- what arrives ---
  /** @internal What the peer may still send. */
  recvWindow: number;
  /** What was read and the peer wasn't told yet. */
  private unclaimed = 0;
  private queue: Buffer[] = [];
  private queued = 0;
  /** @internal Bytes of the body that have come. */
  received = 0;
  /** The last piece of the queue, if small ones are gathered in it, and how full it is. */
  private gathering: Buffer | null = null;
  private gathered = 0;
  /** Heads that came and weren't taken (at a client). */
  private heads: Head[] = [];
  /** @internal Bytes that Content-Length has announced and that are still to come; -1 if it hasn't. */
  expected = -1;
  /** @internal END_STREAM has come. */
  remoteEnded = false;

  // --- what is sent ---
  /** @internal What the peer lets this end send. */
  sendWindow: number;
  /** @internal */
  sendQueue: Buffer[] = [];
  /** @internal Bytes in `sendQueue`. */
  unsent = 0;
  /** Bytes of the body that have gone out: they grow as long as the peer lets more of it come. */
  sent = 0;
  /** @internal The stream ends after what waits. */
  endQueued = false;
  /** @internal Trailers that go after what waits: names and values. */
  trailersQueued: [names: readonly string[], values: readonly string[]] | null = null;
  /** @internal Its turn to send is to come. */
  inLine = false;
  /** @internal A final head was sent (at a server). */
  headSent = false;
  /** @internal END_STREAM was sent. */
  localEnded = false;

  /** @internal Why it ended before its end; null if it hasn't. */
  error: H2Error | null = null;
  /** @internal Nobody uses it any more. */
  released = false;
  /** @internal It ended before its end, and its user doesn't know yet. */
  isZombie = false;
  /** @internal At a client: interim responses that came. */
  interims = 0;
  /** @internal At a client: the response has no body, whatever its fields say (RFC 9110 6.4.1). */
  isBodiless = false;
  /** At a client: the server has said that it did nothing for it, so that it may be tried elsewhere (RFC 9113 8.7). */
  isUnprocessed = false;

  private reader: Waker | null = null;
  private writer: Waker | null = null;
  private watcher: Waker | null = null;

  /** @internal */
  constructor(id: number, connection: StreamOwner, recvWindow: number, sendWindow: number) {
    this.id = id;
    this.connection = connection;
    this.recvWindow = recvWindow;
    this.sendWindow = sendWindow;
  }

  // --- receiving ---

  /**
   * At a client: the next head of the response, interim ones (1xx) first, each once. Throws {@link H2Error} if there
   * won't be any.
   */
  pollHead(): Poll<Head> {
    const head = this.heads.shift();
    if (head !== undefined) return head;
    if (this.error !== null) throw this.error;
    this.reader = currentWaker();
    return PENDING;
  }

  /** A piece of the message's body; undefined at its end. Throws {@link H2Error} if it was cut short. */
  pollData(): Poll<Buffer | undefined> {
    const { queue } = this;
    if (queue.length > 0) {
      const piece = this.shift();
      this.claim(piece.length);
      return piece;
    }
    if (this.remoteEnded) return undefined;
    if (this.error !== null) throw this.error;
    this.reader = currentWaker();
    return PENDING;
  }

  private shift(): Buffer {
    let piece = this.queue.shift()!;
    if (piece === this.gathering) {
      piece = piece.subarray(0, this.gathered);
      this.gathering = null;
    }
    this.queued -= piece.length;
    return piece;
  }

  /** Whether the message has ended and its body was read to the end. */
  isEndStream(): boolean {
    return this.remoteEnded && this.queue.length === 0;
  }

  /** Bytes of the body that are here and weren't taken. */
  get buffered(): number {
    return this.queued;
  }

  /** @internal The peer may send as much again, once it is worth a frame. */
  claim(bytes: number): void {
    const { connection } = this;
    const { recv } = connection;
    recv.claim(bytes);
    if (this.remoteEnded || this.error !== null) return;
    this.unclaimed += bytes;
    // half of a window: often enough that the peer never waits if it is read, and seldom enough to cost nothing
    if (this.unclaimed * 2 >= recv.streamWindow) {
      this.recvWindow += this.unclaimed;
      connection.send.windowUpdate(this.id, this.unclaimed);
      this.unclaimed = 0;
    }
  }

  /** @internal */
  pushHead(head: Head): void {
    this.heads.push(head);
    this.wakeReader();
  }

  /** @internal */
  pushData(piece: Buffer): void {
    const { length } = piece;
    this.queued += length;
    this.received += length;
    if (length < SMALL_PIECE) this.gather(piece);
    else {
      this.closeGathering();
      this.queue.push(piece);
    }
    this.wakeReader();
  }

  /**
   * A small piece is copied: as a part of what arrived it would hold on to all of that. If the one before it is still
   * here, both become one (CVE-2019-9511 and the like: a byte a frame).
   */
  private gather(piece: Buffer): void {
    const { gathering } = this;
    if (gathering !== null && this.gathered + piece.length <= gathering.length) {
      this.gathered += piece.copy(gathering, this.gathered);
      return;
    }
    const before = this.queue.length > 0;
    this.closeGathering();
    if (!before) {
      this.queue.push(Buffer.from(piece));
      return;
    }
    this.gathering = Buffer.allocUnsafeSlow(GATHERED);
    this.gathered = piece.copy(this.gathering, 0);
    this.queue.push(this.gathering);
  }

  private closeGathering(): void {
    const { gathering, queue } = this;
    if (gathering === null) return;
    queue[queue.length - 1] = gathering.subarray(0, this.gathered);
    this.gathering = null;
  }

  /** @internal END_STREAM has come. */
  endRemote(): void {
    this.remoteEnded = true;
    this.wakeReader();
  }

  // --- sending ---

  /** At a server: send a head; `end` if nothing follows. One of 1xx is followed by another. */
  respond(status: number, names: readonly string[], values: readonly string[], end: boolean): void {
    this.checkSendable();
    const { send, streams } = this.connection;
    send.response(this, status, names, values, end);
    if (status >= 200) this.headSent = true;
    if (end) streams.localEnd(this);
  }

  /** Send a piece of the body, which nobody may change afterwards; `end` if it is the last. */
  sendData(data: Buffer, end: boolean): void {
    this.checkSendable();
    this.connection.send.data(this, data, end);
  }

  /** Send trailers, which end the message. */
  sendTrailers(names: readonly string[], values: readonly string[]): void {
    this.checkSendable();
    this.connection.send.trailers(this, names, values);
  }

  private checkSendable(): void {
    if (this.error !== null) throw this.error;
    if (this.localEnded || this.endQueued) throw new Error('the stream has ended');
  }

  /** Ready when a piece can be sent without too much waiting here. Throws {@link H2Error} once nothing can be. */
  pollCapacity(): Poll<void> {
    if (this.error !== null) throw this.error;
    if (this.unsent < SEND_LIMIT) return undefined;
    this.writer = currentWaker();
    return PENDING;
  }

  /** Ready when all that was sent has left, the message's end too if it has one. Throws as {@link Stream.pollCapacity}. */
  pollFlushed(): Poll<void> {
    if (this.localEnded || (this.unsent === 0 && !this.endQueued)) return undefined;
    if (this.error !== null) throw this.error;
    this.writer = currentWaker();
    return PENDING;
  }

  /**
   * Ready with the error code when the peer has given the stream up. Throws {@link H2Error} when the connection is
   * gone.
   */
  pollReset(): Poll<number> {
    const { error } = this;
    if (error !== null) {
      if (error.kind === 'reset') return error.reason;
      throw error;
    }
    this.watcher = currentWaker();
    return PENDING;
  }

  /** Give the stream up. Does nothing once it has ended both ways. */
  sendReset(reason: number): void {
    if (this.error !== null || (this.localEnded && this.remoteEnded)) return;
    this.connection.streams.reset(this, new H2Error('reset', reason, 'user'));
  }

  /**
   * Done with it. What isn't complete is given up: with CANCEL, or if this end is a server and has said all, with
   * NO_ERROR (RFC 9113 8.1: the client need not send the rest). As in the h2 crate CANCEL goes at once and takes along
   * what waits to be sent; NO_ERROR and what is complete but for its windows wait for these.
   */
  release(): void {
    if (this.released) return;
    this.released = true;
    if (this.error === null) {
      const { localEnded, endQueued, remoteEnded, connection } = this;
      if (!localEnded && !endQueued) this.sendReset(Reason.CANCEL);
      else if (!remoteEnded) {
        if (!connection.isServer) this.sendReset(Reason.CANCEL);
        // The reset leaves by itself, in another turn: clients that get it together with the end of the response have
        // dropped the one (browsers) or never closed the stream (Node 20). What waits to be sent goes first.
        else if (localEnded) setImmediate(resetRest, this);
      }
    }
    // nobody reads it any more, so that the connection has room for others
    if (this.queued > 0) {
      this.connection.recv.claim(this.queued);
      this.queue = [];
      this.queued = 0;
      this.gathering = null;
    }
    this.connection.streams.released(this);
  }

  /** @internal It has ended before its end. */
  fail(error: H2Error): void {
    if (this.error !== null) return;
    this.error = error;
    this.sendQueue = [];
    this.unsent = 0;
    this.trailersQueued = null;
    this.wakeReader();
    this.wakeWriter();
    const { watcher } = this;
    if (watcher !== null) {
      this.watcher = null;
      this.connection.wakeLater(watcher);
    }
  }

  private wakeReader(): void {
    const { reader } = this;
    if (reader === null) return;
    this.reader = null;
    this.connection.wakeLater(reader);
  }

  /** @internal */
  wakeWriter(): void {
    const { writer } = this;
    if (writer === null) return;
    this.writer = null;
    this.connection.wakeLater(writer);
  }
}

function resetRest(stream: Stream): void {
  stream.connection.streams.resetWhenSent(stream);
}

/** The server's end of a connection. */
import { currentWaker, PENDING, type Poll, type Waker } from '../runtime/poll.ts';
import { Connection } from './connection.ts';
import type { Head, HeadOf } from './head.ts';
import type { Options, Transport } from './options.ts';
import { H2Error, Reason } from './reason.ts';
import { Stream } from './stream.ts';

/** A connection with a client: {@link ServerConnection.pollAccept} gives the streams that the client opens. */
export class ServerConnection extends Connection {
  override get isServer(): boolean {
    return true;
  }
  private accepted: Stream[] = [];
  private acceptor: Waker | null = null;

  constructor(transport: Transport, options: Options = {}) {
    super(transport, options, {});
    this.sayHello();
  }

  /** The next stream that the client has opened; undefined once the connection has ended. Throws how it broke. */
  pollAccept(): Poll<Stream | undefined> {
    // who polls needs no waking
    this.driver = null;
    this.acceptor = null;
    this.drive();
    const stream = this.accepted.shift();
    if (stream !== undefined) return stream;
    if (this.closed) {
      if (this.error !== null) throw this.error;
      return undefined;
    }
    this.acceptor = currentWaker();
    this.driver = this.acceptor;
    return PENDING;
  }

  override headOf(stream: Stream | undefined): HeadOf {
    return stream === undefined ? 'request' : 'trailers';
  }

  override mayHaveData(): boolean {
    return true;
  }

  override isIdle(id: number): boolean {
    // RFC 9113 5.1.1: even ones are the server's, and this server opens none
    return id % 2 === 0 || this.isNew(id);
  }

  override opens(id: number): boolean {
    // RFC 9113 5.1.1
    if (id % 2 === 0) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'HEADERS on an even stream');
    return this.isNew(id);
  }

  /** Whether the client may still open this stream. */
  private isNew(id: number): boolean {
    return id > this.streams.lastPeerStream && id <= this.streams.goawaySent;
  }

  override opened(id: number, head: Head, ends: boolean, dependsOnItself: boolean): void {
    this.streams.passOver(id);
    const refused = this.refusal(head, ends, dependsOnItself);
    if (refused !== null) {
      this.streams.refuse(id, refused);
      return;
    }
    if (!this.streams.hasRoom()) {
      // RFC 9113 5.1.2; 8.7: the client may try it again
      this.streams.refuse(id, H2Error.reset(Reason.REFUSED_STREAM, 'too many streams'));
      return;
    }
    const stream = new Stream(id, this, this.recv.streamWindow, this.remote.initialWindowSize);
    stream.head = head;
    stream.expected = head.contentLength;
    this.streams.add(stream);
    if (ends) stream.endRemote();
    if (head.tooLarge) {
      this.options.onRefused?.(H2Error.reset(Reason.ENHANCE_YOUR_CALM, 'too large a head'), id);
      // RFC 9113 10.5.1: 431
      stream.respond(431, [], [], true);
      stream.release();
      return;
    }
    this.accepted.push(stream);
    if (this.acceptor !== null) this.wakeLater(this.acceptor);
    this.acceptor = null;
  }

  private refusal(head: Head, ends: boolean, dependsOnItself: boolean): H2Error | null {
    // what was cut off may be what is missing
    if (head.tooLarge) return null;
    let why = head.malformed;
    // RFC 7540 5.3.1
    if (dependsOnItself) why = 'a stream that depends on itself';
    // RFC 9113 8.1.1
    else if (why === null && ends && head.contentLength > 0) why = 'less than the content-length';
    return why === null ? null : H2Error.reset(Reason.PROTOCOL_ERROR, why);
  }

  override moreHead(): void {
    // a field block on a stream that is here is always one of trailers
  }

  protected override hasClosed(): void {
    for (const stream of this.accepted) stream.release();
    this.accepted = [];
    if (this.acceptor !== null) this.wakeLater(this.acceptor);
    this.acceptor = null;
  }
}

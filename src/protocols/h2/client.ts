/**
 * HTTP/2 to an origin: a session is one stream of a connection.
 *
 * The frames are those of `src/h2`.
 *
 * Port of `pingora-core/src/protocols/http/v2/client.rs`.
 */
import { ErrorType, PingoraError } from '../../error/lib.ts';
import { type ClientConnection, H2Error, type Stream as H2Stream, Reason } from '../../h2/mod.ts';
import { type HMap, type RequestHeader, ResponseHeader } from '../../http/lib.ts';
import { Log } from '../../log.ts';
import type { Future } from '../../runtime/future.ts';
import { spawnAttendant } from '../../runtime/lib.ts';
import { currentWaker, PENDING, type Poll, type Waker } from '../../runtime/poll.ts';
import type { Watch } from '../../runtime/sync.ts';
import { ready } from '../../runtime/task.ts';
import { Elapsed, Limit, timeout } from '../../timeout/lib.ts';
import { ported, traced } from '../../tracing/span.ts';
import type { Digest } from '../digest.ts';
import { fieldsOf, isConnectionSpecific, removeConnectionSpecific } from './fields.ts';

const rust = ported('pingora-core/src/protocols/http/v2/client.rs');
const log = new Log('pingora_core::protocols::http::v2::client');

/** The type of what goes wrong because the server didn't answer a ping. */
const PING_TIMEDOUT = ErrorType.new('PingTimedout');

/** The server has so many milliseconds to answer a ping. */
const PING_TIMEOUT = 5000;

const EMPTY = Buffer.alloc(0);

/** Sends nothing of TE but `trailers` (RFC 9113 8.2.2). */
function otherThanTrailers(value: string): boolean {
  return value !== 'trailers';
}

/**
 * What a session knows of its connection: `ConnectionRef` of the connectors, which stand above this folder (in the
 * original either module uses the other).
 */
export interface SharedConnection {
  readonly id: number;
  readonly digest: Digest;
  readonly pooled: boolean;
  isIdle(): boolean;
  close(): void;
  releaseStream(): void;
  /** The server has refused a stream: it takes no more than there are. */
  refusedStream(): void;
  pingTimedout(): boolean;
}

/** One request to an origin over HTTP/2, and its response. */
@traced
export class Http2Session {
  /** The connection, which streams share. */
  readonly conn: SharedConnection;
  /** The limit of each read of head, body and trailers, in milliseconds. It isn't one for the whole response. */
  readTimeout: number | undefined = undefined;
  private readonly connection: ClientConnection;
  private stream: H2Stream | null = null;
  private header: ResponseHeader | undefined = undefined;
  private trailers: HMap | undefined = undefined;
  /** What to send after the body. */
  private reqTrailers: HMap | null = null;
  /** The head announced trailers. */
  private withTrailers = false;
  /** END_STREAM was sent, or will be without anything more being said. */
  private ended = false;
  private released = false;

  /** Who reads, and how long that may be pending. */
  private reader: Waker | null = null;
  private readLimit: Limit | null = null;
  /** Bytes of the request's body that were sent when that began to count. */
  private sentBefore = 0;

  private constructor(connection: ClientConnection, conn: SharedConnection) {
    this.connection = connection;
    this.conn = conn;
  }

  /** Made by `ConnectionRef.spawnStream`. */
  static new(connection: ClientConnection, conn: SharedConnection): Http2Session {
    return new Http2Session(connection, conn);
  }

  /**
   * Send the request's head; `end` if nothing follows. The authority is the head's, or what Host says. Throws
   * `InvalidHTTPHeader` without either, and `H2Error`.
   */
  @rust.method
  writeRequestHeader(req: RequestHeader, end: boolean): void {
    if (this.stream !== null) return;
    const { method, headers } = req;
    const authority = req.authority ?? headers.get('host');
    if (authority === undefined) {
      throw PingoraError.explain(ErrorType.InvalidHTTPHeader, 'no authority header for h2');
    }
    req.setVersion('HTTP/2');
    removeConnectionSpecific(headers, otherThanTrailers);
    this.withTrailers = !end && (headers.get('te') === 'trailers' || headers.has('trailer'));
    // RFC 9113 8.5: CONNECT has neither
    const isConnect = method === 'CONNECT';
    const { names, values } = headers;
    const scheme = isConnect ? undefined : 'https';
    const path = isConnect ? undefined : req.rawPath();
    try {
      this.stream = this.connection.request({ method, scheme, authority, path, names, values }, end);
    } catch (error) {
      const failed = PingoraError.because(ErrorType.H2Error, 'while sending request', error);
      // nothing was sent: the server has ended a connection that was kept
      failed.retryType = 'ReusedOnly';
      throw this.handleErr(failed);
    }
    this.ended = end;
  }

  /**
   * Send a piece of the request's body; `end` if it is the last. Whoever may write more than the server reads waits
   * with {@link Http2Session.pollDrained}. Throws `WriteError`.
   */
  @rust.method
  writeRequestBody(data: Buffer, end: boolean): void {
    if (this.ended) {
      if (data.length > 0) log.warn('Try to write request body after end of stream, dropping the extra data');
      return;
    }
    const stream = this.writable();
    try {
      if (end) this.endWith(stream, data);
      else stream.sendData(data, false);
    } catch (error) {
      throw this.writeError('while writing h2 request body', error);
    }
  }

  private endWith(stream: H2Stream, data: Buffer): void {
    this.ended = true;
    const { reqTrailers } = this;
    if (reqTrailers === null) {
      stream.sendData(data, true);
      return;
    }
    if (data.length > 0) stream.sendData(data, false);
    stream.sendTrailers(reqTrailers.names, reqTrailers.values);
  }

  private writable(): H2Stream {
    const { stream } = this;
    if (stream === null) throw new Error('Try to write request body before sending request header');
    return stream;
  }

  private writeError(context: string, cause: unknown): PingoraError {
    return this.handleErr(PingoraError.because(ErrorType.WriteError, context, cause));
  }

  /** Ready when the server has taken so much that more can be written. Throws `WriteError`. */
  pollDrained(): Poll<void> {
    const { stream } = this;
    if (stream === null || this.ended) return;
    try {
      return stream.pollCapacity();
    } catch (error) {
      throw this.writeError('while writing h2 request body', error);
    }
  }

  /** Whether the server has ended the stream, so that nothing more of the request can be sent. */
  isClosed(): boolean {
    return this.stream !== null && (this.stream.error !== null || (this.ended && this.stream.remoteEnded));
  }

  /** Ready once {@link Http2Session.isClosed}. */
  pollClosed(): Poll<void> {
    if (this.stream === null || this.isClosed()) return;
    if (this.stream.pollReset() === PENDING) return PENDING;
  }

  /** Set what is sent after the body. To be called before the body's end; dropped unless the head announced it. */
  setRequestTrailers(trailers: HMap): void {
    if (!this.withTrailers) return;
    for (let i = trailers.length - 1; i >= 0; i--) {
      const name = trailers.names[i];
      if (name !== undefined && (isConnectionSpecific(name) || name.startsWith(':'))) trailers.remove(name);
    }
    this.reqTrailers = trailers.length > 0 ? trailers : null;
  }

  /** The request's body is complete. Throws `WriteError`. */
  @rust.method
  finishRequestBody(): void {
    if (this.ended) return;
    const stream = this.writable();
    try {
      this.endWith(stream, EMPTY);
    } catch (error) {
      throw this.writeError('while writing empty h2 request body', error);
    }
  }

  /**
   * A read is pending; throws `ReadTimedout` when it has been for too long. Each piece of the request's body that goes
   * out begins that time anew, as with HTTP/1: else no upload could take longer than a read may, and many at once on
   * one connection, whose window they share, would fail together.
   */
  private pend(what: string): typeof PENDING {
    const { readTimeout } = this;
    if (readTimeout === undefined) return PENDING;
    this.reader = currentWaker();
    this.readLimit ??= new Limit(() => this.reader?.wake());
    const { sent } = this.stream!;
    if (sent !== this.sentBefore) {
      this.sentBefore = sent;
      this.readLimit.clear();
    }
    try {
      this.readLimit.check(readTimeout);
    } catch (error) {
      if (!(error instanceof Elapsed)) throw error;
      throw this.handleErr(PingoraError.explain(ErrorType.ReadTimedout, what));
    }
    return PENDING;
  }

  /** A read that is pending is given up: nothing that arrived is lost. What `drop` does to it in Rust. */
  dropRead(): void {
    this.reader = null;
    this.readLimit?.end();
    this.readLimit = null;
  }

  /**
   * Read the response's head; again after an informational one (1xx). Throws `ReadTimedout`; `H2Downgrade` and
   * `InvalidH2` where HTTP/1.1 is worth a try; `H2Error` and `ReadError`, to be tried again on another connection if
   * this one was a reused one that the server has given up, or if the server has surely done nothing.
   */
  @rust.method
  readResponseHeader(): Poll<void> {
    const { stream } = this;
    if (stream === null) throw new Error('Try to read response header before sending request header');
    if (this.header !== undefined && !this.header.isInformational) {
      throw new Error('H2 response header is already read');
    }
    let head: ReturnType<H2Stream['pollHead']>;
    try {
      head = stream.pollHead();
    } catch (error) {
      throw this.handleErr(error instanceof H2Error ? this.readHeaderError(error, stream) : PingoraError.from(error));
    }
    if (head === PENDING) return this.pend('while reading h2 response header');
    this.readLimit?.clear();
    const header = new ResponseHeader(head.status, fieldsOf(head));
    header.version = 'HTTP/2';
    this.header = header;
  }

  /**
   * What went wrong before the response's head came, and what can be done about it:
   *
   * 1. the server asks for HTTP/1.1 (IIS, for NTLM): downgrade and try again
   * 2. the server sends frames that are not valid HTTP/2: downgrade and try again
   * 3. the server has surely done nothing (RFC 9113 8.7: a refused stream, one above its GOAWAY): try again, unless it has
   *    ended a new connection with an error
   * 4. the server closes a reused connection in good order (a limit of requests): try again
   * 5. a reused connection turns out to be dead (a firewall dropped it): try again
   * 6. anything else ends the request
   */
  private readHeaderError(cause: H2Error, stream: H2Stream): PingoraError {
    const context = 'while reading h2 header';
    const { reason } = cause;
    let error: PingoraError;
    if (cause.isRemote() && reason === Reason.HTTP_1_1_REQUIRED) {
      error = PingoraError.because(ErrorType.H2Downgrade, context, cause);
      error.setRetry(true);
    } else if (cause.isGoAway() && cause.initiator === 'library' && isInvalid(reason)) {
      error = PingoraError.because(ErrorType.InvalidH2, context, cause);
      error.setRetry(true);
    } else if (stream.isUnprocessed || (cause.isRemote() && reason === Reason.REFUSED_STREAM && !cause.isGoAway())) {
      if (!stream.isUnprocessed) this.conn.refusedStream();
      error = PingoraError.because(ErrorType.H2Error, context, cause);
      // A server that ends a new connection with an error would most likely end the next one, too; ENHANCE_YOUR_CALM
      // asks for fewer requests, not for the same one again.
      error.setRetry(!cause.isGoAway() || reason === Reason.NO_ERROR || stream.id > 1);
    } else if (cause.isGoAway() && cause.isRemote() && reason === Reason.NO_ERROR) {
      error = PingoraError.because(ErrorType.H2Error, context, cause);
      error.retryType = 'ReusedOnly';
    } else if (cause.isIo()) {
      error = PingoraError.because(ErrorType.ReadError, context, cause.cause);
      if (isIoError(cause.cause) || isEnd(cause.cause)) error.retryType = 'ReusedOnly';
    } else error = PingoraError.because(ErrorType.H2Error, context, cause);
    return error;
  }

  /** A piece of the response's body; undefined when there is no more. Throws `ReadError` and `ReadTimedout`. */
  @rust.method
  readResponseBody(): Poll<Buffer | undefined> {
    const { stream } = this;
    if (stream === null || this.header === undefined) return undefined;
    let data: Poll<Buffer | undefined>;
    try {
      data = stream.pollData();
    } catch (error) {
      throw this.handleErr(PingoraError.because(ErrorType.ReadError, 'while read h2 response body', error));
    }
    if (data === PENDING) return this.pend('while reading h2 response body');
    this.readLimit?.clear();
    return data;
  }

  /** Whether the response has ended and was read to its end. */
  responseFinished(): boolean {
    return this.header !== undefined && !this.header.isInformational && this.stream!.isEndStream();
  }

  /** What the server sent after the body, to be asked when the body was read to its end. */
  @rust.method
  readTrailers(): HMap | undefined {
    const trailers = this.stream?.trailers;
    if (this.trailers === undefined && trailers != null) this.trailers = fieldsOf(trailers);
    return this.trailers;
  }

  /** The response's head, if it has come. */
  responseHeader(): ResponseHeader | undefined {
    return this.header;
  }

  /** Give the stream up, unless it has ended both ways: the server sees INTERNAL_ERROR. */
  @rust.method
  shutdown(): void {
    if (this.stream !== null && !(this.ended && this.responseFinished())) {
      this.stream.sendReset(Reason.INTERNAL_ERROR);
    }
  }

  /** Done with this session: what Rust does when it is dropped. A connection that nobody else holds is closed. */
  close(): void {
    this.release();
    if (this.conn.isIdle() && !this.conn.pooled) this.conn.close();
  }

  /**
   * Done with this session, its connection goes back to a pool. A stream that hasn't ended both ways is cancelled, and
   * the connection has room for one more.
   */
  release(): void {
    if (this.released) return;
    this.released = true;
    this.dropRead();
    this.stream?.release();
    this.conn.releaseStream();
  }

  /** Whether the connection is ended because the server didn't answer a ping. */
  pingTimedout(): boolean {
    return this.conn.pingTimedout();
  }

  /** What is known of the connection. Of a reused one the times are those of its beginning. */
  digest(): Digest {
    return this.conn.digest;
  }

  /** Unique among the connections of this process. */
  id(): number {
    return this.conn.id;
  }

  private handleErr(error: PingoraError): PingoraError {
    if (!this.pingTimedout()) return error;
    const timedOut = PingoraError.create(PING_TIMEDOUT, error.esource(), error.context, error.cause);
    timedOut.retryType = error.retryType;
    return timedOut;
  }
}

/**
 * The server's frames are wrong. The h2 crate says PROTOCOL_ERROR of all that matters here; RFC 9113 has other codes for
 * some of it.
 */
function isInvalid(reason: number): boolean {
  return reason === Reason.PROTOCOL_ERROR || reason === Reason.FRAME_SIZE_ERROR || reason === Reason.COMPRESSION_ERROR;
}

/** The system reported it, not TLS or HTTP/2: only then is it known that the server is gone. */
function isIoError(error: unknown): boolean {
  return error != null && typeof (error as NodeJS.ErrnoException).syscall === 'string';
}

/**
 * The server has ended the connection without a word of HTTP/2. The original takes that for one that can't be tried
 * again, and over HTTP/1 for one that can; `errorWhileProxy` sees to it that nothing is done twice that mustn't be.
 */
function isEnd(error: unknown): boolean {
  return error != null && (error as NodeJS.ErrnoException).code === 'EPIPE';
}

/** Whether a connection's server failed to answer a ping: shared by the connection and its pings. */
export interface PingState {
  timedOut: boolean;
}

/**
 * What goes on with a connection until it ends: its pings every `pingInterval` milliseconds, if that isn't 0. `closed`
 * turns true at the end. What arrives is taken apart here, frame by frame.
 */
export const driveConnection = rust.fn(
  'client::drive_connection',
  function* (
    connection: ClientConnection,
    id: number,
    closed: Watch<boolean>,
    pingInterval: number | undefined,
    ping: PingState,
  ): Future<void> {
    if (pingInterval !== undefined && pingInterval > 0) {
      spawnAttendant('do_ping_pong', doPingPong(connection, pingInterval, ping, id));
    }
    yield* ready(() => connection.pollDrive());
    const { error } = connection;
    log.debug(() =>
      error === null ? `H2 connection finished fd: ${id}` : `H2 connection fd: ${id} errored: ${error.message}`,
    );
    closed.send(true);
  },
);

const doPingPong = rust.fn(
  'client::do_ping_pong',
  function* (connection: ClientConnection, interval: number, ping: PingState, id: number): Future<void> {
    // the first one waits too: it would only race with the first request
    while (!(yield* endsWithin(interval, connection))) {
      connection.sendPing();
      const pong = ready(() => connection.pollPong());
      log.debug(() => `H2 fd: ${id} ping sent`);
      try {
        yield* timeout(PING_TIMEOUT, pong);
        log.debug(() => `H2 fd: ${id} pong received`);
      } catch (error) {
        if (connection.closed) return;
        const failure = error instanceof Elapsed ? 'ping timeout' : `ping error: ${(error as Error).message}`;
        log.error(`H2 fd: ${id} ${failure}`);
        log.warn(`H2 connection Ping timeout/Error fd: ${id}, closing conn`);
        ping.timedOut = true;
        connection.ended(new Error(failure));
      }
    }
  },
);

/** Whether the connection ends within so many milliseconds. */
function* endsWithin(ms: number, connection: ClientConnection): Future<boolean> {
  const end = ready(() => connection.pollClosed());
  try {
    yield* timeout(ms, end);
    return true;
  } catch (error) {
    if (error instanceof Elapsed) return false;
    throw error;
  }
}

/**
 * HTTP/2 from the client: one connection, and one session a stream.
 *
 * The frames are those of `src/h2`, which also refuses what RFC 9113 8.1.1 calls malformed. Those streams are reset and
 * never show up here.
 *
 * Port of `pingora-core/src/protocols/http/v2/server.rs`.
 */
import { isUtf8 } from 'node:buffer';
import type { Socket } from 'node:net';
import { ErrorType, PingoraError } from '../../error/lib.ts';
import {
  type H2Error,
  type Stream as H2Stream,
  type Limits,
  PREFACE,
  Reason,
  reasonName,
  reasonText,
  ServerConnection,
  TOO_SLOW,
} from '../../h2/mod.ts';
import { type HMap, RequestHeader, type ResponseHeader } from '../../http/lib.ts';
import { Log } from '../../log.ts';
import { bytesPass } from '../../node/young-buffers.ts';
import type { Future } from '../../runtime/future.ts';
import { PENDING, type Poll } from '../../runtime/poll.ts';
import { Elapsed } from '../../timeout/lib.ts';
import { ported, traced } from '../../tracing/span.ts';
import { countRefusal } from '../../utils/refusals.ts';
import { FixedBuffer } from '../http/body-buffer.ts';
import { getCachedDate } from '../http/date.ts';
import type { HttpTask } from '../http/mod.ts';
import type { Stream } from '../l4/stream.ts';
import { fieldsOf, isConnectionSpecific, NAMES, removeConnectionSpecific } from './fields.ts';
import { begin, framesOf } from './socket.ts';

const rust = ported('pingora-core/src/protocols/http/v2/server.rs');
const log = new Log('pingora_core::protocols::http::v2::server');

/** So many bytes of a request's body are kept for another try. */
const BODY_BUF_LIMIT = 64 * 1024;
/** A stream's window: with the RFC's 65,535 bytes an upload waits for its client after each of them. */
const STREAM_WINDOW = 262_144;
/** The connection's window is never larger, however many streams there may be. */
const MOST_WINDOW = 8 * 1024 * 1024;

/** How to speak HTTP/2 with a client. */
export interface H2Options {
  /** What a client may ask; what is left out has the default of `DEFAULT_LIMITS`. */
  readonly limits?: Partial<Limits>;
  /** Bytes that a client may send on a stream before they are read. Default: 262,144. */
  readonly initialWindowSize?: number;
  /**
   * Bytes that a client may send on all streams before they are read. Default: enough for all of them, so that one
   * that isn't read holds up no other; at most 8 MiB.
   */
  readonly connectionWindowSize?: number;
  /** The longest frame that is taken. Default: 16,384. */
  readonly maxFrameSize?: number;
  /** Bytes of the table for fields. Default: 4,096. */
  readonly headerTableSize?: number;
  /**
   * Speak HTTP/2 without TLS with clients that begin with it (prior knowledge, RFC 9113 3.3), over TCP and Unix sockets.
   * Default: no, as in 0.1.0.
   */
  readonly h2c?: boolean;
  /** After so many requests a connection takes no more (GOAWAY). Default: no limit. */
  readonly maxRequests?: number | undefined;
  /** Take extended CONNECT (RFC 8441); the application has to know it. Default: no. */
  readonly enableConnectProtocol?: boolean;
  /**
   * @internal Told of each client that breaks a rule or goes over a limit, beside the log: what ends for it, and the
   * name of the error that it is sent.
   */
  readonly onRefused?: ((level: 'stream' | 'connection', error: string) => void) | undefined;
}

/** A connection of HTTP/2 with a client: streams that the client opens wait here until somebody accepts them. */
export class H2Connection {
  /** The connection's frames and streams. */
  readonly connection: ServerConnection;
  /** What carries it. */
  readonly socket: Socket;

  /** Made by {@link handshake}. */
  constructor(connection: ServerConnection, socket: Socket) {
    this.connection = connection;
    this.socket = socket;
  }

  /** The next stream that the client opened; undefined once the connection is closed. Throws how it broke. */
  accept(): Poll<HttpSession | undefined> {
    for (;;) {
      const stream = this.connection.pollAccept();
      if (stream === PENDING || stream === undefined) return stream;
      const { method, protocol, path } = stream.head!;
      if (stream.error !== null) {
        // opened and taken back at once: nothing is done for a client that floods us with such (CVE-2023-44487)
        stream.release();
      } else if (method === 'CONNECT' && protocol === undefined) {
        // a tunnel is not what a reverse proxy has; the original gives up before it writes such a head
        stream.release();
      } else if (isBadTarget(path!)) {
        this.connection.refuseStream(stream, Reason.PROTOCOL_ERROR, 'a path that HTTP/1 can not hold');
        stream.release();
      } else return new HttpSession(stream, this);
    }
  }

  /** Take no new streams (GOAWAY); the connection closes when those that are open have ended. */
  gracefulShutdown(): void {
    this.connection.gracefulShutdown();
  }

  /** End the connection and all its streams now. */
  close(): void {
    this.connection.abort();
  }
}

/** What a target in HTTP/1 can't hold, or holds only as UTF-8. */
const SUSPECT = /[<>`\x80-\xff]/;

function isBadTarget(path: string): boolean {
  return SUSPECT.test(path) && (/[<>`]/.test(path) || !isUtf8(Buffer.from(path, 'latin1')));
}

/** A path without a fragment, which is no part of a request (RFC 9110 7.1). */
function withoutFragment(path: string): string {
  const fragment = path.indexOf('#');
  return fragment < 0 ? path : path.slice(0, fragment);
}

/**
 * Begin HTTP/2 on an established connection, most often one of TLS. The connection belongs to the result from then on.
 * Throws `HandshakeError`.
 */
export const handshake = rust.fn(
  'server::handshake',
  function* (stream: Stream, options: H2Options = {}): Future<H2Connection> {
    try {
      const window = options.initialWindowSize ?? STREAM_WINDOW;
      const streams = options.limits?.maxConcurrentStreams ?? 128;
      const connection = begin(
        stream,
        (transport) =>
          new ServerConnection(transport, {
            ...options,
            initialWindowSize: window,
            connectionWindowSize:
              options.connectionWindowSize ?? Math.max(window, Math.min(MOST_WINDOW, window * streams)),
            names: NAMES,
            observer: framesOf(stream),
            onRefused: (error, id) => refused(options, error, id),
          }),
      );
      log.debug('H2 handshake done.');
      return new H2Connection(connection, stream.socket);
    } catch (error) {
      stream.destroy();
      throw PingoraError.because(ErrorType.HandshakeError, 'while h2 handshaking with client', error);
    }
  },
);

function refused({ onRefused }: H2Options, error: H2Error, stream: number): void {
  const level = stream === 0 ? 'connection' : 'stream';
  onRefused?.(level, reasonName(error.reason));
  if (error.detail === TOO_SLOW) countRefusal('response rate');
  log.warn(() => `H2 ${stream === 0 ? level : `${level} ${stream}`} refused: ${error.message}`);
}

/** Whoever says nothing on a connection without TLS is let go after so many milliseconds, if HTTP/2 is allowed on it. */
const FIRST_BYTES_MS = 60_000;

/** Whether the client begins with the preface of HTTP/2. As many bytes as that takes are waited for, and none is taken. */
export function* beginsWithPreface(stream: Stream): Future<boolean> {
  const until = performance.now() + FIRST_BYTES_MS;
  try {
    for (;;) {
      const { bufferedLength } = stream;
      const length = Math.min(bufferedLength, PREFACE.length);
      if (length > 0 && PREFACE.compare(stream.buffered(), 0, length, 0, length) !== 0) return false;
      if (length === PREFACE.length) return true;
      const more = stream.pollFill(bufferedLength, Math.max(0, until - performance.now()));
      if (more === PENDING) yield;
      else if (!more) return false;
    }
  } catch (error) {
    if (error instanceof Elapsed) stream.destroy();
    // it broke, which whoever reads next is told
    return false;
  }
}

/** A request over HTTP/2 and its response: one stream. */
@traced
export class HttpSession {
  /** The stream of the request. */
  readonly stream: H2Stream;
  /** The connection that the client opened the stream on. */
  readonly connection: H2Connection;
  private readonly _reqHeader: RequestHeader;
  private readonly scheme: string;
  /** The request ended with its head. */
  private readonly noBody: boolean;
  private _reqTrailers: HMap | undefined = undefined;
  private _responseWritten: ResponseHeader | undefined = undefined;
  /** END_STREAM was sent, or will be without anything more being said. */
  private _ended = false;
  private bodyRead = 0;
  private bodySent = 0;
  private retryBuffer: FixedBuffer | undefined = undefined;
  /** The client takes trailers after the body. */
  private takesTrailers = false;

  /** Made by {@link HttpSession.fromH2Conn}. */
  constructor(stream: H2Stream, connection: H2Connection) {
    this.stream = stream;
    this.connection = connection;
    const head = stream.head!;
    const header = new RequestHeader(head.method!, withoutFragment(head.path ?? '/'), fieldsOf(head));
    header.version = 'HTTP/2';
    header.authority = head.authority;
    this._reqHeader = header;
    this.scheme = head.scheme ?? '';
    this.noBody = stream.isEndStream();
  }

  /**
   * The next request on the connection; undefined when the connection is closing. Whoever accepts must go on
   * accepting until then. Throws `H2Error` when the connection broke.
   */
  @rust.method
  static *fromH2Conn(conn: H2Connection): Future<HttpSession | undefined> {
    try {
      for (;;) {
        const session = conn.accept();
        if (session !== PENDING) return session;
        yield;
      }
    } catch (error) {
      throw PingoraError.because(ErrorType.H2Error, 'while accepting new downstream requests', error);
    }
  }

  /** The request's head, and what may be changed in it. */
  reqHeader(): RequestHeader {
    return this._reqHeader;
  }

  /** What the client sent after the body, once the body was read. */
  reqTrailers(): HMap | undefined {
    const { trailers } = this.stream;
    if (this._reqTrailers === undefined && trailers !== null) this._reqTrailers = fieldsOf(trailers);
    return this._reqTrailers;
  }

  /** A piece of the request's body; undefined when there is no more. Throws `ReadError`. */
  @rust.method
  readBodyBytes(): Poll<Buffer | undefined> {
    if (this.noBody) return undefined;
    let data: Poll<Buffer | undefined>;
    try {
      data = this.stream.pollData();
    } catch (error) {
      throw PingoraError.because(ErrorType.ReadError, 'while reading downstream request body', error);
    }
    if (data !== PENDING && data !== undefined) {
      this.bodyRead += data.length;
      this.retryBuffer?.writeToBuffer(data);
    }
    return data;
  }

  /**
   * Send the response's head; `end` if nothing follows. It gets a Date and loses what belongs to a connection of
   * HTTP/1. A head of 1xx may be followed by another head. Throws `WriteError`.
   */
  @rust.method
  writeResponseHeader(header: ResponseHeader, end: boolean): void {
    if (this._ended) return;
    if (this._responseWritten !== undefined && !this._responseWritten.isInformational) {
      log.warn('Respond header is already sent, cannot send again');
      return;
    }
    if (header.status === 101) {
      // RFC 9113 8.6: there is no switching of protocols in HTTP/2
      throw PingoraError.explain(ErrorType.H2Error, '101 cannot be sent over h2');
    }
    const { headers, isInformational } = header;
    if (!isInformational) headers.insertUnchecked('Date', getCachedDate());
    removeConnectionSpecific(headers, always);
    // RFC 9110 8.6; a length that no DATA follows makes the response malformed (RFC 9113 8.1.1)
    if (isInformational || header.status === 204 || header.status === 205) headers.remove('content-length');
    const ends = !isInformational && (end || this.hasNoBody(header.status));
    try {
      this.stream.respond(header.status, headers.names, headers.values, ends);
    } catch (error) {
      throw PingoraError.because(ErrorType.WriteError, 'while writing h2 response to downstream', error);
    }
    this.takesTrailers = headers.has('trailer') || this._reqHeader.headers.get('te') === 'trailers';
    this._responseWritten = header;
    this._ended = ends;
  }

  /** RFC 9110 6.4.1 and 15.3.6: whatever is written after such a head isn't sent. */
  private hasNoBody(status: number): boolean {
    return status === 204 || status === 205 || status === 304 || this._reqHeader.method === 'HEAD';
  }

  /** As {@link HttpSession.writeResponseHeader}, without changing `header`. */
  @rust.method
  writeResponseHeaderRef(header: ResponseHeader, end: boolean): void {
    this.writeResponseHeader(header.clone(), end);
  }

  /**
   * Send a piece of the response's body; `end` if it is the last. Whoever may write more than the client reads waits
   * with {@link HttpSession.pollDrained}. Throws `WriteError`; `H2Error` if no head was sent.
   */
  @rust.method
  writeBody(data: Buffer, end: boolean): void {
    if (this._ended) {
      if (data.length > 0) log.warn('Try to write body after end of stream, dropping the extra data');
      return;
    }
    if (this._responseWritten === undefined || this._responseWritten.isInformational) {
      throw PingoraError.explain(ErrorType.H2Error, 'try to send body before header is sent');
    }
    this.bodySent += data.length;
    bytesPass(data.length);
    this._ended = end;
    try {
      this.stream.sendData(data, end);
    } catch (error) {
      throw writeError(error);
    }
  }

  /** Ready when the client has taken so much that more can be written. Throws `WriteError`. */
  pollDrained(): Poll<void> {
    if (this._ended || this._responseWritten === undefined) return;
    try {
      return this.stream.pollCapacity();
    } catch (error) {
      throw writeError(error);
    }
  }

  /** Send what follows the body and end the response. Without a body before, the head must have been sent. */
  writeTrailers(trailers: HMap | undefined): void {
    if (this._ended || this._responseWritten === undefined || this._responseWritten.isInformational) return;
    const names: string[] = [];
    const values: string[] = [];
    // RFC 9110 6.5.1: a sender drops them unless the recipient is known to want them
    if (this.takesTrailers && trailers !== undefined) {
      for (const [name, value] of trailers) {
        if (isConnectionSpecific(name) || name.startsWith(':')) continue;
        names.push(name);
        values.push(value);
      }
    }
    if (names.length === 0) {
      this.finish();
      return;
    }
    this._ended = true;
    try {
      this.stream.sendTrailers(names, values);
    } catch (error) {
      throw writeError(error);
    }
  }

  /** End the response, if that wasn't done. Does nothing when no head was sent: {@link HttpSession.close} resets. */
  @rust.method
  finish(): void {
    if (this._ended || this._responseWritten === undefined || this._responseWritten.isInformational) return;
    this._ended = true;
    try {
      this.stream.sendData(EMPTY, true);
    } catch (error) {
      throw writeError(error);
    }
  }

  /**
   * Send what has come of the response; true once it is complete. Head, body and end that are here together leave
   * together. Throws what a task brings, and `WriteError`.
   */
  @rust.method
  responseDuplexVec(tasks: readonly HttpTask[]): boolean {
    let end = false;
    for (const task of tasks) {
      if (task.type === 'Failed') throw task.error;
      try {
        if (task.type === 'Header') {
          this.writeResponseHeader(task.header, task.end);
          end ||= task.end;
        } else if (task.type === 'Body') {
          end ||= task.end;
          if (task.data !== undefined && task.data.length > 0) this.writeBody(task.data, task.end);
          else if (task.end) this.finish();
        } else if (task.type === 'Trailer') {
          end = true;
          this.writeTrailers(task.trailers);
        } else {
          this.finish();
          return true;
        }
      } catch (error) {
        throw PingoraError.from(error).intoDown();
      }
    }
    return end;
  }

  /** Method, target and Host, for the log. */
  requestSummary(): string {
    const { method, authority, headers } = this._reqHeader;
    const path = this._reqHeader.rawPath();
    const uri = authority === undefined || method === 'CONNECT' ? path : `${this.scheme}://${authority}${path}`;
    return `${method} ${uri}, Host: ${headers.get('host') ?? ''}`;
  }

  /** The response's head that was sent last; undefined if none was. */
  responseWritten(): ResponseHeader | undefined {
    return this._responseWritten;
  }

  /** Give the stream up: the client sees INTERNAL_ERROR, unless the response was complete. */
  @rust.method
  shutdown(): void {
    if (!this._ended) this.stream.sendReset(Reason.INTERNAL_ERROR);
  }

  /**
   * Done with this session: what Rust does when it is dropped. A response that isn't complete is cancelled; a request
   * that is still being sent is told that no more is wanted (RFC 9113 8.1: RST_STREAM with NO_ERROR).
   */
  close(): void {
    this.stream.release();
  }

  /** The head as HTTP/1 would have it, its version aside. */
  pseudoRawH1RequestHeader(): Buffer {
    const header = this._reqHeader;
    return Buffer.from(
      `${header.method} ${header.rawPath()} ${header.version}\r\n${header.headerToH1Wire()}\r\n`,
      'latin1',
    );
  }

  /** Whether there is no more body to read. */
  isBodyDone(): boolean {
    return this.noBody || this.stream.isEndStream();
  }

  /**
   * Whether more of the request's body is to come, and soon: what goes through a tunnel is none, and calls of gRPC may be
   * silent for as long as they like.
   */
  owesBody(): boolean {
    const { method, headers } = this._reqHeader;
    if (this.isBodyDone() || method === 'CONNECT') return false;
    return headers.get('content-type')?.startsWith('application/grpc') !== true;
  }

  /** Whether the response was said to its end. */
  isResponseDone(): boolean {
    return this._ended;
  }

  /** Whether there is no body at all. */
  isBodyEmpty(): boolean {
    return this.bodyRead === 0 && (this.isBodyDone() || this._reqHeader.headers.get('content-length') === '0');
  }

  /** Whether more of the body was read than is kept for another try. */
  retryBufferTruncated(): boolean {
    return this.retryBuffer?.isTruncated() ?? false;
  }

  /** Keep the first 64 KiB of the body for another try. */
  @rust.method
  enableRetryBuffering(): void {
    this.retryBuffer ??= new FixedBuffer(BODY_BUF_LIMIT);
  }

  /** The body so far; undefined if it wasn't kept or was too long. */
  getRetryBuffer(): Buffer | undefined {
    return this.retryBuffer === undefined || this.retryBuffer.isTruncated() ? undefined : this.retryBuffer.getBuffer();
  }

  /**
   * Ready once the client has taken the request back or left, so that nothing more is done for it. The result is the
   * reason that it gave. Throws `H2Error` if the connection broke.
   */
  idle(): Poll<string> {
    try {
      const reason = this.stream.pollReset();
      return reason === PENDING ? PENDING : reasonText(reason);
    } catch (error) {
      throw PingoraError.because(ErrorType.H2Error, 'downstream error while idling', error);
    }
  }

  /** A read that is pending is given up: nothing that arrived is lost. What `drop` does to it in Rust. */
  dropRead(): void {}

  /**
   * As {@link HttpSession.readBodyBytes}, but when no more is expected pending until the client leaves; throws `H2Error`
   * then.
   */
  @rust.method
  readBodyOrIdle(noBodyExpected: boolean): Poll<Buffer | undefined> {
    // The end may come alone, while this is pending: it is still to be read. The original forgets it, where it polls
    // anew.
    if (!noBodyExpected) return this.readBodyBytes();
    const reason = this.idle();
    if (reason === PENDING) return PENDING;
    throw PingoraError.explain(ErrorType.H2Error, `Client closed H2, reason: ${reason}`);
  }

  /** How many bytes of the request's body were read. */
  bodyBytesRead(): number {
    return this.bodyRead;
  }

  /** How many bytes of the response's body were sent. */
  bodyBytesSent(): number {
    return this.bodySent;
  }
}

const EMPTY = Buffer.alloc(0);

function always(): boolean {
  return true;
}

function writeError(error: unknown): PingoraError {
  return PingoraError.because(ErrorType.WriteError, 'while writing h2 response body to downstream', error);
}

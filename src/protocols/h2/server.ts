/**
 * HTTP/2 from the client: one connection, and one session a stream.
 *
 * The frames are `node:http2`'s (nghttp2), which also refuses what RFC 9113 8.1.1 calls malformed: connection-specific
 * fields, pseudo-header fields that are missing, repeated or out of place, and a body that isn't as long as its
 * Content-Length says. Those streams are reset and never show up here.
 *
 * Port of `pingora-core/src/protocols/http/v2/server.rs`.
 */
import { isUtf8 } from 'node:buffer';
import {
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2';
import { ErrorType, PingoraError } from '../../error/lib.ts';
import { type HMap, lowerName, RequestHeader, type ResponseHeader } from '../../http/lib.ts';
import { Log } from '../../log.ts';
import { Cancelled } from '../../runtime/cancelled.ts';
import type { Kept } from '../../runtime/sync.ts';
import { ported } from '../../tracing/span.ts';
import { MAX_HEADERS } from '../h1/common.ts';
import { FixedBuffer } from '../http/body-buffer.ts';
import { getCachedDate } from '../http/date.ts';
import type { HttpTask } from '../http/mod.ts';
import type { Stream } from '../l4/stream.ts';
import { appendFields, fieldsOf, isConnectionSpecific } from './fields.ts';
import { reasonName, resetStream, sayWhy, watchEnd } from './reason.ts';

const rust = ported('pingora-core/src/protocols/http/v2/server.rs');
const log = new Log('pingora_core::protocols::http::v2::server');

/** So many bytes of a request's body are kept for another try. */
const BODY_BUF_LIMIT = 64 * 1024;
/** So many bytes of a response may wait for a slow client before its writer has to wait too. */
const WRITE_BUF_LIMIT = 64 * 1024;
/** Requests that one client may have open at a time, unless {@link H2Options} says otherwise. */
const MAX_CONCURRENT_STREAMS = 128;
/**
 * So many streams may a client take back at once, and so many a second after that. nghttp2 has the same guard (1000
 * and 33), but where it stops listening `node:http2` doesn't notice and keeps the connection: this one has to be first.
 */
const RESETS_AT_ONCE = 900;
const RESETS_PER_SECOND = 30;
/** As many fields as a head of HTTP/1 may have, and the four pseudo-header fields. `node:http2` takes half of them. */
const MAX_HEADER_PAIRS = MAX_HEADERS + 4;
/** See {@link H2Options.silenceMs}. */
const SILENCE_MS = 60_000;

/** How to speak HTTP/2 with a client. What is left out has the default of `node:http2`, except where noted. */
export interface H2Options {
  /** Sent to the client at once. `maxConcurrentStreams` is 128 by default. */
  readonly settings?: Settings;
  /** Memory that one connection may use, in megabytes. */
  readonly maxSessionMemory?: number;
  /** Fields that one head may have, pseudo-header fields included. Default: 260. */
  readonly maxHeaderListPairs?: number;
  /** Invalid frames after which the connection is closed. */
  readonly maxSessionInvalidFrames?: number;
  /** Streams refused before they began after which the connection is closed. */
  readonly maxSessionRejectedStreams?: number;
  /**
   * After so many milliseconds of silence the client is asked whether it is there (PING), and after as many more
   * without an answer the connection is closed. Default: 60 000.
   */
  readonly silenceMs?: number;
}

const SESSION = Symbol('session');
const CONNECTION = Symbol('connection');
type OwnedStream = ServerHttp2Stream & { [SESSION]?: HttpSession };
type OwnedSession = ServerHttp2Session & { [CONNECTION]?: H2Connection };

// The listeners are functions of the module, not closures: a stream has five, and a client may open many.
function onStream(
  this: OwnedSession,
  stream: OwnedStream,
  headers: IncomingHttpHeaders,
  _flags: number,
  raw: string[],
): void {
  this[CONNECTION]?.opened(stream, headers, raw);
}
function onSessionError(this: OwnedSession, error: Error): void {
  this[CONNECTION]?.failed(error);
}
function onSessionClose(this: OwnedSession): void {
  this[CONNECTION]?.closed();
}
function onSilence(this: OwnedSession): void {
  this[CONNECTION]?.silent();
}
function ignore(): void {}
function onWake(this: OwnedStream): void {
  this[SESSION]?.wakeReaderSoon();
}
function wake(session: HttpSession): void {
  session.wakeReader();
}
function onDrain(this: OwnedStream): void {
  this[SESSION]?.wakeWriter();
}
function onGone(this: OwnedStream): void {
  const session = this[SESSION];
  session?.wakeReader();
  session?.wakeWriter();
}
function onClose(this: OwnedStream): void {
  this[SESSION]?.ended();
  onGone.call(this);
}
function onTrailers(this: OwnedStream, _headers: IncomingHttpHeaders, _flags: number, raw: string[]): void {
  this[SESSION]?.receivedTrailers(raw);
}
function onWantTrailers(this: OwnedStream): void {
  this[SESSION]?.sendTrailers();
}

/** One for all: making an error takes its stack, which was a sixth of what a request cost. */
const IDLE_CANCELLED = new Cancelled('idle wait cancelled');

function leftBecause(reason: string): PingoraError {
  return PingoraError.explain(ErrorType.H2Error, `Client closed H2, reason: ${reason}`);
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A connection of HTTP/2 with a client: streams that the client opens wait here until somebody accepts them. */
export class H2Connection {
  readonly session: ServerHttp2Session;
  readonly #silenceMs: number;
  #opened: HttpSession[] = [];
  #accepting: Waiting | null = null;
  #error: Error | null = null;
  #closed = false;
  #asking = false;
  #resets = RESETS_AT_ONCE;
  #resetAt = 0;

  /** Made by {@link handshake}. */
  constructor(session: ServerHttp2Session, silenceMs: number) {
    this.session = session;
    this.#silenceMs = silenceMs;
    (session as OwnedSession)[CONNECTION] = this;
    sayWhy(session);
    session.on('stream', onStream);
    session.on('error', onSessionError);
    session.on('close', onSessionClose);
    session.on('timeout', onSilence);
    session.setTimeout(silenceMs);
  }

  /** @internal */
  opened(stream: OwnedStream, headers: IncomingHttpHeaders, raw: string[]): void {
    stream.on('error', ignore);
    const refused = refusal(headers);
    if (refused !== undefined) {
      stream.close(refused);
      return;
    }
    this.#opened.push(new HttpSession(this, stream, headers, raw));
    this.#wake();
  }

  /** @internal The client took a stream back. */
  reset(): void {
    const now = Date.now();
    const more = ((now - this.#resetAt) / 1000) * RESETS_PER_SECOND;
    this.#resets = Math.min(RESETS_AT_ONCE, this.#resets + more) - 1;
    this.#resetAt = now;
    if (this.#resets < 0 && !this.session.destroyed) {
      this.session.destroy(new Error('too many resets'), constants.NGHTTP2_ENHANCE_YOUR_CALM);
    }
  }

  /** @internal Nothing was heard or said for a while. */
  silent(): void {
    const { session } = this;
    if (session.destroyed) return;
    if (this.#asking) {
      session.destroy(new Error('the client does not answer'));
      return;
    }
    this.#asking = session.ping(() => {
      this.#asking = false;
    });
    session.setTimeout(this.#silenceMs);
  }

  /** @internal */
  failed(error: Error): void {
    this.#error ??= error;
  }

  /** @internal */
  closed(): void {
    this.#closed = true;
    this.#wake();
  }

  #wake(): void {
    const accepting = this.#accepting;
    this.#accepting = null;
    accepting?.resolve();
  }

  /** The next stream that the client opened; undefined once the connection is closed. Throws how it broke. */
  async accept(): Promise<HttpSession | undefined> {
    for (;;) {
      const session = this.#opened.shift();
      if (session === undefined) {
        if (this.#closed) {
          if (this.#error !== null) throw this.#error;
          return undefined;
        }
        await new Promise<void>((resolve, reject) => {
          this.#accepting = { resolve, reject };
        });
      } else if (session.isGone()) {
        // opened and taken back at once: nothing is done for a client that floods us with such (CVE-2023-44487)
        session.close();
      } else return session;
    }
  }

  /** Take no new streams (GOAWAY); the connection closes when those that are open have ended. */
  gracefulShutdown(): void {
    if (!this.session.closed && !this.session.destroyed) this.session.close();
  }

  /** End the connection and all its streams now. */
  close(): void {
    for (const session of this.#opened) session.close();
    this.#opened = [];
    if (!this.session.destroyed) this.session.destroy();
  }
}

/**
 * Whether Host, if it is there, says the same as `:authority`. A request that names two hosts is malformed (RFC 9113
 * 8.3.1): whoever routes by the one and an origin that believes the other would be talking of two requests.
 */
function authorityIsHost(headers: IncomingHttpHeaders): boolean {
  const authority = headers[':authority'];
  const { host } = headers;
  return (
    authority === undefined || host === undefined || String(authority).toLowerCase() === String(host).toLowerCase()
  );
}

/** What a target in HTTP/1 can't hold, or holds only as UTF-8; space and control characters are nghttp2's to refuse. */
const SUSPECT = /[<>`\x80-\xff]/;

/** Why a request can't be sent on, as the code that its stream is reset with. */
function refusal(headers: IncomingHttpHeaders): number | undefined {
  // a tunnel is not what a reverse proxy has; the original gives up before it writes such a head
  if (headers[':method'] === 'CONNECT') return constants.NGHTTP2_CANCEL;
  if (!authorityIsHost(headers)) return constants.NGHTTP2_PROTOCOL_ERROR;
  const path = headers[':path'];
  if (path !== undefined && SUSPECT.test(path)) {
    if (/[<>`]/.test(path) || !isUtf8(Buffer.from(path, 'latin1'))) return constants.NGHTTP2_PROTOCOL_ERROR;
  }
  return undefined;
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
  async (stream: Stream, options: H2Options = {}): Promise<H2Connection> => {
    try {
      const socket = stream.intoSocket();
      // the session forwards the socket's errors, but a socket may fail once more after the session is gone
      socket.on('error', ignore);
      if (socket.destroyed) throw new Error('the connection is closed');
      // neither side can go on when the other has ended (RFC 9113 has no half-closed connections)
      socket.allowHalfOpen = false;
      const { silenceMs = SILENCE_MS, ...forNode } = options;
      const session = performServerHandshake(socket, {
        maxHeaderListPairs: MAX_HEADER_PAIRS,
        ...forNode,
        settings: { maxConcurrentStreams: MAX_CONCURRENT_STREAMS, ...options.settings },
      });
      const connection = new H2Connection(session, silenceMs);
      log.debug('H2 handshake done.');
      return connection;
    } catch (error) {
      stream.destroy();
      throw PingoraError.because(ErrorType.HandshakeError, 'while h2 handshaking with client', error);
    }
  },
);

/** A request over HTTP/2 and its response: one stream. */
export class HttpSession {
  readonly stream: ServerHttp2Stream;
  private readonly connection: H2Connection;
  private readonly _reqHeader: RequestHeader;
  private readonly scheme: string;
  /** The request ended with its head. */
  private readonly noBody: boolean;
  /** The client's END_STREAM has come; what came before it may not be read yet. */
  private complete: boolean;
  private _reqTrailers: HMap | undefined = undefined;
  private _responseWritten: ResponseHeader | undefined = undefined;
  /** END_STREAM was sent, or will be without anything more being said. */
  private _ended = false;
  private bodyRead = 0;
  private bodySent = 0;
  private retryBuffer: FixedBuffer | undefined = undefined;
  /** Null: `node:http2` was told that there won't be any. */
  private trailers: OutgoingHttpHeaders | null = null;
  private reading: Waiting | null = null;
  /** What fails when the client leaves. */
  private leaving: Kept<unknown> | null = null;
  private watching = false;
  private writing: (() => void) | null = null;
  /** The stream was reset from this side. */
  private givenUp = false;

  /** Made by {@link HttpSession.fromH2Conn}. */
  constructor(
    connection: H2Connection,
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    raw: readonly string[],
  ) {
    this.stream = stream;
    this.connection = connection;
    const method = headers[':method'] ?? 'GET';
    const authority = headers[':authority'];
    const header = new RequestHeader(method, withoutFragment(headers[':path'] ?? '/'), fieldsOf(raw));
    header.version = 'HTTP/2';
    header.authority = authority;
    this._reqHeader = header;
    this.scheme = headers[':scheme'] ?? '';
    this.noBody = stream.endAfterHeaders;
    (stream as OwnedStream)[SESSION] = this;
    stream.on('aborted', onGone);
    stream.on('close', onClose);
    this.complete = this.noBody;
    if (!this.noBody) {
      stream.on('trailers', onTrailers);
      watchEnd(stream, () => {
        this.complete = true;
      });
    }
  }

  /**
   * The next request on the connection; undefined when the connection is closing. Whoever accepts must go on
   * accepting until then. Throws `H2Error` when the connection broke.
   */
  @rust.method('HttpSession::from_h2_conn')
  static async fromH2Conn(conn: H2Connection): Promise<HttpSession | undefined> {
    try {
      return await conn.accept();
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
    return this._reqTrailers;
  }

  /** @internal */
  receivedTrailers(raw: readonly string[]): void {
    this._reqTrailers = fieldsOf(raw);
  }

  /** @internal */
  wakeReader(): void {
    const { reading, leaving } = this;
    this.reading = null;
    reading?.resolve();
    if (leaving !== null && this.hasEnded()) {
      this.leaving = null;
      leaving.fail(this.clientLeft());
    }
  }

  /** @internal Once all frames that came together have been taken apart: a body and its end are one piece. */
  wakeReaderSoon(): void {
    if (this.reading !== null) setImmediate(wake, this);
  }

  /** @internal */
  wakeWriter(): void {
    const wake = this.writing;
    this.writing = null;
    wake?.();
  }

  /** @internal */
  ended(): void {
    if (!this.givenUp && this.stream.rstCode !== constants.NGHTTP2_NO_ERROR) this.connection.reset();
  }

  /** Whether the client took the request back, or the connection is gone. */
  isGone(): boolean {
    return this.stream.aborted || this.stream.destroyed;
  }

  /** A piece of the body, undefined at its end, null if there is nothing yet. */
  private take(): Buffer | undefined | null {
    if (this.noBody) return undefined;
    const { stream } = this;
    const data = stream.read() as Buffer | null;
    if (data !== null) {
      this.bodyRead += data.length;
      this.retryBuffer?.writeToBuffer(data);
      return data;
    }
    if (this.complete) return undefined;
    if (stream.aborted || stream.closed) {
      throw PingoraError.because(
        ErrorType.ReadError,
        'while reading downstream request body',
        new Error(`stream closed: ${reasonName(stream.rstCode)}`),
      );
    }
    return null;
  }

  private arrival(): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.reading = { resolve, reject };
    });
  }

  /** A piece of the request's body; undefined when there is no more. Throws `ReadError`. */
  @rust.method('HttpSession::read_body_bytes')
  readBodyBytes(): Buffer | undefined | Promise<Buffer | undefined> {
    const data = this.take();
    return data === null ? this.readLater() : data;
  }

  private async readLater(): Promise<Buffer | undefined> {
    if (!this.watching) {
      this.watching = true;
      this.stream.on('readable', onWake);
      this.stream.on('end', onWake);
    }
    for (;;) {
      await this.arrival();
      const data = this.take();
      if (data !== null) return data;
    }
  }

  /**
   * Send the response's head; `end` if nothing follows. It gets a Date and loses what belongs to a connection of
   * HTTP/1. A head of 1xx may be followed by another head. Throws `WriteError`.
   */
  @rust.method('HttpSession::write_response_header')
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
    if (!header.isInformational) header.headers.insertUnchecked('Date', getCachedDate());
    const { headers } = header;
    for (let i = headers.length - 1; i >= 0; i--) {
      const name = headers.names[i];
      if (name !== undefined && isConnectionSpecific(lowerName(name))) headers.remove(name);
    }

    const { stream } = this;
    const fields = appendFields({ ':status': header.status }, headers);
    // a response has no use for it, and anything but "trailers" is malformed
    delete fields.te;
    try {
      if (header.isInformational) {
        if (stream.closed || stream.destroyed) throw new Error('stream closed');
        stream.additionalHeaders(fields);
      } else {
        const trailers = !end && (headers.has('trailer') || this._reqHeader.headers.get('te') === 'trailers');
        stream.respond(fields, { endStream: end, sendDate: false, waitForTrailers: trailers } as never);
        if (trailers) {
          this.trailers = {};
          stream.on('wantTrailers', onWantTrailers);
        }
      }
    } catch (error) {
      throw PingoraError.because(ErrorType.WriteError, 'while writing h2 response to downstream', error);
    }
    this._responseWritten = header;
    // `node:http2` ends by itself what has no body: the answer to HEAD, 204, 205 and 304
    if (!header.isInformational) this._ended = end || stream.writableEnded;
  }

  /** As {@link HttpSession.writeResponseHeader}, without changing `header`. */
  @rust.method('HttpSession::write_response_header_ref')
  writeResponseHeaderRef(header: ResponseHeader, end: boolean): void {
    this.writeResponseHeader(header.clone(), end);
  }

  /**
   * Send a piece of the response's body; `end` if it is the last. A promise means that the client reads too slowly and
   * the writer has to wait. Throws `WriteError`; `H2Error` if no head was sent.
   */
  @rust.method('HttpSession::write_body')
  writeBody(data: Buffer, end: boolean): void | Promise<void> {
    if (this._ended) {
      if (data.length > 0) log.warn('Try to write body after end of stream, dropping the extra data');
      return;
    }
    this.checkWritable();
    const { stream } = this;
    this.bodySent += data.length;
    if (end) {
      this._ended = true;
      stream.end(data);
    } else if (!stream.write(data) && stream.writableLength >= WRITE_BUF_LIMIT) return this.drained();
  }

  private checkWritable(): void {
    if (this._responseWritten === undefined || this._responseWritten.isInformational) {
      throw PingoraError.explain(ErrorType.H2Error, 'try to send body before header is sent');
    }
    if (this.stream.closed || this.stream.destroyed) throw this.writeError();
  }

  private writeError(): PingoraError {
    return PingoraError.because(
      ErrorType.WriteError,
      'while writing h2 response body to downstream',
      new Error(`stream closed: ${reasonName(this.stream.rstCode)}`),
    );
  }

  private async drained(): Promise<void> {
    const { stream } = this;
    stream.once('drain', onDrain);
    await new Promise<void>((resolve) => {
      this.writing = resolve;
    });
    if (stream.closed || stream.destroyed) throw this.writeError();
  }

  /** Send what follows the body and end the response. Without a body before, the head must have been sent. */
  writeTrailers(trailers: HMap | undefined): void {
    // RFC 9110 6.5.1: a sender drops them unless the recipient is known to want them
    if (this.trailers !== null && trailers !== undefined) {
      appendFields(this.trailers, trailers);
      for (const key of Object.keys(this.trailers)) {
        if (isConnectionSpecific(key) || key.startsWith(':')) delete this.trailers[key];
      }
    }
    this.finish();
  }

  /** @internal */
  sendTrailers(): void {
    const { stream } = this;
    if (stream.destroyed || stream.closed) return;
    stream.sendTrailers(this.trailers ?? {});
  }

  /** End the response, if that wasn't done. Does nothing when no head was sent: {@link HttpSession.close} resets. */
  @rust.method('HttpSession::finish')
  finish(): void {
    if (this._ended || this._responseWritten === undefined || this._responseWritten.isInformational) return;
    if (this.stream.closed || this.stream.destroyed) throw this.writeError();
    this._ended = true;
    this.stream.end();
  }

  /**
   * Send what has come of the response; true once it is complete. A promise means that the client reads too slowly.
   * Head, body and end that are here together leave together. Throws what a task brings, and `WriteError`.
   */
  @rust.method('HttpSession::response_duplex_vec')
  responseDuplexVec(tasks: readonly HttpTask[]): boolean | Promise<boolean> {
    return this.duplex(tasks, 0, false);
  }

  private duplex(tasks: readonly HttpTask[], from: number, ended: boolean): boolean | Promise<boolean> {
    let end = ended;
    for (let i = from; i < tasks.length; i++) {
      const task = tasks[i]!;
      if (task.type === 'Failed') throw task.error;
      if (task.type === 'Header' && task.header.status > 599) {
        // no status of HTTP (RFC 9110 15), and `node:http2` doesn't send it: a bad gateway rather than a reset
        const context = `status ${task.header.status} cannot be sent over h2`;
        throw PingoraError.explain(ErrorType.H2Error, context).intoUp();
      }
      let wait: unknown;
      try {
        if (task.type === 'Header') {
          this.writeResponseHeader(task.header, task.end);
          end ||= task.end;
        } else if (task.type === 'Body') {
          end ||= task.end;
          if (task.data !== undefined && task.data.length > 0) wait = this.writeBody(task.data, task.end);
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
      if (wait instanceof Promise) return this.duplexLater(wait, tasks, i + 1, end);
    }
    return end;
  }

  private async duplexLater(
    wait: Promise<void>,
    tasks: readonly HttpTask[],
    from: number,
    ended: boolean,
  ): Promise<boolean> {
    try {
      await wait;
    } catch (error) {
      throw PingoraError.from(error).intoDown();
    }
    return this.duplex(tasks, from, ended);
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
  @rust.method('HttpSession::shutdown')
  shutdown(): void {
    if (!this._ended) this.reset(constants.NGHTTP2_INTERNAL_ERROR);
  }

  /** RST_STREAM, before the response is complete. */
  private reset(code: number): void {
    const { stream } = this;
    if (this.givenUp || stream.closed || stream.destroyed) return;
    this.givenUp = true;
    resetStream(stream, code);
  }

  /**
   * Done with this session: what Rust does when it is dropped. A response that isn't complete is cancelled; a request
   * that is still being sent is told that no more is wanted (RFC 9113 8.1: RST_STREAM with NO_ERROR).
   */
  close(): void {
    this.cancelIdle();
    const { stream } = this;
    if (stream.closed || stream.destroyed) return;
    if (!this._ended) this.reset(constants.NGHTTP2_CANCEL);
    else if (!this.complete) {
      this.givenUp = true;
      stream.close(constants.NGHTTP2_NO_ERROR);
    }
    // what was sent and not read would keep the stream open
    else if (!this.noBody) stream.resume();
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
    return this.noBody || (this.stream.readableLength === 0 && this.complete);
  }

  /** Whether there is no body at all. */
  isBodyEmpty(): boolean {
    return this.bodyRead === 0 && (this.isBodyDone() || this._reqHeader.headers.get('content-length') === '0');
  }

  retryBufferTruncated(): boolean {
    return this.retryBuffer?.isTruncated() ?? false;
  }

  /** Keep the first 64 KiB of the body for another try. */
  @rust.method('HttpSession::enable_retry_buffering')
  enableRetryBuffering(): void {
    this.retryBuffer ??= new FixedBuffer(BODY_BUF_LIMIT);
  }

  /** The body so far; undefined if it wasn't kept or was too long. */
  getRetryBuffer(): Buffer | undefined {
    return this.retryBuffer === undefined || this.retryBuffer.isTruncated() ? undefined : this.retryBuffer.getBuffer();
  }

  /**
   * Wait until the client takes the request back or leaves, so that nothing more is done for it. The result is the
   * reason that it gave, by its name. Rejects with `Cancelled` after {@link HttpSession.cancelIdle}; with `H2Error`
   * if the connection broke.
   */
  async idle(): Promise<string> {
    while (!this.hasEnded()) await this.arrival();
    const broken = this.broken();
    if (broken !== undefined) throw broken;
    return reasonName(this.stream.rstCode);
  }

  private hasEnded(): boolean {
    const { stream } = this;
    return stream.aborted || stream.closed || stream.destroyed;
  }

  private broken(): PingoraError | undefined {
    return this.connection.session.destroyed
      ? PingoraError.explain(ErrorType.H2Error, 'downstream error while idling')
      : undefined;
  }

  /** End a wait for the client that is going on: it rejects with `Cancelled`. Nothing that arrived is lost. */
  cancelIdle(): void {
    this.leaving = null;
    const { reading } = this;
    this.reading = null;
    reading?.reject(IDLE_CANCELLED);
  }

  /**
   * As {@link HttpSession.readBodyBytes}, but when there is no more (or `noBodyExpected`) wait until the client leaves,
   * and throw `H2Error`.
   */
  @rust.method('HttpSession::read_body_or_idle')
  readBodyOrIdle(noBodyExpected: boolean): Buffer | undefined | Promise<Buffer | undefined> {
    if (noBodyExpected || this.isBodyDone()) return this.idleToError();
    return this.readBodyBytes();
  }

  private async idleToError(): Promise<never> {
    throw leftBecause(await this.idle());
  }

  /**
   * What {@link HttpSession.readBodyOrIdle} does once there is no more body, without its promises: `wait` fails when
   * the client leaves. For where nothing is traced and nobody would see the wait itself.
   */
  failWhenClientLeaves(wait: Kept<unknown>): void {
    wait.pend();
    if (this.hasEnded()) wait.fail(this.clientLeft());
    else this.leaving = wait;
  }

  private clientLeft(): PingoraError {
    return this.broken() ?? leftBecause(reasonName(this.stream.rstCode));
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

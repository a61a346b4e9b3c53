/**
 * HTTP/2 to an origin: a session is one stream of a connection.
 *
 * The frames are `node:http2`'s (nghttp2).
 *
 * Port of `pingora-core/src/protocols/http/v2/client.rs`.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { ErrorType, PingoraError } from '../../error/lib.ts';
import type { HMap, RequestHeader } from '../../http/lib.ts';
import { ResponseHeader } from '../../http/lib.ts';
import { Log } from '../../log.ts';
import { Cancelled } from '../../runtime/cancelled.ts';
import { spawn } from '../../runtime/lib.ts';
import type { Watch } from '../../runtime/sync.ts';
import { type Armed, arm } from '../../timeout/lib.ts';
import { ported } from '../../tracing/span.ts';
import type { Digest } from '../digest.ts';
import { appendFields, fieldsOf, isConnectionSpecific } from './fields.ts';
import { reasonName, resetStream, watchEnd } from './reason.ts';

const rust = ported('pingora-core/src/protocols/http/v2/client.rs');
const log = new Log('pingora_core::protocols::http::v2::client');

/** The type of what goes wrong because the server didn't answer a ping. */
export const PING_TIMEDOUT = ErrorType.new('PingTimedout');

/** So many bytes of a request may wait for a slow server before their writer has to wait too. */
const WRITE_BUF_LIMIT = 64 * 1024;
/** The server has so many milliseconds to answer a ping. */
const PING_TIMEOUT = 5000;
/**
 * A server that has streams to answer and says nothing for `silence` milliseconds is asked once whether it is there,
 * and has `answer` milliseconds to say so. @internal Tests have less of it.
 */
export const patience = { silence: 10_000, answer: PING_TIMEOUT };

/** One for all: making an error takes its stack. */
const READ_CANCELLED = new Cancelled('read cancelled');

const SESSION = Symbol('session');
type OwnedStream = ClientHttp2Stream & { [SESSION]?: Http2Session };

function onWake(this: OwnedStream): void {
  this[SESSION]?.wakeReaderSoon();
}
function wake(session: Http2Session): void {
  session.wakeReader();
}
function onResponse(this: OwnedStream, headers: IncomingHttpHeaders, _flags: number, raw: string[]): void {
  this[SESSION]?.receivedHeader(headers, raw);
}
function onTrailers(this: OwnedStream, _headers: IncomingHttpHeaders, _flags: number, raw: string[]): void {
  this[SESSION]?.receivedTrailers(raw);
}
function onError(this: OwnedStream, error: Error): void {
  this[SESSION]?.failed(error);
}
function onGone(this: OwnedStream): void {
  const session = this[SESSION];
  session?.wakeReader();
  session?.wakeWriter();
}
function onDrain(this: OwnedStream): void {
  this[SESSION]?.wakeWriter();
}
function onWantTrailers(this: OwnedStream): void {
  this[SESSION]?.sendTrailers();
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * What a session knows of its connection: `ConnectionRef` of the connectors, which stand above this folder (in the
 * original either module uses the other).
 */
export interface SharedConnection {
  readonly id: number;
  readonly digest: Digest;
  readonly sessionError: Error | null;
  readonly goaway: number | undefined;
  readonly pooled: boolean;
  isIdle(): boolean;
  close(): void;
  releaseStream(): void;
  pingTimedout(): boolean;
}

/** One request to an origin over HTTP/2, and its response. */
export class Http2Session {
  readonly conn: SharedConnection;
  /** The limit of each read of head, body and trailers, in milliseconds. It isn't one for the whole response. */
  readTimeout: number | undefined = undefined;
  private readonly session: ClientHttp2Session;
  private stream: ClientHttp2Stream | null = null;
  private header: ResponseHeader | undefined = undefined;
  private trailers: HMap | undefined = undefined;
  private headerRead = false;
  /** What to send after the body; null if the server was told that nothing follows. */
  private reqTrailers: OutgoingHttpHeaders | null = null;
  /** END_STREAM was sent, or will be without anything more being said. */
  private ended = false;
  /** The server's END_STREAM has come. */
  private complete = false;
  private released = false;
  private watching = false;
  private error: Error | null = null;
  private reading: Waiting | null = null;
  private writing: (() => void) | null = null;

  private constructor(session: ClientHttp2Session, conn: SharedConnection) {
    this.session = session;
    this.conn = conn;
  }

  /** Made by `ConnectionRef.spawnStream`. */
  static new(session: ClientHttp2Session, conn: SharedConnection): Http2Session {
    return new Http2Session(session, conn);
  }

  /** @internal */
  wakeReader(): void {
    const { reading } = this;
    this.reading = null;
    reading?.resolve();
  }

  /**
   * @internal Once all frames that came together have been taken apart. `node:http2` runs what waits after each frame:
   * head, body and end, which most often come in one piece, would leave in three.
   */
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
  receivedHeader(headers: IncomingHttpHeaders, raw: readonly string[]): void {
    const header = new ResponseHeader(Number(headers[':status']), fieldsOf(raw));
    header.version = 'HTTP/2';
    this.header ??= header;
    this.wakeReaderSoon();
  }

  /** @internal */
  receivedTrailers(raw: readonly string[]): void {
    this.trailers = fieldsOf(raw);
  }

  /** @internal */
  receivedEnd(): void {
    this.complete = true;
  }

  /** @internal */
  failed(error: Error): void {
    this.error ??= error;
    this.wakeReader();
  }

  /**
   * Send the request's head; `end` if nothing follows. The authority is the head's, or what Host says. Throws
   * `InvalidHTTPHeader` without either, and `H2Error`.
   */
  @rust.method('Http2Session::write_request_header')
  writeRequestHeader(req: RequestHeader, end: boolean): void {
    if (this.stream !== null) return;
    const authority = req.authority ?? req.headers.get('host');
    if (authority === undefined) {
      throw PingoraError.explain(ErrorType.InvalidHTTPHeader, 'no authority header for h2');
    }
    req.setVersion('HTTP/2');
    const fields: OutgoingHttpHeaders = { ':method': req.method, ':authority': authority };
    // RFC 9113 8.5: CONNECT has neither
    if (req.method !== 'CONNECT') {
      fields[':scheme'] = 'https';
      fields[':path'] = req.rawPath();
    }
    appendFields(fields, req.headers);
    for (const key in fields) {
      if (isConnectionSpecific(key) || (key === 'te' && fields.te !== 'trailers')) delete fields[key];
    }
    const withTrailers = !end && (fields.te === 'trailers' || fields.trailer !== undefined);
    try {
      const stream: OwnedStream = this.session.request(fields, { endStream: end, waitForTrailers: withTrailers });
      stream[SESSION] = this;
      watchEnd(stream, () => this.receivedEnd());
      stream.on('response', onResponse);
      stream.on('trailers', onTrailers);
      stream.on('error', onError);
      stream.on('aborted', onGone);
      stream.on('close', onGone);
      if (withTrailers) {
        this.reqTrailers = {};
        stream.on('wantTrailers', onWantTrailers);
      }
      this.stream = stream;
    } catch (error) {
      throw this.handleErr(PingoraError.because(ErrorType.H2Error, 'while sending request', error));
    }
    this.ended = end;
  }

  /**
   * Send a piece of the request's body; `end` if it is the last. A promise means that the server reads too slowly and
   * the writer has to wait. Throws `WriteError`.
   */
  @rust.method('Http2Session::write_request_body')
  writeRequestBody(data: Buffer, end: boolean): void | Promise<void> {
    if (this.ended) {
      if (data.length > 0) log.warn('Try to write request body after end of stream, dropping the extra data');
      return;
    }
    const stream = this.writable('while writing h2 request body');
    if (end) {
      this.ended = true;
      if (data.length > 0) stream.end(data);
      else stream.end();
    } else if (!stream.write(data) && stream.writableLength >= WRITE_BUF_LIMIT) return this.drained(stream);
  }

  private writable(context: string): ClientHttp2Stream {
    const { stream } = this;
    if (stream === null) throw new Error('Try to write request body before sending request header');
    if (stream.closed || stream.destroyed) throw this.writeError(context);
    return stream;
  }

  private writeError(context: string): PingoraError {
    const cause = this.error ?? new Error(`stream closed: ${reasonName(this.stream?.rstCode)}`);
    return this.handleErr(PingoraError.because(ErrorType.WriteError, context, cause));
  }

  private async drained(stream: ClientHttp2Stream): Promise<void> {
    stream.once('drain', onDrain);
    await new Promise<void>((resolve) => {
      this.writing = resolve;
    });
    if (stream.closed || stream.destroyed) throw this.writeError('while writing h2 request body');
  }

  /** Whether the server has ended the stream, so that nothing more of the request can be sent. */
  isClosed(): boolean {
    return this.stream !== null && (this.stream.closed || this.stream.destroyed);
  }

  /** Set what is sent after the body. To be called before the body's end; dropped unless the head announced it. */
  setRequestTrailers(trailers: HMap): void {
    if (this.reqTrailers === null) return;
    appendFields(this.reqTrailers, trailers);
    for (const key in this.reqTrailers) {
      if (isConnectionSpecific(key) || key.startsWith(':')) delete this.reqTrailers[key];
    }
  }

  /** @internal */
  sendTrailers(): void {
    const { stream } = this;
    if (stream === null || stream.closed || stream.destroyed) return;
    stream.sendTrailers(this.reqTrailers ?? {});
  }

  /** The request's body is complete. Throws `WriteError`. */
  @rust.method('Http2Session::finish_request_body')
  finishRequestBody(): void {
    if (this.ended) return;
    const stream = this.writable('while writing empty h2 request body');
    this.ended = true;
    stream.end();
  }

  private async arrival(what: string): Promise<void> {
    let armed: Armed | null = null;
    const wait = new Promise<void>((resolve, reject) => {
      this.reading = { resolve, reject };
    });
    if (this.readTimeout !== undefined) {
      armed = arm(this.readTimeout, () => {
        const { reading } = this;
        this.reading = null;
        reading?.reject(PingoraError.explain(ErrorType.ReadTimedout, what));
      });
    }
    try {
      await wait;
    } finally {
      armed?.cancel();
    }
  }

  /** End a read that is going on: it rejects with `Cancelled`. Nothing that arrived is lost. */
  cancelReads(): void {
    const { reading } = this;
    this.reading = null;
    reading?.reject(READ_CANCELLED);
    this.wakeWriter();
  }

  /**
   * Read the response's head; informational ones are passed over. Throws `ReadTimedout`; `H2Downgrade` and `InvalidH2`
   * where HTTP/1.1 is worth a try; `H2Error` and `ReadError`, to be tried again on another connection if this one was
   * a reused one that the server has given up.
   */
  @rust.method('Http2Session::read_response_header')
  async readResponseHeader(): Promise<void> {
    const { stream } = this;
    if (stream === null) throw new Error('Try to read response header before sending request header');
    if (this.headerRead) throw new Error('H2 response header is already read');
    while (this.header === undefined) {
      if (this.error !== null || stream.destroyed || stream.closed) throw this.handleErr(this.readHeaderError(stream));
      try {
        await this.arrival('while reading h2 response header');
      } catch (error) {
        throw error instanceof PingoraError ? this.handleErr(error) : error;
      }
    }
    this.headerRead = true;
  }

  /**
   * What went wrong before the response's head came, and what can be done about it:
   *
   * 1. the server asks for HTTP/1.1 (IIS, for NTLM): downgrade and try again
   * 2. the server sends frames that are not valid HTTP/2: downgrade and try again
   * 3. the server closes a reused connection in good order (a limit of requests): try again
   * 4. a reused connection turns out to be dead (a firewall dropped it): try again
   * 5. anything else ends the request
   */
  private readHeaderError(stream: ClientHttp2Stream): PingoraError {
    const context = 'while reading h2 header';
    const { conn } = this;
    const code = stream.rstCode ?? constants.NGHTTP2_NO_ERROR;
    // the stream hears of what befell the connection before the connection says so
    const failure = conn.sessionError ?? this.error;
    const cause = failure ?? new Error(`stream closed: ${reasonName(code)}`);
    const { NGHTTP2_HTTP_1_1_REQUIRED, NGHTTP2_NO_ERROR } = constants;
    let error: PingoraError;
    if (code === NGHTTP2_HTTP_1_1_REQUIRED || conn.goaway === NGHTTP2_HTTP_1_1_REQUIRED) {
      error = PingoraError.because(ErrorType.H2Downgrade, context, cause);
      error.setRetry(true);
    } else if (isProtocolError(failure)) {
      error = PingoraError.because(ErrorType.InvalidH2, context, cause);
      error.setRetry(true);
    } else if (conn.goaway === NGHTTP2_NO_ERROR) {
      error = PingoraError.because(ErrorType.H2Error, context, cause);
      error.retryType = 'ReusedOnly';
    } else if (conn.goaway === undefined && (this.session.destroyed || this.session.socket?.destroyed)) {
      error = PingoraError.because(ErrorType.ReadError, context, cause);
      if (isIoError(failure)) error.retryType = 'ReusedOnly';
    } else error = PingoraError.because(ErrorType.H2Error, context, cause);
    return error;
  }

  /** A piece of the body, undefined at its end, null if there is nothing yet. */
  private take(stream: ClientHttp2Stream): Buffer | undefined | null {
    const data = stream.read() as Buffer | null;
    if (data !== null) return data;
    if (this.complete) return undefined;
    if (stream.closed || stream.destroyed || this.error !== null) {
      const cause = this.error ?? new Error(`stream closed: ${reasonName(stream.rstCode)}`);
      throw this.handleErr(PingoraError.because(ErrorType.ReadError, 'while read h2 response body', cause));
    }
    return null;
  }

  /** A piece of the response's body; undefined when there is no more. Throws `ReadError` and `ReadTimedout`. */
  @rust.method('Http2Session::read_response_body')
  readResponseBody(): Buffer | undefined | Promise<Buffer | undefined> {
    const { stream } = this;
    if (stream === null || this.header === undefined) return undefined;
    const data = this.take(stream);
    return data === null ? this.readLater(stream) : data;
  }

  private async readLater(stream: ClientHttp2Stream): Promise<Buffer | undefined> {
    if (!this.watching) {
      this.watching = true;
      stream.on('readable', onWake);
      stream.on('end', onWake);
    }
    for (;;) {
      await this.arrival('while reading h2 response body');
      const data = this.take(stream);
      if (data !== null) return data;
    }
  }

  /** Whether the response has ended and was read to its end. */
  responseFinished(): boolean {
    return this.header !== undefined && this.complete && this.stream!.readableLength === 0;
  }

  /** What the server sent after the body, to be asked when the body was read to its end. */
  @rust.method('Http2Session::read_trailers')
  readTrailers(): HMap | undefined {
    return this.trailers;
  }

  /** The response's head, if it has come. */
  responseHeader(): ResponseHeader | undefined {
    return this.header;
  }

  /** Give the stream up, unless it has ended both ways: the server sees INTERNAL_ERROR. */
  @rust.method('Http2Session::shutdown')
  shutdown(): void {
    if (this.stream !== null && !(this.ended && this.responseFinished())) {
      resetStream(this.stream, constants.NGHTTP2_INTERNAL_ERROR);
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
    this.cancelReads();
    const { stream } = this;
    if (stream !== null && !stream.destroyed) {
      if (this.ended && this.complete) stream.resume();
      else resetStream(stream, constants.NGHTTP2_CANCEL);
    }
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

/** nghttp2 found the connection's frames to be wrong. */
function isProtocolError(error: Error | null): boolean {
  return error !== null && (error as NodeJS.ErrnoException).code === 'ERR_HTTP2_ERROR';
}

/** The system reported it, not TLS or HTTP/2: only then is it known that the server is gone. */
function isIoError(error: Error | null): boolean {
  return error !== null && typeof (error as NodeJS.ErrnoException).syscall === 'string';
}

/** Whether a connection's server failed to answer a ping: shared by the connection and its pings. */
export interface PingState {
  timedOut: boolean;
}

/**
 * What goes on with a connection until it ends: its pings every `pingInterval` milliseconds, if that isn't 0. `closed`
 * turns true at the end. `node:http2` moves the frames by itself.
 */
export const driveConnection = rust.fn(
  'client::drive_connection',
  async (
    session: ClientHttp2Session,
    id: number,
    closed: Watch<boolean>,
    pingInterval: number | undefined,
    ping: PingState,
  ): Promise<void> => {
    if (!session.destroyed) {
      if (pingInterval !== undefined && pingInterval > 0) {
        spawn('do_ping_pong', () => doPingPong(session, pingInterval, ping, id));
      }
      let failure: Error | null = null;
      await new Promise<void>((resolve) => {
        session.on('error', (error: Error) => {
          failure = error;
        });
        session.on('close', resolve);
      });
      log.debug(() =>
        failure === null ? `H2 connection finished fd: ${id}` : `H2 connection fd: ${id} errored: ${failure}`,
      );
    }
    closed.send(true);
  },
);

const doPingPong = rust.fn(
  'client::do_ping_pong',
  async (session: ClientHttp2Session, interval: number, ping: PingState, id: number): Promise<void> => {
    // the first one waits too: it would only race with the first request
    while (await pause(session, interval)) {
      log.debug(() => `H2 fd: ${id} ping sent`);
      const failure = await pong(session);
      if (failure === null) {
        log.debug(() => `H2 fd: ${id} pong received`);
        continue;
      }
      if (session.destroyed) return;
      log.error(`H2 fd: ${id} ${failure}`);
      log.warn(`H2 connection Ping timeout/Error fd: ${id}, closing conn`);
      ping.timedOut = true;
      session.destroy(new Error(failure));
    }
  },
);

/** Wait; false if the connection ended meanwhile. */
function pause(session: ClientHttp2Session, ms: number): Promise<boolean> {
  if (session.destroyed) return Promise.resolve(false);
  return new Promise((resolve) => {
    const onClose = () => {
      armed.cancel();
      resolve(false);
    };
    const armed = arm(ms, () => {
      session.off('close', onClose);
      resolve(true);
    });
    session.on('close', onClose);
  });
}

/** Ping; null if the answer came, else what went wrong. */
export function pong(session: ClientHttp2Session, timeout = PING_TIMEOUT): Promise<string | null> {
  return new Promise((resolve) => {
    const armed = arm(timeout, () => resolve('ping timeout'));
    const sent = session.ping((error: Error | null) => {
      armed.cancel();
      resolve(error === null ? null : `ping error: ${error.message}`);
    });
    if (!sent) {
      armed.cancel();
      resolve('ping error: too many pings');
    }
  });
}

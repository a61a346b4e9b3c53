/**
 * The HTTP/1 session with a client.
 *
 * Port of `pingora-core/src/protocols/http/v1/server.rs`. Where the original allows two readings of a request, or
 * keeps a connection that can't be kept, this one doesn't: see the table of deviations.
 */
import { ErrorType, PingoraError } from '../../error/lib.ts';
import { type HMap, type RequestHeader, ResponseHeader } from '../../http/lib.ts';
import { Log } from '../../log.ts';
import type { Future } from '../../runtime/future.ts';
import { rests } from '../../runtime/lib.ts';
import { currentWaker, PENDING, type Poll } from '../../runtime/poll.ts';
import { Elapsed, Limit } from '../../timeout/lib.ts';
import { ported, traced } from '../../tracing/span.ts';
import { FixedBuffer } from '../http/body-buffer.ts';
import { getCachedDate } from '../http/date.ts';
import { errorResponse } from '../http/error-resp.ts';
import type { HttpTask } from '../http/mod.ts';
import type { Stream } from '../l4/stream.ts';
import { BodyReader, BodyWriter } from './body.ts';
import {
  BODY_BUF_LIMIT,
  bodyDrained,
  bufToContentLength,
  debugHead,
  initBodyWriterComm,
  isBufKeepalive,
  isHeaderValueChunkedEncoding,
  isUpgradeReq,
  isUpgradeResp,
  type KeepaliveStatus,
  MAX_HEADER_SIZE,
  removeFraming,
  saysBody,
} from './common.ts';
import { parseRequest } from './parse.ts';
import { originForm, refuse, tooLarge } from './request.ts';

const rust = ported('pingora-core/src/protocols/http/v1/server.rs');
const log = new Log('pingora_core::protocols::http::v1::server');

/** A head must be whole so many milliseconds after its first byte, and a new connection must send one. */
const HEAD_TIMEOUT_MS = 60_000;

/** How long the connection under a stream may wait for its next request; set by the session before. */
const keptFor = new WeakMap<Stream, KeepaliveStatus>();

const parseReqBuffer = rust.fn('server::parse_req_buffer', parseRequest);

/** The HTTP/1 server session: reads one request, writes one response. */
@traced
export class HttpSession {
  private readonly _stream: Stream;
  private requestHeader: RequestHeader | undefined = undefined;
  private _responseWritten: ResponseHeader | undefined = undefined;
  /** What the head arrived in, and its size. */
  private rawHeader: Buffer | undefined = undefined;
  private rawHeaderSize = 0;
  private readonly bodyReader = new BodyReader();
  private readonly bodyWriter = new BodyWriter();
  /** Pieces of the response's body that leave together. */
  private bodyWriteBuf: Buffer[] = [];
  private _bodyBytesSent = 0;
  private keepalive: KeepaliveStatus = 'Off';
  /** Per read of the request's body, in milliseconds. Default: none. */
  readTimeout: number | undefined = undefined;
  /** Per write of the response's body, in milliseconds. Default: none. */
  writeTimeout: number | undefined = undefined;
  /** Whether `Date` and `Connection` are set on the response. */
  updateRespHeaders = true;
  private retryBuffer: FixedBuffer | undefined = undefined;
  /**
   * A client that sends no more, after a whole request, may wait for its answer: for so many milliseconds at a time in
   * which nothing is written to it. 0, the default: it has left.
   */
  halfClose = 0;
  /** That time, once the client sends no more. */
  private silence: Limit | undefined = undefined;
  private upgraded = false;
  /** A body came before the new protocol, and was read. */
  private tunnelling = false;

  private constructor(stream: Stream) {
    this._stream = stream;
  }

  /** A session on an established connection. {@link HttpSession.readRequest} comes first. */
  @rust.method
  static new(stream: Stream): HttpSession {
    return new HttpSession(stream);
  }

  /** The connection. */
  get stream(): Stream {
    return this._stream;
  }

  /**
   * Read the head of the request. Returns its size in bytes, or undefined when the client closed the connection, or
   * let the time for another request pass, without sending anything.
   *
   * Throws `InvalidHTTPHeader` for a head that isn't valid, `HTTPStatus(414)` and `HTTPStatus(431)` for one that is too
   * large, `HTTPStatus(408)` for one that doesn't end in time, `ConnectionClosed` and `ReadError` for a connection that
   * broke in the middle of it.
   */
  @rust.method
  *readRequest(): Future<number | undefined> {
    const stream = this._stream;
    const kept = keptFor.get(stream);
    // The original reads into a buffer of the session's own; here what arrived stays in the stream's.
    let have = 0;
    let deadline = 0;
    for (;;) {
      if (have > MAX_HEADER_SIZE) throw tooLarge(stream.buffered());
      let patience: number | undefined;
      if (have > 0) {
        // The original begins to count anew with each read; this is for the whole head.
        if (deadline === 0) deadline = performance.now() + HEAD_TIMEOUT_MS;
        patience = Math.max(0, deadline - performance.now());
      } else if (kept !== 'Infinite') patience = typeof kept === 'number' ? kept : HEAD_TIMEOUT_MS;
      let more: Poll<boolean>;
      try {
        more = stream.pollFill(have, patience);
        if (more === PENDING) {
          const isFirst = have === 0;
          if (isFirst) rests(true);
          try {
            do {
              yield;
              more = stream.pollFill(have, patience);
            } while (more === PENDING);
          } finally {
            if (isFirst) rests(false);
          }
        }
      } catch (error) {
        if (have === 0) {
          if (error instanceof Elapsed) log.debug('keepalive timeout reached');
          return undefined;
        }
        const type = error instanceof Elapsed ? ErrorType.HTTPStatus(408) : ErrorType.ReadError;
        throw PingoraError.because(type, 'while reading request headers', error);
      }
      if (!more) {
        if (have === 0) {
          log.debug('Client prematurely closed connection with 0 byte sent');
          return undefined;
        }
        const context = `while reading request headers, bytes already read: ${have}`;
        throw PingoraError.explain(ErrorType.ConnectionClosed, context);
      }
      const buf = stream.buffered();
      const size = this.takeHead(buf, have);
      if (size !== undefined) return size;
      have = buf.length;
    }
  }

  /**
   * Take the head out of what has arrived. Undefined if it isn't all there; `scanned` were looked at before.
   */
  private takeHead(buf: Buffer, scanned: number): number | undefined {
    const parsed = parseReqBuffer(buf, scanned);
    if (parsed.state === 'Partial') return undefined;
    if (parsed.state === 'Invalid') return this.invalid(parsed.reason, buf);
    if (parsed.size > MAX_HEADER_SIZE) throw tooLarge(buf); // it came at once
    const request = parsed.head;
    // what came is judged first: the target of an absolute form replaces Host, however many there were
    const reason = refuse(request) ?? (originForm(request) ? undefined : `invalid uri ${request.rawPath()}`);
    if (reason !== undefined) return this.invalid(reason, buf);
    this.rawHeader = buf;
    this.rawHeaderSize = parsed.size;
    this._stream.consume(parsed.size);
    this._stream.requests++;
    this.requestHeader = request;
    this.bodyReader.reinit();
    this._responseWritten = undefined;
    this.respectKeepalive();
    return parsed.size;
  }

  private invalid(reason: string, buf: Buffer): never {
    log.debug(() => `Invalid request header: ${reason}`);
    const context = reason.startsWith('invalid uri ') ? reason : `buf: ${debugHead(buf)} cause: ${reason}`;
    throw PingoraError.explain(ErrorType.InvalidHTTPHeader, context);
  }

  /** The request's head. Throws when called before {@link HttpSession.readRequest}. */
  reqHeader(): RequestHeader {
    if (this.requestHeader === undefined) throw new Error('Request header is not read yet');
    return this.requestHeader;
  }

  /** The first value of the request's field. */
  getHeader(name: string): string | undefined {
    return this.requestHeader?.headers.get(name);
  }

  /** `METHOD PATH, Host: HOST`, for logs. */
  requestSummary(): string {
    const request = this.requestHeader;
    if (request === undefined) return '- , Host: ';
    return `${request.method} ${request.rawPath()}, Host: ${request.headers.get('host') ?? ''}`;
  }

  /** Whether the request asks for another protocol. */
  isUpgradeReq(): boolean {
    return this.requestHeader !== undefined && isUpgradeReq(this.requestHeader);
  }

  /** The next piece of the request's body; undefined when there is no more. Throws `ReadTimedout`, `ReadError`. */
  @rust.method
  readBodyBytes(): Poll<Buffer | undefined> {
    const data = this.readBody();
    if (data !== PENDING && data !== undefined) this.retryBuffer?.writeToBuffer(data);
    return data;
  }

  @rust.method
  private doReadBody(): Poll<Buffer | undefined> {
    this.initBodyReader();
    // an upgrade that isn't agreed to yet has no body
    return this.bodyReader.needInit() ? undefined : this.bodyReader.readBody(this._stream, this.readTimeout);
  }

  @rust.method
  private readBody(): Poll<Buffer | undefined> {
    try {
      return this.doReadBody();
    } catch (error) {
      if (!(error instanceof Elapsed)) throw error;
      throw PingoraError.explain(ErrorType.ReadTimedout, `reading body, timeout: ${this.readTimeout}ms`);
    }
  }

  /** Whether there is no (more) body to read. */
  isBodyDone(): boolean {
    this.initBodyReader();
    return this.bodyReader.bodyDone();
  }

  /** Whether the request has no body. */
  isBodyEmpty(): boolean {
    this.initBodyReader();
    return this.bodyReader.bodyEmpty();
  }

  /** Whether more of the request's body is to come. What goes through a tunnel is none. */
  owesBody(): boolean {
    const { state } = this.bodyReader;
    return state === 'Partial' || state === 'Chunked';
  }

  /** How many bytes of the request's body are to come; infinite if it hasn't said so. */
  bodyRemaining(): number {
    return this.owesBody() ? this.bodyReader.remaining : 0;
  }

  /** The trailer fields that followed a chunked body. */
  get requestTrailers(): HMap | undefined {
    return this.bodyReader.trailers;
  }

  /**
   * Write the head of the response. May be called again after an informational one (other than 101).
   * `header` is changed: what is the connection's business is set here.
   */
  @rust.method
  writeResponseHeader(header: ResponseHeader): void {
    const { status } = header;
    if (this.answered()) {
      log.warn('Respond header is already sent, cannot send again');
      return;
    }
    const request = this.requestHeader;
    const informational = status < 200;
    const http10 = request?.version === 'HTTP/1.0';
    if (informational && status !== 101 && http10) return; // RFC 9110 15.2
    const { headers } = header;
    this.silence?.clear();

    // RFC 9112 9.3: no connection is kept for an HTTP/1.0 client
    if (http10 && !informational) this.keepalive = 'Off';
    removeFraming(header, http10);
    if (status === 101 || (this.halfClose > 0 && this.sendsNoMore())) this.setKeepalive(undefined);
    if (status === 101 || !informational) {
      const upgrade = this.isUpgrade(header);
      if (upgrade !== undefined) log.debug(upgrade ? 'ok upgrade handshake' : 'bad upgrade handshake!');
      this.upgraded = upgrade === true;
      this.initBodyWriter(header);
    }
    // RFC 9110 7.6.1: what the origin says of its connection isn't said of this one
    if (informational && status !== 101 && headers.has('connection')) headers.remove('connection');
    if (!informational && this.updateRespHeaders) {
      headers.insertUnchecked('Date', getCachedDate());
      // after the body's framing is known: one that ends with the connection keeps none
      headers.insertUnchecked('Connection', this.willKeepalive() ? 'keep-alive' : 'close');
    }

    try {
      const stream = this._stream;
      stream.write(`HTTP/1.1 ${status} ${header.reason}\r\n${headers.toWire()}\r\n`);
      this._responseWritten = header;
      // What comes with it in the same turn leaves with it. The original lets a head with a length wait for its body.
      stream.flush();
    } catch (error) {
      throw PingoraError.because(ErrorType.WriteError, 'writing response header', error);
    }
  }

  private hasBody(): boolean {
    return this.requestHeader !== undefined && saysBody(this.requestHeader.headers);
  }

  /** Whether the response's head was written: a final one, or 101, after which none comes. */
  private answered(): boolean {
    return this._responseWritten !== undefined && (this.upgraded || !this._responseWritten.isInformational);
  }

  /** Whether the client's upgrade was agreed to: from then on bytes go both ways. */
  wasUpgraded(): boolean {
    return this.upgraded;
  }

  /** Whether the response was written to its end. */
  isResponseDone(): boolean {
    return this.answered() && this.bodyWriter.finished();
  }

  /** The response's head, once a final one (or 101) was written. */
  responseWritten(): ResponseHeader | undefined {
    return this._responseWritten;
  }

  /** Whether this response agrees to the upgrade; undefined if none was asked for. */
  isUpgrade(header: ResponseHeader): boolean | undefined {
    return this.isUpgradeReq() ? isUpgradeResp(header) : undefined;
  }

  private setKeepalive(seconds: number | undefined): void {
    if (seconds === undefined) this.keepalive = 'Off';
    else this.keepalive = seconds > 0 ? seconds * 1000 : 'Infinite';
  }

  /** Whether the connection is kept for another request. */
  willKeepalive(): boolean {
    return this.keepalive !== 'Off';
  }

  private isConnectionKeepalive(): boolean | undefined {
    const request = this.requestHeader;
    if (request === undefined) return undefined;
    // RFC 9112 9.3: a proxy keeps no connection with an HTTP/1.0 client
    if (request.version === 'HTTP/1.0') return false;
    return isBufKeepalive(request.headers.joined('connection'));
  }

  /** Keep the connection or not, as the client asks for (RFC 9112 9.3). */
  @rust.method
  respectKeepalive(): void {
    const asked = this.isConnectionKeepalive();
    this.setKeepalive(asked === false ? undefined : 0);
  }

  @rust.method
  private initBodyWriter(header: ResponseHeader): void {
    const { status } = header;
    if (status === 204 || status === 304 || (this.requestHeader?.method === 'HEAD' && status !== 101)) {
      this.bodyWriter.initContentLength(0);
      return;
    }
    if (status < 200 && status !== 101) return;
    if (this.isUpgrade(header) === true) this.bodyWriter.initHttp10();
    else initBodyWriterComm(this.bodyWriter, header.headers);
    // RFC 9112 6.3: without a length the body ends with the connection
    if (this.bodyWriter.mode === 'HTTP1_0') this.keepalive = 'Off';
  }

  /** As {@link HttpSession.writeResponseHeader}, leaving `header` as it is. */
  @rust.method
  writeResponseHeaderRef(header: ResponseHeader): void {
    this.writeResponseHeader(header.clone());
  }

  // Nothing of what writes waits: what the peer hasn't taken yet lies in the stream, and whoever writes more than a
  // little asks `pollDrained` in between. The original waits in each write.

  @rust.method
  private doWriteBody(data: Buffer): number | undefined {
    this.silence?.clear();
    const written = this.bodyWriter.writeBody(this._stream, data);
    this._bodyBytesSent += written ?? 0;
    return written;
  }

  /** Write a piece of the response's body. Undefined when no more may be written. */
  @rust.method
  writeBody(data: Buffer): number | undefined {
    return this.doWriteBody(data);
  }

  @rust.method
  private writeBodyBuf(): number | undefined {
    const pieces = this.bodyWriteBuf;
    if (pieces.length === 0) return undefined;
    this.bodyWriteBuf = [];
    this.silence?.clear();
    const written = this.bodyWriter.writeBody(this._stream, pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces));
    this._bodyBytesSent += written ?? 0;
    return written;
  }

  /** The body is whole: send what waits, and the last chunk if it is chunked. */
  @rust.method
  finishBody(): number | undefined {
    const written = this.bodyWriter.finish(this._stream);
    try {
      this._stream.flush();
    } catch (error) {
      throw PingoraError.because(ErrorType.WriteError, 'flushing body', error);
    }
    this.maybeForceCloseBodyReader();
    return written;
  }

  /** Ready when the client has taken so much that more can be written. Throws `WriteTimedout` and `WriteError`. */
  pollDrained(): Poll<void> {
    return bodyDrained(this._stream, this.writeTimeout);
  }

  /**
   * Send `trailers` after the body, if it is chunked and somebody wants them: the client says so, or the response's
   * head has told it of them (RFC 9110 6.5.1 and 6.6.2).
   */
  private setTrailers(trailers: HMap | undefined): void {
    const wanted =
      this._responseWritten?.headers.has('trailer') === true ||
      this.requestHeader?.headers.getAll('te').some((te) => /(^|,)\s*trailers\s*($|[,;])/i.test(te)) === true;
    if (wanted) this.bodyWriter.trailers = trailers;
  }

  private maybeForceCloseBodyReader(): void {
    if (this.upgraded && !this.bodyReader.bodyDone()) this.bodyReader.end();
  }

  /** How many bytes of the request's body were read, without framing. */
  bodyBytesRead(): number {
    return this.bodyReader.read;
  }

  /** How many bytes of the response's body were sent, without framing. */
  bodyBytesSent(): number {
    return this._bodyBytesSent;
  }

  @rust.method
  private initBodyReader(): void {
    if (!this.bodyReader.needInit()) return;
    this.retryBuffer?.clear();
    const { headers } = this.reqHeader();
    // RFC 9112 6.3; a request with a body has one whether it asks for an upgrade or not
    if (isHeaderValueChunkedEncoding(headers.get('transfer-encoding'))) this.bodyReader.initChunked();
    else if (this.hasBody()) this.bodyReader.initContentLength(bufToContentLength(headers.get('content-length'))!);
    else if (this.upgraded) this.bodyReader.initHttp10();
    // The original takes what follows for the new protocol's before anybody has agreed to it, and sends it on: a
    // request hidden there passes the proxy's eyes. Here nothing is read until the answer says what it is.
    else if (!this.isUpgradeReq() || this.answered()) this.bodyReader.initContentLength(0);
  }

  private clientLeft(): PingoraError {
    const what = this._responseWritten === undefined ? 'header is sent' : 'body is complete';
    return PingoraError.explain(ErrorType.ConnectionClosed, `Prematurely before response ${what}`);
  }

  retryBufferTruncated(): boolean {
    return this.retryBuffer?.isTruncated() ?? false;
  }

  /** Keep the request's body, up to 64 KiB, for another try. */
  @rust.method
  enableRetryBuffering(): void {
    this.retryBuffer ??= new FixedBuffer(BODY_BUF_LIMIT);
  }

  /** What was kept of the request's body; undefined if that is nothing or not all. */
  getRetryBuffer(): Buffer | undefined {
    const buffer = this.retryBuffer;
    return buffer === undefined || buffer.isTruncated() ? undefined : buffer.getBuffer();
  }

  /**
   * Ready once the client has closed the connection. Takes no byte that arrives before: the original takes one, and with
   * it a request that was sent ahead. Throws `ReadError` if the connection broke.
   */
  @rust.method
  idle(): Poll<number> {
    if (this._stream.pollEnded() === PENDING) return PENDING;
    if (this.halfClose > 0 && this.mayBeThere()) return PENDING;
    const error = this._stream.ioError;
    if (error !== null) throw PingoraError.because(ErrorType.ReadError, 'during HTTP idle state', error);
    return 0;
  }

  /** For while nothing of the request's body is read: wakes the task and throws `ReadError` if the client resets. */
  watchReset(): void {
    if (this._stream.pollReset() === PENDING) return;
    throw PingoraError.because(ErrorType.ReadError, 'while the request body waits', this._stream.ioError);
  }

  /** Whether a client that sends no more may still read. That it doesn't shows when it is written to. */
  private mayBeThere(): boolean {
    const { _stream: stream } = this;
    if (stream.pollBroken() !== PENDING) return false;
    const waker = currentWaker();
    this.silence ??= new Limit(() => waker.wake());
    try {
      this.silence.check(this.halfClose);
      return true;
    } catch {
      return false; // TCP can't tell, and whoever serves it has been silent for long enough
    }
  }

  /**
   * The next piece of the request's body; once there is no more, pending until the client closes the connection, and
   * throws then.
   */
  @rust.method
  readBodyOrIdle(noBodyExpected: boolean): Poll<Buffer | undefined> {
    // an upgrade that isn't agreed to yet has no body, but may get one
    if (!noBodyExpected && !this.isBodyDone() && !this.bodyReader.needInit()) return this.readBodyBytes();
    if (this.idle() === PENDING) return PENDING;
    throw this.clientLeft();
  }

  /** A read that is pending is given up: no byte is lost. What `drop` does to it in Rust. */
  dropRead(): void {
    this._stream.dropRead();
  }

  /**
   * The upgrade was agreed to, and the request's body, if it had one, was read: what comes now is the new protocol's.
   * False: not yet, or it was said before.
   */
  beginTunnel(): boolean {
    if (!this.upgraded || !this.bodyReader.complete || this.isTunnel()) return false;
    this.tunnelling = true;
    const { read } = this.bodyReader;
    this.bodyReader.initHttp10();
    this.bodyReader.read = read;
    return true;
  }

  /** Whether what is read is the new protocol's. */
  isTunnel(): boolean {
    return this.upgraded && (this.tunnelling || !this.hasBody());
  }

  /** The request's head as it arrived. */
  getHeadersRawBytes(): Buffer {
    return this.rawHeader?.subarray(0, this.rawHeaderSize) ?? Buffer.alloc(0);
  }

  /** Close the connection. */
  @rust.method
  shutdown(): void {
    this.close();
  }

  /** Give the connection up, as `drop` does in Rust. Nothing is traced: it is no call there. */
  close(): void {
    this.silence?.end();
    // RFC 9112 8: a response that ends with the connection must not look whole if it isn't
    if (this.bodyWriter.mode === 'HTTP1_0' && !this.upgraded) this._stream.reset();
    else this._stream.shutdown();
  }

  /** Close the connection if no byte of a request has arrived on it: nobody loses anything by that. */
  abortIfIdle(): void {
    if (this.requestHeader === undefined && this._stream.bufferedLength === 0) this._stream.shutdown();
  }

  /**
   * How long the connection may be kept for another request: undefined: not; 0: without limit; else seconds.
   * A client that asked to close it is obeyed whatever this says.
   */
  @rust.method
  setServerKeepalive(seconds: number | undefined): void {
    this.setKeepalive(this.isConnectionKeepalive() === false ? undefined : seconds);
  }

  /** End the session. Returns the connection if it can serve another request; closes it otherwise. */
  @rust.method
  reuse(): Stream | undefined {
    if (this.keepalive === 'Off' || this.leavesBody() || this.sendsNoMore()) {
      log.debug('HTTP shutdown connection');
      this.shutdown();
      return undefined;
    }
    this.silence?.end();
    keptFor.set(this._stream, this.keepalive);
    return this._stream;
  }

  /** @internal Whether some of the request's body was not read, so that nobody knows where the next request begins. */
  leavesBody(): boolean {
    return this.requestHeader !== undefined && !this.bodyReader.complete && !this.noBody();
  }

  /** Whether the client has ended its side. What it had sent ahead is answered, if such clients are. */
  private sendsNoMore(): boolean {
    const { readEnded, bufferedLength } = this._stream;
    return readEnded && !(this.halfClose > 0 && bufferedLength > 0);
  }

  /** Whether the request has no body, without starting to read one. */
  private noBody(): boolean {
    return this.bodyReader.needInit() && !this.hasBody();
  }

  /** Answer with an error. It has no body and is not to be cached. */
  @rust.method
  respondError(code: number): void {
    try {
      this.writeResponseHeaderRef(errorResponse(code));
    } catch (error) {
      // there is nobody left to tell
      log.error(`failed to send error response to downstream: ${error}`);
    }
  }

  /** Answer `100 Continue`, unless something was answered. */
  @rust.method
  writeContinueResponse(): void {
    if (this._responseWritten === undefined) this.writeResponseHeader(ResponseHeader.build(100));
  }

  @rust.method
  private responseDuplex(task: HttpTask): boolean {
    switch (task.type) {
      case 'Header':
        this.writeResponseHeader(task.header);
        return task.end;
      case 'Body': {
        const { data, end } = task;
        if (data !== undefined && data.length > 0) this.writeBody(data);
        return end;
      }
      case 'Trailer':
        this.setTrailers(task.trailers);
        return true;
      case 'Done':
        this.finishBody();
        return true;
      case 'Failed':
        // what waits in the stream leaves when it is closed
        throw task.error;
    }
  }

  /** Send what was written before the response failed, then throw. */
  private failed(error: PingoraError): never {
    this.writeBodyBuf();
    try {
      this._stream.flush();
    } catch (cause) {
      throw PingoraError.because(ErrorType.WriteError, 'flushing response', cause);
    }
    throw error;
  }

  /**
   * Write pieces of a response, together as far as possible. Returns whether the response ended with them. What goes
   * wrong here is marked as the client's; what the origin did wrong keeps its mark.
   */
  @rust.method
  responseDuplexVec(tasks: HttpTask[]): boolean {
    try {
      return tasks.length === 1 ? this.responseDuplex(tasks[0]!) : this.duplexAll(tasks);
    } catch (error) {
      const failure = PingoraError.from(error);
      throw failure.esource() === 'Unset' ? failure.intoDown() : failure;
    }
  }

  private duplexAll(tasks: HttpTask[]): boolean {
    let end = false;
    for (const task of tasks) {
      switch (task.type) {
        case 'Header':
          end = task.end;
          this.writeResponseHeader(task.header);
          break;
        case 'Body':
          if (task.data !== undefined && task.data.length > 0 && !this.bodyWriter.finished()) {
            this.bodyWriteBuf.push(task.data);
          }
          end = task.end;
          break;
        case 'Trailer':
          this.setTrailers(task.trailers);
          end = true;
          break;
        case 'Done':
          this.writeBodyBuf();
          this.finishBody();
          return true;
        case 'Failed':
          return this.failed(task.error);
      }
    }
    this.writeBodyBuf();
    return end;
  }
}

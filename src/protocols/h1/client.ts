/**
 * The HTTP/1 session with an origin.
 *
 * Port of `pingora-core/src/protocols/http/v1/client.rs`.
 */

import { ErrorType, PingoraError } from '../../error/lib.ts';
import type { HMap, RequestHeader, ResponseHeader } from '../../http/lib.ts';
import { Log } from '../../log.ts';
import { PENDING, type Poll } from '../../runtime/poll.ts';
import { Elapsed } from '../../timeout/lib.ts';
import { ported, traced } from '../../tracing/span.ts';
import type { Digest } from '../digest.ts';
import { HttpTask } from '../http/mod.ts';
import type { IoError, Stream } from '../l4/stream.ts';
import { BodyReader, BodyWriter } from './body.ts';
import {
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
} from './common.ts';
import { parseResponse } from './parse.ts';

const rust = ported('pingora-core/src/protocols/http/v1/client.rs');
const log = new Log('pingora_core::protocols::http::v1::client');
const bodyLog = new Log('pingora_core::protocols::http::v1::body');

/**
 * Whether the end of the answer can be seen in two ways, or the origin may send a body where none belongs: what comes
 * late would be the answer to the next request (RFC 9112 6.1, 6.3 and 11.1).
 */
function endsInTwoWays({ headers, status, version }: ResponseHeader): boolean {
  if (headers.has('transfer-encoding'))
    return headers.has('content-length') || version !== 'HTTP/1.1' || status === 204;
  return status === 204 && headers.has('content-length') && headers.get('content-length') !== '0';
}

const parseRespBuffer = rust.fn('client::parse_resp_buffer', parseResponse);

/**
 * Mend or refuse how a response is framed (RFC 9112 6.3). Returns what is wrong; undefined if nothing is.
 * Two lengths, or a length beside chunks, let an origin's answer be understood in two ways.
 */
function refuse(response: ResponseHeader): string | undefined {
  const { headers } = response;
  if (headers.has('transfer-encoding')) {
    // Chunks inside or around something else: where they end isn't where the body ends for who reads only one of them.
    // Any other coding is undone by nobody, and no client of HTTP/1.0 or HTTP/2 could be told of it (RFC 9112 6.1).
    if (headers.count('transfer-encoding') > 1 || !isHeaderValueChunkedEncoding(headers.get('transfer-encoding'))) {
      return 'unknown Transfer-Encoding';
    }
    headers.remove('content-length');
    return undefined;
  }
  const length = headers.get('content-length');
  if (length === undefined) return undefined;
  if (headers.count('content-length') === 1) {
    return bufToContentLength(length) === undefined ? 'invalid Content-Length' : undefined;
  }
  const lengths = headers.getAll('content-length');
  if (bufToContentLength(lengths[0]) === undefined) return 'invalid Content-Length';
  for (const other of lengths) if (other !== length) return 'different Content-Length';
  headers.insertUnchecked('Content-Length', length);
  return undefined;
}

/** The HTTP/1 client session: writes one request, reads one response. */
@traced
export class HttpSession {
  private readonly _stream: Stream;
  private requestWritten: RequestHeader | undefined = undefined;
  private responseHeader: ResponseHeader | undefined = undefined;
  /** What the head arrived in, and its size. */
  private rawHeader: Buffer | undefined = undefined;
  private rawHeaderSize = 0;
  private readonly bodyReader = new BodyReader();
  private readonly bodyWriter = new BodyWriter();
  /** Per read of head and body, in milliseconds. Default: none. */
  readTimeout: number | undefined = undefined;
  /** Per write of head and body, in milliseconds. Default: none. */
  writeTimeout: number | undefined = undefined;
  private keepalive: KeepaliveStatus = 'Off';
  /** The answer's end is in doubt: no other request goes over this connection. */
  private inDoubt = false;
  private _digest: Digest | undefined = undefined;
  private bytesSent = 0;
  private upgraded = false;
  /** The request was sent whole and the upgrade agreed to: what is written belongs to the new protocol. */
  private tunnelling = false;
  /** How many bytes of the response's head have been looked at. */
  private scanned = 0;

  private constructor(stream: Stream) {
    this._stream = stream;
  }

  /** A session on an established connection. */
  @rust.method
  static new(stream: Stream): HttpSession {
    return new HttpSession(stream);
  }

  /** The connection. */
  get stream(): Stream {
    return this._stream;
  }

  /** Unique among this process's connections. */
  id(): number {
    return this._stream.id();
  }

  // Nothing of what writes waits: what the peer hasn't taken yet lies in the stream, and whoever writes more than a
  // little asks `pollDrained` in between. The original waits in each write.

  /** Write the head of the request. Returns its size. Throws `WriteError`. */
  @rust.method
  writeRequestHeader(request: RequestHeader): number {
    this.requestWritten = request;
    this.initReqBodyWriter(request);
    const version = request.version === 'HTTP/1.0' ? 'HTTP/1.0' : 'HTTP/1.1';
    const wire = `${request.method} ${request.rawPath()} ${version}\r\n${request.headers.toWire()}\r\n`;
    try {
      this._stream.write(wire);
      this._stream.flush();
    } catch (error) {
      throw PingoraError.because(ErrorType.WriteError, 'while writing request headers', error);
    }
    return wire.length;
  }

  @rust.method
  private doWriteBody(data: Buffer): number | undefined {
    this.limitAnew();
    const written = this.bodyWriter.writeBody(this._stream, data);
    this.bytesSent += written ?? 0;
    return written;
  }

  /** Write a piece of the request's body. Undefined when no more may be written. */
  @rust.method
  writeBody(data: Buffer): number | undefined {
    return this.doWriteBody(data);
  }

  /** Ready when the server has taken so much that more can be written. Throws `WriteTimedout` and `WriteError`. */
  pollDrained(): Poll<void> {
    return bodyDrained(this._stream, this.writeTimeout);
  }

  /** Set what is sent after the request's body. To be called before its end; dropped unless the body is chunked. */
  setRequestTrailers(trailers: HMap): void {
    this.bodyWriter.trailers = trailers;
  }

  private maybeForceCloseBodyReader(): void {
    if (this.upgraded && !this.bodyReader.bodyDone()) this.bodyReader.initContentLength(0);
  }

  /** The request's body is whole: send what waits, and the last chunk if it is chunked. */
  @rust.method
  finishBody(): number | undefined {
    this.limitAnew();
    const written = this.bodyWriter.finish(this._stream);
    try {
      this._stream.flush();
    } catch (error) {
      throw PingoraError.because(ErrorType.WriteError, 'flushing body', error);
    }
    // that was the request's own body, and the server had agreed before it was whole
    if (this.upgraded && !this.tunnelling) this.beginTunnel();
    else this.maybeForceCloseBodyReader();
    return written;
  }

  /** RFC 9110 7.8: the new protocol begins behind the request, which may have a body, as `docker exec` sends one. */
  private beginTunnel(): void {
    this.tunnelling = true;
    this.bodyWriter.initHttp10();
  }

  /** Whether what is written is passed on as it is, as the upgrade wants it. */
  isTunnel(): boolean {
    return this.tunnelling;
  }

  /**
   * Read the head of the response; again after an informational one. Returns its size in bytes.
   * Throws `InvalidHTTPHeader`, `ConnectionClosed` and `ReadError` (both to be retried if the connection was a reused
   * one), `ReadTimedout`.
   */
  @rust.method
  readResponse(): Poll<number> {
    const stream = this._stream;
    // The original reads into a buffer of the session's own; here what arrived stays in the stream's.
    for (;;) {
      const { scanned } = this;
      if (scanned > MAX_HEADER_SIZE) {
        throw PingoraError.explain(ErrorType.InvalidHTTPHeader, `Response header larger than ${MAX_HEADER_SIZE}`);
      }
      let more: Poll<boolean>;
      try {
        more = stream.pollFill(scanned, this.readTimeout);
      } catch (error) {
        return responseReadError(error, scanned);
      }
      if (more === PENDING) return PENDING;
      if (!more) return responseClosed(scanned);
      const buf = stream.buffered();
      const parsed = parseRespBuffer(buf, scanned);
      this.scanned = buf.length;
      if (parsed.state === 'Partial') continue;
      if (parsed.state === 'Invalid') return invalid(parsed.reason, buf);
      const response = parsed.head;
      // RFC 9110 15.2.2: nobody changes the protocol on their own
      const unasked = response.status === 101 && !this.isUpgradeReq();
      this.inDoubt = endsInTwoWays(response); // before one of the two is taken out
      const reason = unasked ? '101 without an upgrade' : refuse(response);
      if (parsed.size > MAX_HEADER_SIZE) continue; // it came at once
      if (reason !== undefined) return invalid(reason, buf);
      this.rawHeader = buf;
      this.rawHeaderSize = parsed.size;
      this.scanned = 0;
      stream.consume(parsed.size);
      this.upgraded = this.isUpgradeReq() && isUpgradeResp(response);
      if (this.upgraded) stream.believesEnd = true;
      const { bodyWriter } = this;
      if (this.upgraded && (bodyWriter.mode === 'HTTP1_0' || bodyWriter.finished())) this.beginTunnel();
      this.responseHeader = response;
      return parsed.size;
    }
  }

  /** Read the head of the response and return it: the caller's own, the session keeps another. */
  @rust.method
  readRespHeaderParts(): Poll<ResponseHeader> {
    return this.readResponse() === PENDING ? PENDING : this.responseHeader!.clone();
  }

  /** The head of the response, once it was read. */
  respHeader(): ResponseHeader | undefined {
    return this.responseHeader;
  }

  /** The first value of the response's field. */
  getHeader(name: string): string | undefined {
    return this.responseHeader?.headers.get(name);
  }

  /** The response's status, once its head was read. */
  getStatus(): number | undefined {
    return this.responseHeader?.status;
  }

  @rust.method
  private doReadBody(): Poll<Buffer | undefined> {
    this.initBodyReader();
    return this.bodyReader.readBody(this._stream, this.readTimeout);
  }

  /** The next piece of the response's body; undefined when there is no more. Throws `ReadTimedout`, `ReadError`. */
  @rust.method
  readBodyRef(): Poll<Buffer | undefined> {
    try {
      return this.doReadBody();
    } catch (error) {
      if (!(error instanceof Elapsed)) throw error;
      throw PingoraError.explain(ErrorType.ReadTimedout, `reading body, timeout: ${this.readTimeout}ms`);
    }
  }

  /** As {@link HttpSession.readBodyRef}: a view of what arrived is the caller's own here. */
  @rust.method
  readBodyBytes(): Poll<Buffer | undefined> {
    return this.readBodyRef();
  }

  /** Whether there is no (more) body to read. */
  isBodyDone(): boolean {
    this.initBodyReader();
    return this.bodyReader.bodyDone();
  }

  /** The response's head as it arrived. */
  getHeadersRawBytes(): Buffer {
    return this.rawHeader?.subarray(0, this.rawHeaderSize) ?? Buffer.alloc(0);
  }

  private setKeepalive(seconds: number | undefined): void {
    if (seconds === undefined) this.keepalive = 'Off';
    else this.keepalive = seconds > 0 ? seconds * 1000 : 'Infinite';
  }

  /** Keep the connection or not, as the origin's answer says (RFC 9112 9.3). */
  @rust.method
  respectKeepalive(): void {
    const response = this.responseHeader;
    if (response === undefined || response.status === 101 || this.inDoubt) {
      this.setKeepalive(undefined);
      return;
    }
    const { headers } = response;
    const asked = isBufKeepalive(headers.joined('connection'));
    if (asked === undefined) this.setKeepalive(response.version === 'HTTP/1.1' ? 0 : undefined);
    else this.setKeepalive(asked ? 0 : undefined);
  }

  /** Whether the connection will be kept. */
  willKeepalive(): boolean {
    return this.keepalive !== 'Off';
  }

  /** Close the connection. */
  @rust.method
  shutdown(): void {
    this._stream.destroy();
  }

  /** End the session. Returns the connection if it can serve another request; closes it otherwise. */
  @rust.method
  reuse(): Stream | undefined {
    // A response whose end was not seen, or that was followed by more bytes, leaves them for the next one to trip over.
    const { _stream: stream } = this;
    if (this.bodyReader.complete && stream.bufferedLength > 0) {
      bodyLog.warn(`Peer sent more data then expected: extra ${stream.bufferedLength}bytes, discarding them`);
    }
    if (this.keepalive === 'Off' || !this.bodyReader.complete || stream.readEnded || stream.bufferedLength > 0) {
      log.debug('HTTP shutdown connection');
      this.shutdown();
      return undefined;
    }
    return this._stream;
  }

  @rust.method
  private initBodyReader(): void {
    const reader = this.bodyReader;
    if (!reader.needInit()) return;
    // RFC 9112 6.3
    const status = this.getStatus();
    // RFC 9110 7.8: whatever the method, what follows a 101 is the new protocol's
    if (this.requestWritten?.method === 'HEAD' && status !== 101) {
      if (status !== undefined && status >= 200) reader.initContentLength(0);
      return;
    }
    let upgraded = false;
    if (status !== undefined) {
      if (status === 101) upgraded = this.isUpgradeReq();
      else if (status < 200)
        return; // another head follows
      else if (status === 204 || status === 304) {
        reader.initContentLength(0);
        return;
      }
    }
    const coding = this.getHeader('transfer-encoding');
    if (upgraded) reader.initHttp10();
    else if (isHeaderValueChunkedEncoding(coding)) reader.initChunked();
    else {
      const length = coding === undefined ? bufToContentLength(this.getHeader('content-length')) : undefined;
      if (length === undefined) reader.initHttp10();
      else reader.initContentLength(length);
    }
  }

  /** Whether the origin agreed to another protocol: from then on bytes go both ways. */
  wasUpgraded(): boolean {
    return this.upgraded;
  }

  /** Whether the request asked for another protocol. */
  isUpgradeReq(): boolean {
    return this.requestWritten !== undefined && isUpgradeReq(this.requestWritten);
  }

  @rust.method
  private initReqBodyWriter(request: RequestHeader): void {
    if (this.isUpgradeReq() && !request.headers.has('content-length') && !request.headers.has('transfer-encoding')) {
      this.bodyWriter.initHttp10();
    } else initBodyWriterComm(this.bodyWriter, request.headers);
  }

  private shouldReadRespHeader(): boolean {
    const status = this.getStatus();
    return status === undefined || (status < 200 && status !== 101);
  }

  /**
   * A piece of the request's body that goes out begins the time of a pending read anew: in the original the read loses
   * against that piece, and the next one has a time of its own. Else no upload could take longer than a read may.
   */
  private limitAnew(): void {
    if (this.readTimeout !== undefined) this._stream.limitReadAnew();
  }

  /** The next piece of the response. */
  @rust.method
  readResponseTask(): Poll<HttpTask> {
    if (this.shouldReadRespHeader()) {
      const header = this.readRespHeaderParts();
      if (header === PENDING) return PENDING;
      // the body of an informational response is the next head
      const end = (header.status >= 200 || header.status === 101) && this.isBodyDone();
      return HttpTask.Header(header, end);
    }
    if (this.isBodyDone()) return HttpTask.Done;
    const data = this.readBodyBytes();
    if (data === PENDING) return PENDING;
    if (data !== undefined) return HttpTask.Body(data, this.isBodyDone());
    const { trailers } = this.bodyReader;
    return trailers === undefined ? HttpTask.Done : HttpTask.Trailer(trailers);
  }

  /** A read that is pending is given up: no byte is lost. What `drop` does to it in Rust. */
  dropRead(): void {
    this._stream.dropRead();
  }

  /** How many bytes of the request's body were sent, without framing. */
  bodyBytesSent(): number {
    return this.bytesSent;
  }

  /** What is known of the connection. */
  digest(): Digest {
    this._digest ??= {
      sslDigest: this._stream.getSslDigest(),
      timingDigest: this._stream.getTimingDigest(),
      proxyDigest: this._stream.getProxyDigest(),
    };
    return this._digest;
  }
}

function responseClosed(have: number): never {
  const error = PingoraError.explain(
    ErrorType.ConnectionClosed,
    `while reading response headers, bytes already read: ${have}`,
  );
  error.retryType = 'ReusedOnly';
  throw error;
}

function responseReadError(thrown: unknown, have: number): never {
  if (thrown instanceof PingoraError) throw thrown;
  if (thrown instanceof Elapsed) throw PingoraError.explain(ErrorType.ReadTimedout, 'while reading response headers');
  const error = PingoraError.because(
    ErrorType.ReadError,
    `while reading response headers, bytes already read: ${have}`,
    thrown,
  );
  // The system's own error: most likely the origin dropped a connection that it had kept. A TLS error isn't safe to
  // retry.
  if (typeof (thrown as IoError).errno === 'number') error.retryType = 'ReusedOnly';
  throw error;
}

function invalid(reason: string, buf: Buffer): never {
  throw PingoraError.explain(ErrorType.InvalidHTTPHeader, `buf: ${debugHead(buf)} cause: ${reason}`);
}

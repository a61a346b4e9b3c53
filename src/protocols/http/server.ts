/**
 * The session with a client, whichever HTTP version it speaks.
 *
 * Port of `pingora-core/src/protocols/http/server.rs`.
 */
import { ErrorType, PingoraError } from '../../error/lib.ts';
import { type RequestHeader, ResponseHeader } from '../../http/lib.ts';
import { Log } from '../../log.ts';
import { bytesTaken } from '../../node/taken.ts';
import type { Future } from '../../runtime/future.ts';
import { PENDING, type Poll } from '../../runtime/poll.ts';
import { type AwaitableFuture, awaitable, polled } from '../../runtime/task.ts';
import { ported, traced } from '../../tracing/span.ts';
import { countRefusal } from '../../utils/refusals.ts';
import { HttpSession as SessionV1 } from '../h1/server.ts';
import type { HttpSession as SessionV2 } from '../h2/server.ts';
import type { Stream } from '../l4/stream.ts';
import { errorResponse } from './error-resp.ts';
import type { HttpTask } from './mod.ts';
import { Pace, type Rates, type Rule } from './pace.ts';

const rust = ported('pingora-core/src/protocols/http/server.rs');
const log = new Log('pingora_core::protocols::http::server');

/** An HTTP server session of either version. */
@traced
export class Session {
  private readonly h1: SessionV1 | undefined = undefined;
  private readonly h2: SessionV2 | undefined = undefined;
  /** @internal The slowest rates of bodies. Default: none. */
  rates: Rates | undefined = undefined;
  /** How the request's body comes, once it was waited for. */
  private requestPace: Pace | undefined = undefined;
  /** How the response is taken, once that was waited for. */
  private responsePace: Pace | undefined = undefined;

  private constructor(h1: SessionV1 | undefined, h2: SessionV2 | undefined) {
    this.h1 = h1;
    this.h2 = h2;
  }

  /** A session on an established connection that speaks HTTP/1. */
  @rust.method
  static newHttp1(stream: Stream): Session {
    return new Session(SessionV1.new(stream), undefined);
  }

  /** @internal A session on a stream of an HTTP/2 connection. */
  @rust.method
  static newHttp2(session: SessionV2): Session {
    return new Session(undefined, session);
  }

  /** Whether the client speaks HTTP/2. */
  isHttp2(): boolean {
    return this.h2 !== undefined;
  }

  /** @internal The HTTP/1 session inside; undefined for HTTP/2. */
  asHttp1(): SessionV1 | undefined {
    return this.h1;
  }

  /** @internal The HTTP/2 stream's session inside; undefined for HTTP/1. */
  asHttp2(): SessionV2 | undefined {
    return this.h2;
  }

  private get any(): SessionV1 | SessionV2 {
    return (this.h1 ?? this.h2)!;
  }

  /**
   * Read the head of the request; comes before everything else. Undefined: the client left without a request, as it may
   * on a connection that was kept. Else the size of the head, or true for HTTP/2.
   */
  readRequest(): AwaitableFuture<number | true | undefined> {
    return this._readRequest() as AwaitableFuture<number | true | undefined>;
  }

  /** What the method of the same name gives. It is polled, or awaited. */
  @rust.method
  @awaitable
  private *_readRequest(): Future<number | true | undefined> {
    // HTTP/2: read when the stream was opened
    return this.h1 === undefined ? true : yield* this.h1.readRequest();
  }

  /** The request's head. */
  reqHeader(): RequestHeader {
    return this.any.reqHeader();
  }

  /** The first value of the request's field. */
  getHeader(name: string): string | undefined {
    return this.reqHeader().headers.get(name);
  }

  /** The next piece of the request's body; undefined when there is no more. */
  readRequestBody(): AwaitableFuture<Buffer | undefined> {
    return this._readRequestBody() as AwaitableFuture<Buffer | undefined>;
  }

  /** What the method of the same name gives. It is polled, or awaited. */
  @rust.method
  @awaitable
  private *_readRequestBody(): Future<Buffer | undefined> {
    for (;;) {
      const data = this.any.readBodyBytes();
      this.paceRequest(data === PENDING);
      if (data !== PENDING) return data;
      yield;
    }
  }

  /** Write the head of the response; informational ones may come before the final one. `response` is changed. */
  @rust.method
  writeResponseHeader(response: ResponseHeader): void {
    if (this.h1 === undefined) this.h2!.writeResponseHeader(response, false);
    else this.h1.writeResponseHeader(response);
  }

  /** As {@link Session.writeResponseHeader}, leaving `response` as it is. */
  @rust.method
  writeResponseHeaderRef(response: ResponseHeader): void {
    if (this.h1 === undefined) this.h2!.writeResponseHeaderRef(response, false);
    else this.h1.writeResponseHeaderRef(response);
  }

  /** Write a piece of the response's body. A promise means that the client reads too slowly: await it before the next. */
  @rust.method
  writeResponseBody(data: Buffer): void | Promise<void> {
    if (this.h1 === undefined) this.h2!.writeBody(data, false);
    else this.h1.writeBody(data);
    return this.pollDrained() === PENDING ? polled(() => this.pollDrained()) : undefined;
  }

  /** @internal Ready when the client has taken so much that more can be written. Throws `WriteTimedout` and `WriteError`. */
  pollDrained(): Poll<void> {
    const drained = this.any.pollDrained();
    this.paceResponse(drained === PENDING);
    return drained;
  }

  /** End the session. Returns the connection if it can serve another request; never for HTTP/2. */
  @rust.method
  finish(): Stream | undefined {
    const { h1 } = this;
    if (h1 === undefined) {
      this.h2!.finish();
      return undefined;
    }
    h1.finishBody();
    return h1.reuse();
  }

  /** Write pieces of a response, together as far as possible. Returns whether the response ended with them. */
  @rust.method
  responseDuplexVec(tasks: HttpTask[]): boolean {
    return this.any.responseDuplexVec(tasks);
  }

  /**
   * How long the connection may be kept for another request: undefined: not; 0: without limit; else seconds.
   * Nothing for HTTP/2.
   */
  @rust.method
  setKeepalive(seconds: number | undefined): void {
    this.h1?.setServerKeepalive(seconds);
  }

  /** `METHOD PATH, Host: HOST`, for logs. */
  requestSummary(): string {
    return this.any.requestSummary();
  }

  /** The response's head, once a final one (or 101) was written. */
  responseWritten(): ResponseHeader | undefined {
    return this.any.responseWritten();
  }

  /** Give the session up: HTTP/1 closes the connection, HTTP/2 resets the stream. */
  @rust.method
  shutdown(): void {
    this.any.shutdown();
  }

  /** Give the session up without a call in the trace, as `drop` does in Rust. Nothing if it has ended. */
  close(): void {
    if (this.h1 !== undefined) this.h1.close();
    else this.h2!.close();
  }

  /** Close the connection if no byte of a request has arrived on it. */
  abortIfIdle(): void {
    this.h1?.abortIfIdle();
  }

  /** The request's head in HTTP/1 form. */
  toH1Raw(): Buffer {
    return this.h1 === undefined ? this.h2!.pseudoRawH1RequestHeader() : this.h1.getHeadersRawBytes();
  }

  /** Whether there is no (more) body to read. */
  isBodyDone(): boolean {
    return this.any.isBodyDone();
  }

  /** The response's body is whole. */
  @rust.method
  finishBody(): void {
    if (this.h1 === undefined) this.h2!.finish();
    else this.h1.finishBody();
  }

  /** Answer with an error, without a body, and close the connection after it (HTTP/1). */
  @rust.method
  respondError(code: number): void {
    const response = errorResponse(code);
    // The request was not read to its end, or the origin's answer was not sent to its: nothing can follow.
    this.setKeepalive(undefined);
    try {
      // RFC 9113 8.1: without the end of its stream an HTTP/2 response never ends. Only with its head: a response that
      // was begun must not look complete.
      if (this.h2 !== undefined) this.h2.writeResponseHeader(response, true);
      else this.writeResponseHeader(response);
    } catch (error) {
      log.error(`failed to send error response to downstream: ${error}`);
    }
  }

  /** Whether the request has no body. */
  isBodyEmpty(): boolean {
    return this.any.isBodyEmpty();
  }

  /** Whether the request's body is longer than what is kept of it: then there is no other try. */
  retryBufferTruncated(): boolean {
    return this.any.retryBufferTruncated();
  }

  /** Keep the request's body, up to 64 KiB, for another try. */
  enableRetryBuffering(): void {
    this.any.enableRetryBuffering();
  }

  /** What was kept of the request's body; undefined if that is nothing or not all. */
  getRetryBuffer(): Buffer | undefined {
    return this.any.getRetryBuffer();
  }

  /** @internal The next piece of the request's body; once there is no more, pending until the client leaves, and throws then. */
  @rust.method
  readBodyOrIdle(noBodyExpected: boolean): Poll<Buffer | undefined> {
    const data = this.any.readBodyOrIdle(noBodyExpected);
    if (!noBodyExpected) this.paceRequest(data === PENDING);
    return data;
  }

  /**
   * @internal Wake the task when the client leaves, and throw then: for while nothing of its body can be passed on. Of a
   * client of HTTP/1 only a reset is seen; an end is behind bytes that aren't read. What isn't written in time ends the
   * exchange then.
   */
  watchClient(): void {
    if (this.h2 !== undefined) this.h2.readBodyOrIdle(true);
    else this.h1!.watchReset();
  }

  /** @internal A read that is pending is given up: no byte is lost. What `drop` does to it in Rust. */
  dropRead(): void {
    this.any.dropRead();
    this.requestPace?.dropWait();
    this.responsePace?.dropWait();
  }

  /** The request's body was asked for; `waits`: nothing of it was here. Throws `HTTPStatus(408)` if it comes too slowly. */
  private paceRequest(waits: boolean): void {
    const { any, rates } = this;
    const rate = rates?.request;
    if (rate === undefined || (!waits && this.requestPace === undefined)) return;
    this.requestPace ??= new Pace(
      rates!,
      rate,
      () => any.bodyBytesRead(),
      () => this.owesBody(),
    );
    if (!this.requestPace.isTooSlow(waits)) return;
    countRefusal('request rate');
    throw PingoraError.explain(ErrorType.HTTPStatus(408), `the request body ${slowerThan(rate)}`).intoDown();
  }

  /** Whether the client is the one that everybody waits for. */
  private owesBody(): boolean {
    const { any } = this;
    if (!any.owesBody()) return false;
    const written = any.responseWritten();
    // RFC 9110 10.1.1: it may wait until it is told to go on
    if (written === undefined) return any.bodyBytesRead() > 0 || !any.reqHeader().headers.has('expect');
    // while the origin answers a request that goes on, both talk as they like
    return written.isInformational || any.isResponseDone();
  }

  /** Whether the client has taken what was written was asked for; `waits`: it hasn't. Throws `WriteError` if it is too slow. */
  private paceResponse(waits: boolean): void {
    const { h1, rates } = this;
    const rate = rates?.response;
    // HTTP/2: the connection sees to it (`minSendRate`)
    if (rate === undefined || h1 === undefined || (!waits && this.responsePace === undefined)) return;
    this.responsePace ??= new Pace(
      rates!,
      rate,
      () => bytesTaken(h1.stream.socket),
      () => !h1.wasUpgraded(),
    );
    if (!this.responsePace.isTooSlow(waits)) return;
    countRefusal('response rate');
    // what it hasn't taken would lie in the system until it has
    h1.stream.reset();
    throw PingoraError.explain(ErrorType.WriteError, `the client's reading ${slowerThan(rate)}`).intoDown();
  }

  /** @internal The request is served: nobody looks at its bodies any more. */
  endPaces(): void {
    this.requestPace?.end();
    this.responsePace?.end();
  }

  /** Answer `100 Continue`, unless something was answered. */
  @rust.method
  writeContinueResponse(): void {
    if (this.h1 === undefined) this.h2!.writeResponseHeader(ResponseHeader.build(100), false);
    else this.h1.writeContinueResponse();
  }

  /** Whether the request asks for another protocol; never for HTTP/2. */
  isUpgradeReq(): boolean {
    return this.h1?.isUpgradeReq() ?? false;
  }

  /** Whether the request's upgrade was agreed to; never for HTTP/2. */
  wasUpgraded(): boolean {
    return this.h1?.wasUpgraded() ?? false;
  }

  /** The upgrade was agreed to, and the request's body was read: what comes now is the new protocol's. */
  beginTunnel(): boolean {
    return this.h1?.beginTunnel() ?? false;
  }

  /** Whether what is read is the new protocol's; never for HTTP/2. */
  isTunnel(): boolean {
    return this.h1?.isTunnel() ?? false;
  }

  /** How many bytes of the request's body were read, without framing. */
  bodyBytesRead(): number {
    return this.any.bodyBytesRead();
  }

  /** How many bytes of the response's body were sent, without framing. */
  bodyBytesSent(): number {
    return this.any.bodyBytesSent();
  }
}

function slowerThan({ bytesPerSecond, graceMs }: Rule): string {
  return `is slower than ${bytesPerSecond} bytes a second for ${graceMs} ms`;
}

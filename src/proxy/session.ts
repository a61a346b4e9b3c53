/**
 * A request and its response on their way through the proxy.
 *
 * Port of `Session` in `pingora-proxy/src/lib.rs`, which is here so that `lib.ts` and what it calls can both know it.
 */
import type { RequestHeader, ResponseHeader } from '../http/lib.ts';
import { ResponseCompressionCtx } from '../protocols/http/compression/mod.ts';
import type { HttpTask } from '../protocols/http/mod.ts';
import { Session as HttpSession } from '../protocols/http/server.ts';
import type { Stream } from '../protocols/l4/stream.ts';
import type { AwaitableFuture } from '../runtime/task.ts';
import { ported, traced } from '../tracing/span.ts';

const rust = ported('pingora-proxy/src/lib.rs');

/** A request on its way through the proxy: what the hooks of an application work with. */
@traced
export class Session {
  /** The session with the client. */
  readonly downstreamSession: HttpSession;
  /** (De)compresses what comes from the origin. Off by default. */
  readonly upstreamCompression = ResponseCompressionCtx.new(0, false);
  /** (De)compresses what goes to the client. Off by default. */
  readonly downstreamCompression = ResponseCompressionCtx.new(0, false);
  /** Whether a cache leaves `Range` to the origin. Without a cache it always is. */
  ignoreDownstreamRange = false;
  /** @internal The filters of the response's body know of its end. */
  responseBodyFiltered = false;
  /** @internal The origin has asked for the body that a client announced with `Expect: 100-continue`. */
  continued = false;

  private constructor(downstreamSession: HttpSession) {
    this.downstreamSession = downstreamSession;
  }

  /** A session for the application's hooks, on one with the client whose request has been read. */
  @rust.method
  static new(downstreamSession: HttpSession): Session {
    return new Session(downstreamSession);
  }

  /** A session on a connection that speaks HTTP/1, for tests. */
  static newH1(stream: Stream): Session {
    return Session.new(HttpSession.newHttp1(stream));
  }

  /** The request's head. */
  reqHeader(): RequestHeader {
    return this.downstreamSession.reqHeader();
  }

  /** The first value of the request's field. */
  getHeader(name: string): string | undefined {
    return this.downstreamSession.getHeader(name);
  }

  /** Answer with an error, without a body, and close the connection after it (HTTP/1). */
  respondError(code: number): void {
    this.downstreamSession.respondError(code);
  }

  /** The next piece of the request's body; undefined when there is no more. */
  readRequestBody(): AwaitableFuture<Buffer | undefined> {
    return this.downstreamSession.readRequestBody();
  }

  /** Write the head of a response of the application's own. */
  writeResponseHeader(response: ResponseHeader): void {
    this.downstreamSession.writeResponseHeader(response);
  }

  /**
   * Write a piece of the body of a response of the application's own. A promise means that the client reads too slowly:
   * await it before the next piece.
   */
  writeResponseBody(data: Buffer): void | Promise<void> {
    return this.downstreamSession.writeResponseBody(data);
  }

  /** The response's head, once a final one was written. */
  responseWritten(): ResponseHeader | undefined {
    return this.downstreamSession.responseWritten();
  }

  /**
   * How long the client's connection is kept for another request, in seconds; 0: without limit; undefined: not at all.
   */
  setKeepalive(seconds: number | undefined): void {
    this.downstreamSession.setKeepalive(seconds);
  }

  // What follows is the session with the client, as Rust's `Deref` gives it. Not what would end it or read past the
  // proxy: that is there on `downstreamSession`.

  /** The session with the client: {@link Session.downstreamSession}, under the original's name. */
  asDownstream(): HttpSession {
    return this.downstreamSession;
  }

  /** Whether the client speaks HTTP/2. */
  isHttp2(): boolean {
    return this.downstreamSession.isHttp2();
  }

  /** The request's `METHOD PATH, Host: HOST`, for logs. */
  requestSummary(): string {
    return this.downstreamSession.requestSummary();
  }

  /** The request's head as HTTP/1 has it, in bytes. */
  toH1Raw(): Buffer {
    return this.downstreamSession.toH1Raw();
  }

  /** Whether the request asks for another protocol (`Upgrade`); never for HTTP/2. */
  isUpgradeReq(): boolean {
    return this.downstreamSession.isUpgradeReq();
  }

  /** Whether the origin agreed to the upgrade (101): bytes go both ways since. */
  wasUpgraded(): boolean {
    return this.downstreamSession.wasUpgraded();
  }

  /** Whether the request has no body at all. */
  isBodyEmpty(): boolean {
    return this.downstreamSession.isBodyEmpty();
  }

  /** Whether the request's body was read to its end. */
  isBodyDone(): boolean {
    return this.downstreamSession.isBodyDone();
  }

  /** How many bytes of the request's body were read, without framing. */
  bodyBytesRead(): number {
    return this.downstreamSession.bodyBytesRead();
  }

  /** How many bytes of the response's body were sent, without framing. */
  bodyBytesSent(): number {
    return this.downstreamSession.bodyBytesSent();
  }

  /** Whether the request's body is longer than the 64 KiB that are kept for another try: then there is none. */
  retryBufferTruncated(): boolean {
    return this.downstreamSession.retryBufferTruncated();
  }

  /** Run the filters that are built in, then write. Returns whether the response ended. */
  @rust.method
  writeResponseTasks(tasks: HttpTask[]): boolean {
    for (let i = 0; i < tasks.length; i++) tasks[i] = this.downstreamCompression.responseFilter(tasks[i]!) ?? tasks[i]!;
    return this.downstreamSession.responseDuplexVec(tasks);
  }
}

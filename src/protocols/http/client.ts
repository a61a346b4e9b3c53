/**
 * The client's session of either HTTP version, with what both have in common.
 *
 * Port of `pingora-core/src/protocols/http/client.rs`.
 */
import type { RequestHeader, ResponseHeader } from '../../http/lib.ts';
import type { Future } from '../../runtime/future.ts';
import { type AwaitableFuture, awaitable, ready } from '../../runtime/task.ts';
import { ported, traced } from '../../tracing/span.ts';
import type { Digest } from '../digest.ts';
import type { HttpSession as Http1Session } from '../h1/client.ts';
import type { Http2Session } from '../h2/client.ts';

const rust = ported('pingora-core/src/protocols/http/client.rs');

/** An HTTP/1 connection or an HTTP/2 stream, on which one request is sent and one response read. */
@traced
export class HttpSession {
  /** The session if it is HTTP/1. */
  readonly h1: Http1Session | undefined;
  /** The session if it is HTTP/2. */
  readonly h2: Http2Session | undefined;

  private constructor(h1: Http1Session | undefined, h2: Http2Session | undefined) {
    this.h1 = h1;
    this.h2 = h2;
  }

  static H1(session: Http1Session): HttpSession {
    return new HttpSession(session, undefined);
  }

  static H2(session: Http2Session): HttpSession {
    return new HttpSession(undefined, session);
  }

  asHttp1(): Http1Session | undefined {
    return this.h1;
  }

  asHttp2(): Http2Session | undefined {
    return this.h2;
  }

  /** Send the head of the request. Throws `WriteError` and `WriteTimedout`. */
  writeRequestHeader(request: RequestHeader): AwaitableFuture<void> {
    return this._writeRequestHeader(request) as AwaitableFuture<void>;
  }

  /** What the method of the same name gives. It is polled, or awaited. */
  @rust.method
  @awaitable
  private *_writeRequestHeader(request: RequestHeader): Future<void> {
    if (this.h1 !== undefined) this.h1.writeRequestHeader(request);
    else this.h2!.writeRequestHeader(request, false);
    yield* this.drained();
  }

  /** Send a piece of the request's body; `end` with the last one. Throws `WriteError` and `WriteTimedout`. */
  writeRequestBody(data: Buffer, end: boolean): AwaitableFuture<void> {
    return this._writeRequestBody(data, end) as AwaitableFuture<void>;
  }

  /** What the method of the same name gives. It is polled, or awaited. */
  @rust.method
  @awaitable
  private *_writeRequestBody(data: Buffer, end: boolean): Future<void> {
    if (this.h1 !== undefined) this.h1.writeBody(data);
    else this.h2!.writeRequestBody(data, end);
    yield* this.drained();
  }

  /** The request's body is complete. Throws `WriteError` and `WriteTimedout`. */
  finishRequestBody(): AwaitableFuture<void> {
    return this._finishRequestBody() as AwaitableFuture<void>;
  }

  /** What the method of the same name gives. It is polled, or awaited. */
  @rust.method
  @awaitable
  private *_finishRequestBody(): Future<void> {
    if (this.h1 !== undefined) this.h1.finishBody();
    else this.h2!.finishRequestBody();
    yield* this.drained();
  }

  private drained(): Future<void> {
    return ready(() => (this.h1 ?? this.h2!).pollDrained());
  }

  /** The limit for each read of head and body, in milliseconds. It isn't one for the whole response. */
  setReadTimeout(timeout: number | undefined): void {
    (this.h1 ?? this.h2!).readTimeout = timeout;
  }

  /** The limit for each write, in milliseconds. HTTP/2 has none: there the connection writes, not the session. */
  setWriteTimeout(timeout: number | undefined): void {
    if (this.h1 !== undefined) this.h1.writeTimeout = timeout;
  }

  /** Read the head of the response; over HTTP/1 again after an informational one. Throws as reading does. */
  readResponseHeader(): AwaitableFuture<void> {
    return this._readResponseHeader() as AwaitableFuture<void>;
  }

  /** What the method of the same name gives. It is polled, or awaited. */
  @rust.method
  @awaitable
  private *_readResponseHeader(): Future<void> {
    const { h1, h2 } = this;
    if (h1 !== undefined) yield* ready(() => h1.readResponse());
    else yield* ready(() => h2!.readResponseHeader());
  }

  /** Read a piece of the response's body; undefined when there is no more. Throws as reading does. */
  readResponseBody(): AwaitableFuture<Buffer | undefined> {
    return this._readResponseBody() as AwaitableFuture<Buffer | undefined>;
  }

  /** What the method of the same name gives. It is polled, or awaited. */
  @rust.method
  @awaitable
  private *_readResponseBody(): Future<Buffer | undefined> {
    const { h1, h2 } = this;
    return yield* h1 !== undefined ? ready(() => h1.readBodyBytes()) : ready(() => h2!.readResponseBody());
  }

  /** Whether the response's body was read to its end. */
  responseDone(): boolean {
    return this.h1 !== undefined ? this.h1.isBodyDone() : this.h2!.responseFinished();
  }

  /** Give the session up: HTTP/1 closes the connection, HTTP/2 resets the stream unless it has ended. */
  @rust.method
  shutdown(): void {
    (this.h1 ?? this.h2!).shutdown();
  }

  /** The head of the response, once it was read. */
  responseHeader(): ResponseHeader | undefined {
    return this.h1 !== undefined ? this.h1.respHeader() : this.h2!.responseHeader();
  }

  /** What is known of the connection. Of a reused one the times are those of its beginning. */
  digest(): Digest | undefined {
    return (this.h1 ?? this.h2!).digest();
  }
}

/**
 * The client's session of either HTTP version, with what both have in common.
 *
 * Port of `pingora-core/src/protocols/http/client.rs`.
 */
import type { RequestHeader, ResponseHeader } from '../../http/lib.ts';
import { ported } from '../../tracing/span.ts';
import type { Digest } from '../digest.ts';
import type { HttpSession as Http1Session } from '../h1/client.ts';
import type { Http2Session } from '../h2/client.ts';

const rust = ported('pingora-core/src/protocols/http/client.rs');

/** An HTTP/1 connection or an HTTP/2 stream, on which one request is sent and one response read. */
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
  @rust.method('HttpSession::write_request_header')
  async writeRequestHeader(request: RequestHeader): Promise<void> {
    if (this.h1 !== undefined) await this.h1.writeRequestHeader(request);
    else await this.h2!.writeRequestHeader(request, false);
  }

  /** Send a piece of the request's body; `end` with the last one. Throws `WriteError` and `WriteTimedout`. */
  @rust.method('HttpSession::write_request_body')
  async writeRequestBody(data: Buffer, end: boolean): Promise<void> {
    if (this.h1 !== undefined) await this.h1.writeBody(data);
    else await this.h2!.writeRequestBody(data, end);
  }

  /** The request's body is complete. Throws `WriteError` and `WriteTimedout`. */
  @rust.method('HttpSession::finish_request_body')
  async finishRequestBody(): Promise<void> {
    if (this.h1 !== undefined) await this.h1.finishBody();
    else await this.h2!.finishRequestBody();
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
  @rust.method('HttpSession::read_response_header')
  async readResponseHeader(): Promise<void> {
    if (this.h1 !== undefined) await this.h1.readResponse();
    else await this.h2!.readResponseHeader();
  }

  /** Read a piece of the response's body; undefined when there is no more. Throws as reading does. */
  @rust.method('HttpSession::read_response_body')
  async readResponseBody(): Promise<Buffer | undefined> {
    return this.h1 !== undefined ? this.h1.readBodyBytes() : this.h2!.readResponseBody();
  }

  /** Whether the response's body was read to its end. */
  responseDone(): boolean {
    return this.h1 !== undefined ? this.h1.isBodyDone() : this.h2!.responseFinished();
  }

  /** Give the session up: HTTP/1 closes the connection, HTTP/2 resets the stream unless it has ended. */
  @rust.method('HttpSession::shutdown')
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

/**
 * What exchanges with origins of both HTTP versions have in common: reading the request's body on, and filtering and
 * writing the pieces of the response.
 *
 * The port's own: the original repeats it in `proxy_h1.rs` and `proxy_h2.rs`.
 */
import { PingoraError } from '../error/lib.ts';
import type { HMap, ResponseHeader } from '../http/lib.ts';
import type { Log } from '../log.ts';
import type { HttpSession as ClientSession } from '../protocols/h1/server.ts';
import type { HttpTask } from '../protocols/http/mod.ts';
import type { Session as ServerSession } from '../protocols/http/server.ts';
import { type Future, until } from '../runtime/future.ts';
import { currentWaker, PENDING, type Poll } from '../runtime/poll.ts';
import type { Channel } from '../runtime/sync.ts';
import { Limit } from '../timeout/lib.ts';
import { endResponseBody, endsUnseen, filterRequestBody } from './body-filter.ts';
import type { ProxyFilters } from './hooks.ts';
import { revalidateOrStale } from './proxy-cache.ts';
import type { Session } from './session.ts';

/** So much of a request's body is read only to keep the client's connection, in bytes. */
const REST_SIZE = 64 * 1024;
/** So long is waited for more of a body that most likely nobody wants, in milliseconds. */
const REST_MS = 1000;

/**
 * What both halves of an exchange know. One class for both kinds of origin, which differ in what they give it: a derived
 * class would cost each request (docs/PERFORMANCE.md).
 */
export class Exchange<CTX, Client, ToUpstream> {
  readonly proxy: ProxyFilters<CTX>;
  readonly session: Session;
  readonly downstream: ServerSession;
  readonly client: Client;
  readonly ctx: CTX;
  /** The request's body, from the client's half to the origin's; not for an HTTP/2 origin, to which it is written at once. */
  readonly toUpstream: ToUpstream;
  /** The response, from the origin's half to the client's. */
  readonly toDownstream: Channel<HttpTask>;
  /** The request's trailers, once its body was read. */
  trailers: HMap | undefined = undefined;
  /** The answer came instead of a request for the body (RFC 9110 10.1.1), or of its rest: that won't come. */
  refused = false;
  /** After an early error: how long the request's body may rest, and how much of it was read when it began to. */
  private early: { readonly patience: Limit; read: number } | undefined = undefined;
  /** The origin takes no more of the request's body, or not all of it was sent: its connection can't be used again. */
  bodyLeft = false;

  constructor(
    proxy: ProxyFilters<CTX>,
    session: Session,
    client: Client,
    ctx: CTX,
    toUpstream: ToUpstream,
    toDownstream: Channel<HttpTask>,
  ) {
    this.proxy = proxy;
    this.session = session;
    this.downstream = session.downstreamSession;
    this.client = client;
    this.ctx = ctx;
    this.toUpstream = toUpstream;
    this.toDownstream = toDownstream;
  }

  /**
   * The next piece of the request's body, undefined at its end. Once the body has been read (`done`) it is pending until
   * the client leaves, and throws then.
   */
  nextOfBody(done: boolean): Poll<Buffer | undefined> {
    try {
      return this.downstream.readBodyOrIdle(done);
    } catch (thrown) {
      throw PingoraError.from(thrown).intoDown();
    }
  }

  /** As {@link nextOfBody} while the origin takes nothing: pending until the client leaves, and throws then. */
  waitForRoom(): typeof PENDING {
    try {
      this.downstream.watchClient();
      return PENDING;
    } catch (thrown) {
      throw PingoraError.from(thrown).intoDown();
    }
  }

  /** Whether the client has taken what was written, so that more can be. Throws what went wrong with it. */
  clientTakesMore(): boolean {
    try {
      return this.downstream.pollDrained() !== PENDING;
    } catch (thrown) {
      throw PingoraError.from(thrown).intoDown();
    }
  }

  /** Run the application's filter of the request's body, if it has one. Returns what goes to the origin. */
  *filterBody(data: Buffer | undefined, end: boolean): Future<Buffer | undefined> {
    const filtered = filterRequestBody(this.proxy, this.session, data, end, this.ctx);
    return filtered instanceof Promise ? yield* until(filtered) : filtered;
  }

  /**
   * Whether `answer` is the head of a final answer that makes the request's body needless: the client waits to be told
   * to send it (RFC 9110 10.1.1), and won't be. The original waits for that body until the client closes the connection.
   */
  private refusesBody(answer: HttpTask): boolean {
    const { downstream } = this;
    return (
      answer.type === 'Header' &&
      !answer.header.isInformational &&
      !this.session.continued &&
      downstream.reqHeader().headers.has('expect') &&
      downstream.bodyBytesRead() === 0 &&
      !downstream.isBodyDone()
    );
  }

  /**
   * The head of a final answer is about to be written while the request's body is still to come. Nearly always an origin
   * that answers with an error won't take the body. A client that has much of it left is told that its connection ends
   * (RFC 9112 9.6): then it need not send it (9.5). A short rest is read: see {@link Exchange.readRest}.
   */
  private answersEarly({ status, isInformational }: ResponseHeader): void {
    if (isInformational || (status < 400 && !this.bodyLeft)) return;
    const { downstream } = this;
    const left = downstream.asHttp1()?.bodyRemaining() ?? 0;
    if (left <= REST_SIZE) return;
    downstream.setKeepalive(undefined);
    const waker = currentWaker();
    this.early ??= { patience: new Limit(() => waker.wake()), read: -1 };
  }

  /**
   * The answer is complete. If it was an early error with much of the body to come: whether that has stopped to come, or
   * to be taken. As long as it goes on it is passed on, for many clients look for the answer only behind it.
   */
  isOver(): boolean {
    const { early, downstream } = this;
    if (early === undefined) return false;
    const read = downstream.bodyBytesRead();
    if (read !== early.read) early.patience.clear();
    early.read = read;
    try {
      early.patience.check(REST_MS);
    } catch {
      this.refused = true;
    }
    return this.refused;
  }

  /** Filter and write `tasks`. Returns whether the response ended with them. */
  *filterAndWrite(tasks: HttpTask[], filter: ResponseFilter): Future<boolean> {
    const { proxy, session, ctx } = this;
    if (this.refusesBody(tasks[0]!)) {
      this.refused = true;
      this.downstream.setKeepalive(undefined);
    }
    for (let i = 0; i < tasks.length; i++) {
      const task = tasks[i]!;
      if (revalidateOrStale(proxy, session, task, ctx)) {
        // the cache's copy is served: the rest of the origin's answer isn't
        tasks.length = i;
        break;
      }
      const transformed = session.upstreamCompression.responseFilter(task) ?? task;
      if (endsUnseen(proxy, session, transformed)) {
        const before = yield* endResponseBody(proxy, session, ctx);
        tasks.splice(i, 0, ...before);
        i += before.length;
      }
      const filtered = yield* filter(proxy, session, transformed, ctx);
      if (filtered.type === 'Header') this.answersEarly(filtered.header);
      tasks[i] = filtered;
    }
    return session.writeResponseTasks(tasks);
  }

  /**
   * The answer is complete, and the origin takes no more of the request's body. What is left of it comes before the next
   * request: it is read and thrown away, as far as that is quickly done.
   */
  private *readRest(client: ClientSession, log: Log): Future<void> {
    const enough = client.bodyBytesRead() + REST_SIZE;
    const waker = currentWaker();
    const limit = new Limit(() => waker.wake());
    try {
      while (client.willKeepalive() && !client.isBodyDone() && client.bodyBytesRead() <= enough) {
        if (client.readBodyBytes() !== PENDING) continue;
        limit.check(REST_MS);
        yield;
      }
    } catch (error) {
      log.debug(() => `the rest of the request body did not come: ${error}`);
    } finally {
      limit.end();
      client.dropRead();
    }
    // it is no next request
    if (!client.isBodyDone()) this.downstream.setKeepalive(undefined);
  }

  /** The client's half has ended, in whichever way: leave no timer behind. */
  ended(): void {
    this.early?.patience.end();
  }

  /** The response is written: send what is left of it, and wait until the client has taken it. */
  *finishResponse(log: Log): Future<void> {
    const { downstream } = this;
    try {
      downstream.finishBody();
      while (downstream.pollDrained() === PENDING) yield;
      const client = downstream.asHttp1();
      if (client?.owesBody()) yield* this.readRest(client, log);
    } catch (error) {
      // What the client got is not whole: another response on the connection would be read as its rest.
      log.error(`Error finish sending body to downstream: ${error}`);
      downstream.setKeepalive(undefined);
    }
  }
}

/** `h1_response_filter` or `h2_response_filter`. */
export type ResponseFilter = <CTX>(
  proxy: ProxyFilters<CTX>,
  session: Session,
  task: HttpTask,
  ctx: CTX,
) => Future<HttpTask>;

/**
 * The exchange with an HTTP/2 origin: two halves that meet in a channel.
 *
 * Port of `pingora-proxy/src/proxy_h2.rs`.
 */
import { ErrorType, PingoraError } from '../error/lib.ts';
import type { RequestHeader, ResponseHeader } from '../http/lib.ts';
import { Log } from '../log.ts';
import { removeHopByHop } from '../protocols/h1/common.ts';
import type { Http2Session } from '../protocols/h2/client.ts';
import { HttpTask } from '../protocols/http/mod.ts';
import type { Session as ServerSession } from '../protocols/http/server.ts';
import { Cancelled } from '../runtime/cancelled.ts';
import { type Future, sendTo, TryJoin, takeFrom, until } from '../runtime/future.ts';
import { Channel, Kept } from '../runtime/sync.ts';
import { ported } from '../tracing/span.ts';
import type { HttpPeer } from '../upstreams/peer.ts';
import { filterRequestBody, filterResponseBody } from './body-filter.ts';
import { filterAndWrite, nextOfBody } from './exchange.ts';
import { type HttpProxy, type Session, TASK_BUFFER_SIZE } from './lib.ts';
import type { Outcome } from './proxy-cache.ts';
import { DownstreamStateMachine, ResponseStateMachine, refusesBody } from './proxy-common.ts';
import { filterTrailers, requestTrailers } from './trailers.ts';

const rust = ported('pingora-proxy/src/proxy_h2.rs');
const log = new Log('pingora_proxy::proxy_h2');

type MaybePromise<T> = T | Promise<T>;

const EMPTY = Buffer.alloc(0);

/** What `:authority` becomes of Host: a second port that some clients add is dropped. */
export const updateH2SchemeAuthority = rust.fn(
  'proxy_h2::update_h2_scheme_authority',
  (header: RequestHeader, host: string): void => {
    let authority = host;
    if (!host.startsWith('[')) {
      const colon = host.indexOf(':');
      const another = colon < 0 ? -1 : host.indexOf(':', colon + 1);
      if (another >= 0 && colon + 1 < host.length) authority = host.slice(0, another);
    }
    // RFC 3986 3.2, without user information (RFC 9113 8.3.1)
    if (!/^[A-Za-z0-9\-._~%!$&'()*+,;=:[\]]+$/.test(authority)) {
      throw PingoraError.explain(ErrorType.InvalidHTTPHeader, `invalid authority from host ${authority}`);
    }
    header.authority = authority;
  },
);

export const proxyToH2Upstream = rust.fn(
  'HttpProxy::proxy_to_h2_upstream',
  async <CTX>(
    proxy: HttpProxy<CTX>,
    session: Session,
    client: Http2Session,
    reused: boolean,
    peer: HttpPeer,
    ctx: CTX,
  ): Promise<Outcome> => {
    try {
      const told = proxy.hooks.connectedToUpstream(session, reused, peer, client.id(), client.digest(), ctx);
      if (told instanceof Promise) await told;
    } catch (error) {
      return { reuse: false, error: PingoraError.from(error) };
    }
    return proxy1to2(proxy, session, client, peer, ctx);
  },
);

const proxy1to2 = rust.fn(
  'HttpProxy::proxy_1to2',
  async <CTX>(
    proxy: HttpProxy<CTX>,
    session: Session,
    client: Http2Session,
    peer: HttpPeer,
    ctx: CTX,
  ): Promise<Outcome> => {
    const { downstreamSession: downstream } = session;
    const request = session.reqHeader().clone();
    const { headers } = request;
    if (request.version !== 'HTTP/2') {
      removeHopByHop(headers, 'request', false);
      headers.remove('transfer-encoding');
      headers.remove('upgrade');
    }
    request.setVersion('HTTP/2');

    let bodyEmpty: boolean;
    try {
      const filtered = proxy.hooks.upstreamRequestFilter(session, request, ctx);
      if (filtered instanceof Promise) await filtered;

      // Some servers take no Host beside `:authority`. It goes only now, for filters know nothing else to set.
      const host = headers.remove('host');
      session.upstreamCompression.requestFilter(request);
      bodyEmpty = downstream.isBodyEmpty();
      if (host !== undefined) updateH2SchemeAuthority(request, host);
    } catch (error) {
      return { reuse: false, error: PingoraError.from(error) };
    }

    try {
      // some servers want the end of a request without a body in a frame of its own
      const { noHeaderEos } = peer.options;
      client.writeRequestHeader(request, bodyEmpty && !noHeaderEos);
      if (bodyEmpty && noHeaderEos) {
        const wrote = client.writeRequestBody(EMPTY, true);
        if (wrote instanceof Promise) await wrote;
      }
    } catch (error) {
      return { reuse: false, error: PingoraError.from(error).intoUp() };
    }
    client.readTimeout = peer.options.readTimeout;

    const channel = new Channel<HttpTask>(TASK_BUFFER_SIZE, 'response');
    downstream.enableRetryBuffering();

    try {
      const halves = new TryJoin();
      await halves.run(
        bidirection1to2(proxy, session, client, channel, ctx, halves.wake),
        pipe2to1Response(client, channel, halves.wake),
      );
    } catch (error) {
      return { reuse: false, error: PingoraError.from(error) };
    }
    return { reuse: true, error: undefined };
  },
);

/** The client's half: sends the request's body on, filters the response and writes it. */
const bidirection1to2 = rust.poll('HttpProxy::bidirection_1to2', function* <
  CTX,
>(proxy: HttpProxy<CTX>, session: Session, client: Http2Session, rx: Channel<HttpTask>, ctx: CTX, wake: () => void): Future<void> {
  const { downstreamSession: downstream } = session;
  const body = new Kept<Buffer | undefined>(wake);
  const sending = new Kept<boolean>(wake);
  let refused = false;
  try {
    const downstreamState = DownstreamStateMachine.new(downstream.isBodyDone());
    const buffer = downstream.getRetryBuffer();
    // another try sends what was kept of the body
    if (buffer !== undefined) {
      const end = downstreamState.isDone();
      let kept: MaybePromise<Buffer | undefined> = buffer;
      if (proxy.hooks.filtersRequestBody) {
        kept = filterRequestBody(proxy, session, buffer, end, ctx);
        if (kept instanceof Promise) kept = yield* until(kept, wake);
      }
      const sent = sendBodyTo2(client, downstream, kept, end);
      if (sent instanceof Promise) yield* takeFrom(sending, sent);
    }
    const responseState = ResponseStateMachine.new();

    while (!downstreamState.isDone() || !responseState.isDone()) {
      // The body is read only when what was read before is on its way: here is the backpressure. The response goes
      // on meanwhile, for a server may want to send before it reads.
      if (sending.ready) {
        downstreamState.maybeFinished(takeSent(sending, downstreamState, client));
        continue;
      }
      if (downstreamState.canPoll() && !sending.pending) {
        const read = nextOfBody(downstream, body, downstreamState.isDone());
        if (read !== null) {
          let data = read;
          const end = data === undefined || downstream.isBodyDone();
          if (proxy.hooks.filtersRequestBody) {
            const filtered = filterRequestBody(proxy, session, data, end, ctx);
            data = filtered instanceof Promise ? yield* until(filtered, wake) : filtered;
          }
          sending.start(startSending(client, downstream, data, end));
          continue;
        }
      }
      // The server has answered and takes no more: nobody wants the rest of the body.
      if (responseState.isDone() && client.isClosed()) break;
      if (!responseState.upstreamDone()) {
        const tasks = rx.tryRecvAll();
        if (tasks !== undefined) {
          if (refusesBody(session, tasks[0]!)) {
            refused = true;
            downstream.setKeepalive(undefined);
          }
          const written = filterAndWrite(proxy, session, tasks, ctx, h2ResponseFilter);
          responseState.maybeSetUpstreamDone(written instanceof Promise ? yield* until(written, wake) : written);
          if (responseState.isDone() && refused) break;
          continue;
        }
        if (rx.ended) {
          responseState.maybeSetUpstreamDone(true);
          continue;
        }
        rx.onItem(wake);
      }
      yield;
    }

    // the rest of the request's body is still to come: it is no next request
    if (!downstream.isBodyDone()) downstream.setKeepalive(undefined);
    try {
      const finished = downstream.finishBody();
      if (finished instanceof Promise) yield* until(finished, wake);
    } catch (error) {
      // What the client got is not whole: another response on the connection would be read as its rest.
      log.error(`Error finish sending body to downstream: ${error}`);
      downstream.setKeepalive(undefined);
    }
  } finally {
    if (body.pending) downstream.cancelIdle();
    if (sending.pending) client.cancelReads();
    rx.closeReceiver();
  }
});

/** As {@link sendBodyTo2}, an error kept for {@link takeSent}. */
function startSending(
  client: Http2Session,
  downstream: ServerSession,
  data: Buffer | undefined,
  end: boolean,
): MaybePromise<boolean> {
  try {
    return sendBodyTo2(client, downstream, data, end);
  } catch (error) {
    return Promise.reject(PingoraError.from(error));
  }
}

/** Whether the request's body is sent. */
function takeSent(sending: Kept<boolean>, state: DownstreamStateMachine, client: Http2Session): boolean {
  try {
    return sending.take();
  } catch (error) {
    if (!client.isClosed()) throw error;
    // The server ends the stream before the body's end. If it has answered, the answer counts (RFC 9113 8.1); if it
    // hasn't, the half that reads the response says why. The original fails a response that was complete.
    log.debug(() => `upstream takes no more of the request body: ${error}`);
    state.toErrored();
    return false;
  }
}

const h2ResponseFilter = rust.fn(
  'HttpProxy::h2_response_filter',
  <CTX>(proxy: HttpProxy<CTX>, session: Session, task: HttpTask, ctx: CTX): MaybePromise<HttpTask> => {
    proxy.upstreamFilter(session, task, ctx);
    if (task.type === 'Header') {
      const { header } = task;
      if (header.status === 100) session.continued = true;
      const filtered = proxy.hooks.responseFilter(session, header, ctx);
      if (filtered instanceof Promise) {
        return filtered.then(() => {
          asH1(session, task);
          return task;
        });
      }
      asH1(session, task);
      return task;
    }
    if (task.type === 'Body') return filterResponseBody(proxy, session, task, ctx);
    return task.type === 'Trailer' ? filterTrailers(proxy, session, task, ctx) : task;
  },
);

/** Give a head of HTTP/2 what an HTTP/1 client needs. An HTTP/2 session takes it out again. */
function asH1(session: Session, task: HttpTask & { type: 'Header' }): void {
  const { header } = task;
  const { headers, status } = header;
  header.setVersion('HTTP/1.1');
  const noBody = session.reqHeader().method === 'HEAD' || status === 204 || status === 304;
  if (!noBody && !header.isInformational && !headers.has('content-length')) {
    headers.insertUnchecked('Transfer-Encoding', 'chunked');
  }
}

/** Send a piece of the request's body to the origin. Returns whether it was the last. */
export const sendBodyTo2 = rust.fn(
  'proxy_h2::send_body_to2',
  (
    client: Http2Session,
    downstream: ServerSession,
    data: Buffer | undefined,
    endOfBody: boolean,
  ): MaybePromise<boolean> => {
    const end = data === undefined || endOfBody;
    if (!end && data.length === 0) return false; // a filter holds it back, or nothing came
    if (end) {
      const trailers = requestTrailers(downstream);
      if (trailers !== undefined) client.setRequestTrailers(trailers);
    }
    try {
      const wrote = client.writeRequestBody(data ?? EMPTY, end);
      return wrote instanceof Promise ? wrote.then(() => end, asUpstream) : end;
    } catch (error) {
      return asUpstream(error);
    }
  },
);

function asUpstream(error: unknown): never {
  throw PingoraError.from(error).intoUp();
}

/** The origin's half: its response's head, body and trailers into the channel. */
const pipe2to1Response = rust.poll(
  'proxy_h2::pipe_2to1_response',
  function* (client: Http2Session, tx: Channel<HttpTask>, wake: () => void): Future<void> {
    const read = new Kept<any>(wake);
    try {
      // RFC 9110 15.2: any number of interim heads before the one that counts
      let header: ResponseHeader;
      do {
        try {
          yield* takeFrom(read, client.readResponseHeader());
        } catch (thrown) {
          throw thrown instanceof Cancelled ? thrown : PingoraError.from(thrown).intoUp();
        }
        header = client.responseHeader()!.clone();
        yield* sendToPipe(tx, HttpTask.Header(header, client.responseFinished()), 'sending h2 headers to pipe', wake);
      } while (header.isInformational);

      try {
        for (;;) {
          const piece = client.readResponseBody();
          const data: Buffer | undefined = piece instanceof Promise ? yield* takeFrom(read, piece) : piece;
          if (data === undefined) break;
          // nothing for now; an HTTP/1 client would take an empty chunk for the last one
          if (data.length === 0 && !client.responseFinished()) continue;
          yield* sendToPipe(tx, HttpTask.Body(data, endsHere(client)), 'sending h2 body to pipe', wake);
        }
      } catch (thrown) {
        if (thrown instanceof Cancelled || tx.isReceiverGone) throw thrown;
        // The other half deals with it, after what came before.
        yield* sendUnlessGone(tx, HttpTask.Failed(PingoraError.from(thrown).intoUp()), wake);
        return;
      }

      const trailers = client.readTrailers();
      if (trailers !== undefined) {
        yield* sendToPipe(tx, HttpTask.Trailer(trailers), 'sending h2 trailer to pipe', wake);
      }
      yield* sendUnlessGone(tx, HttpTask.Done, wake);
    } finally {
      if (read.pending) client.cancelReads();
      tx.close();
    }
  },
);

/** Whether nothing follows what was read: not even trailers. */
function endsHere(client: Http2Session): boolean {
  return client.responseFinished() && client.readTrailers() === undefined;
}

function* sendToPipe(tx: Channel<HttpTask>, task: HttpTask, context: string, wake: () => void): Future<void> {
  if (!(yield* sendTo(tx, task, wake))) {
    throw PingoraError.because(ErrorType.InternalError, context, new Error('channel closed'));
  }
}

function* sendUnlessGone(tx: Channel<HttpTask>, task: HttpTask, wake: () => void): Future<void> {
  if (!(yield* sendTo(tx, task, wake))) log.debug('h2 to h1 channel closed!');
}

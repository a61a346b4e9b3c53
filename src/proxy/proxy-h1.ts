/**
 * An exchange with an HTTP/1 origin: two halves, one for each side, joined by two bounded channels.
 *
 * Port of `pingora-proxy/src/proxy_h1.rs`.
 */
import { ErrorType, PingoraError } from '../error/lib.ts';
import type { HMap } from '../http/lib.ts';
import { Log } from '../log.ts';
import type { HttpSession as HttpSessionV1 } from '../protocols/h1/client.ts';
import { removeHopByHop } from '../protocols/h1/common.ts';
import { HttpTask } from '../protocols/http/mod.ts';
import { Cancelled } from '../runtime/cancelled.ts';
import { type Future, sendTo, TryJoin, until } from '../runtime/future.ts';
import { Channel, Kept } from '../runtime/sync.ts';
import { ported } from '../tracing/span.ts';
import type { HttpPeer } from '../upstreams/peer.ts';
import { ensureFramed, filterRequestBody, filterResponseBody } from './body-filter.ts';
import { filterAndWrite, nextOfBody } from './exchange.ts';
import { type HttpProxy, type Session, TASK_BUFFER_SIZE } from './lib.ts';
import type { Outcome } from './proxy-cache.ts';
import { DownstreamStateMachine, ResponseStateMachine, refusesBody } from './proxy-common.ts';
import { filterTrailers, requestTrailers } from './trailers.ts';

const rust = ported('pingora-proxy/src/proxy_h1.rs');
const log = new Log('pingora_proxy::proxy_h1');

type MaybePromise<T> = T | Promise<T>;

/** How an exchange ended, and whether the connection to the origin can be kept. */
export interface H1Outcome extends Outcome {
  reuseClient: boolean;
}

/** What one half has to know of the other beside the channels. */
interface Shared {
  /** The request's trailers, once its body was read. */
  trailers: HMap | undefined;
  /** The answer came instead of a request for the body. */
  refused: boolean;
}

export const proxyToH1Upstream = rust.fn(
  'HttpProxy::proxy_to_h1_upstream',
  <CTX>(
    proxy: HttpProxy<CTX>,
    session: Session,
    client: HttpSessionV1,
    reused: boolean,
    peer: HttpPeer,
    ctx: CTX,
  ): MaybePromise<H1Outcome> => {
    try {
      const told = proxy.hooks.connectedToUpstream(session, reused, peer, client.id(), client.digest(), ctx);
      if (told instanceof Promise) return told.then(() => proxy1to1(proxy, session, client, peer, ctx), notUsed);
    } catch (error) {
      return notUsed(error);
    }
    return proxy1to1(proxy, session, client, peer, ctx);
  },
);

function notUsed(error: unknown): H1Outcome {
  return { reuse: false, reuseClient: false, error: PingoraError.from(error) };
}

const proxy1to1 = rust.fn(
  'HttpProxy::proxy_1to1',
  async <CTX>(
    proxy: HttpProxy<CTX>,
    session: Session,
    client: HttpSessionV1,
    peer: HttpPeer,
    ctx: CTX,
  ): Promise<H1Outcome> => {
    client.readTimeout = peer.options.readTimeout;
    client.writeTimeout = peer.options.writeTimeout;
    const { downstreamSession: downstream } = session;

    const request = session.reqHeader().clone();
    const { headers } = request;
    if (request.version === 'HTTP/2') {
      // RFC 9112 6.3: a body is there only if a length or chunks say so
      if (!downstream.isBodyEmpty() && !headers.has('content-length')) {
        headers.insertUnchecked('Transfer-Encoding', 'chunked');
      }
      // `:authority` became no field on its way here
      if (!headers.has('host')) headers.insertUnchecked('Host', request.authority ?? '');
    } else {
      removeHopByHop(headers, 'request', downstream.isUpgradeReq());
      // RFC 9110 7.2: an HTTP/1.0 client may have none; an HTTP/1.1 request has one, empty if nothing is known
      if (request.version === 'HTTP/1.0' && !headers.has('host')) headers.insertUnchecked('Host', '');
    }
    // RFC 9110 6.2: the version is that of the sender, which is the proxy
    request.setVersion('HTTP/1.1');

    try {
      const filtered = proxy.hooks.upstreamRequestFilter(session, request, ctx);
      if (filtered instanceof Promise) await filtered;
    } catch (error) {
      // nothing was sent: the connection is as good as before
      return { reuse: false, reuseClient: true, error: PingoraError.from(error) };
    }

    if (proxy.hooks.filtersRequest && !downstream.isUpgradeReq() && !downstream.isBodyEmpty()) ensureFramed(headers);

    session.upstreamCompression.requestFilter(request);

    try {
      const wrote = client.writeRequestHeader(request);
      if (wrote instanceof Promise) await wrote;
    } catch (error) {
      return { reuse: false, reuseClient: false, error: PingoraError.from(error).intoUp() };
    }

    // each channel: one half sends, the other receives
    const toUpstream = new Channel<HttpTask>(TASK_BUFFER_SIZE, 'request');
    const toDownstream = new Channel<HttpTask>(TASK_BUFFER_SIZE, 'response');
    const shared: Shared = { trailers: undefined, refused: false };

    downstream.enableRetryBuffering();

    try {
      const halves = new TryJoin();
      await halves.run(
        proxyHandleDownstream(proxy, session, toUpstream, toDownstream, ctx, shared, halves.wake),
        proxyHandleUpstream(client, toDownstream, toUpstream, shared, halves.wake),
      );
    } catch (error) {
      return { reuse: false, reuseClient: false, error: PingoraError.from(error) };
    }
    // an origin that waits for the rest of a request can't be sent another
    if (shared.refused) return { reuse: true, reuseClient: false, error: undefined };
    client.respectKeepalive();
    return { reuse: true, reuseClient: true, error: undefined };
  },
);

/** The origin's half: reads its response, writes the request's body to it. */
const proxyHandleUpstream = rust.poll(
  'HttpProxy::proxy_handle_upstream',
  function* (
    client: HttpSessionV1,
    tx: Channel<HttpTask>,
    rx: Channel<HttpTask>,
    shared: Shared,
    wake: () => void,
  ): Future<void> {
    let requestDone = false;
    let responseDone = false;
    const response = new Kept<HttpTask>(wake);
    try {
      while (!requestDone || !responseDone) {
        if (!responseDone) {
          let task: HttpTask | undefined;
          try {
            if (response.idle) {
              const read = client.readResponseTaskOrWatch(response);
              if (read instanceof Promise) response.start(read);
              else task = read;
            } else if (response.ready) task = response.take();
          } catch (thrown) {
            if (thrown instanceof Cancelled) throw thrown;
            // The other half deals with it, after what came before. If it is gone, nobody has to.
            yield* sendTo(tx, HttpTask.Failed(PingoraError.from(thrown).intoUp()), wake);
            return;
          }
          if (task !== undefined) {
            responseDone = HttpTask.isEnd(task);
            if (!(yield* sendTo(tx, task, wake)) && !client.isUpgradeReq()) {
              throw PingoraError.explain(ErrorType.InternalError, 'Failed to send upstream header to pipe');
            }
            continue;
          }
        }
        if (!requestDone) {
          const task = rx.tryRecv();
          if (task !== undefined || rx.ended) {
            if (task === undefined && shared.refused) break;
            if (shared.trailers !== undefined) client.setRequestTrailers(shared.trailers);
            const sent = sendBodyTo1(client, task);
            requestDone = sent instanceof Promise ? yield* until(sent, wake) : sent;
            // an upgraded connection ends when either side ends
            if (requestDone && client.wasUpgraded()) responseDone = true;
            continue;
          }
          rx.onItem(wake);
        }
        yield;
      }
    } finally {
      if (response.pending) client.cancelRead();
      tx.close();
      rx.closeReceiver();
    }
  },
);

/** The client's half: reads the request's body, filters the response and writes it. */
const proxyHandleDownstream = rust.poll('HttpProxy::proxy_handle_downstream', function* <
  CTX,
>(proxy: HttpProxy<CTX>, session: Session, tx: Channel<HttpTask>, rx: Channel<HttpTask>, ctx: CTX, shared: Shared, wake: () => void): Future<void> {
  const { downstreamSession: downstream } = session;
  const body = new Kept<Buffer | undefined>(wake);
  try {
    const downstreamState = DownstreamStateMachine.new(downstream.isBodyDone());
    const buffer = downstream.getRetryBuffer();
    // another try sends what was kept of the body; a request without one says so
    if (buffer !== undefined || downstream.isBodyEmpty()) {
      const end = downstreamState.isDone();
      if (end) shared.trailers = requestTrailers(downstream);
      let kept: MaybePromise<Buffer | undefined> = buffer;
      if (proxy.hooks.filtersRequestBody && !downstream.isBodyEmpty()) {
        kept = filterRequestBody(proxy, session, buffer, end, ctx);
        if (kept instanceof Promise) kept = yield* until(kept, wake);
      }
      sendBodyToPipe(kept, end, tx);
    }
    const responseState = ResponseStateMachine.new();

    while (!downstreamState.isDone() || !responseState.isDone()) {
      // The body is read only while there is room for it: else both halves could wait for each other.
      const permit = tx.hasCapacity() && !tx.isReceiverGone;
      if (downstreamState.canPoll() && permit) {
        const read = nextOfBody(downstream, body, downstreamState.isDone());
        if (read !== null) {
          let data = read;
          const end = downstream.isBodyDone();
          if (proxy.hooks.filtersRequestBody) {
            const filtered = filterRequestBody(proxy, session, data, end, ctx);
            data = filtered instanceof Promise ? yield* until(filtered, wake) : filtered;
          }
          if (end) shared.trailers = requestTrailers(downstream);
          // the client has ended an upgraded connection: that is its normal end
          if (data === undefined && downstream.wasUpgraded()) responseState.maybeSetUpstreamDone(true);
          downstreamState.maybeFinished(sendBodyToPipe(data, end, tx));
          continue;
        }
      }
      if (!responseState.upstreamDone()) {
        const tasks = rx.tryRecvAll();
        if (tasks !== undefined) {
          if (refusesBody(session, tasks[0]!)) {
            shared.refused = true;
            session.setKeepalive(undefined);
          }
          const written = filterAndWrite(proxy, session, tasks, ctx, h1ResponseFilter);
          const ended = written instanceof Promise ? yield* until(written, wake) : written;
          responseState.maybeSetUpstreamDone(ended);
          // an upgrade that was refused has no body left to read
          downstreamState.maybeFinished(downstream.isBodyDone());
          if (ended && shared.refused) break;
          continue;
        }
        if (rx.ended) {
          responseState.maybeSetUpstreamDone(true);
          continue;
        }
        rx.onItem(wake);
      }
      if (downstreamState.isReading() && !permit) {
        // The origin's half is gone and took the response's end with it: nobody wants the rest of the body.
        if (tx.isReceiverGone && responseState.isDone()) break;
        tx.onCapacity(wake);
      }
      yield;
    }

    try {
      const finished = session.downstreamSession.finishBody();
      if (finished instanceof Promise) yield* until(finished, wake);
    } catch (error) {
      // What the client got is not whole: another response on the connection would be read as its rest.
      log.error(`Error finish sending body to downstream: ${error}`);
      downstream.setKeepalive(undefined);
    }
  } finally {
    if (body.pending) downstream.cancelIdle();
    tx.close();
    rx.closeReceiver();
  }
});

const h1ResponseFilter = rust.fn(
  'HttpProxy::h1_response_filter',
  <CTX>(proxy: HttpProxy<CTX>, session: Session, task: HttpTask, ctx: CTX): MaybePromise<HttpTask> => {
    proxy.upstreamFilter(session, task, ctx);
    if (task.type === 'Header') {
      const { header, end } = task;
      const { headers, status } = header;
      removeHopByHop(headers, 'response', status === 101);
      // A body without a length is sent in chunks, so that the client's connection can be kept.
      const noBody = session.reqHeader().method === 'HEAD' || status === 204 || status === 304;
      if (
        !noBody &&
        !end &&
        !header.isInformational &&
        !headers.has('transfer-encoding') &&
        !headers.has('content-length')
      ) {
        headers.insertUnchecked('Transfer-Encoding', 'chunked');
      }
      if (status === 100) session.continued = true;
      const filtered = proxy.hooks.responseFilter(session, header, ctx);
      if (filtered instanceof Promise) return filtered.then(() => framed(proxy, task, noBody));
      return framed(proxy, task, noBody);
    }
    if (task.type === 'Body') return filterResponseBody(proxy, session, task, ctx);
    return task.type === 'Trailer' ? filterTrailers(proxy, session, task, ctx) : task;
  },
);

/** The head, which a filter may have left without the length that its body had. */
function framed<CTX>(proxy: HttpProxy<CTX>, task: HttpTask & { type: 'Header' }, noBody: boolean): HttpTask {
  const { header, end } = task;
  if (proxy.hooks.filtersResponse && !noBody && !end && !header.isInformational) ensureFramed(header.headers);
  return task;
}

/** Hand a piece of the request's body to the origin's half. Returns whether it was the last. */
export const sendBodyToPipe = rust.fn(
  'proxy_h1::send_body_to_pipe',
  (data: Buffer | undefined, endOfBody: boolean, tx: Channel<HttpTask>): boolean => {
    if (data === undefined) {
      tx.trySend(HttpTask.Body(undefined, true));
      return true;
    }
    // an empty piece would be sent as the chunk that ends the body
    if (data.length === 0 && !endOfBody) return false;
    tx.trySend(HttpTask.Body(data, endOfBody));
    return endOfBody;
  },
);

/** Write a piece of the request's body to the origin. Returns whether it was the last. */
export const sendBodyTo1 = rust.fn(
  'proxy_h1::send_body_to1',
  (client: HttpSessionV1, task: HttpTask | undefined): MaybePromise<boolean> => {
    try {
      // the sender is gone: there is no more
      if (task === undefined) return finishBodyTo1(client);
      if (task.type !== 'Body') {
        log.warn('Unexpected task sent to upstream');
        return finishBodyTo1(client);
      }
      const { data, end } = task;
      if (data !== undefined) {
        const wrote = client.writeBody(data);
        if (wrote instanceof Promise) {
          return wrote.then(() => (end ? finishBodyTo1(client) : false)).catch(asUpstream);
        }
        if (wrote === undefined) log.warn('Upstream body is already finished. Nothing to write');
      }
      return end ? finishBodyTo1(client) : false;
    } catch (error) {
      return asUpstream(error);
    }
  },
);

function finishBodyTo1(client: HttpSessionV1): MaybePromise<boolean> {
  const finished = client.finishBody();
  return finished instanceof Promise ? finished.then(() => true, asUpstream) : true;
}

function asUpstream(error: unknown): never {
  throw PingoraError.from(error).intoUp();
}

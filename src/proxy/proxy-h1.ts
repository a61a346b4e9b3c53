/**
 * An exchange with an HTTP/1 origin: two halves, one for each side, joined by two bounded channels.
 *
 * Port of `pingora-proxy/src/proxy_h1.rs`.
 */

import { ErrorType, PingoraError } from '../error/lib.ts';
import type { RequestHeader } from '../http/lib.ts';
import { Log } from '../log.ts';
import type { HttpSession as HttpSessionV1 } from '../protocols/h1/client.ts';
import { removeHopByHop } from '../protocols/h1/common.ts';
import { HttpTask } from '../protocols/http/mod.ts';
import { type Future, tryJoin, until } from '../runtime/future.ts';
import { currentWaker, PENDING, type Poll } from '../runtime/poll.ts';
import { Channel } from '../runtime/sync.ts';
import { ported } from '../tracing/span.ts';
import type { HttpPeer } from '../upstreams/peer.ts';
import { ensureFramed, filterResponseBody, isFramed } from './body-filter.ts';
import { Exchange } from './exchange.ts';
import type { ProxyFilters } from './hooks.ts';
import { DownstreamStateMachine, type Outcome, ResponseStateMachine, TASK_BUFFER_SIZE } from './proxy-common.ts';
import type { Session } from './session.ts';
import { filterTrailers, requestTrailers } from './trailers.ts';

const rust = ported('pingora-proxy/src/proxy_h1.rs');
const log = new Log('pingora_proxy::proxy_h1');

/** How an exchange ended, and whether the connection to the origin can be kept. */
export interface H1Outcome extends Outcome {
  reuseClient: boolean;
}

/** An exchange with an HTTP/1 origin. */
type H1Exchange = Exchange<any, HttpSessionV1, Channel<HttpTask>>;

export const proxyToH1Upstream = rust.fn('HttpProxy::proxy_to_h1_upstream', function* <
  CTX,
>(proxy: ProxyFilters<CTX>, session: Session, client: HttpSessionV1, reused: boolean, peer: HttpPeer, ctx: CTX): Future<H1Outcome> {
  try {
    const told = proxy.hooks.connectedToUpstream(session, reused, peer, client.id(), client.digest(), ctx);
    if (told instanceof Promise) yield* until(told);
  } catch (error) {
    return { reuse: false, reuseClient: false, error: PingoraError.from(error) };
  }
  return yield* proxy1to1(proxy, session, client, peer, ctx);
});

const proxy1to1 = rust.fn('HttpProxy::proxy_1to1', function* <
  CTX,
>(proxy: ProxyFilters<CTX>, session: Session, client: HttpSessionV1, peer: HttpPeer, ctx: CTX): Future<H1Outcome> {
  client.readTimeout = peer.options.readTimeout;
  client.writeTimeout = peer.options.writeTimeout;
  const { downstreamSession: downstream } = session;
  const request = requestTo1(session);

  try {
    const filtered = proxy.hooks.upstreamRequestFilter(session, request, ctx);
    if (filtered instanceof Promise) yield* until(filtered);
  } catch (error) {
    // nothing was sent: the connection is as good as before
    return { reuse: false, reuseClient: true, error: PingoraError.from(error) };
  }

  const { filtersRequest } = proxy.hooks;
  if (filtersRequest && !isFramed(request.headers) && !downstream.isUpgradeReq() && !downstream.isBodyEmpty()) {
    ensureFramed(request.headers);
  }
  session.upstreamCompression.requestFilter(request);

  try {
    client.writeRequestHeader(request);
  } catch (error) {
    return { reuse: false, reuseClient: false, error: PingoraError.from(error).intoUp() };
  }

  downstream.enableRetryBuffering();
  const toUpstream = new Channel<HttpTask>(TASK_BUFFER_SIZE, 'request');
  const toDownstream = new Channel<HttpTask>(TASK_BUFFER_SIZE, 'response');
  const exchange = new Exchange(proxy, session, client, ctx, toUpstream, toDownstream);
  try {
    yield* tryJoin(proxyHandleDownstream(exchange), proxyHandleUpstream(exchange));
  } catch (error) {
    return { reuse: false, reuseClient: false, error: PingoraError.from(error) };
  }
  // an origin that waits for the rest of a request can't be sent another
  if (exchange.refused || exchange.bodyLeft) return { reuse: true, reuseClient: false, error: undefined };
  client.respectKeepalive();
  return { reuse: true, reuseClient: true, error: undefined };
});

/** The head as an HTTP/1 origin gets it. */
function requestTo1(session: Session): RequestHeader {
  const { downstreamSession: downstream } = session;
  const request = session.reqHeader().clone();
  const { headers } = request;
  if (request.version === 'HTTP/2') {
    // RFC 9112 6.3: a body is there only if a length or chunks say so
    if (!downstream.isBodyEmpty() && !headers.has('content-length')) {
      headers.insertUnchecked('Transfer-Encoding', 'chunked');
    }
    // RFC 9110 10.1.4: what the client's connection can do says nothing of this one
    headers.remove('te');
    // RFC 7540 3.2.1: it belonged to an upgrade to HTTP/2; only a mistaken client sends it over HTTP/2
    headers.remove('http2-settings');
    // `:authority` became no field on its way here
    if (!headers.has('host')) headers.insertUnchecked('Host', request.authority ?? '');
  } else {
    removeHopByHop(headers, 'request', downstream.isUpgradeReq());
    // RFC 9110 7.2: an HTTP/1.0 client may have none; an HTTP/1.1 request has one, empty if nothing is known
    if (request.version === 'HTTP/1.0' && !headers.has('host')) headers.insertUnchecked('Host', '');
  }
  // RFC 9110 6.2: the version is that of the sender, which is the proxy
  request.setVersion('HTTP/1.1');
  return request;
}

/** The origin's half: reads its response, writes the request's body to it. */
const proxyHandleUpstream = rust.fn('HttpProxy::proxy_handle_upstream', function* (exchange: H1Exchange): Future<void> {
  const { client, toDownstream: tx, toUpstream: rx } = exchange;
  let requestDone = false;
  let responseDone = false;
  /** The request's body could not be sent on; the origin may have answered nevertheless (RFC 9112 9.5). */
  let unsent: PingoraError | undefined;
  try {
    while (!requestDone || !responseDone) {
      // `select!`: the response, while there is room for it. The original waits for the room in the branch itself,
      // and sends nothing meanwhile.
      const room = responseDone ? PENDING : tx.pollReserve();
      if (room !== PENDING) {
        let task: Poll<HttpTask>;
        try {
          task = client.readResponseTask();
        } catch (thrown) {
          // The other half deals with it, after what came before. If it is gone, nobody has to.
          tx.trySend(HttpTask.Failed(unsent ?? PingoraError.from(thrown).intoUp()));
          return;
        }
        if (task !== PENDING) {
          responseDone = HttpTask.isEnd(task);
          // RFC 9110 7.8: the request had a body, and the new protocol comes behind it
          if (requestDone && unsent === undefined && client.isTunnel()) requestDone = false;
          if (!tx.trySend(task) && !client.isUpgradeReq()) {
            throw PingoraError.explain(ErrorType.InternalError, 'Failed to send upstream header to pipe');
          }
          continue;
        }
      }
      if (responseDone && exchange.refused) break;
      if (!requestDone && responseDone && !client.wasUpgraded() && client.stream.pollEnded() !== PENDING) {
        // RFC 9112 9.5: it has answered and closed, and takes no more. The original waits for the rest of the body.
        exchange.bodyLeft = true;
        currentWaker().wake(); // the other half, which doesn't wait for room
        break;
      }
      // `select!`: the request's body, once the origin has taken what was written before. The original waits for
      // that in the branch itself, and reads nothing meanwhile: an origin that answers before it reads would stall.
      if (!requestDone) {
        let task: Poll<HttpTask | undefined>;
        const tunnel = client.isTunnel();
        try {
          task = client.pollDrained() === PENDING ? PENDING : rx.pollRecv();
          if (task !== PENDING) {
            if (task === undefined && exchange.refused) break;
            if (exchange.trailers !== undefined) client.setRequestTrailers(exchange.trailers);
            // pieces that have come together leave together (docs/PERFORMANCE.md)
            if (rx.length > 0) client.stream.hold();
            requestDone = sendBodyTo1(client, task);
            if (rx.length === 0) client.stream.release();
          }
        } catch (thrown) {
          unsent = PingoraError.from(thrown).intoUp();
          if (!unsent.etype().is(ErrorType.WriteError)) throw unsent;
          exchange.bodyLeft = true;
          requestDone = true;
          rx.closeReceiver();
        }
        // an upgraded connection ends when either side ends
        if (requestDone && client.wasUpgraded()) {
          if (tunnel || unsent !== undefined) responseDone = true;
          else requestDone = false; // it was the request's body
        }
        if (task !== PENDING) continue;
      }
      yield;
    }
  } finally {
    client.stream.release();
    client.dropRead();
    tx.close();
    rx.closeReceiver();
  }
});

/** The client's half: reads the request's body, filters the response and writes it. */
const proxyHandleDownstream = rust.fn(
  'HttpProxy::proxy_handle_downstream',
  function* (exchange: H1Exchange): Future<void> {
    const { proxy, downstream, toUpstream: tx, toDownstream: rx } = exchange;
    const filters = proxy.hooks.filtersRequestBody;
    try {
      let downstreamState = DownstreamStateMachine.new(downstream.isBodyDone());
      const buffer = downstream.getRetryBuffer();
      // another try sends what was kept of the body; a request without one says so
      if (buffer !== undefined || downstream.isBodyEmpty()) {
        const end = downstreamState.isDone();
        if (end) exchange.trailers = requestTrailers(downstream);
        const kept = filters && !downstream.isBodyEmpty() ? yield* exchange.filterBody(buffer, end) : buffer;
        sendBodyToPipe(kept, end, tx);
      }
      const responseState = ResponseStateMachine.new();

      while (!downstreamState.isDone() || !responseState.isDone()) {
        // `select!`: the body, only while there is room for it: else both halves could wait for each other.
        const permit = downstreamState.canPoll() ? tx.pollReserve() : PENDING;
        // without a receiver nobody wants the rest of the body, but whether the client is there still matters
        if (permit === true || (permit === false && downstreamState.isDone())) {
          let data = exchange.nextOfBody(downstreamState.isDone());
          if (data !== PENDING) {
            const end = downstream.isBodyDone();
            if (filters) data = yield* exchange.filterBody(data, end);
            if (end) exchange.trailers = requestTrailers(downstream);
            // the client has ended an upgraded connection: that is its normal end
            if (data === undefined && downstream.isTunnel()) responseState.maybeSetUpstreamDone(true);
            downstreamState.maybeFinished(sendBodyToPipe(data, end, tx));
            if (downstream.beginTunnel()) downstreamState = DownstreamStateMachine.new(false);
            continue;
          }
        } else if (permit === PENDING && downstreamState.canPoll()) {
          exchange.waitForRoom();
        } else if (permit === false && responseState.isDone()) {
          // The origin's half is gone and took the response's end with it: nobody wants the rest of the body.
          break;
        }
        if (responseState.isDone() && exchange.isOver()) break;
        // `select!`: the response, once the client has taken what was written before. The original waits for that in
        // the branch itself, and reads nothing meanwhile.
        if (!responseState.upstreamDone() && exchange.clientTakesMore()) {
          const tasks = rx.pollRecvAll();
          if (tasks === undefined) {
            responseState.maybeSetUpstreamDone(true);
            continue;
          }
          if (tasks !== PENDING) {
            responseState.maybeSetUpstreamDone(yield* exchange.filterAndWrite(tasks, h1ResponseFilter));
            // an upgrade that was refused has no body left to read; one that was agreed to may have had one
            if (!responseState.isDone() && downstream.beginTunnel())
              downstreamState = DownstreamStateMachine.new(false);
            else downstreamState.maybeFinished(downstream.isBodyDone());
            if (responseState.upstreamDone() && exchange.refused) break;
            continue;
          }
        }
        yield;
      }
      yield* exchange.finishResponse(log);
    } finally {
      exchange.ended();
      downstream.dropRead();
      tx.close();
      rx.closeReceiver();
    }
  },
);

const h1ResponseFilter = rust.fn('HttpProxy::h1_response_filter', function* <
  CTX,
>(proxy: ProxyFilters<CTX>, session: Session, task: HttpTask, ctx: CTX): Future<HttpTask> {
  proxy.upstreamFilter(session, task, ctx);
  if (task.type === 'Trailer') return yield* filterTrailers(proxy, session, task, ctx);
  if (task.type === 'Body') return yield* filterResponseBody(proxy, session, task, ctx);
  if (task.type !== 'Header') return task;
  const { header, end } = task;
  const { headers, status } = header;
  removeHopByHop(headers, 'response', status === 101);
  // A body without a length is sent in chunks, so that the client's connection can be kept.
  const hasBody =
    session.reqHeader().method !== 'HEAD' && status !== 204 && status !== 304 && !end && !header.isInformational;
  if (hasBody) ensureFramed(headers);
  if (status === 100) session.continued = true;
  const filtered = proxy.hooks.responseFilter(session, header, ctx);
  if (filtered instanceof Promise) yield* until(filtered);
  // a filter may have left the head without the length that its body had
  if (hasBody && proxy.hooks.filtersResponse) ensureFramed(headers);
  return task;
});

/** Hand a piece of the request's body to the origin's half. Returns whether it was the last. */
const sendBodyToPipe = rust.fn(
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

/** Write a piece of the request's body to the origin. Returns whether it was the last. Throws `WriteError`. */
const sendBodyTo1 = rust.fn('proxy_h1::send_body_to1', (client: HttpSessionV1, task: HttpTask | undefined): boolean => {
  // the sender is gone: there is no more
  let end = true;
  if (task?.type === 'Body') {
    end = task.end;
    if (task.data !== undefined && client.writeBody(task.data) === undefined) {
      log.warn('Upstream body is already finished. Nothing to write');
    }
  } else if (task !== undefined) log.warn('Unexpected task sent to upstream');
  if (end) client.finishBody();
  return end;
});

/**
 * The exchange with an HTTP/2 origin: two halves that meet in a channel.
 *
 * Port of `pingora-proxy/src/proxy_h2.rs`.
 */

import { ErrorType, PingoraError } from '../error/lib.ts';
import type { RequestHeader, ResponseHeader } from '../http/lib.ts';
import { Log } from '../log.ts';
import { removeHopByHop, saysBody } from '../protocols/h1/common.ts';
import type { Http2Session } from '../protocols/h2/client.ts';
import { HttpTask } from '../protocols/http/mod.ts';
import type { Session as ServerSession } from '../protocols/http/server.ts';
import { type Future, tryJoin, until } from '../runtime/future.ts';
import { PENDING, type Poll } from '../runtime/poll.ts';
import { Channel } from '../runtime/sync.ts';
import { ported } from '../tracing/span.ts';
import type { HttpPeer } from '../upstreams/peer.ts';
import { filterResponseBody } from './body-filter.ts';
import { Exchange } from './exchange.ts';
import type { ProxyFilters } from './hooks.ts';
import { DownstreamStateMachine, type Outcome, ResponseStateMachine, TASK_BUFFER_SIZE } from './proxy-common.ts';
import type { Session } from './session.ts';
import { filterTrailers, requestTrailers } from './trailers.ts';

const rust = ported('pingora-proxy/src/proxy_h2.rs');
const log = new Log('pingora_proxy::proxy_h2');

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

/**
 * The host of a request that names none, as HTTP/1.0 and an empty Host do: the origin's own, by its name if it has one.
 * RFC 9112 3.3 lets a server take a configured default; nginx too names its upstream. Left out, the request would be
 * refused by most servers (nginx: 400).
 */
function authorityOf(peer: HttpPeer): string {
  const address = peer.address();
  const name = peer.sni();
  if (address.kind === 'unix') return name === '' ? 'localhost' : name;
  const authority = name === '' ? address.toString() : `${name}:${address.port}`;
  return authority.replace(/:443$/, ''); // the scheme is https
}

/** Set `:authority` from `host`, which is Host as the filters have left it. */
function setAuthority(session: Session, request: RequestHeader, host: string | undefined, peer: HttpPeer): void {
  if (!host && request.authority === undefined && !session.reqHeader().headers.get('host')) {
    updateH2SchemeAuthority(request, authorityOf(peer));
    return;
  }
  if (host === undefined) return;
  try {
    updateH2SchemeAuthority(request, host);
  } catch (error) {
    // The client's mistake if it was in its head, and else a filter's. An HTTP/2 client's would not have come so far.
    const head = host === '' ? undefined : session.downstreamSession.asHttp1()?.getHeadersRawBytes();
    throw head?.includes(host, 0, 'latin1') ? PingoraError.from(error).intoDown() : error;
  }
}

/** An exchange with an HTTP/2 origin. */
type H2Exchange = Exchange<any, Http2Session, undefined>;

export const proxyToH2Upstream = rust.fn('HttpProxy::proxy_to_h2_upstream', function* <
  CTX,
>(proxy: ProxyFilters<CTX>, session: Session, client: Http2Session, reused: boolean, peer: HttpPeer, ctx: CTX): Future<Outcome> {
  try {
    const told = proxy.hooks.connectedToUpstream(session, reused, peer, client.id(), client.digest(), ctx);
    if (told instanceof Promise) yield* until(told);
  } catch (error) {
    return { reuse: false, error: PingoraError.from(error) };
  }
  return yield* proxy1to2(proxy, session, client, reused, peer, ctx);
});

const proxy1to2 = rust.fn('HttpProxy::proxy_1to2', function* <
  CTX,
>(proxy: ProxyFilters<CTX>, session: Session, client: Http2Session, reused: boolean, peer: HttpPeer, ctx: CTX): Future<Outcome> {
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
    if (filtered instanceof Promise) yield* until(filtered);

    // Some servers take no Host beside `:authority`. It goes only now, for filters know nothing else to set.
    const host = headers.remove('host');
    session.upstreamCompression.requestFilter(request);
    // RFC 9113 8.6: no protocol is switched to, and nothing follows a request that asked for one but its own body. In the
    // original its end is never sent, and a server may wait for that.
    const asksInVain = downstream.isUpgradeReq() && !saysBody(session.reqHeader().headers);
    bodyEmpty = asksInVain || downstream.isBodyEmpty();
    setAuthority(session, request, host, peer);
  } catch (error) {
    return { reuse: false, error: PingoraError.from(error) };
  }

  try {
    // some servers want the end of a request without a body in a frame of its own
    const { noHeaderEos } = peer.options;
    client.writeRequestHeader(request, bodyEmpty && !noHeaderEos);
    if (bodyEmpty && noHeaderEos) client.writeRequestBody(EMPTY, true);
  } catch (error) {
    const failed = PingoraError.from(error).intoUp();
    // nothing was sent: what must not be done twice may be sent on another connection, too
    failed.decideReuse(reused);
    return { reuse: false, error: failed };
  }
  client.readTimeout = peer.options.readTimeout;
  downstream.enableRetryBuffering();

  const toDownstream = new Channel<HttpTask>(TASK_BUFFER_SIZE, 'response');
  const exchange = new Exchange(proxy, session, client, ctx, undefined, toDownstream);
  try {
    yield* tryJoin(bidirection1to2(exchange), pipe2to1Response(client, exchange.toDownstream));
  } catch (error) {
    return { reuse: false, error: PingoraError.from(error) };
  }
  return { reuse: true, error: undefined };
});

/** The client's half: sends the request's body on, filters the response and writes it. */
const bidirection1to2 = rust.fn('HttpProxy::bidirection_1to2', function* (exchange: H2Exchange): Future<void> {
  const { proxy, downstream, client, toDownstream: rx } = exchange;
  const filters = proxy.hooks.filtersRequestBody;
  try {
    const downstreamState = DownstreamStateMachine.new(downstream.isBodyDone());
    const buffer = downstream.getRetryBuffer();
    // another try sends what was kept of the body
    if (buffer !== undefined) {
      const end = downstreamState.isDone();
      const kept = filters ? yield* exchange.filterBody(buffer, end) : buffer;
      sendBodyTo2(client, downstream, kept, end);
    }
    const responseState = ResponseStateMachine.new();

    while (!downstreamState.isDone() || !responseState.isDone()) {
      // `select!`: the body, once the server has taken what was sent before: here is the backpressure. The original
      // waits for that in the branch itself, and reads no response meanwhile.
      if (downstreamState.canPoll()) {
        try {
          const data =
            client.pollDrained() === PENDING ? exchange.waitForRoom() : exchange.nextOfBody(downstreamState.isDone());
          if (data !== PENDING) {
            const end = data === undefined || downstream.isBodyDone();
            const filtered = filters ? yield* exchange.filterBody(data, end) : data;
            downstreamState.maybeFinished(sendBodyTo2(client, downstream, filtered, end));
            continue;
          }
        } catch (error) {
          if (PingoraError.from(error).esource() === 'Downstream' || !client.isClosed()) throw error;
          // The server ends the stream before the body's end. If it has answered, the answer counts (RFC 9113 8.1);
          // if it hasn't, the half that reads the response says why. The original fails a response that was complete.
          log.debug(() => `upstream takes no more of the request body: ${error}`);
          downstreamState.toErrored();
          continue;
        }
      }
      // The server has answered and takes no more: nobody wants the rest of the body.
      if (responseState.isDone() && (client.pollClosed() !== PENDING || exchange.isOver())) break;
      // `select!`: the response, once the client has taken what was written before.
      if (!responseState.upstreamDone() && exchange.clientTakesMore()) {
        const tasks = rx.pollRecvAll();
        if (tasks === undefined) {
          responseState.maybeSetUpstreamDone(true);
          continue;
        }
        if (tasks !== PENDING) {
          exchange.bodyLeft ||= client.isClosed();
          responseState.maybeSetUpstreamDone(yield* exchange.filterAndWrite(tasks, h2ResponseFilter));
          if (responseState.isDone() && exchange.refused) break;
          continue;
        }
      }
      yield;
    }

    yield* exchange.finishResponse(log);
  } finally {
    exchange.ended();
    downstream.dropRead();
    rx.closeReceiver();
  }
});

const h2ResponseFilter = rust.fn('HttpProxy::h2_response_filter', function* <
  CTX,
>(proxy: ProxyFilters<CTX>, session: Session, task: HttpTask, ctx: CTX): Future<HttpTask> {
  proxy.upstreamFilter(session, task, ctx);
  if (task.type === 'Trailer') return yield* filterTrailers(proxy, session, task, ctx);
  if (task.type === 'Body') return yield* filterResponseBody(proxy, session, task, ctx);
  if (task.type !== 'Header') return task;
  if (task.header.status === 100) session.continued = true;
  const filtered = proxy.hooks.responseFilter(session, task.header, ctx);
  if (filtered instanceof Promise) yield* until(filtered);
  asH1(session, task);
  return task;
});

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
const sendBodyTo2 = rust.fn(
  'proxy_h2::send_body_to2',
  (client: Http2Session, downstream: ServerSession, data: Buffer | undefined, endOfBody: boolean): boolean => {
    const end = data === undefined || endOfBody;
    if (!end && data.length === 0) return false; // a filter holds it back, or nothing came
    if (end) {
      const trailers = requestTrailers(downstream);
      if (trailers !== undefined) client.setRequestTrailers(trailers);
    }
    try {
      client.writeRequestBody(data ?? EMPTY, end);
    } catch (error) {
      throw PingoraError.from(error).intoUp();
    }
    return end;
  },
);

/** The origin's half: its response's head, body and trailers into the channel. */
const pipe2to1Response = rust.fn(
  'proxy_h2::pipe_2to1_response',
  function* (client: Http2Session, tx: Channel<HttpTask>): Future<void> {
    try {
      // RFC 9110 15.2: any number of interim heads before the one that counts
      let header: ResponseHeader;
      do {
        try {
          while (client.readResponseHeader() === PENDING) yield;
        } catch (thrown) {
          throw PingoraError.from(thrown).intoUp();
        }
        header = client.responseHeader()!.clone();
        yield* sendToPipe(tx, HttpTask.Header(header, client.responseFinished()), 'sending h2 headers to pipe');
      } while (header.isInformational);

      for (;;) {
        let data: Poll<Buffer | undefined>;
        try {
          data = client.readResponseBody();
          while (data === PENDING) {
            yield;
            data = client.readResponseBody();
          }
        } catch (thrown) {
          if (tx.isReceiverGone) throw thrown;
          // The other half deals with it, after what came before.
          yield* sendUnlessGone(tx, HttpTask.Failed(PingoraError.from(thrown).intoUp()));
          return;
        }
        if (data === undefined) break;
        // nothing for now; an HTTP/1 client would take an empty chunk for the last one
        if (data.length === 0 && !client.responseFinished()) continue;
        yield* sendToPipe(tx, HttpTask.Body(data, endsHere(client)), 'sending h2 body to pipe');
      }

      const trailers = client.readTrailers();
      if (trailers !== undefined) {
        yield* sendToPipe(tx, HttpTask.Trailer(trailers), 'sending h2 trailer to pipe');
      }
      yield* sendUnlessGone(tx, HttpTask.Done);
    } finally {
      client.dropRead();
      tx.close();
    }
  },
);

/** Whether nothing follows what was read: not even trailers. */
function endsHere(client: Http2Session): boolean {
  return client.responseFinished() && client.readTrailers() === undefined;
}

function* sendToPipe(tx: Channel<HttpTask>, task: HttpTask, context: string): Future<void> {
  if (!(yield* tx.send(task))) {
    throw PingoraError.because(ErrorType.InternalError, context, new Error('channel closed'));
  }
}

function* sendUnlessGone(tx: Channel<HttpTask>, task: HttpTask): Future<void> {
  if (!(yield* tx.send(task))) log.debug('h2 to h1 channel closed!');
}

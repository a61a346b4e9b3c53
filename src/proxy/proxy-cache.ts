/**
 * The cache's place in the proxy: present, and off.
 *
 * 0.1.0 keeps its cache experimental and off unless an application enables it. The port has the steps where the cache
 * would act, so that the order of things is the original's, and no cache.
 *
 * Port of `pingora-proxy/src/proxy_cache.rs` and `proxy_purge.rs`.
 */
import { PingoraError } from '../error/lib.ts';
import { ResponseHeader } from '../http/lib.ts';
import { Log } from '../log.ts';
import { type HttpTask, SERVER_NAME } from '../protocols/http/mod.ts';
import { ported } from '../tracing/span.ts';
import type { ProxyFilters } from './hooks.ts';
import type { Outcome } from './proxy-common.ts';
import type { Session } from './session.ts';

const rust = ported('pingora-proxy/src/proxy_cache.rs');
const purge = ported('pingora-proxy/src/proxy_purge.rs');
const log = new Log('pingora_proxy::proxy_cache');

/** Look into the cache. Undefined: the request goes to the origin. */
export const proxyCache = rust.fn(
  'HttpProxy::proxy_cache',
  <CTX>(proxy: ProxyFilters<CTX>, session: Session, ctx: CTX): Outcome | undefined => {
    try {
      proxy.hooks.requestCacheFilter(session, ctx);
    } catch (error) {
      log.warn(`Fail to request_cache_filter: ${error}, ${proxy.hooks.requestSummary(session, ctx)}`);
    }
    return proxy.hooks.isPurge(session, ctx) ? writeNoPurgeResponse(session) : undefined;
  },
);

/** Nothing can be removed from a cache that isn't there: 405. */
const writeNoPurgeResponse = purge.fn('proxy_purge::write_no_purge_response', (session: Session) =>
  writePurgeResponse(session, genPurgeResponse(405)),
);

const genPurgeResponse = purge.fn('proxy_purge::gen_purge_response', (code: number): ResponseHeader => {
  const response = ResponseHeader.build(code);
  response.insertHeader('Server', SERVER_NAME);
  response.insertHeader('Content-Length', 0);
  response.insertHeader('Cache-Control', 'private, no-store');
  return response;
});

const writePurgeResponse = purge.fn(
  'proxy_purge::write_purge_response',
  (session: Session, response: ResponseHeader): Outcome => {
    try {
      session.downstreamSession.writeResponseHeaderRef(response);
      return { reuse: true, error: undefined };
    } catch (error) {
      return { reuse: false, error: PingoraError.from(error).intoDown() };
    }
  },
);

/** Whether the cache's copy is to be served instead of the origin's response: never, without a cache. */
export const revalidateOrStale = rust.fn(
  'HttpProxy::revalidate_or_stale',
  <CTX>(_proxy: ProxyFilters<CTX>, _session: Session, _task: HttpTask, _ctx: CTX): boolean => false,
);

/**
 * Trailer fields on their way through the proxy.
 *
 * The port's own: 0.1.0 drops those of HTTP/1 and sends none that come over HTTP/2.
 */
import { type HMap, lowerName } from '../http/lib.ts';
import { Log } from '../log.ts';
import { HttpTask } from '../protocols/http/mod.ts';
import type { Session as ServerSession } from '../protocols/http/server.ts';
import { type Future, until } from '../runtime/future.ts';
import type { ProxyFilters } from './hooks.ts';
import type { Session } from './session.ts';

const log = new Log('pingora_proxy');

/**
 * What frames, routes, authenticates or describes a message has to be known before its body: a recipient that merges
 * trailers into the head would act on it too late, or twice (RFC 9110 6.5.1).
 */
const FORBIDDEN = new Set([
  'authorization',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'max-forwards',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'www-authenticate',
]);

/** Take out of `trailers` what can't be one. Undefined if nothing is left. */
function forwardable(trailers: HMap | undefined): HMap | undefined {
  if (trailers === undefined) return undefined;
  for (let i = trailers.length - 1; i >= 0; i--) {
    const name = trailers.names[i];
    if (name !== undefined && FORBIDDEN.has(lowerName(name))) trailers.remove(name);
  }
  return trailers.length > 0 ? trailers : undefined;
}

/** The trailers of a request whose body was read to its end, of either version, as far as they can be sent on. */
export function requestTrailers(downstream: ServerSession): HMap | undefined {
  return forwardable(downstream.asHttp1()?.requestTrailers ?? downstream.asHttp2()?.reqTrailers());
}

/** Pass a response's trailers to the application. The session with the client decides whether it can send them. */
export function* filterTrailers<CTX>(
  proxy: ProxyFilters<CTX>,
  session: Session,
  task: HttpTask & { type: 'Trailer' },
  ctx: CTX,
): Future<HttpTask> {
  const trailers = forwardable(task.trailers);
  if (trailers === undefined) return HttpTask.Done;
  try {
    const filtered = proxy.hooks.responseTrailerFilter(session, trailers, ctx);
    const buffer = filtered instanceof Promise ? yield* until(filtered) : filtered;
    // an application may send them as the end of the body, as gRPC-Web does
    if (buffer !== undefined) return HttpTask.Body(buffer, true);
  } catch (error) {
    log.error(`Encountered error while filtering upstream trailers ${error}`);
    return HttpTask.Done;
  }
  return HttpTask.Trailer(trailers);
}

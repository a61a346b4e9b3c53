/**
 * What an application's filters do to bodies.
 *
 * The port's own: 0.1.0's filters look at a body and can't change it, and there is none for the request's.
 */
import type { HMap } from '../http/lib.ts';
import { HttpTask } from '../protocols/http/mod.ts';
import type { Future } from '../runtime/future.ts';
import { sleeping } from '../timeout/sleeping.ts';
import type { ProxyFilters } from './hooks.ts';
import type { MaybePromise } from './proxy-trait.ts';
import type { Session } from './session.ts';

type Body = HttpTask & { type: 'Body' };

/** Run `responseBodyFilter`; the filters that see the origin's body have run. */
export function* filterResponseBody<CTX>(
  proxy: ProxyFilters<CTX>,
  session: Session,
  task: Body,
  ctx: CTX,
): Future<HttpTask> {
  if (task.end) session.responseBodyFiltered = true;
  const filtered = proxy.hooks.responseBodyFilter(session, task.data, ctx, task.end);
  if (typeof filtered === 'number') yield* sleeping(filtered);
  else if (filtered !== undefined) task.data = filtered;
  return task;
}

/**
 * Tell the filters of a body that ended without a last piece, as chunked ones do. Returns what they still have to say,
 * which goes before it. To be asked only where {@link endsUnseen} says so.
 */
export function* endResponseBody<CTX>(proxy: ProxyFilters<CTX>, session: Session, ctx: CTX): Future<HttpTask[]> {
  const last = HttpTask.Body(undefined, true) as Body;
  proxy.upstreamFilter(session, last, ctx);
  yield* filterResponseBody(proxy, session, last, ctx);
  // trailers may follow
  return last.data === undefined ? [] : [HttpTask.Body(last.data, false)];
}

/** Whether the body ends with this task and its filters don't know. */
export function endsUnseen<CTX>(proxy: ProxyFilters<CTX>, session: Session, task: HttpTask): boolean {
  return (
    proxy.hooks.filtersResponseBody &&
    !session.responseBodyFiltered &&
    (task.type === 'Done' || task.type === 'Trailer')
  );
}

/** Run `requestBodyFilter`, for an application that has one. Returns what goes to the origin. */
export function filterRequestBody<CTX>(
  proxy: ProxyFilters<CTX>,
  session: Session,
  data: Buffer | undefined,
  end: boolean,
  ctx: CTX,
): MaybePromise<Buffer | undefined> {
  const filtered = proxy.hooks.requestBodyFilter(session, data, end || data === undefined, ctx);
  if (filtered instanceof Promise) return filtered.then((replaced) => replaced ?? data);
  return filtered ?? data;
}

/** A body that a filter has left without a length is sent in chunks: else it would end with the connection. */
export function ensureFramed(headers: HMap): void {
  if (!isFramed(headers)) headers.insertUnchecked('Transfer-Encoding', 'chunked');
}

/** Whether the head says where the body ends. */
export function isFramed(headers: HMap): boolean {
  return headers.has('content-length') || headers.has('transfer-encoding');
}

/**
 * What exchanges with origins of both HTTP versions have in common: reading the request's body on, and filtering and
 * writing the pieces of the response.
 *
 * The port's own: the original repeats it in `proxy_h1.rs` and `proxy_h2.rs`.
 */
import { PingoraError } from '../error/lib.ts';
import type { HttpTask } from '../protocols/http/mod.ts';
import type { Session as ServerSession } from '../protocols/http/server.ts';
import { Cancelled } from '../runtime/cancelled.ts';
import type { Kept } from '../runtime/sync.ts';
import { tracing } from '../tracing/recorder.ts';
import { endResponseBody, endsUnseen } from './body-filter.ts';
import type { HttpProxy, Session } from './lib.ts';
import { revalidateOrStale } from './proxy-cache.ts';

type MaybePromise<T> = T | Promise<T>;

/**
 * The next piece of the request's body, undefined at its end. Null: there is none yet, and `body` is pending. Once the
 * body has been read (`done`) it is that until the client leaves, and this throws.
 */
export function nextOfBody(
  downstream: ServerSession,
  body: Kept<Buffer | undefined>,
  done: boolean,
): Buffer | undefined | null {
  try {
    if (body.ready) return body.take();
    if (!body.idle) return null;
    if (done && tracing.recorder === null) {
      downstream.failWhenClientLeaves(body);
      return null;
    }
    const read = downstream.readBodyOrIdle(done);
    if (!(read instanceof Promise)) return read;
    body.start(read);
    return null;
  } catch (thrown) {
    throw thrown instanceof Cancelled ? thrown : PingoraError.from(thrown).intoDown();
  }
}

/** `h1_response_filter` or `h2_response_filter`. */
export type ResponseFilter = <CTX>(
  proxy: HttpProxy<CTX>,
  session: Session,
  task: HttpTask,
  ctx: CTX,
) => MaybePromise<HttpTask>;

/** Filter and write `tasks`, whose first `done` are filtered. Returns whether the response ended with them. */
export function filterAndWrite<CTX>(
  proxy: HttpProxy<CTX>,
  session: Session,
  tasks: HttpTask[],
  ctx: CTX,
  filter: ResponseFilter,
  done = 0,
): MaybePromise<boolean> {
  for (let i = done; i < tasks.length; i++) {
    const task = tasks[i]!;
    revalidateOrStale(proxy, session, task, ctx);
    const transformed = session.upstreamCompression.responseFilter(task) ?? task;
    if (endsUnseen(proxy, session, transformed)) {
      const rest = endResponseBody(proxy, session, ctx);
      const goOn = (before: HttpTask[]) => {
        tasks.splice(i, 0, ...before);
        return filterAndWrite(proxy, session, tasks, ctx, filter, i + before.length);
      };
      return rest instanceof Promise ? rest.then(goOn) : goOn(rest);
    }
    const filtered = filter(proxy, session, transformed, ctx);
    if (filtered instanceof Promise) {
      return filtered.then((result) => {
        tasks[i] = result;
        return filterAndWrite(proxy, session, tasks, ctx, filter, i + 1);
      });
    }
    tasks[i] = filtered;
  }
  return session.writeResponseTasks(tasks);
}

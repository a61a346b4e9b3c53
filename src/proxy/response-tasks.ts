/**
 * What both kinds of exchange do with the pieces of a response: filter them one after the other, then write them all.
 *
 * The port's own: the original repeats it in `proxy_h1.rs` and `proxy_h2.rs`.
 */
import type { HttpTask } from '../protocols/http/mod.ts';
import { endResponseBody, endsUnseen } from './body-filter.ts';
import type { HttpProxy, Session } from './lib.ts';
import { revalidateOrStale } from './proxy-cache.ts';

type MaybePromise<T> = T | Promise<T>;

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

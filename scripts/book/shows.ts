/** What a chapter says that a trace must show, and whether it does. */
import type { TraceDocument, TraceSpan } from '../../src/tracing/model.ts';

/** One thing that a trace must show. Names are Pingora's; a task goes by the beginning of its name. */
export type Show =
  /** The function is called, if `times` is given so often; `under` another, anywhere above it, across tasks. */
  | { call: string; under?: string; times?: number; status?: 'ok' | 'error' | 'cancelled' }
  /** The first call of one begins before the first call of the other. */
  | { call: string; before: string }
  /** Two calls of these functions were open at the same time. */
  | { overlap: [string, string] }
  | { task: string; spawnedBy: string; times?: number }
  /** The first task of one name begins before the first of the other. */
  | { task: string; beforeTask: string }
  /** The function isn't called, anywhere or under another. */
  | { absent: string; under?: string };

export interface Shows {
  scenario: string;
  shows: Show[];
}

const KEYS = new Set([
  'call',
  'under',
  'before',
  'times',
  'status',
  'overlap',
  'task',
  'spawnedBy',
  'beforeTask',
  'absent',
]);

/** Why the trace doesn't show it; null if it does. */
export function missing(trace: TraceDocument, show: Show): string | null {
  for (const key of Object.keys(show)) if (!KEYS.has(key)) throw new Error(`no assertion '${key}'`);
  const byId = new Map(trace.spans.map((span) => [span.id, span]));
  const calls = (fn: string) => trace.spans.filter((span) => span.fn === fn);
  const isUnder = (span: TraceSpan, fn: string) => {
    for (let at = span.parent; at !== null; at = byId.get(at)!.parent) if (byId.get(at)!.fn === fn) return true;
    return false;
  };
  const count = (found: unknown[], times: number | undefined, what: string) => {
    if (times === undefined ? found.length > 0 : found.length === times) return null;
    return `${what}: ${found.length} times${times === undefined ? '' : `, not ${times}`}`;
  };

  if ('overlap' in show) {
    const [first, second] = show.overlap;
    const end = (span: TraceSpan) => span.end ?? Number.POSITIVE_INFINITY;
    const both = calls(first).some((a) =>
      calls(second).some(
        (b) => a !== b && a.start < end(b) && b.start < end(a) && !isUnder(b, a.fn) && !isUnder(a, b.fn),
      ),
    );
    return both ? null : `no call of ${first} overlaps one of ${second}`;
  }
  if ('beforeTask' in show) {
    const at = (name: string) => trace.tasks.findIndex((task) => task.name.startsWith(name));
    const [first, second] = [at(show.task), at(show.beforeTask)];
    if (first < 0 || second < 0) return `no task '${first < 0 ? show.task : show.beforeTask}'`;
    return first < second ? null : `task '${show.beforeTask}' begins before '${show.task}'`;
  }
  if ('task' in show) {
    const found = trace.tasks.filter(
      ({ name, spawnedBy }) =>
        name.startsWith(show.task) && spawnedBy !== null && byId.get(spawnedBy)!.fn === show.spawnedBy,
    );
    return count(found, show.times, `task '${show.task}' spawned by ${show.spawnedBy}`);
  }
  if ('absent' in show) {
    const { absent, under } = show;
    const found = calls(absent).filter((span) => under === undefined || isUnder(span, under));
    return found.length === 0 ? null : `${absent} is called${under === undefined ? '' : ` under ${under}`}`;
  }
  if ('before' in show) {
    const [first] = calls(show.call);
    const [second] = calls(show.before);
    if (first === undefined || second === undefined) return `${first ? show.before : show.call} is never called`;
    return trace.spans.indexOf(first) < trace.spans.indexOf(second) ? null : `${show.before} comes before ${show.call}`;
  }
  const { call, under, status, times } = show;
  const found = calls(call).filter(
    (span) => (under === undefined || isUnder(span, under)) && (status === undefined || span.status === status),
  );
  return count(found, times, [call, under && `under ${under}`, status && `with ${status}`].filter(Boolean).join(' '));
}

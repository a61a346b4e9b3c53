/** From what a recorder holds to a trace document. */
import type { Waking } from './events.ts';
import { type TraceDocument, type TraceEvent, type TraceSpan, type TraceTask, VERSION } from './model.ts';
import type { Recorder, Task } from './recorder.ts';
import { SiteTable } from './sites.ts';

/** The version of Pingora that the port follows. */
export const PINGORA = '0.1.0';

/**
 * The trace so far. `apps` are the files that hold the application's hooks; `thread` is the process's number, if it is
 * one of several that serve together.
 *
 * Tasks are numbered along the tree of who spawned whom, not by the clock: two connections that race get the same
 * numbers in each run.
 */
export function exportTrace(recorder: Recorder, scenario: string, apps: string[] = [], thread = 0): TraceDocument {
  const table = new SiteTable(apps);
  const numbers = numberTasks(recorder.tasks);
  const tasks: TraceTask[] = [...numbers].map(([{ name, spawnedBy, start }, id]) => ({
    id,
    name,
    spawnedBy: spawnedBy?.id ?? null,
    start,
    ...(thread > 0 ? { thread } : {}),
  }));
  const spans: TraceSpan[] = recorder.spans.map(
    ({ id, site, parent, task, phase, start, end, status, attributes, runs, ...values }) => ({
      id,
      parent: parent?.id ?? null,
      task: numbers.get(task)!,
      phase,
      fn: site.fn,
      rust: table.rust(site),
      ts: table.ts(site),
      start,
      end,
      status,
      attributes,
      ...(runs && runs.length > 0 ? { runs } : {}),
      ...(values.in && { in: values.in }),
      ...(values.out && { out: values.out }),
      ...(values.changed && { changed: values.changed }),
      ...(values.error && { error: values.error }),
    }),
  );
  const began = Math.round(recorder.began * 1000) / 1000;
  return {
    version: VERSION,
    pingora: PINGORA,
    scenario,
    node: process.version,
    began,
    tasks,
    spans,
    ...eventsOf(recorder, spans),
  };
}

function numberTasks(tasks: readonly Task[]): Map<Task, number> {
  const numbers = new Map<Task, number>();
  const spawned = new Map<Task | null, Task[]>();
  for (const task of tasks) {
    const by = task.spawnedBy?.task ?? null;
    const siblings = spawned.get(by);
    if (siblings) siblings.push(task);
    else spawned.set(by, [task]);
  }
  const place = ({ spawnedBy }: Task) => spawnedBy?.id ?? 0;
  const visit = (task: Task) => {
    numbers.set(task, numbers.size + 1);
    const below = spawned.get(task) ?? [];
    for (const next of below.sort((a, b) => place(a) - place(b))) visit(next);
  };
  for (const root of spawned.get(null) ?? []) visit(root);
  return numbers;
}

/** What happened beside the calls, and what woke the tasks that waited. */
function eventsOf(
  { log, leftOut }: Recorder,
  spans: TraceSpan[],
): Pick<TraceDocument, 'connections' | 'events' | 'cut'> {
  const spansCut = leftOut > 0 ? { spans: leftOut } : undefined;
  if (log === null) return spansCut === undefined ? {} : { cut: spansCut };
  const { connections, wakings, cut } = log;
  const events = [...log.events, ...wakesOf(spans, wakings)].sort((a, b) => a.time - b.time);
  return {
    ...(connections.length > 0 && { connections }),
    ...(events.length > 0 && { events }),
    ...((leftOut > 0 || cut.events > 0 || cut.bytes > 0) && {
      cut: { ...spansCut, ...(cut.events > 0 && { events: cut.events }), ...(cut.bytes > 0 && { bytes: cut.bytes }) },
    }),
  };
}

/** What happened is the cause of a wake only if it was so many microseconds before, at the most. */
const AT_ONCE = 1000;

interface Run {
  from: number;
  to: number;
  span: number;
  task: number;
}

/**
 * Where a task goes on after it waited, and by what: the last thing before that wakes tasks, or the task that ran last.
 * Where nothing did nothing is said.
 */
function wakesOf(spans: readonly TraceSpan[], wakings: readonly Waking[]): TraceEvent[] {
  const runs: Run[] = spans.flatMap(({ id: span, task, runs: own = [] }) =>
    own.map(([from, to]) => ({ from, to, span, task })),
  );
  runs.sort((a, b) => a.from - b.from);
  const until = new Map<number, number>();
  const wakes: TraceEvent[] = [];
  let last: Run | undefined;
  let at = 0;
  for (const run of runs) {
    const { from, to, span, task } = run;
    const waited = until.get(task);
    while (at < wakings.length && wakings[at]!.time <= from) at++;
    if (waited !== undefined && from > waited) {
      const waking = wakings[at - 1];
      const happened = waking !== undefined && waking.time >= waited ? waking.time : 0;
      const ran = last !== undefined && last.task !== task ? last.to : 0;
      const by = ran > happened ? `task ${last!.task}` : waking?.by;
      if (by !== undefined && from - Math.max(ran, happened) <= AT_ONCE) {
        wakes.push({ kind: 'wake', time: from, span, task, by });
      }
    }
    until.set(task, Math.max(waited ?? 0, to));
    if (last === undefined || to > last.to || last.task === task) last = run;
  }
  return wakes;
}

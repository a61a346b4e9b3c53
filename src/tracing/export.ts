/** From what a recorder holds to a trace document. */
import { type TraceDocument, type TraceTask, VERSION } from './model.ts';
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
  const spans = recorder.spans.map(({ id, site, parent, task, phase, start, end, status, attributes, runs }) => ({
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
  }));
  const began = Math.round(recorder.began * 1000) / 1000;
  return { version: VERSION, pingora: PINGORA, scenario, node: process.version, began, tasks, spans };
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

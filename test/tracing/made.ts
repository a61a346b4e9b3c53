/** Traces made by hand. */
import type { TraceDocument, TraceSpan, TraceTask } from '../../src/tracing/model.ts';

/** A call: its Pingora name and file, what it called, and what else is to be said of it. */
export interface Made {
  fn: string;
  file?: string | null;
  /** Begins a task of this name, spawned by the call above. */
  task?: string;
  calls?: Made[];
  span?: Partial<TraceSpan>;
}

const FILE = 'pingora-core/src/server/mod.rs';

/** A trace of these calls: each begins 10 µs after the one before it and ends when its calls have. */
export function makeTrace(calls: Made[], scenario = 'made'): TraceDocument {
  const spans: TraceSpan[] = [];
  const tasks: TraceTask[] = [{ id: 1, name: 'main', spawnedBy: null, start: 0 }];
  let clock = 0;
  const add = ({ fn, file = FILE, task: name, calls: below = [], span }: Made, parent: TraceSpan | null) => {
    let task = parent?.task ?? 1;
    if (name !== undefined) {
      task = tasks.length + 1;
      tasks.push({ id: task, name, spawnedBy: parent?.id ?? null, start: clock + 5 });
    }
    clock += 10;
    const made: TraceSpan = {
      id: spans.length + 1,
      parent: parent?.id ?? null,
      task,
      phase: 'startup',
      fn,
      rust: file === null ? null : file === 'app' ? { file } : { file, line: 7 },
      ts: { file: 'src/server/mod.ts', line: 70 },
      start: clock,
      end: null,
      status: 'ok',
      attributes: {},
    };
    spans.push(made);
    for (const call of below) add(call, made);
    made.end = clock + 5;
    Object.assign(made, span);
  };
  for (const call of calls) add(call, null);
  return { version: 1, pingora: '0.1.0', scenario, node: 'v20.0.0', tasks, spans };
}

/** Pingora's record of a scenario in the form of a trace, to be compared with one. Its times only tell the order. */
import type { CallRecord, RecordedCall } from '../tracing/compare.ts';
import type { Phase, TraceDocument, TraceSpan, TraceTask } from '../tracing/model.ts';

const PHASES: readonly Phase[] = ['startup', 'request', 'shutdown'];

/** The record's calls. A root is a task of its own: who spawned it is not recorded. */
export function traceOfRecord(record: CallRecord): TraceDocument {
  const tasks: TraceTask[] = [];
  const spans: TraceSpan[] = [];
  let clock = 0;
  const add = ({ fn, at, calls = [] }: RecordedCall, parent: number | null, task: number, phase: Phase) => {
    const [file, line] = at.split(':');
    const span: TraceSpan = {
      id: spans.length + 1,
      parent,
      task,
      phase,
      fn,
      rust: line === undefined ? { file: 'app' } : { file: file!, line: Number(line) },
      ts: null,
      start: ++clock,
      end: null,
      status: 'ok',
      attributes: {},
    };
    spans.push(span);
    for (const call of calls) add(call, span.id, task, phase);
    span.end = ++clock;
  };
  for (const phase of PHASES) {
    for (const root of record[phase] ?? []) {
      const id = tasks.length + 1;
      tasks.push({ id, name: root.fn, spawnedBy: null, start: clock });
      add(root, null, id, phase);
    }
  }
  return {
    version: 2,
    pingora: '0.1.0',
    scenario: `${record.scenario} of Pingora 0.1.0`,
    node: 'v0.0.0',
    tasks,
    spans,
  };
}

/**
 * A trace as its record would be: each task begins for itself, functions that the record doesn't know are left out, and
 * calls made again count as one.
 */
export function asRecorded(trace: TraceDocument, record: TraceDocument): TraceDocument {
  const known = new Set(record.spans.map(({ fn, rust }) => `${rust?.file}#${fn}`));
  const byId = new Map(trace.spans.map((span) => [span.id, span]));
  const isKnown = ({ fn, rust }: TraceSpan) => known.has(`${rust?.file}#${fn}`);
  const callerOf = (span: TraceSpan): number | null => {
    const parent = span.parent === null ? undefined : byId.get(span.parent);
    if (parent === undefined || parent.task !== span.task) return null;
    return isKnown(parent) ? parent.id : callerOf(parent);
  };
  return {
    ...trace,
    scenario: `${trace.scenario} of the port`,
    spans: trace.spans.filter(isKnown).map((span) => ({ ...span, parent: callerOf(span) })),
  };
}

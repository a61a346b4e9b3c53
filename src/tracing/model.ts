/** The trace format, version 1: what a run of a scenario gives, and what everything that shows traces reads. */
import type { Phase, Status } from './recorder.ts';

export interface TraceTask {
  id: number;
  name: string;
  /** The span whose call spawned it; null for the main task. */
  spawnedBy: number | null;
  /** When it was spawned, in microseconds from the start of the trace. */
  start?: number;
  /** Which thread of the server it runs on; absent in the process that was started. */
  thread?: number;
}

export interface TraceSpan {
  id: number;
  /** The span that called this one; that spawned its task, for the first spans of a task. */
  parent: number | null;
  task: number;
  phase: Phase;
  /** Pingora's name for the function. */
  fn: string;
  /** Pingora's file and line; `app` for an application's hook; null for what only the port has. */
  rust: { file: string; line?: number } | null;
  /** The port's file and line; null for a hook whose source isn't known. */
  ts: { file: string; line: number } | null;
  /** Microseconds from the start of the trace. */
  start: number;
  /** Null for what never ended. */
  end: number | null;
  status: Status;
  attributes: Record<string, string | number | boolean>;
  /** When an async span was running, in order; the rest of its time it waited. Absent if it never waited. */
  runs?: [from: number, to: number][];
}

export interface TraceDocument {
  version: 1;
  /** The version of Pingora that the port follows. */
  pingora: string;
  scenario: string;
  node: string;
  /** When it began, in milliseconds since 1970, to the microsecond. Traces of before it was kept lack it. */
  began?: number;
  tasks: TraceTask[];
  /** In order of start; a parent comes before its children. */
  spans: TraceSpan[];
}

/** The spans by the span that made them; under null those without a parent. */
export function childrenOf(spans: readonly TraceSpan[]): Map<number | null, TraceSpan[]> {
  const children = new Map<number | null, TraceSpan[]>();
  for (const span of spans) {
    const siblings = children.get(span.parent);
    if (siblings) siblings.push(span);
    else children.set(span.parent, [span]);
  }
  return children;
}

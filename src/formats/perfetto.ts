/**
 * Prints a trace as Chrome's trace events, which https://ui.perfetto.dev and `chrome://tracing` open.
 *
 * A task is a process there, so that its spans are together. A span is a pair of async events with an id of its own:
 * spans of one task may overlap, which events of a thread may not. A spawn is a flow between two slices made for it,
 * because flows bind to slices of threads only.
 */
import type { TraceDocument } from '../tracing/model.ts';
import { failureLine } from './summary.ts';
import { moduleOf } from './tree.ts';

interface TraceEvent {
  name: string;
  cat?: string;
  ph: 'M' | 'b' | 'e' | 'X' | 's' | 'f' | 'n';
  ts?: number;
  dur?: number;
  pid: number;
  tid: number;
  id?: string;
  bp?: 'e';
  args?: Record<string, unknown>;
}

const THREAD = 1;
/** How long the slices at either end of a spawn are, in microseconds. */
const SPAWN_SLICE = 1;

/** The trace as Chrome's trace events, in JSON. */
export function printPerfetto(trace: TraceDocument): string {
  const { spans, tasks } = trace;
  const last = spans.reduce((latest, { start, end }) => Math.max(latest, start, end ?? 0), 0);
  const byId = new Map(spans.map((span) => [span.id, span]));
  const events: TraceEvent[] = [];

  for (const { id, name, thread } of tasks) {
    const on = thread === undefined ? '' : `thread ${thread}, `;
    events.push({ name: 'process_name', ph: 'M', pid: id, tid: THREAD, args: { name: `${on}task ${id} ${name}` } });
    // the tasks of a thread are together
    const sort_index = (thread ?? 0) * (tasks.length + 1) + id;
    events.push({ name: 'process_sort_index', ph: 'M', pid: id, tid: THREAD, args: { sort_index } });
    events.push({ name: 'thread_name', ph: 'M', pid: id, tid: THREAD, args: { name: 'spawns' } });
  }

  const timed: TraceEvent[] = [];
  for (const span of spans) {
    const { id, task, fn, start, end, status, phase, attributes, rust, ts } = span;
    const common = { name: fn, cat: moduleOf(span) || 'port', pid: task, tid: THREAD, id: `0x${id.toString(16)}` };
    const args = {
      phase,
      status,
      ...(rust && { pingora: rust.line === undefined ? rust.file : `${rust.file}:${rust.line}` }),
      ...(ts && { port: `${ts.file}:${ts.line}` }),
      ...(end === null && { unfinished: true }),
      ...attributes,
      ...(span.in && { in: span.in }),
      ...(span.out && { out: span.out }),
      ...(span.changed && { changed: span.changed }),
      ...(span.error && { error: failureLine(span.error) }),
    };
    timed.push({ ...common, ph: 'b', ts: start, args });
    timed.push({ ...common, ph: 'e', ts: end ?? last });
  }
  // a frame of HTTP/2 is an instant of the span that read or wrote it
  for (const event of trace.events ?? []) {
    const span = event.kind === 'frame' && event.span !== null ? byId.get(event.span) : undefined;
    if (event.kind !== 'frame' || span === undefined) continue;
    const { way, type, stream, flags, length, connection, facts } = event;
    timed.push({
      name: `${way === 'in' ? '←' : '→'} ${type} ${stream}`,
      cat: moduleOf(span) || 'port',
      pid: span.task,
      tid: THREAD,
      id: `0x${span.id.toString(16)}`,
      ph: 'n',
      ts: event.time,
      args: { connection, stream, flags: flags.join(' '), length, ...facts },
    });
  }
  for (const task of tasks) {
    const by = task.spawnedBy === null ? undefined : byId.get(task.spawnedBy);
    if (by === undefined) continue;
    const first = spans.find((span) => span.task === task.id);
    const from = task.start ?? first?.start ?? by.start;
    // the task begins after it was spawned, however coarse the clock is
    const to = Math.max(first?.start ?? from, from + SPAWN_SLICE);
    const flow = { name: 'spawn', cat: 'spawn', tid: THREAD, id: `0x${task.id.toString(16)}` };
    const slice = { cat: 'spawn', tid: THREAD, dur: SPAWN_SLICE, ph: 'X' as const };
    timed.push({ ...slice, name: `spawn ${task.name}`, pid: by.task, ts: from });
    timed.push({ ...slice, name: `${task.name} begins`, pid: task.id, ts: to });
    timed.push({ ...flow, ph: 's', pid: by.task, ts: from });
    timed.push({ ...flow, ph: 'f', bp: 'e', pid: task.id, ts: to });
  }
  // sort() is stable: a parent's begin stays before its child's, an end after its own begin
  timed.sort((a, b) => a.ts! - b.ts!);
  events.push(...timed);
  const otherData = { scenario: trace.scenario, pingora: trace.pingora, node: trace.node };
  return `${JSON.stringify({ traceEvents: events, displayTimeUnit: 'ns', otherData })}\n`;
}

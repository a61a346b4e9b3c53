/** One trace of a server with threads, from those of its processes. */
import type { TraceConnection, TraceDocument, TraceEvent, TraceSpan, TraceTask } from './model.ts';

/** What one process recorded. */
export interface TracePart {
  /** Its number; 0 for the process that was started. */
  readonly thread: number;
  /** When its recorder was made ({@link Recorder.origin}). */
  readonly origin: number;
  readonly trace: TraceDocument;
}

/** What makes threads. */
const MAKERS = ['Runtime::new_steal', 'NoStealRuntime::init_pools'];

/**
 * The trace of the process that was started, and in it those of its threads, without what these did before they ran
 * services: their share of a service stands where its runtime was made.
 *
 * Which thread accepts first is chance; so they are numbered as they came to their first connections, and a run is
 * like the one before.
 */
export function mergeTraces(parts: readonly TracePart[]): TraceDocument {
  const owner = parts.find(({ thread }) => thread === 0)!;
  const firstConnection = ({ trace, origin }: TracePart) =>
    origin + (trace.tasks.find(({ name }) => name === 'connection')?.start ?? Number.POSITIVE_INFINITY);
  const threads = parts
    .filter((part) => part !== owner)
    .sort((a, b) => firstConnection(a) - firstConnection(b) || a.thread - b.thread);

  const tasks: TraceTask[] = [...owner.trace.tasks];
  const merged: { span: TraceSpan; id: string; parent: string | null }[] = [];
  const spawned = new Map<TraceTask, string>();
  const connections: TraceConnection[] = [];
  const events: { event: TraceEvent; span: string | null }[] = [];
  /** Connections are numbered through all parts. */
  const takeEvents = (
    part: number,
    trace: TraceDocument,
    late: (time: number) => number,
    numbers?: ReadonlyMap<number, number>,
  ) => {
    const first = connections.length;
    for (const connection of trace.connections ?? []) connections.push({ ...connection, id: first + connection.id });
    for (const event of trace.events ?? []) {
      const moved: TraceEvent = { ...event, time: late(event.time) };
      if ('connection' in moved && moved.connection !== undefined) moved.connection += first;
      if (moved.kind === 'wake') moved.task = numbers?.get(moved.task) ?? moved.task;
      events.push({ event: moved, span: event.span === null ? null : named(part, event.span) });
    }
  };
  const renumbered = (attributes: TraceSpan['attributes']) =>
    attributes.thread === undefined
      ? attributes
      : { ...attributes, thread: threads.findIndex(({ thread }) => thread === attributes.thread) + 1 };
  const take = (part: number, span: TraceSpan, parent: string | null) =>
    merged.push({
      span: { ...span, attributes: renumbered(span.attributes) },
      id: `${part}.${span.id}`,
      parent,
    });
  const named = (part: number, id: number) => `${part}.${id}`;
  for (const span of owner.trace.spans) take(0, span, span.parent === null ? null : named(0, span.parent));
  for (const task of tasks) if (task.spawnedBy !== null) spawned.set(task, named(0, task.spawnedBy));
  takeEvents(0, owner.trace, (time) => time);

  for (const [index, { trace, origin }] of threads.entries()) {
    const part = index + 1;
    const shift = origin - owner.origin;
    const late = (time: number) => Math.round((time + shift) * 10) / 10;
    const roots = new Set(trace.tasks.filter(({ spawnedBy }) => spawnedBy === null).map(({ id }) => id));
    const before = new Set(trace.spans.filter(({ task }) => roots.has(task)).map(({ id }) => id));
    const makers = new Map<number, string>();
    const numbers = new Map<number, number>();
    for (const task of trace.tasks) {
      if (roots.has(task.id)) continue;
      const id = tasks.length + 1;
      numbers.set(task.id, id);
      const moved: TraceTask = {
        ...task,
        id,
        thread: part,
        ...(task.start === undefined ? {} : { start: late(task.start) }),
      };
      tasks.push(moved);
      if (before.has(task.spawnedBy!)) {
        const maker = named(0, makerOf(owner.trace, task.name));
        makers.set(task.id, maker);
        spawned.set(moved, maker);
      } else spawned.set(moved, named(part, task.spawnedBy!));
    }
    for (const span of trace.spans) {
      if (before.has(span.id)) continue;
      const moved: TraceSpan = {
        ...span,
        task: numbers.get(span.task)!,
        start: late(span.start),
        end: span.end === null ? null : late(span.end),
        ...(span.runs && { runs: span.runs.map(([from, to]): [number, number] => [late(from), late(to)]) }),
      };
      take(part, moved, before.has(span.parent!) ? makers.get(span.task)! : named(part, span.parent!));
    }
    takeEvents(part, trace, late, numbers);
  }

  events.sort((a, b) => a.event.time - b.event.time);
  // sort() is stable: what one process recorded stays in its order
  merged.sort((a, b) => a.span.start - b.span.start);
  const ids = new Map(merged.map(({ id }, i) => [id, i + 1]));
  return {
    ...owner.trace,
    tasks: tasks.map((task) => ({ ...task, spawnedBy: task.spawnedBy === null ? null : ids.get(spawned.get(task)!)! })),
    spans: merged.map(({ span, id, parent }) => ({
      ...span,
      id: ids.get(id)!,
      parent: parent === null ? null : ids.get(parent)!,
    })),
    ...(connections.length > 0 && { connections }),
    ...(events.length > 0 && {
      events: events.map(({ event, span }) => ({ ...event, span: span === null ? null : (ids.get(span) ?? null) })),
    }),
  };
}

/** The span that made the threads of a service. */
function makerOf({ tasks, spans }: TraceDocument, service: string): number {
  const byId = new Map(spans.map((span) => [span.id, span]));
  const above = tasks.find(({ name }) => name === service)?.spawnedBy ?? null;
  const isUnder = (span: TraceSpan) => {
    for (let at = span.parent; at !== null; at = byId.get(at)!.parent) if (at === above) return true;
    return false;
  };
  const makers = spans.filter(({ fn, attributes }) => MAKERS.includes(fn) && attributes.threads !== undefined);
  return (makers.find(isUnder) ?? makers[0] ?? byId.get(above!)!).id;
}

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

/** Spans are named by their part and number in it until all are there. */
const named = (part: number, id: number) => `${part}.${id}`;

/** Collects what is in the parts of a trace. */
class Merged {
  private readonly owner: TracePart;
  /** The numbers of the other processes, in the order of their parts, from part 1 on. */
  private readonly threads: readonly number[];
  private readonly tasks: TraceTask[];
  private readonly spawned = new Map<TraceTask, string>();
  private readonly spans: { span: TraceSpan; id: string; parent: string | null }[] = [];
  private readonly connections: TraceConnection[] = [];
  private readonly events: { event: TraceEvent; span: string | null }[] = [];

  constructor(owner: TracePart, threads: readonly number[]) {
    this.owner = owner;
    this.threads = threads;
    const { trace } = owner;
    this.tasks = [...trace.tasks];
    for (const span of trace.spans) this.takeSpan(0, span, span.parent === null ? null : named(0, span.parent));
    for (const task of trace.tasks) if (task.spawnedBy !== null) this.spawned.set(task, named(0, task.spawnedBy));
    this.takeEvents(0, trace, (time) => time);
  }

  private takeSpan(part: number, span: TraceSpan, parent: string | null): void {
    const attributes = { ...span.attributes };
    if (attributes.thread !== undefined) attributes.thread = this.threads.indexOf(attributes.thread as number) + 1;
    this.spans.push({ span: { ...span, attributes }, id: named(part, span.id), parent });
  }

  /** Connections are numbered through all parts. */
  private takeEvents(
    part: number,
    trace: TraceDocument,
    late: (time: number) => number,
    numbers?: ReadonlyMap<number, number>,
  ): void {
    const first = this.connections.length;
    for (const connection of trace.connections ?? []) {
      this.connections.push({ ...connection, id: first + connection.id });
    }
    for (const event of trace.events ?? []) {
      const moved: TraceEvent = { ...event, time: late(event.time) };
      if ('connection' in moved && moved.connection !== undefined) moved.connection += first;
      if (moved.kind === 'wake') moved.task = numbers?.get(moved.task) ?? moved.task;
      this.events.push({ event: moved, span: event.span === null ? null : named(part, event.span) });
    }
  }

  /** Take part `part`, without what it did before it ran services. */
  take(part: number, { trace, origin }: TracePart): void {
    const shift = origin - this.owner.origin;
    const late = (time: number) => Math.round((time + shift) * 10) / 10;
    const roots = new Set(trace.tasks.filter(({ spawnedBy }) => spawnedBy === null).map(({ id }) => id));
    const before = new Set(trace.spans.filter(({ task }) => roots.has(task)).map(({ id }) => id));
    const makers = new Map<number, string>();
    const numbers = new Map<number, number>();
    for (const task of trace.tasks) {
      if (roots.has(task.id)) continue;
      const id = this.tasks.length + 1;
      numbers.set(task.id, id);
      const start = task.start === undefined ? {} : { start: late(task.start) };
      const moved: TraceTask = { ...task, id, thread: part, ...start };
      this.tasks.push(moved);
      if (before.has(task.spawnedBy!)) makers.set(task.id, named(0, makerOf(this.owner.trace, task.name)));
      this.spawned.set(moved, makers.get(task.id) ?? named(part, task.spawnedBy!));
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
      this.takeSpan(part, moved, before.has(span.parent!) ? makers.get(span.task)! : named(part, span.parent!));
    }
    this.takeEvents(part, trace, late, numbers);
  }

  /** All of it in the order of time, numbered anew. */
  document(): TraceDocument {
    const { connections, events, spans, spawned } = this;
    events.sort((a, b) => a.event.time - b.event.time);
    // sort() is stable: what one process recorded stays in its order
    spans.sort((a, b) => a.span.start - b.span.start);
    const ids = new Map(spans.map(({ id }, i) => [id, i + 1]));
    return {
      ...this.owner.trace,
      tasks: this.tasks.map((task) => ({
        ...task,
        spawnedBy: task.spawnedBy === null ? null : ids.get(spawned.get(task)!)!,
      })),
      spans: spans.map(({ span, id, parent }) => ({
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
}

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
  const merged = new Merged(
    owner,
    threads.map(({ thread }) => thread),
  );
  for (const [index, part] of threads.entries()) merged.take(index + 1, part);
  return merged.document();
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

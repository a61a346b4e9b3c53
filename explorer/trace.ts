/**
 * Reads a trace, and says in one line what is wrong with one that can't be read.
 *
 * The checks are made by hand rather than with the format's JSON Schema: the page has no room for a validator, and a
 * reader wants to know which span is at fault, not which rule of a schema.
 */
import type {
  BytesEvent,
  Change,
  Facts,
  Failure,
  FrameEvent,
  TraceConnection,
  TraceDocument,
  TraceEvent,
  TraceSpan,
  TraceTask,
} from '../src/tracing/model.ts';

export type {
  BytesEvent,
  Change,
  Facts,
  Failure,
  FrameEvent,
  TraceConnection,
  TraceDocument,
  TraceEvent,
  TraceSpan,
  TraceTask,
};

/** What is wrong with a file, in one line. */
export class TraceError extends Error {
  override readonly name = 'TraceError';
}

type Fields = Record<string, unknown>;

const PHASES = ['startup', 'request', 'shutdown'];
const STATUSES = ['ok', 'error', 'cancelled'];

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isTime = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value >= 0;
const isId = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 1;

function show(value: unknown): string {
  const text = value === undefined ? 'missing' : JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}

function fail(message: string): never {
  throw new TraceError(message);
}

/** What is wrong with it that a reader would want to hear before "no version": it is something else altogether. */
function otherFormat(value: unknown): string | null {
  if (Array.isArray(value)) return 'a list, not a trace; a trace is one object with "version": 2';
  if (!isObject(value)) return `${show(value)}, not a trace; a trace is one object with "version": 2`;
  if ('traceEvents' in value) return 'a Perfetto trace; make one for this page with --format json';
  if ('resourceSpans' in value) return 'an OpenTelemetry trace; make one for this page with --format json';
  return null;
}

function checkTask(task: unknown, at: number): asserts task is TraceTask {
  if (!isObject(task)) fail(`task number ${at + 1} is ${show(task)}, not an object`);
  if (!isId(task.id)) fail(`task number ${at + 1} has no id (${show(task.id)})`);
  if (typeof task.name !== 'string') fail(`task ${task.id} has no name (${show(task.name)})`);
  if (task.spawnedBy !== null && !isId(task.spawnedBy)) {
    fail(`task ${task.id} has a spawnedBy that is no span's id (${show(task.spawnedBy)})`);
  }
  if (task.start !== undefined && !isTime(task.start))
    fail(`task ${task.id} has a start that is no time (${show(task.start)})`);
  if (task.thread !== undefined && !isId(task.thread))
    fail(`task ${task.id} has a thread that is no number from 1 (${show(task.thread)})`);
}

function checkPlace(place: unknown, what: string, wantsLine: boolean): void {
  if (place === null) return;
  if (!isObject(place) || typeof place.file !== 'string') fail(`${what} names no file (${show(place)})`);
  if (place.line === undefined && !wantsLine) return;
  if (!Number.isInteger(place.line)) fail(`${what} has a line that is no number (${show(place.line)})`);
}

function checkRuns(runs: unknown, span: string): void {
  if (runs === undefined) return;
  const isRun = (run: unknown) => Array.isArray(run) && run.length === 2 && isTime(run[0]) && isTime(run[1]);
  if (!Array.isArray(runs) || !runs.every(isRun)) fail(`${span} has runs that are no list of [start, end]`);
}

const isFact = (value: unknown) =>
  value === null || ['string', 'number', 'boolean'].includes(typeof value) || isTexts(value);
const isTexts = (value: unknown) => Array.isArray(value) && value.every((text) => typeof text === 'string');
const isTextOrNull = (value: unknown) => value === null || typeof value === 'string';

function checkFacts(facts: unknown, what: string): void {
  if (facts === undefined) return;
  if (!isObject(facts) || !Object.values(facts).every(isFact)) fail(`${what} is no list of facts (${show(facts)})`);
}

function checkFailure(failure: unknown, who: string): void {
  if (failure === undefined) return;
  if (!isObject(failure) || typeof failure.type !== 'string') fail(`${who} has an error without a type`);
  checkFailure(failure.cause, who);
}

function checkChanges(changed: unknown, who: string): void {
  if (changed === undefined) return;
  const isChange = (change: unknown) =>
    isObject(change) && typeof change.what === 'string' && isTextOrNull(change.from) && isTextOrNull(change.to);
  if (!Array.isArray(changed) || !changed.every(isChange)) fail(`${who} has changes that say no what, from and to`);
}

const WHATS: Record<string, (event: Fields) => boolean> = {
  bytes: ({ connection, way, offset, length, bytes }) =>
    isId(connection) && isWay(way) && isTime(offset) && isTime(length) && isTextOrNull(bytes ?? null),
  frame: ({ connection, way, type, stream, flags, length }) =>
    isId(connection) && isWay(way) && typeof type === 'string' && isTime(stream) && isTexts(flags) && isTime(length),
  channel: ({ channel, depth, capacity }) => typeof channel === 'string' && isTime(depth) && isTime(capacity),
  pool: ({ pool, key, size }) => typeof pool === 'string' && typeof key === 'string' && isTime(size),
  state: ({ machine, from, to }) => typeof machine === 'string' && isTextOrNull(from) && typeof to === 'string',
  wake: ({ task, by }) => isId(task) && typeof by === 'string',
};
const isWay = (value: unknown) => value === 'in' || value === 'out';

/** Kinds that aren't known yet are left to who knows them. */
function checkEvents({ events, connections }: Fields, spans: ReadonlySet<number>): void {
  if (connections !== undefined) {
    const isConnection = (one: unknown) =>
      isObject(one) && isId(one.id) && (one.side === 'downstream' || one.side === 'upstream') && isTextOrNull(one.peer);
    if (!Array.isArray(connections) || !connections.every(isConnection)) fail('a list of connections that is none');
  }
  if (events === undefined) return;
  if (!Array.isArray(events)) fail(`a list of events that is none (${show(events)})`);
  const known = new Set(((connections ?? []) as TraceConnection[]).map(({ id }) => id));
  events.forEach((event: unknown, at) => {
    const who = `event number ${at + 1}`;
    if (!isObject(event)) fail(`${who} is ${show(event)}, not an object`);
    if (!isTime(event.time)) fail(`${who} has no time (${show(event.time)})`);
    if (event.span !== null && !spans.has(event.span as number))
      fail(`${who} is of span ${show(event.span)}, which isn't in the trace`);
    const kind = event.kind as string;
    if (Object.hasOwn(WHATS, kind) && WHATS[kind]!(event) === false) fail(`${who} is no ${kind} that can be read`);
    if (event.connection !== undefined && !known.has(event.connection as number))
      fail(`${who} is of connection ${show(event.connection)}, which isn't in the trace`);
  });
}

function checkSpan(span: unknown, at: number): asserts span is TraceSpan {
  if (!isObject(span)) fail(`span number ${at + 1} is ${show(span)}, not an object`);
  if (!isId(span.id)) fail(`span number ${at + 1} has no id (${show(span.id)})`);
  const who = `span ${span.id}`;
  if (typeof span.fn !== 'string' || span.fn === '') fail(`${who} has no fn (${show(span.fn)})`);
  if (span.parent !== null && !isId(span.parent)) fail(`${who} has a parent that is no id (${show(span.parent)})`);
  if (!isTime(span.start)) fail(`${who} has no start (${show(span.start)})`);
  if (span.end !== null && !isTime(span.end)) fail(`${who} has no end (${show(span.end)}); null says it never ended`);
  if (span.end !== null && (span.end as number) < span.start) fail(`${who} ends before it starts`);
  if (!PHASES.includes(span.phase as string))
    fail(`${who} has the phase ${show(span.phase)}, not ${PHASES.join(', ')}`);
  if (!STATUSES.includes(span.status as string)) {
    fail(`${who} has the status ${show(span.status)}, not ${STATUSES.join(', ')}`);
  }
  if (!isObject(span.attributes)) fail(`${who} has no attributes (${show(span.attributes)})`);
  if (span.rust === undefined) fail(`${who} has no rust; null says that Pingora has no such function`);
  if (span.ts === undefined) fail(`${who} has no ts; null says that its source isn't known`);
  checkPlace(span.rust, `the rust of ${who}`, false);
  checkPlace(span.ts, `the ts of ${who}`, true);
  checkRuns(span.runs, who);
  checkFacts(span.in, `the in of ${who}`);
  checkFacts(span.out, `the out of ${who}`);
  checkChanges(span.changed, who);
  checkFailure(span.error, who);
}

/** The document, if it is a trace of version 1 or 2 that hangs together. Throws {@link TraceError}. */
export function checkTrace(value: unknown): TraceDocument {
  const other = otherFormat(value);
  if (other !== null) fail(other);
  const { version, scenario, tasks, spans } = value as Fields;
  if (version !== 1 && version !== 2) fail(`a trace of version ${show(version)}; this page reads versions 1 and 2`);
  if (!Array.isArray(tasks)) fail(`a trace without a list of tasks (${show(tasks)})`);
  if (!Array.isArray(spans)) fail(`a trace without a list of spans (${show(spans)})`);
  if (typeof scenario !== 'string') fail(`a trace without a scenario's name (${show(scenario)})`);
  if (spans.length === 0) fail('a trace without a single span');
  const taskIds = new Set<number>();
  tasks.forEach((task, at) => {
    checkTask(task, at);
    if (taskIds.has(task.id)) fail(`two tasks have the id ${task.id}`);
    taskIds.add(task.id);
  });
  const spanIds = new Set<number>();
  let start = 0;
  spans.forEach((span, at) => {
    checkSpan(span, at);
    if (spanIds.has(span.id)) fail(`two spans have the id ${span.id}`);
    if (!taskIds.has(span.task)) fail(`span ${span.id} is of task ${show(span.task)}, which isn't in the trace`);
    if (span.parent !== null && !spanIds.has(span.parent)) {
      const later = spans.some((other) => isObject(other) && other.id === span.parent);
      fail(`span ${span.id} has the parent ${span.parent}, which ${later ? 'comes after it' : "isn't in the trace"}`);
    }
    if (span.start < start) fail(`span ${span.id} starts before the one in front of it; spans are in order of start`);
    start = span.start;
    spanIds.add(span.id);
  });
  for (const { id, spawnedBy } of tasks as TraceTask[]) {
    if (spawnedBy !== null && !spanIds.has(spawnedBy)) {
      fail(`task ${id} was spawned by span ${spawnedBy}, which isn't in the trace`);
    }
  }
  checkEvents(value as Fields, spanIds);
  return value as unknown as TraceDocument;
}

/** The trace in `text`. Throws {@link TraceError}. */
export function parseTrace(text: string): TraceDocument {
  if (text.trim() === '') fail('an empty file');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    fail(`not JSON: ${(error as Error).message.replace(/\s+/g, ' ')}`);
  }
  return checkTrace(value);
}

/**
 * The recorder: what turns calls into spans while tracing is on.
 *
 * A span is one call of a ported function. It knows its parent (the call that made it), its task (the logical thread
 * of control that `spawn` starts) and when it began and ended.
 *
 * Which span is the current one, a polled task knows by itself: whoever polls it enters its context and leaves it when
 * the poll returns (`tracing.current`), as Rust's `tracing` instruments a future. Only what is a promise needs an
 * `AsyncLocalStorage`: an application's hook that waits, and the port's own asynchronous functions at the start and
 * the end of a server. It is made when the first recorder is attached: once its `run` was called, every `await` in the
 * process costs two to three times as much on Node 20, so a process that never traces must never touch it.
 */
import { type AsyncHook, AsyncLocalStorage, createHook } from 'node:async_hooks';
import { EventLog, type EventOptions, flagNames } from './events.ts';
import type { Change, Facts, Failure, Phase, Status } from './model.ts';
import { type Observed, type Observer, observe } from './observer.ts';
import type { Future, Site } from './registry.ts';
import { install, isFuture, uninstall } from './registry.ts';

export type { Site } from './registry.ts';

/** A logical thread of control: the main task, or what one `spawn` started. */
export interface Task {
  /** From 1, in the order in which tasks were spawned. */
  readonly id: number;
  /** What it was spawned as. */
  readonly name: string;
  /** The span that called `spawn`; null for the main task. */
  readonly spawnedBy: Span | null;
  /** Microseconds since the recorder was made, when it was spawned. */
  readonly start: number;
  /** Spans that have begun and not ended; whatever is left when the task ends was cancelled. */
  readonly open: Set<Span>;
}

/** One call of a traced function. */
export interface Span {
  /** From 1, in order of start. */
  readonly id: number;
  /** The function that was called. */
  readonly site: Site;
  /** The call that made it. */
  readonly parent: Span | null;
  /** The task that it runs in. */
  readonly task: Task;
  /** When it started. */
  readonly phase: Phase;
  /** Microseconds since the recorder was made. */
  readonly start: number;
  /** Microseconds since the recorder was made; null while it runs. */
  end: number | null;
  /** How it ended. */
  status: Status;
  /** Facts worth reading beside the call, as `peer: "127.0.0.1:9101"`. */
  attributes: Record<string, string | number | boolean>;
  /** When it was on the CPU, if that is recorded and it ever waited: the rest of its time it was suspended. */
  runs: [from: number, to: number][] | null;
  /** What went in. */
  in?: Facts | undefined;
  /** What came out. */
  out?: Facts | undefined;
  /** What it changed. */
  changed?: Change[] | undefined;
  /** Why it failed. */
  error?: Failure | undefined;
  /** Calls below it that were polled and are pending: they are dropped when it ends. */
  pending: Span[] | null;
}

/** Says what is worth showing of calls. It is asked when a span begins and when it ends, and sets the span's fields. */
export interface Values {
  /** What goes in, made of the arguments. */
  in(span: Span, self: unknown, args: readonly unknown[], log: EventLog | null): void;
  /** The call returned `result`. */
  out(span: Span, self: unknown, args: readonly unknown[], result: unknown, log: EventLog | null): void;
  /** The call threw. */
  failed(span: Span, self: unknown, args: readonly unknown[], error: unknown, log: EventLog | null): void;
}

/** What a recorder can be asked for beyond the spans themselves. */
export interface RecorderOptions {
  /** Record when an async span runs and when it waits. Costs a look at the clock at each turn of a promise. */
  runs?: boolean;
  /** Called when a span begins and when it ends. */
  observe?: (span: Span, what: 'begin' | 'end') => void;
  /** @internal What is to be shown of calls. */
  values?: Values | undefined;
  /** Record what happens beside calls: bytes, channels, pools, state machines. */
  events?: EventOptions | undefined;
  /** How much is recorded; calls beyond that run as if nobody recorded, and are counted. Default: all. */
  limits?: Limits | undefined;
}

/** Where a trace is cut. */
export interface Limits {
  /** So many spans. */
  readonly spans: number;
  /** So many milliseconds after the recorder was made no span begins any more. */
  readonly ms: number;
  /** So many runs of one span; the last one takes in what comes later. */
  readonly runs: number;
}

const NO_LIMITS: Limits = {
  spans: Number.POSITIVE_INFINITY,
  ms: Number.POSITIVE_INFINITY,
  runs: Number.POSITIVE_INFINITY,
};

/** Where a call is made: in which span, of which task, recorded by whom. */
export interface Context {
  readonly recorder: Recorder;
  readonly span: Span | null;
  readonly task: Task;
}

let storage: AsyncLocalStorage<Context> | null = null;

/** The values of a call are being asked for: what that calls is no part of the trace. */
let asking = false;

function unseen(values: Values): Values {
  const ask =
    <Args extends unknown[]>(method: (...args: Args) => void) =>
    (...args: Args) => {
      asking = true;
      try {
        method(...args);
      } finally {
        asking = false;
      }
    };
  return { in: ask(values.in), out: ask(values.out), failed: ask(values.failed) };
}

/** What is told goes to the recorder whose span is running, if it keeps events. */
function here(): { log: EventLog; span: number | null } | undefined {
  const context = currentContext();
  const log = context?.recorder.log;
  return log ? { log, span: context!.span?.id ?? null } : undefined;
}

/** What wakes tasks comes from Node, in nobody's context. */
function wakings(): EventLog | null | undefined {
  return currentContext()?.recorder.log ?? tracing.recorder?.log;
}

const TELL: Observer = {
  read(connection, bytes, length) {
    const at = here();
    at?.log.bytes(at.span, connection, 'in', bytes, length);
  },
  wrote(connection, bytes) {
    const at = here();
    at?.log.bytes(at.span, connection, 'out', bytes, bytes.length);
  },
  arrived(connection, end) {
    wakings()?.arrived(connection, end);
  },
  fired() {
    wakings()?.woke('a timer');
  },
  frame(connection, way, type, stream, flags, length, facts) {
    const at = here();
    at?.log.add(at.span, {
      kind: 'frame',
      connection: at.log.connection(connection),
      way,
      type,
      stream,
      flags: flagNames(type, flags),
      length,
      ...(facts && { facts: facts() }),
    });
  },
  channel(channel, what, depth, capacity) {
    const at = here();
    at?.log.add(at.span, { kind: 'channel', channel, what, depth, capacity });
  },
  pool(pool, what, key, connection, size) {
    const at = here();
    const isConnection = typeof connection === 'object' && connection !== null && 'peerAddress' in connection;
    at?.log.add(at.span, {
      kind: 'pool',
      pool,
      what,
      key: String(key),
      ...(at && isConnection && { connection: at.log.connection(connection as Observed) }),
      size,
    });
  },
  state(machine, name, state) {
    const at = here();
    at?.log.state(at.span, machine, name, state);
  },
};

/** What the program that runs now is part of. */
export const tracing: {
  /** The recorder that was attached last and is still. */
  recorder: Recorder | null;
  /** The context of the poll or call that runs now; null: it isn't traced; undefined: ask the storage. */
  current: Context | null | undefined;
} = { recorder: null, current: undefined };

/** The context of whoever asks; null if it isn't traced. */
export function currentContext(): Context | null {
  if (asking) return null;
  const { current } = tracing;
  return current !== undefined ? current : (storage?.getStore() ?? null);
}

/** Call `body` inside `context`, and what it awaits too. */
export function runIn<T>(context: Context | null, body: () => T): T {
  const before = tracing.current;
  tracing.current = context;
  try {
    return context === null ? body() : storage!.run(context, body);
  } finally {
    tracing.current = before;
  }
}

/** A new task, spawned by the span that runs now: its context, to be entered by who polls it. Null if not traced. */
export function spawned(name: string): Context | null {
  const context = currentContext();
  return context === null ? null : context.recorder.spawned(name, context);
}

/** A task has ended: whatever spans of it are open were dropped. */
export function taskEnded(context: Context | null): void {
  context?.recorder.taskEnded(context.task);
}

/** `future` in a span of `site`, which begins with its first poll, below whatever runs then. */
export function* tracedFuture<T>(site: Site, future: Future<T>, self: unknown, args: readonly unknown[]): Future<T> {
  const context = currentContext();
  return yield* context === null ? future : context.recorder.poll(site, context, future, self, args);
}

/** Turns that follow each other without a pause (less than a microsecond) are one run. */
function addRun(runs: [from: number, to: number][], from: number, to: number, most: number): void {
  if (to < from) return;
  const last = runs.at(-1);
  if (last && (from - last[1] < 1 || runs.length >= most)) last[1] = Math.max(last[1], to);
  else runs.push([from, to]);
}

/** What a polled function returns that isn't ready: `PENDING` of `runtime/poll.ts`, which this one can't import. */
const PENDING = Symbol.for('pingora-traced.pending');

/** Spans of calls that are pending, by whose call it is: the next poll goes on with them. */
const pendingOf = new WeakMap<object, Map<Site, Span>>();

/** Collects the spans of one process, or of the requests that were chosen to be traced. */
export class Recorder {
  /** In order of start. */
  readonly spans: Span[] = [];
  /** In the order in which they were spawned. */
  readonly tasks: Task[] = [];
  /** How many spans the limits left out. */
  leftOut = 0;
  readonly #limits: Limits;
  /** What spans that start now are marked with. Nobody but the recorder's owner sets it. */
  phase: Phase = 'startup';
  // before the other clock: Node loads what this needs when it is first used
  readonly #origin = performance.now();
  /** When the recorder was made: all its times count from here. Milliseconds since 1970. */
  readonly began = performance.timeOrigin + this.#origin;
  /** When it was made, in microseconds of a clock that all processes of this machine share. */
  readonly origin = Number(process.hrtime.bigint() / 1000n);
  readonly #observe: RecorderOptions['observe'];
  readonly #keepRuns: boolean;
  readonly #values: Values | undefined;
  /** @internal What happened beside calls; null if that isn't recorded. */
  readonly log: EventLog | null;
  #hook: AsyncHook | null = null;
  /** What runs now: a callback may run inside another one's. */
  readonly #running: { span: Span | null; since: number }[] = [];
  /** The callback that runs now is the recorder's own, and nobody's run. */
  #ownTurn = false;

  /** Nothing is recorded before {@link Recorder.attach}. */
  constructor(options: RecorderOptions = {}) {
    this.#observe = options.observe;
    this.#keepRuns = options.runs ?? false;
    this.#limits = options.limits ?? NO_LIMITS;
    this.#values = options.values === undefined ? undefined : unseen(options.values);
    this.log = options.events === undefined ? null : new EventLog(() => this.now(), options.events);
  }

  /** Attach this recorder: from now on traced calls made inside {@link Recorder.root} are recorded. */
  attach(): this {
    storage ??= new AsyncLocalStorage<Context>();
    tracing.recorder = this;
    if (this.log !== null) observe(TELL);
    install(this);
    if (this.#keepRuns) this.#hook ??= this.#watchRuns();
    return this;
  }

  /** Stop recording. What was recorded stays. */
  detach(): void {
    if (tracing.recorder === this) {
      tracing.recorder = null;
      observe(null);
    }
    uninstall(this);
    this.#hook?.disable();
    this.#hook = null;
  }

  /** Each turn of an async function is a run of the span that it waits in. */
  #watchRuns(): AsyncHook {
    return createHook({
      before: () => {
        const context = storage!.getStore();
        this.#running.push({ span: context?.recorder === this ? context.span : null, since: this.now() });
      },
      after: () => {
        const run = this.#running.pop();
        const own = this.#ownTurn;
        this.#ownTurn = false;
        if (run?.span?.runs && !own)
          addRun(run.span.runs, run.since, Math.min(run.span.end ?? Infinity, this.now()), this.#limits.runs);
      },
    }).enable();
  }

  /** Run `body` as a task without a parent, recorded: the process's `main`, or one request chosen for tracing. */
  root<T>(name: string, body: () => T): T {
    return runIn(this.rootContext(name), body);
  }

  /** @internal The context of a task without a parent, for who polls it. */
  rootContext(name: string): Context {
    return { recorder: this, span: null, task: this.#task(name, null) };
  }

  /** @internal Poll what `begin` gives as a task without a parent. */
  *rootFuture<T>(name: string, begin: () => Future<T>): Future<T> {
    const context = this.rootContext(name);
    const future = this.#enter(context, begin);
    try {
      for (;;) {
        const polled = this.#enter(context, () => future.next());
        if (polled.done) return polled.value;
        yield;
      }
    } finally {
      this.#enter(context, () => future.return(undefined as T));
      this.taskEnded(context.task);
    }
  }

  #enter<T>(context: Context, body: () => T): T {
    const before = tracing.current;
    tracing.current = context;
    try {
      return body();
    } finally {
      tracing.current = before;
    }
  }

  /** Microseconds since the recorder was made. */
  now(): number {
    return Math.round((performance.now() - this.#origin) * 1000 * 10) / 10;
  }

  #task(name: string, spawnedBy: Span | null): Task {
    const task: Task = { id: this.tasks.length + 1, name, spawnedBy, start: this.now(), open: new Set() };
    this.tasks.push(task);
    return task;
  }

  /** @internal A task that the span of `context` spawns. */
  spawned(name: string, context: Context): Context {
    return { recorder: this, span: context.span, task: this.#task(name, context.span) };
  }

  /** @internal */
  taskEnded(task: Task): void {
    for (const span of task.open) this.#end(span, 'cancelled');
  }

  /** Whether there is no room for one more span, which is counted then. */
  #leavesOut(): boolean {
    const { spans, ms } = this.#limits;
    if (this.spans.length < spans && (ms === Number.POSITIVE_INFINITY || this.now() < ms * 1000)) return false;
    this.leftOut++;
    return true;
  }

  #begin(site: Site, context: Context): Span {
    const span: Span = {
      id: this.spans.length + 1,
      site,
      parent: context.span,
      task: context.task,
      phase: this.phase,
      start: this.now(),
      end: null,
      status: 'ok',
      attributes: {},
      runs: null,
      pending: null,
    };
    this.spans.push(span);
    context.task.open.add(span);
    this.#observe?.(span, 'begin');
    return span;
  }

  #end(span: Span, status: Status): void {
    if (span.end !== null) return;
    if (span.pending !== null) {
      for (const below of span.pending) this.#end(below, 'cancelled');
      span.pending = null;
    }
    span.end = this.now();
    if (status !== 'ok') span.status = status;
    span.task.open.delete(span);
    this.#observe?.(span, 'end');
  }

  /** @internal Call a function inside a span of `site`. `self`: what its pending calls are known by. */
  call(site: Site, context: Context, self: unknown, args: readonly unknown[], body: () => unknown): unknown {
    const owner = self ?? args[0];
    const key = typeof owner === 'object' && owner !== null ? owner : null;
    const waiting = key === null ? undefined : pendingOf.get(key)?.get(site);
    const goesOn = waiting !== undefined && waiting.end === null && waiting.task === context.task;
    if (!goesOn && this.#leavesOut()) return body();
    const span = goesOn ? waiting : this.#begin(site, context);
    if (!goesOn) this.#values?.in(span, self, args, this.log);
    const from = this.now();
    let result: unknown;
    try {
      // it may give a promise, and go on where nobody polls it
      result = runIn({ recorder: this, span, task: context.task }, body);
    } catch (error) {
      this.#failed(span, self, args, error);
      throw error;
    }
    if (result === PENDING) {
      if (this.#keepRuns) {
        span.runs ??= [];
        addRun(span.runs, from, this.now(), this.#limits.runs);
      }
      if (!goesOn && key !== null) this.#pend(key, site, span);
      return result;
    }
    if (result instanceof Promise) return this.#whenSettled(span, self, args, result);
    // not one that only gives values, one after the other: that has no `then`
    if (isFuture(result) && 'then' in result) {
      if (this.#keepRuns) span.runs = [[span.start, this.now()]];
      return this.goOn(span, result, self, args);
    }
    if (span.runs !== null) addRun(span.runs, from, this.now(), this.#limits.runs);
    this.#ended(span, self, args, result);
    return result;
  }

  #ended(span: Span, self: unknown, args: readonly unknown[], result: unknown): void {
    if (span.end === null) this.#values?.out(span, self, args, result, this.log);
    this.#end(span, 'ok');
  }

  #failed(span: Span, self: unknown, args: readonly unknown[], error: unknown): void {
    if (span.end === null) this.#values?.failed(span, self, args, error, this.log);
    this.#end(span, 'error');
  }

  #pend(key: object, site: Site, span: Span): void {
    let sites = pendingOf.get(key);
    if (sites === undefined) {
      sites = new Map();
      pendingOf.set(key, sites);
    }
    sites.set(site, span);
    if (span.parent === null) return;
    span.parent.pending ??= [];
    span.parent.pending.push(span);
  }

  /** The caller gets a promise of its own, so that a rejection that nobody hears is still one. */
  #whenSettled(span: Span, self: unknown, args: readonly unknown[], result: Promise<unknown>): Promise<unknown> {
    if (this.#keepRuns) span.runs = [[span.start, this.now()]];
    return result.then(
      (value) => {
        this.#ownTurn = true;
        this.#ended(span, self, args, value);
        return value;
      },
      (error: unknown) => {
        this.#ownTurn = true;
        this.#failed(span, self, args, error);
        throw error;
      },
    );
  }

  /** @internal Poll `future` inside a span of `site`. */
  *poll<T>(site: Site, context: Context, future: Future<T>, self: unknown, args: readonly unknown[]): Future<T> {
    if (this.#leavesOut()) return yield* future;
    const span = this.#begin(site, context);
    this.#values?.in(span, self, args, this.log);
    if (this.#keepRuns) span.runs = [];
    return yield* this.goOn(span, future, self, args);
  }

  /** @internal Poll `future` inside `span`, to the end of both. */
  *goOn<T>(span: Span, future: Future<T>, self: unknown, args: readonly unknown[]): Future<T> {
    const inside: Context = { recorder: this, span, task: span.task };
    let waited = false;
    try {
      for (;;) {
        const from = this.now();
        // what it awaits of the promises' world goes on inside, too
        const polled = runIn(inside, () => future.next());
        if (span.runs !== null) addRun(span.runs, from, this.now(), this.#limits.runs);
        if (polled.done) {
          // it never waited
          if (!waited) span.runs = null;
          this.#ended(span, self, args, polled.value);
          return polled.value;
        }
        waited = true;
        yield;
      }
    } catch (error) {
      this.#failed(span, self, args, error);
      throw error;
    } finally {
      this.#enter(inside, () => future.return(undefined as T));
      // unless it came to an end of its own, it was dropped
      this.#end(span, 'cancelled');
    }
  }

  /** Set facts on the span that is running now. */
  note(attributes: Record<string, string | number | boolean>): void {
    const span = currentContext()?.span;
    if (span) Object.assign(span.attributes, attributes);
  }

  /** The current span is an error although it doesn't throw: where Rust returns `Err` inside a tuple. */
  fail(): void {
    const span = currentContext()?.span;
    if (span) span.status = 'error';
  }
}

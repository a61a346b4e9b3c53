/**
 * The recorder: what turns calls into spans while tracing is on.
 *
 * A span is one call of a ported function. It knows its parent (the call that made it), its task (the logical thread
 * of control that `spawn` starts) and when it began and ended. The current span travels through `await` in an
 * `AsyncLocalStorage`, which is created only when the first recorder is attached: once its `run` was called, every
 * `await` in the process costs two to three times as much, so a process that never traces must never touch it.
 */
import { type AsyncHook, AsyncLocalStorage, createHook } from 'node:async_hooks';
import { EventLog, type EventOptions, flagNames } from './events.ts';
import type { Change, Facts, Failure } from './model.ts';
import { type Observed, type Observer, observe } from './observer.ts';

/** When a span started: before the first client, while serving, or after the signal (or the client's last byte). */
export type Phase = 'startup' | 'request' | 'shutdown';

/** How a span ended: `error` when it threw, `cancelled` when it lost a race or its task ended before it did. */
export type Status = 'ok' | 'error' | 'cancelled';

/** A function that can be traced: Pingora's name for it and the file it has there (`app`: the application's own). */
export interface Site {
  readonly fn: string;
  /** Path in Pingora's repository, `app` for an application's hook, null for what only the port has. */
  readonly rust: string | null;
}

/** A logical thread of control: the main task, or what one `spawn` started. */
export interface Task {
  readonly id: number;
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
  readonly id: number;
  readonly site: Site;
  readonly parent: Span | null;
  readonly task: Task;
  readonly phase: Phase;
  /** Microseconds since the recorder was made. */
  readonly start: number;
  /** Microseconds since the recorder was made; null while it runs. */
  end: number | null;
  status: Status;
  /** Facts worth reading beside the call, as `peer: "127.0.0.1:9101"`. */
  attributes: Record<string, string | number | boolean>;
  /** When it was on the CPU, if that is recorded and it ever waited: the rest of its time it was suspended. */
  runs: [from: number, to: number][] | null;
  in?: Facts | undefined;
  out?: Facts | undefined;
  changed?: Change[] | undefined;
  error?: Failure | undefined;
}

/** Says what is worth showing of calls. It is asked when a span begins and when it ends, and sets the span's fields. */
export interface Values {
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
  /** What is to be shown of calls. */
  values?: Values | undefined;
  /** Record what happens beside calls: bytes, channels, pools, state machines. */
  events?: EventOptions | undefined;
}

interface Context {
  readonly recorder: Recorder;
  readonly span: Span | null;
  readonly task: Task;
}

/** What is polled: a `Future` of the runtime, which stands above this folder. */
export type Polled<T> = Generator<void, T, void>;

/** Whether `error` is the runtime's `Cancelled`, told by its name: the runtime stands above this folder. */
function isCancelled(error: unknown): boolean {
  return error instanceof Error && error.name === 'Cancelled';
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
  const context = storage?.getStore();
  const log = context?.recorder.log;
  return log ? { log, span: context!.span?.id ?? null } : undefined;
}

/** What wakes tasks comes from Node, in nobody's context. */
function wakings(): EventLog | null | undefined {
  return storage?.getStore()?.recorder.log ?? tracing.recorder?.log;
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

/** Whether any recorder was ever attached in this process. Until then nothing of async_hooks is touched. */
export function everTraced(): boolean {
  return storage !== null;
}

/** Turns that follow each other without a pause (less than a microsecond) are one run. */
function addRun(runs: [from: number, to: number][], from: number, to: number): void {
  if (to < from) return;
  const last = runs.at(-1);
  if (last && from - last[1] < 1) last[1] = Math.max(last[1], to);
  else runs.push([from, to]);
}

/**
 * The switch that every traced function looks at. `null`: tracing is off in this process.
 *
 * It is an object's field rather than an exported `let`, so that V8 can read it without going through the module's
 * live binding.
 */
export const tracing: {
  recorder: Recorder | null;
  /** Each puts a traced method back that stood aside while tracing was off. */
  aside: (() => void)[];
} = { recorder: null, aside: [] };

/** Collects the spans of one process, or of the requests that were chosen to be traced. */
export class Recorder {
  /** In order of start. */
  readonly spans: Span[] = [];
  /** In the order in which they were spawned. */
  readonly tasks: Task[] = [];
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
  /** What happened beside calls; null if that isn't recorded. */
  readonly log: EventLog | null;
  #hook: AsyncHook | null = null;
  /** What runs now: a callback may run inside another one's. */
  readonly #running: { span: Span | null; since: number }[] = [];
  /** The callback that runs now is the recorder's own, and nobody's run. */
  #ownTurn = false;

  constructor(options: RecorderOptions = {}) {
    this.#observe = options.observe;
    this.#keepRuns = options.runs ?? false;
    this.#values = options.values === undefined ? undefined : unseen(options.values);
    this.log = options.events === undefined ? null : new EventLog(() => this.now(), options.events);
  }

  /** Attach this recorder: from now on traced calls made inside {@link Recorder.root} are recorded. */
  attach(): this {
    storage ??= new AsyncLocalStorage<Context>();
    tracing.recorder = this;
    if (this.log !== null) observe(TELL);
    for (const back of tracing.aside.splice(0)) back();
    if (this.#keepRuns) this.#hook ??= this.#watchRuns();
    return this;
  }

  /** Stop recording. What was recorded stays. */
  detach(): void {
    if (tracing.recorder === this) {
      tracing.recorder = null;
      observe(null);
    }
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
        if (run?.span?.runs && !own) addRun(run.span.runs, run.since, Math.min(run.span.end ?? Infinity, this.now()));
      },
    }).enable();
  }

  /** Run `body` as a task without a parent, recorded: the process's `main`, or one request chosen for tracing. */
  root<T>(name: string, body: () => T): T {
    return storage!.run({ recorder: this, span: null, task: this.#task(name, null) }, body);
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
    };
    this.spans.push(span);
    context.task.open.add(span);
    this.#observe?.(span, 'begin');
    return span;
  }

  #end(span: Span, status: Status): void {
    if (span.end !== null) return;
    span.end = this.now();
    if (status !== 'ok') span.status = status;
    span.task.open.delete(span);
    this.#observe?.(span, 'end');
  }

  /** Call `fn` inside a span of `site`. Used by the wrappers of `span.ts` only. */
  call(site: Site, fn: (...args: any[]) => unknown, self: unknown, args: unknown[]): unknown {
    const context = storage!.getStore();
    if (context === undefined || asking) return fn.apply(self, args);
    // Several may record at a time, each what runs below its own root; the attached one is asked for all of them.
    if (context.recorder !== this) return context.recorder.call(site, fn, self, args);
    const span = this.#begin(site, context);
    this.#values?.in(span, self, args, this.log);
    let result: unknown;
    try {
      result = storage!.run({ recorder: this, span, task: context.task }, () => fn.apply(self, args));
    } catch (error) {
      this.#failed(span, self, args, error);
      throw error;
    }
    if (result instanceof Promise) {
      // Beside the caller's own await, not before it: the caller gets the very promise that the function returned,
      // so that tracing adds no turn of the microtask queue and changes no order.
      if (this.#keepRuns) span.runs = [[span.start, this.now()]];
      result.then(
        (value) => {
          this.#ownTurn = true;
          this.#ended(span, self, args, value);
        },
        (error) => {
          this.#ownTurn = true;
          this.#failed(span, self, args, error);
        },
      );
      return result;
    }
    this.#ended(span, self, args, result);
    return result;
  }

  #ended(span: Span, self: unknown, args: readonly unknown[], result: unknown): void {
    if (span.end === null) this.#values?.out(span, self, args, result, this.log);
    this.#end(span, 'ok');
  }

  #failed(span: Span, self: unknown, args: readonly unknown[], error: unknown): void {
    const cancelled = isCancelled(error);
    if (span.end === null && !cancelled) this.#values?.failed(span, self, args, error, this.log);
    this.#end(span, cancelled ? 'cancelled' : 'error');
  }

  /** `fn`, to be called by others and yet a run of the span that runs now. */
  bind(fn: () => void): () => void {
    const context = storage!.getStore();
    if (context === undefined) return fn;
    const { recorder, span } = context;
    return () => {
      const from = recorder.now();
      storage!.run(context, fn);
      if (span !== null && span.runs !== null && span.end === null) addRun(span.runs, from, recorder.now());
    };
  }

  /**
   * Poll `future` inside a span of `site`, which begins with the first poll. Used by the wrappers of `span.ts` only.
   */
  poll<T>(site: Site, future: Polled<T>, args: readonly unknown[]): Polled<T> {
    const context = storage!.getStore();
    if (context === undefined || asking) return future;
    return context.recorder.#polled(site, future, context, args);
  }

  *#polled<T>(site: Site, future: Polled<T>, context: Context, args: readonly unknown[]): Polled<T> {
    const span = this.#begin(site, context);
    this.#values?.in(span, undefined, args, this.log);
    const inside: Context = { recorder: this, span, task: context.task };
    if (this.#keepRuns) span.runs = [];
    // unless it comes to an end of its own, it was dropped
    let status: Status = 'cancelled';
    try {
      for (;;) {
        const from = this.now();
        const polled = storage!.run(inside, () => future.next());
        if (span.runs !== null) addRun(span.runs, from, this.now());
        if (polled.done) {
          status = 'ok';
          this.#values?.out(span, undefined, args, polled.value, this.log);
          return polled.value;
        }
        yield;
      }
    } catch (error) {
      if (!isCancelled(error)) {
        status = 'error';
        this.#values?.failed(span, undefined, args, error, this.log);
      }
      throw error;
    } finally {
      storage!.run(inside, () => future.return(undefined as T));
      this.#end(span, status);
    }
  }

  /** Run `body` as a new task, spawned by the current span. Used by `spawn` only. */
  spawn<T>(name: string, body: () => Promise<T>): Promise<T> {
    const context = storage!.getStore();
    if (context === undefined) return body();
    if (context.recorder !== this) return context.recorder.spawn(name, body);
    const task = this.#task(name, context.span);
    const ended = () => {
      for (const span of task.open) this.#end(span, 'cancelled');
    };
    const result = storage!.run({ recorder: this, span: context.span, task }, body);
    result.then(ended, ended);
    return result;
  }

  /** Set facts on the span that is running now. */
  note(attributes: Record<string, string | number | boolean>): void {
    const span = storage!.getStore()?.span;
    if (span) Object.assign(span.attributes, attributes);
  }

  /** The current span is an error although it doesn't throw: where Rust returns `Err` inside a tuple. */
  fail(): void {
    const span = storage!.getStore()?.span;
    if (span) span.status = 'error';
  }
}

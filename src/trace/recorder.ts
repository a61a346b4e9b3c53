/**
 * The recorder: what turns calls into spans while tracing is on.
 *
 * A span is one call of a ported function. It knows its parent (the call that made it), its task (the logical thread
 * of control that `spawn` starts) and when it began and ended. The current span travels through `await` in an
 * `AsyncLocalStorage`, which is created only when the first recorder is attached: once its `run` was called, every
 * `await` in the process costs two to three times as much, so a process that never traces must never touch it.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

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
  /** Microseconds since the recorder was attached. */
  readonly start: number;
  /** Microseconds since the recorder was attached; null while it runs. */
  end: number | null;
  status: Status;
  /** Facts worth reading beside the call, as `peer: "127.0.0.1:9101"`. */
  attributes: Record<string, string | number | boolean>;
}

interface Context {
  readonly recorder: Recorder;
  readonly span: Span | null;
  readonly task: Task;
}

/** Thrown into a wait that lost its race; a span that ends with it is `cancelled`, not `error`. */
export class Cancelled extends Error {
  override readonly name = 'Cancelled';
  constructor(what = 'the wait was cancelled') {
    super(what);
  }
}

let storage: AsyncLocalStorage<Context> | null = null;

/**
 * The switch that every traced function looks at. `null`: tracing is off in this process.
 *
 * It is an object's field rather than an exported `let`, so that V8 can read it without going through the module's
 * live binding.
 */
export const tracing: { recorder: Recorder | null } = { recorder: null };

/** Collects the spans of one process, or of the requests that were chosen to be traced. */
export class Recorder {
  readonly spans: Span[] = [];
  readonly tasks: Task[] = [];
  phase: Phase = 'startup';
  readonly #origin = performance.now();

  /** Attach this recorder: from now on traced calls made inside {@link Recorder.root} are recorded. */
  attach(): this {
    storage ??= new AsyncLocalStorage<Context>();
    tracing.recorder = this;
    return this;
  }

  /** Stop recording. What was recorded stays. */
  detach(): void {
    if (tracing.recorder === this) tracing.recorder = null;
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
    const task: Task = { id: this.tasks.length + 1, name, spawnedBy, open: new Set() };
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
    };
    this.spans.push(span);
    context.task.open.add(span);
    return span;
  }

  #end(span: Span, status: Status): void {
    if (span.end !== null) return;
    span.end = this.now();
    span.status = status;
    span.task.open.delete(span);
  }

  /** Call `fn` inside a span of `site`. Used by the wrappers of `span.ts` only. */
  call(site: Site, fn: (...args: any[]) => unknown, self: unknown, args: unknown[]): unknown {
    const context = storage!.getStore();
    if (context === undefined || context.recorder !== this) return fn.apply(self, args);
    const span = this.#begin(site, context);
    let result: unknown;
    try {
      result = storage!.run({ recorder: this, span, task: context.task }, () => fn.apply(self, args));
    } catch (error) {
      this.#end(span, error instanceof Cancelled ? 'cancelled' : 'error');
      throw error;
    }
    if (result instanceof Promise) {
      // Beside the caller's own await, not before it: the caller gets the very promise that the function returned,
      // so that tracing adds no turn of the microtask queue and changes no order.
      result.then(
        () => this.#end(span, 'ok'),
        (error) => this.#end(span, error instanceof Cancelled ? 'cancelled' : 'error'),
      );
      return result;
    }
    this.#end(span, 'ok');
    return result;
  }

  /** Run `body` as a new task, spawned by the current span. Used by `spawn` only. */
  spawn<T>(name: string, body: () => Promise<T>): Promise<T> {
    const context = storage!.getStore();
    if (context === undefined || context.recorder !== this) return body();
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
    if (span) span.attributes.error = true;
  }
}

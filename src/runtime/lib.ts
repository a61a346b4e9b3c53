/**
 * Runtimes and tasks.
 *
 * In the original every service gets a tokio runtime with threads of its own. Here a runtime is a name and a share of
 * the one event loop; what stays is the order in which they are made, and that every task is started through one.
 *
 * Port of `pingora-runtime/src/lib.rs`.
 */
import { Log } from '../log.ts';
import { Cancelled, tracing } from '../trace/recorder.ts';
import { ported } from '../trace/span.ts';
import { Notify } from './sync.ts';

const rust = ported('pingora-runtime/src/lib.rs');
const log = new Log('pingora_runtime');

/** How many tasks have begun and not ended. */
let running = 0;

async function run(name: string, body: () => Promise<unknown>): Promise<void> {
  running++;
  try {
    await null;
    await body();
  } catch (error) {
    if (error instanceof Cancelled) return;
    log.error(() => `task '${name}' panicked: ${error instanceof Error ? (error.stack ?? error.message) : error}`);
  } finally {
    running--;
  }
}

/**
 * Start a task: Rust's `tokio::spawn`. It begins once the caller has to wait. An exception ends the task, is logged,
 * and never the process.
 *
 * Every task of the port is started here, so that it has a name, a lane in the trace and somebody who notices its end.
 * The promise never rejects: it is for those who wait for the end (`join`).
 */
export function spawn(name: string, body: () => Promise<unknown>): Promise<void> {
  const recorder = tracing.recorder;
  return recorder === null ? run(name, body) : recorder.spawn(name, () => run(name, body));
}

const ending = new Notify();

/**
 * Call `wake` when the runtimes are shut down, which is the end of those who only wait: for another request, say.
 * Returns what takes the call back.
 */
export function onRuntimeShutdown(wake: () => void): () => void {
  return ending.onNotified(wake);
}

/** Shut the runtimes down: who waits has nothing to wait for any more; who works has a while to finish. */
export function shutdownRuntimes(): void {
  ending.notifyWaiters();
}

/** How many tasks are running. */
export function runningTasks(): number {
  return running;
}

/** Starts tasks on a runtime. */
export class Handle {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  /** The runtime's name. */
  get name(): string {
    return this.#name;
  }

  spawn(name: string, body: () => Promise<unknown>): Promise<void> {
    return spawn(name, body);
  }

  /** As {@link Handle.spawn}, for a task whose end nobody waits for: it is logged and traced all the same. */
  spawnDetached(name: string, body: () => Promise<unknown>): void {
    spawn(name, body).catch(() => {});
  }

  /** Run one task to its end: tokio's `block_on`, which here blocks nothing. */
  blockOn<T>(body: () => Promise<T>): Promise<T> {
    return body();
  }
}

/** A runtime of a service. */
export class Runtime {
  private readonly handle: Handle;
  /** How many threads were asked for. */
  readonly threads: number;
  /** Whether tasks may move between them. */
  readonly workStealing: boolean;

  private constructor(threads: number, name: string, workStealing: boolean) {
    this.threads = threads;
    this.workStealing = workStealing;
    this.handle = new Handle(name);
  }

  /** A runtime whose threads take work from each other. */
  @rust.method('Runtime::new_steal')
  static newSteal(threads: number, name: string): Runtime {
    return new Runtime(threads, name, true);
  }

  /** A runtime whose threads keep the tasks that began on them. */
  @rust.method('Runtime::new_no_steal')
  static newNoSteal(threads: number, name: string): Runtime {
    return new Runtime(threads, name, false);
  }

  @rust.method('Runtime::get_handle')
  getHandle(): Handle {
    return this.handle;
  }
}

const current = new Handle('current');

/** The handle of the runtime that the caller runs on. */
export function currentHandle(): Handle {
  return current;
}

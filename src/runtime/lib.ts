/**
 * Runtimes and tasks.
 *
 * In the original every service gets a tokio runtime with threads of its own. Here a runtime of one thread is a name
 * and a share of the process's event loop; what stays is the order in which they are made, and that every task is
 * started through one. Threads beyond that are processes (`threads.ts`), which the runtimes of all services share.
 *
 * Port of `pingora-runtime/src/lib.rs`.
 */
import type { Socket } from 'node:net';
import { Log } from '../log.ts';
import { type Context, runIn, spawned, taskEnded } from '../tracing/recorder.ts';
import { note, ported, traced } from '../tracing/span.ts';
import type { Future } from './future.ts';
import type { Work } from './poll.ts';
import { Notify } from './sync.ts';
import { type Ending, Task } from './task.ts';
import { workerNumber } from './worker.ts';
import { workers } from './workers.ts';

const rust = ported('pingora-runtime/src/lib.rs');
const log = new Log('pingora_runtime');

/** How many tasks have begun and not ended. */
let running = 0;
/** How many of them are attendants. */
let attendants = 0;
/** How many connections are being closed: what was written last may still be on its way to the system. */
let closing = 0;
/** How many wait for a client to send a request. */
let resting = 0;
/** Who waits until there is less to do. */
let watchers: { isDone: () => boolean; done: () => void }[] = [];

function nothing(): void {}

/** Whether nothing is left to do unless a client asks for something. */
const isQuiet = () => running + closing === attendants + resting;
const isNothingLeft = () => isQuiet() && resting === 0;

/** Something ended, or rests: perhaps it was the last. */
function lookIfQuiet(): void {
  if (watchers.length === 0) return;
  const before = watchers;
  watchers = before.filter(({ isDone }) => !isDone());
  for (const watcher of before) if (!watchers.includes(watcher)) watcher.done();
}

function quiet(): Promise<void> {
  return new Promise((done) => {
    watchers.push({ isDone: isQuiet, done });
    lookIfQuiet();
  });
}

/** Resolves in so many milliseconds, or when nothing is left. */
function rest(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      watchers = watchers.filter((one) => one !== watcher);
      resolve();
    };
    const watcher = { isDone: isNothingLeft, done };
    const timer = setTimeout(done, ms);
    watchers.push(watcher);
    lookIfQuiet();
  });
}

/**
 * @internal Resolves as soon as no task runs but attendants, and no connection is being closed: what a server's end
 * waits for. Connections that wait for a request have `restMs` more to send one. The original counts nothing, and waits
 * for the whole grace period.
 */
export async function workDone(restMs: number): Promise<void> {
  do {
    await quiet();
    await rest(restMs);
  } while (!isQuiet());
}

/** @internal A task begins to wait for a client's request, or ends that. */
export function rests(begins: boolean): void {
  resting += begins ? 1 : -1;
  if (begins) lookIfQuiet();
}

/** @internal A connection is being closed. Call what is returned once it is. */
export function connectionCloses(): () => void {
  closing++;
  return connectionClosed;
}

function connectionClosed(): void {
  closing--;
  lookIfQuiet();
}

/** An exception ends its task, is logged, and never the process. */
function failed(name: string, error: unknown): void {
  log.error(() => `task '${name}' panicked: ${error instanceof Error ? (error.stack ?? error.message) : error}`);
}

async function run(
  name: string,
  body: () => Promise<unknown>,
  context: Context | null,
  ended: () => void,
): Promise<void> {
  running++;
  try {
    await null;
    await body();
  } catch (error) {
    failed(name, error);
  } finally {
    running--;
    taskEnded(context);
    ended();
    lookIfQuiet();
  }
}

/**
 * Start a task whose end nobody waits for: Rust's `tokio::spawn` of a future. It is polled once the caller has to wait.
 *
 * Every task of the port is started here or by {@link spawn}, so that it has a name, a lane in the trace and somebody
 * who notices its end.
 */
function spawnDetached(name: string, future: Future<unknown>, ended: () => void = nothing, work?: Work): void {
  const context = spawned(name);
  running++;
  new Task(future, context, new Spawned(name, context, ended), work).wake();
}

/** The end of a task that was spawned. */
class Spawned implements Ending<unknown> {
  private readonly name: string;
  private readonly context: Context | null;
  private readonly ended: () => void;

  constructor(name: string, context: Context | null, ended: () => void) {
    this.name = name;
    this.context = context;
    this.ended = ended;
  }

  resolve(): void {
    running--;
    taskEnded(this.context);
    this.ended();
    lookIfQuiet();
  }

  reject(error: unknown): void {
    failed(this.name, error);
    this.resolve();
  }
}

/**
 * Start a task, of a future or of what lives among promises. The promise never rejects: it is for those who wait for
 * the end (`join`).
 */
export function spawn(name: string, body: Future<unknown> | (() => Promise<unknown>)): Promise<void> {
  if (typeof body !== 'function') return new Promise<void>((resolve) => spawnDetached(name, body, resolve));
  const context = spawned(name);
  return runIn(context, () => run(name, body, context, nothing));
}

/**
 * @internal Start a task that looks after a connection to an origin, whether somebody uses it or not: the end of a
 * server doesn't wait for it.
 */
export function spawnAttendant(name: string, body: Future<unknown> | (() => Promise<unknown>)): void {
  attendants++;
  if (typeof body !== 'function') {
    spawnDetached(name, body, attendantEnded);
    return;
  }
  const context = spawned(name);
  // it never rejects
  runIn(context, () => run(name, body, context, attendantEnded)).catch(nothing);
}

function attendantEnded(): void {
  attendants--;
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

/** The handle of the runtime whose task has just been entered. */
let current: Handle | undefined;

/** Starts tasks on a runtime. */
export class Handle {
  readonly #name: string;
  /** How its service is spread over threads; undefined if it has one thread. */
  readonly spread: Spread | undefined;

  constructor(name: string, spread?: Spread) {
    this.#name = name;
    this.spread = spread;
  }

  /** The runtime's name. */
  get name(): string {
    return this.#name;
  }

  spawn(name: string, body: Future<unknown> | (() => Promise<unknown>)): Promise<void> {
    if (this.spread === undefined) return spawn(name, body);
    return spawn(name, typeof body === 'function' ? () => this.enter(body) : this.entered(body));
  }

  /** Poll `future` with this as the current handle. */
  private *entered<T>(future: Future<T>): Future<T> {
    try {
      for (;;) {
        const polled = this.enter(() => future.next());
        if (polled.done) return polled.value;
        yield;
      }
    } finally {
      future.return(undefined as T);
    }
  }

  /** Run the beginning of a task, up to its first wait, with this as the current handle. */
  private enter<T>(body: () => T): T {
    const before = current;
    current = this;
    try {
      return body();
    } finally {
      current = before;
    }
  }

  /**
   * As {@link Handle.spawn}, for a task whose end nobody waits for: it is logged and traced all the same. `work` says
   * whose work it does; nobody's if it is left out.
   */
  spawnDetached(name: string, future: Future<unknown>, work?: Work): void {
    spawnDetached(name, this.spread === undefined ? future : this.entered(future), nothing, work);
  }

  /** Run one task to its end: tokio's `block_on`, which here blocks nothing. */
  blockOn<T>(body: () => Promise<T>): Promise<T> {
    return body();
  }
}

/**
 * How a service is spread over threads. In the process that was started: its threads share its listening sockets
 * (`workStealing`: whoever is idle accepts), or are handed each connection that is accepted here. In a thread: the
 * other side of that.
 */
export interface Spread {
  /** What the service is called between the processes. */
  readonly key: string;
  readonly threads: number;
  readonly workStealing: boolean;
  /** Hand a connection to one of them, by chance. Not where they steal. */
  give(key: string, socket: Socket): void;
}

/** A runtime of a service. */
@traced
export class Runtime {
  private readonly handle: Handle;
  private readonly noSteal: NoStealRuntime | undefined;
  /** How many threads it has. */
  readonly threads: number;
  /** Whether an idle one takes what waits. */
  readonly workStealing: boolean;

  private constructor(threads: number, name: string, key: string, noSteal: NoStealRuntime | undefined) {
    this.threads = threads;
    this.workStealing = noSteal === undefined;
    this.noSteal = noSteal;
    const spread: Spread | undefined =
      threads === 1
        ? undefined
        : {
            key,
            threads,
            workStealing: this.workStealing,
            give: (to, socket) => noSteal!.getRuntime().give(to, socket),
          };
    this.handle = new Handle(name, spread);
  }

  /** A runtime whose threads take work from each other. `key`: what its service is called between the processes. */
  @rust.method
  static newSteal(threads: number, name: string, key = name): Runtime {
    if (threads > 1) startWorkers(threads);
    return new Runtime(threads, name, key, undefined);
  }

  /** A runtime whose threads keep the tasks that began on them. */
  @rust.method
  static newNoSteal(threads: number, name: string, key = name): Runtime {
    return new Runtime(threads, name, key, NoStealRuntime.new(threads, name));
  }

  /**
   * The original gives that of a random thread if they don't steal; here what is started so, a service, is in the
   * process that was started, and its connections go to random threads.
   */
  @rust.method
  getHandle(): Handle {
    if (this.threads > 1) this.noSteal?.getPools();
    return this.handle;
  }

  /** Its tasks have so many seconds to end. Of threads that services share this is the end for all of them. */
  @rust.method
  async shutdownTimeout(seconds: number): Promise<void> {
    if (this.noSteal !== undefined) await this.noSteal.shutdownTimeout(seconds);
    else await endWorkers(seconds);
  }
}

/** A thread that connections can be handed to. */
export interface WorkerHandle {
  readonly thread: number;
  give(key: string, socket: Socket): void;
}

/** A runtime of several threads, each of which keeps what began on it. */
@traced
export class NoStealRuntime {
  readonly name: string;
  private readonly count: number;
  /** Made when first asked for: a daemon isn't one yet when its runtimes are made. */
  private pools: WorkerHandle[] | undefined;

  private constructor(threads: number, name: string) {
    this.count = threads;
    this.name = name;
  }

  static new(threads: number, name: string): NoStealRuntime {
    return new NoStealRuntime(threads, name);
  }

  @rust.method
  private initPools(): WorkerHandle[] {
    startWorkers(this.count);
    return Array.from({ length: this.count }, (_, i) => ({
      thread: i + 1,
      give: (key: string, socket: Socket) => workers.give({ key, workers: this.count, worker: i + 1, socket }),
    }));
  }

  /** The handle of a random thread. */
  @rust.method
  getRuntime(): WorkerHandle {
    return this.getRuntimeAt(Math.floor(Math.random() * this.count));
  }

  threads(): number {
    return this.count;
  }

  getPools(): WorkerHandle[] {
    this.pools ??= this.initPools();
    return this.pools;
  }

  /** The handle of a thread; the first has index 0. */
  @rust.method
  getRuntimeAt(index: number): WorkerHandle {
    const handle = this.getPools()[index]!;
    note({ thread: handle.thread });
    return handle;
  }

  @rust.method
  async shutdownTimeout(seconds: number): Promise<void> {
    if (this.pools !== undefined) await endWorkers(seconds);
  }
}

/** In the process that was started; a thread is one, and starts none. */
function startWorkers(count: number): void {
  if (workerNumber() > 0) return;
  note({ threads: count });
  workers.atLeast(count);
}

let ended: Promise<void> | undefined;

/** End the threads that all runtimes share: at once, or when those who work have had their time. */
function endWorkers(seconds: number): Promise<void> {
  ended ??= workers.endWithin(seconds);
  return ended;
}

const currentDefault = new Handle('current');

/** The handle of the runtime that the caller runs on. Of a service with threads: up to its task's first wait. */
export function currentHandle(): Handle {
  return current ?? currentDefault;
}

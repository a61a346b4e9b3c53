/**
 * Timeouts for things that nearly always finish in time.
 *
 * A proxy arms a timer for almost every read and cancels it almost every time. As in the original, timers are rounded
 * up to 10 ms and those of one instant share one, so that arming and cancelling are a set insertion and a deletion.
 *
 * Port of `pingora-timeout/src/{lib,fast_timeout,timer}.rs`.
 */
import { type Future, until } from '../runtime/future.ts';
import { currentWaker } from '../runtime/poll.ts';
import { type AwaitableFuture, awaitable } from '../runtime/task.ts';
import { observer } from '../tracing/observer.ts';

/** Timers are rounded up to this many milliseconds. */
const RESOLUTION_MS = 10;

/** What `timeout` throws when the time is up. */
export class Elapsed extends Error {
  /** Always `Elapsed`. */
  override readonly name = 'Elapsed';
  /** With the message that tokio's has. */
  constructor() {
    super('Timeout Elapsed');
  }
}

/** A timer that was armed. */
export interface Armed {
  cancel(): void;
}

interface Bucket {
  readonly waiting: Set<Waiter>;
  readonly timer: NodeJS.Timeout;
}

const buckets = new Map<number, Bucket>();

/** One call that is due. An object a call, not the function itself: the same one may be armed twice. */
class Waiter implements Armed {
  readonly fire: () => void;
  private readonly bucket: Bucket;

  constructor(bucket: Bucket, fire: () => void) {
    this.bucket = bucket;
    this.fire = fire;
  }

  cancel(): void {
    const { waiting, timer } = this.bucket;
    if (waiting.delete(this) && waiting.size === 0) timer.unref();
  }
}

/** @internal How many timers are armed: what a test of leaks counts. */
export function armedTimers(): number {
  let count = 0;
  for (const { waiting } of buckets.values()) count += waiting.size;
  return count;
}

/** Nearly 25 days: Node takes a longer time for one millisecond. */
const LONGEST_MS = 2 ** 31 - 1 - RESOLUTION_MS;

let everArmed = 0;

/** @internal How many timers were armed since the process began: what a test compares. */
export function timersArmed(): number {
  return everArmed;
}

/**
 * Call `fire` after `ms` milliseconds, up to 10 ms late. It keeps the process alive as `setTimeout` does.
 *
 * A bucket that became empty is left to expire on its own, without keeping the process alive: to clear it would cost
 * more than to let it pass, and the next request most likely wants the same one.
 */
export function arm(ms: number, fire: () => void): Armed {
  everArmed++;
  const now = performance.now();
  const due = Math.ceil((now + Math.min(ms, LONGEST_MS)) / RESOLUTION_MS);
  let bucket = buckets.get(due);
  if (bucket === undefined) {
    const waiting = new Set<Waiter>();
    const expire = () => {
      buckets.delete(due);
      observer.fired();
      for (const waiter of waiting) waiter.fire();
    };
    bucket = { waiting, timer: setTimeout(expire, due * RESOLUTION_MS - now) };
    buckets.set(due, bucket);
  } else if (bucket.waiting.size === 0) bucket.timer.ref();
  const waiter = new Waiter(bucket, fire);
  bucket.waiting.add(waiter);
  return waiter;
}

/**
 * A deadline that is moved again and again and hardly ever met, as that of a connection's next read: setting it later
 * and clearing it touch no timer. The timer that is there looks, when it expires, whether it came too early.
 */
export class Deadline {
  private due = Infinity;
  private armed: Armed | null = null;
  private armedFor = Infinity;
  private readonly fire: () => void;
  private readonly expire: () => void;

  constructor(fire: () => void) {
    this.fire = fire;
    this.expire = () => this.expired();
  }

  /** From now on `fire` is called in `ms` milliseconds, instead of what was set before. */
  set(ms: number): void {
    this.due = performance.now() + ms;
    if (this.due < this.armedFor) this.arm(ms);
  }

  /** There is no deadline, until the next one is set. */
  clear(): void {
    this.due = Infinity;
  }

  /** There is no deadline, and what would be called is let go. */
  end(): void {
    this.due = Infinity;
    this.armed?.cancel();
    this.armed = null;
    this.armedFor = Infinity;
  }

  private arm(ms: number): void {
    this.armed?.cancel();
    this.armedFor = this.due;
    this.armed = arm(ms, this.expire);
  }

  private expired(): void {
    this.armed = null;
    this.armedFor = Infinity;
    if (this.due === Infinity) return;
    const left = this.due - performance.now();
    if (left > 0) this.arm(left);
    else {
      this.due = Infinity;
      this.fire();
    }
  }
}

/** How long something that is polled may be pending: tokio's `timeout` around it. */
export class Limit {
  private readonly deadline: Deadline;
  private set = false;
  private elapsed = false;

  /** `wake`: the time is up, ask again. */
  constructor(wake: () => void) {
    this.deadline = new Deadline(() => {
      this.elapsed = true;
      wake();
    });
  }

  /** It is pending; the first time it begins to count. Throws `Elapsed` when `ms` milliseconds are over. */
  check(ms: number): void {
    if (this.elapsed) {
      this.clear();
      throw new Elapsed();
    }
    if (this.set) return;
    this.set = true;
    this.deadline.set(ms);
  }

  /** It isn't pending any more. */
  clear(): void {
    if (!this.set) return;
    this.set = false;
    this.elapsed = false;
    this.deadline.clear();
  }

  /** There will be no other. */
  end(): void {
    this.deadline.end();
  }
}

/**
 * Wait for `operation` for at most `ms` milliseconds; throws {@link Elapsed} when the time is up, up to 10 ms late. A future is
 * dropped then: it frees what it holds, as a connection that is being opened. A promise can't be, and goes on unheard.
 * Without a limit (`ms` is undefined) it waits for ever.
 *
 * ```ts
 * const never = new Promise<void>(() => {});
 * try {
 *   await timeout(20, never);
 * } catch (error) {
 *   console.log(error instanceof Elapsed); // true
 * }
 * ```
 */
export function timeout<T>(ms: number | undefined, operation: Promise<T> | Future<T>): AwaitableFuture<T> {
  return within(ms, operation instanceof Promise ? until(operation) : operation) as AwaitableFuture<T>;
}

function* within<T>(ms: number | undefined, future: Future<T>): Future<T> {
  let waker = currentWaker();
  let armed: Armed | undefined;
  let elapsed = false;
  try {
    for (;;) {
      const polled = future.next();
      if (polled.done) return polled.value;
      if (elapsed) throw new Elapsed();
      waker = currentWaker();
      if (ms !== undefined) {
        armed ??= arm(ms, () => {
          elapsed = true;
          waker.wake();
        });
      }
      yield;
    }
  } finally {
    armed?.cancel();
    future.return(undefined as T);
  }
}

awaitable(within);

/** Wait for `ms` milliseconds. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => arm(ms, resolve));
}

/**
 * Futures as Rust has them: what does nothing by itself, is polled, and can be dropped.
 *
 * A generator is one: `next` polls it, a `yield` is where it has to wait, `return` drops it and runs its `finally`.
 * `const value = yield* future` is Rust's `future.await`. What is polled without a generator of its own, as the reads
 * of a stream, is awaited with a loop that yields while it is `PENDING`.
 */
import { currentWaker, PENDING, type Poll } from './poll.ts';

/** What is polled: it runs as far as it can without waiting, and whoever makes it able to go on wakes its task. */
export type Future<T> = Generator<void, T, void>;

/** What an application may return where the port has a future. */
export type Awaitable<T> = T | Promise<T> | Future<T>;

/** An operation of the promises' world that is polled: one promise at a time. */
class Pending<T> {
  private state: 'idle' | 'pending' | 'done' | 'failed' = 'idle';
  private value: unknown = undefined;
  private waker = currentWaker();

  /** Whether an operation is under way, or its result not taken. */
  get busy(): boolean {
    return this.state !== 'idle';
  }

  /** Begin with `operation`; {@link Pending.poll} gives its result. */
  start(operation: Promise<T>): void {
    this.state = 'pending';
    operation.then(
      (value) => this.settle('done', value),
      (error: unknown) => this.settle('failed', error),
    );
  }

  private settle(state: 'done' | 'failed', value: unknown): void {
    this.state = state;
    this.value = value;
    // at once, as `await` goes on: whoever was asked has answered
    const { waker } = this;
    if (waker.wakeNow !== undefined) waker.wakeNow();
    else waker.wake();
  }

  /** The result, once; throws what the operation threw. */
  poll(): Poll<T> {
    if (this.state === 'pending') {
      this.waker = currentWaker();
      return PENDING;
    }
    const { state, value } = this;
    this.state = 'idle';
    this.value = undefined;
    if (state === 'failed') throw value;
    return value as T;
  }
}

/** Rust's `await` of what is a promise: `const value = yield* until(promise)`. It can't be dropped: it goes on unheard. */
export function* until<T>(operation: Promise<T>): Future<T> {
  const pending = new Pending<T>();
  pending.start(operation);
  for (;;) {
    const value = pending.poll();
    if (value !== PENDING) return value;
    yield;
  }
}

/** Await what a function of an application returned, which may be anything that can be awaited. */
export function settle<T>(result: Awaitable<T>): Future<T> {
  return isFuture(result) ? result : settled(result);
}

function* settled<T>(result: T | Promise<T>): Future<T> {
  return result instanceof Promise ? yield* until(result) : result;
}

/** Whether something is a future: what a generator function returns. */
function isFuture(what: unknown): what is Future<any> {
  return (
    typeof what === 'object' &&
    what !== null &&
    typeof (what as Future<unknown>).next === 'function' &&
    typeof (what as Future<unknown>).return === 'function'
  );
}

/**
 * tokio's `try_join!` of two futures: one task polls both, the first one first, whenever something has woken it. The
 * first error drops both.
 */
export function* tryJoin(first: Future<void>, second: Future<void>): Future<void> {
  let running = 2;
  let firstEnded = false;
  let secondEnded = false;
  try {
    for (;;) {
      if (!firstEnded && first.next().done) {
        firstEnded = true;
        running--;
      }
      if (!secondEnded && second.next().done) {
        secondEnded = true;
        running--;
      }
      if (running === 0) return;
      yield;
    }
  } finally {
    if (!firstEnded) first.return();
    if (!secondEnded) second.return();
  }
}

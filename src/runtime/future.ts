/**
 * Futures as Rust has them: what does nothing by itself, is polled, and can be dropped.
 *
 * A generator is one: `next` polls it, a `yield` is where it has to wait, `return` drops it and runs its `finally`.
 * `const value = yield* future` is Rust's `future.await`. What is polled without a generator of its own, as the reads
 * of a stream, is awaited with a loop that yields while it is `PENDING`.
 */
import type { EventEmitter } from 'node:events';
import { isFuture } from '../tracing/registry.ts';
import { currentWaker } from './poll.ts';

export { isFuture };

/** What is polled: it runs as far as it can without waiting, and whoever makes it able to go on wakes its task. */
export type Future<T> = Generator<void, T, void>;

/** What an application may return where the port has a future. */
export type Awaitable<T> = T | Promise<T> | Future<T>;

/** What is told once, from outside of tasks, to one that waits for it: tokio's `oneshot`. */
export class Oneshot<T> {
  private state: 'pending' | 'done' | 'failed' = 'pending';
  private value: unknown = undefined;
  private waker = currentWaker();

  /** Tell the value; to no effect if something was told before. */
  readonly resolve = (value: T): void => this.settle('done', value);
  /** Tell an error, likewise. */
  readonly reject = (error: unknown): void => this.settle('failed', error);

  private settle(state: 'done' | 'failed', value: unknown): void {
    if (this.state !== 'pending') return;
    this.state = state;
    this.value = value;
    // at once, as `await` goes on: whoever was asked has answered
    const { waker } = this;
    if (waker.wakeNow !== undefined) waker.wakeNow();
    else waker.wake();
  }

  /** Wait for it; throws the error that is told. */
  *receive(): Future<T> {
    for (; this.state === 'pending'; yield) this.waker = currentWaker();
    if (this.state === 'failed') throw this.value;
    return this.value as T;
  }
}

/** Rust's `await` of what is a promise: `const value = yield* until(promise)`. It can't be dropped: it goes on unheard. */
export function until<T>(operation: Promise<T>): Future<T> {
  const told = new Oneshot<T>();
  operation.then(told.resolve, told.reject);
  return told.receive();
}

/** Wait until `emitter` says `event`: Node's `once`. Throws the `error` that it says before, or that it has closed. */
export function* emitted(emitter: EventEmitter, event: string): Future<void> {
  const told = new Oneshot<void>();
  // in a microtask: Node isn't done with the event yet, after `connect` it begins to read
  const happened = () => queueMicrotask(told.resolve);
  const failed = (error: Error) => queueMicrotask(() => told.reject(error));
  const closed = () => failed(new Error(`closed before ${event}`));
  emitter.on(event, happened).on('error', failed).on('close', closed);
  try {
    yield* told.receive();
  } finally {
    emitter.off(event, happened).off('error', failed).off('close', closed);
  }
}

/** Await what a function of an application returned, which may be anything that can be awaited. */
export function settle<T>(result: Awaitable<T>): Future<T> {
  return isFuture(result) ? result : settled(result);
}

function* settled<T>(result: T | Promise<T>): Future<T> {
  return result instanceof Promise ? yield* until(result) : result;
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

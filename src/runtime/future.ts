/**
 * Futures as Rust has them: what does nothing by itself, is polled, and can be dropped.
 *
 * A generator is one: `next` polls it, a `yield` is where it has to wait, `return` drops it and runs its `finally`.
 * The port's own, for where two of them run in turns in one task: promises would be woken one after the other, in an
 * order of their own, and none can be dropped.
 */
import { type Channel, Kept } from './sync.ts';

/** What is polled: it runs as far as it can without waiting, and whoever makes it able to go on calls its waker. */
export type Future<T> = Generator<void, T, void>;

/** Rust's `await` inside a future: `const value = yield* until(promise, wake)`. */
export function until<T>(operation: Promise<T>, wake: () => void): Future<T> {
  return takeFrom(new Kept<T>(wake), operation);
}

/**
 * As {@link until}, with `kept` telling meanwhile whether `operation` is pending: for who has to end it when dropped.
 */
export function* takeFrom<T>(kept: Kept<T>, operation: Promise<T>): Future<T> {
  kept.start(operation);
  while (!kept.ready) yield;
  return kept.take();
}

/** Rust's `tx.send(item).await` inside a future: sends once there is room. False if nobody receives any more. */
export function* sendTo<T>(tx: Channel<T>, item: T, wake: () => void): Future<boolean> {
  while (!tx.trySend(item)) {
    if (tx.isReceiverGone) return false;
    tx.onCapacity(wake);
    yield;
  }
  return true;
}

/**
 * tokio's `try_join!` of two futures: they run in turns, the first one first, whenever something has woken either.
 * The first error drops both.
 */
export class TryJoin {
  /** What both are to be woken with. */
  readonly wake: () => void;
  private first: Future<void> | null = null;
  private second: Future<void> | null = null;
  private polling = false;
  private woken = false;
  private resolve: () => void = nothing;
  private reject: (error: unknown) => void = nothing;

  constructor() {
    this.wake = wakerOf(this);
  }

  /** Run both to their ends. Rejects with what the first to fail throws. */
  run(first: Future<void>, second: Future<void>): Promise<void> {
    this.first = first;
    this.second = second;
    return new Promise<void>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
      this.poll();
    });
  }

  /** @internal */
  poll(): void {
    this.woken = true;
    // woken by one of the two while it runs: the turn below sees it
    if (this.polling) return;
    this.polling = true;
    try {
      while (this.woken) {
        this.woken = false;
        if (this.first?.next().done) this.first = null;
        if (this.second?.next().done) this.second = null;
      }
    } catch (error) {
      this.fail(error);
    }
    this.polling = false;
    if (this.first === null && this.second === null) this.resolve();
  }

  private fail(error: unknown): void {
    const { first, second } = this;
    this.first = null;
    this.second = null;
    first?.return();
    second?.return();
    this.reject(error);
  }
}

/**
 * What wakes `future`. Written here and not as a closure in its constructor: of those, while the code isn't optimized
 * yet, V8 (Node 20) drops none before its next full collection, and with each goes what the exchange knew.
 */
function wakerOf(future: { poll(): void }): () => void {
  return () => future.poll();
}

function nothing(): void {}

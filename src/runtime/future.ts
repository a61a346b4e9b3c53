/**
 * Futures as Rust has them: what does nothing by itself, is polled, and can be dropped.
 *
 * A generator is one: `next` polls it, a `yield` is where it has to wait, `return` drops it and runs its `finally`.
 * The port's own, for where two of them run in turns in one task: promises would be woken one after the other, in an
 * order of their own, and none can be dropped.
 */
import { Kept } from './sync.ts';

/** What is polled: it runs as far as it can without waiting, and whoever makes it able to go on calls its waker. */
export type Future<T> = Generator<void, T, void>;

/** Rust's `await` inside a future: `const value = yield* until(promise, wake)`. */
export function* until<T>(operation: Promise<T>, wake: () => void): Future<T> {
  const kept = new Kept<T>(wake);
  kept.start(operation);
  while (!kept.ready) yield;
  return kept.take();
}

/**
 * tokio's `try_join!` of two futures: they run in turns, the first one first, whenever something has woken either.
 * The first error drops both.
 *
 * `joined` and `failed` say what becomes of that: as parameters, for a promise that is derived with `then` costs
 * another turn.
 */
export class TryJoin<T> {
  /** What both are to be woken with. */
  readonly wake: () => void;
  private readonly joined: () => T;
  private readonly failed: (error: unknown) => T;
  private first: Future<void> | null = null;
  private second: Future<void> | null = null;
  private polling = false;
  private woken = false;
  private resolve: (value: T) => void = nothing;
  private reject: (error: unknown) => void = nothing;

  constructor(joined: () => T, failed: (error: unknown) => T) {
    this.joined = joined;
    this.failed = failed;
    this.wake = () => this.poll();
  }

  /** Run both to their ends. Resolves with what `joined`, or with the first error `failed`, makes of it. */
  run(first: Future<void>, second: Future<void>): Promise<T> {
    this.first = first;
    this.second = second;
    return new Promise<T>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
      this.poll();
    });
  }

  private poll(): void {
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
    if (this.first === null && this.second === null) this.settle(this.joined);
  }

  private settle(how: (error: unknown) => T, error?: unknown): void {
    try {
      this.resolve(how(error));
    } catch (thrown) {
      this.reject(thrown);
    }
  }

  private fail(error: unknown): void {
    const { first, second } = this;
    this.first = null;
    this.second = null;
    first?.return();
    second?.return();
    this.settle(this.failed, error);
  }
}

function nothing(): void {}

/**
 * What polls a future to its end: tokio's task.
 */
import { type Context, currentContext, Recorder, tracedFuture, tracing } from '../tracing/recorder.ts';
import type { Future } from './future.ts';
import { enterPoll, leavePoll, PENDING, type Poll, type Waker, Work } from './poll.ts';
import { pollInTurn, type Woken } from './turn.ts';

/** A task that wakes itself so often in a row lets others go first: tokio's budget of a task. */
const BUDGET = 128;

/** Who hears of a task's end. */
export interface Ending<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** A future, and who hears of its end. */
export class Task<T> implements Waker, Woken {
  private readonly future: Future<T>;
  private readonly end: Ending<T>;
  /** In which span its polls are. */
  private readonly context: Context | null;
  work: Work;
  private woken = false;
  private state: 'waiting' | 'polled' | 'queued' | 'ended' = 'waiting';

  constructor(future: Future<T>, context: Context | null, end: Ending<T>, work: Work = Work.ANY) {
    this.future = future;
    this.context = context;
    this.end = end;
    this.work = work;
  }

  wake(first = false): void {
    this.woken = true;
    if (this.state !== 'waiting') return;
    this.state = 'queued';
    pollInTurn(this, first);
  }

  wakeNow(): void {
    this.woken = true;
    if (this.state === 'waiting') this.poll();
  }

  /** @internal */
  poll(): void {
    if (this.state === 'ended') return;
    const waker = enterPoll(this);
    const before = tracing.current;
    tracing.current = this.context;
    this.state = 'polled';
    try {
      for (let left = BUDGET; left > 0; left--) {
        this.woken = false;
        const polled = this.future.next();
        if (polled.done) {
          this.state = 'ended';
          this.end.resolve(polled.value);
          return;
        }
        if (!this.woken) {
          this.state = 'waiting';
          return;
        }
      }
      this.state = 'queued';
      pollInTurn(this);
    } catch (error) {
      this.state = 'ended';
      this.end.reject(error);
    } finally {
      tracing.current = before;
      leavePoll(waker);
    }
  }

  /** Drop the future: its `finally` runs, nobody hears of its end. */
  drop(): void {
    if (this.state === 'ended') return;
    this.state = 'ended';
    const before = tracing.current;
    tracing.current = this.context;
    try {
      this.future.return(undefined as T);
    } finally {
      tracing.current = before;
    }
  }
}

/**
 * A promise of what `future` gives, for who lives among promises: it is polled at once, and from then on when it is
 * woken, in a task of its own.
 */
export function promised<T>(future: Future<T>, context = currentContext()): Promise<T> {
  return new Promise<T>((resolve, reject) => new Task(future, context, { resolve, reject }).poll());
}

/** A promise of what `poll` gives once it is ready. */
export function polled<T>(poll: () => Poll<T>): Promise<T> {
  return promised(ready(poll));
}

/** The future of what `poll` gives once it is ready. */
export function* ready<T>(poll: () => Poll<T>): Future<T> {
  for (;;) {
    const value = poll();
    if (value !== PENDING) return value;
    yield;
  }
}

/**
 * A future that applications may await, once. It does nothing before that; `Promise.resolve(future)` is a promise of what it
 * gives, and begins it.
 */
export type AwaitableFuture<T> = Future<T> & PromiseLike<T>;

function then(this: Future<unknown>, resolve?: (value: any) => any, reject?: (error: any) => any): PromiseLike<any> {
  return promised(this).then(resolve, reject);
}

/**
 * Decorates a generator method that applications call too: whoever lives among promises awaits what it returns.
 * (What a generator function returns has the function's `prototype`: nothing is added to each future.)
 */
export function awaitable<A extends unknown[], T>(
  method: (this: any, ...args: A) => Future<T>,
  _context?: ClassMethodDecoratorContext,
): void {
  Object.defineProperty(method.prototype, 'then', { value: then, configurable: true });
}

awaitable(tracedFuture as (...args: any[]) => Future<unknown>);
awaitable(Recorder.prototype.goOn as (...args: any[]) => Future<unknown>);

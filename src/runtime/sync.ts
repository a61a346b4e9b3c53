/**
 * tokio's `watch`, `Notify`, `oneshot` and bounded `mpsc`, with the same meaning on one event loop.
 *
 * Nothing here creates a promise unless somebody really has to wait.
 */
import { observer } from '../tracing/observer.ts';

/** A value that many can wait on: tokio's `watch::channel`. */
export class Watch<T> {
  #value: T;
  #version = 0;
  #waiting = new Set<{ wake: () => void }>();

  constructor(initial: T) {
    this.#value = initial;
  }

  /** Set the value and wake everybody who waits for a change. */
  send(value: T): void {
    this.#value = value;
    this.#version++;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const { wake } of waiting) wake();
  }

  /** A receiver, which has seen the present value. */
  subscribe(): WatchReceiver<T> {
    return new WatchReceiver(this);
  }

  get value(): T {
    return this.#value;
  }

  get version(): number {
    return this.#version;
  }

  /** @internal */
  onChange(wake: () => void): () => void {
    const waiter = { wake };
    this.#waiting.add(waiter);
    return () => this.#waiting.delete(waiter);
  }
}

/** tokio's `watch::Receiver`. */
export class WatchReceiver<T> {
  readonly #watch: Watch<T>;
  #seen: number;

  constructor(watch: Watch<T>, seen = watch.version) {
    this.#watch = watch;
    this.#seen = seen;
  }

  /** The present value. */
  borrow(): T {
    return this.#watch.value;
  }

  clone(): WatchReceiver<T> {
    return new WatchReceiver(this.#watch, this.#seen);
  }

  /** Wait until the value was sent again since this receiver last looked. */
  async changed(): Promise<void> {
    if (this.#watch.version === this.#seen) {
      await new Promise<void>((resolve) => this.#watch.onChange(resolve));
    }
    this.#seen = this.#watch.version;
  }

  /** Call `wake` at the next change; returns what takes it back. For races, where a promise would be left behind. */
  onChange(wake: () => void): () => void {
    return this.#watch.onChange(wake);
  }
}

/**
 * The value turns true when the server begins to shut down. Port of `ShutdownWatch` in
 * `pingora-core/src/server/mod.rs`.
 */
export type ShutdownWatch = WatchReceiver<boolean>;

/** tokio's `Notify`: `notifyWaiters` wakes those who wait now, `notifyOne` is remembered if nobody does. */
export class Notify {
  #permit = false;
  #waiting = new Set<() => void>();

  notifyWaiters(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  notifyOne(): void {
    for (const wake of this.#waiting) {
      this.#waiting.delete(wake);
      wake();
      return;
    }
    this.#permit = true;
  }

  /** Call `wake` at the next notification; returns what takes it back. */
  onNotified(wake: () => void): () => void {
    if (this.#permit) {
      this.#permit = false;
      wake();
      return () => {};
    }
    this.#waiting.add(wake);
    return () => this.#waiting.delete(wake);
  }

  notified(): Promise<void> {
    return new Promise((resolve) => this.onNotified(resolve));
  }
}

/**
 * tokio's bounded `mpsc`, with one sender and one receiver, both futures that are polled in turns (see `TryJoin`): the
 * sender goes on until it must wait, and only then does the receiver see what was sent, as one batch.
 */
export class Channel<T> {
  readonly capacity: number;
  /** As traces call it. */
  readonly name: string;
  #items: T[] = [];
  #closed = false;
  #receiverGone = false;
  #wakeReceiver: (() => void) | null = null;
  #wakeSender: (() => void) | null = null;

  constructor(capacity: number, name = 'channel') {
    this.capacity = capacity;
    this.name = name;
  }

  #toReceiver(): void {
    const wake = this.#wakeReceiver;
    this.#wakeReceiver = null;
    wake?.();
  }

  #toSender(): void {
    const wake = this.#wakeSender;
    this.#wakeSender = null;
    wake?.();
  }

  /** Whether an item can be sent now. */
  hasCapacity(): boolean {
    return this.#items.length < this.capacity;
  }

  /** Send if there is room; false if there isn't, or if the receiver is gone. */
  trySend(item: T): boolean {
    if (this.#receiverGone || this.#items.length >= this.capacity) return false;
    this.#items.push(item);
    observer.channel(this.name, 'send', this.#items.length, this.capacity);
    this.#toReceiver();
    return true;
  }

  /** Call `wake` once there is room or the receiver is gone. Only one at a time can wait. */
  onCapacity(wake: () => void): void {
    this.#wakeSender = wake;
  }

  /** No more will be sent: the receiver gets what is left, then the end. */
  close(): void {
    this.#closed = true;
    observer.channel(this.name, 'close', this.#items.length, this.capacity);
    this.#toReceiver();
  }

  /** Nobody will receive any more: what the sender sends is refused. */
  closeReceiver(): void {
    this.#receiverGone = true;
    this.#items.length = 0;
    this.#toSender();
  }

  /** Whether the sender closed and everything was received. */
  get ended(): boolean {
    return this.#closed && this.#items.length === 0;
  }

  get isReceiverGone(): boolean {
    return this.#receiverGone;
  }

  /** An item if there is one. */
  tryRecv(): T | undefined {
    const item = this.#items.shift();
    if (item !== undefined) {
      observer.channel(this.name, 'receive', this.#items.length, this.capacity);
      this.#toSender();
    }
    return item;
  }

  /** All items that are there, if there are any. */
  tryRecvAll(): T[] | undefined {
    const items = this.#items;
    if (items.length === 0) return undefined;
    this.#items = [];
    observer.channel(this.name, 'receive', 0, this.capacity);
    this.#toSender();
    return items;
  }

  /** Call `wake` once there is an item or the end, at once if there is. Only one at a time can wait. */
  onItem(wake: () => void): void {
    this.#wakeReceiver = wake;
    if (this.#items.length > 0 || this.#closed) this.#toReceiver();
  }
}

/**
 * One turn of a `select!` loop: `wait()` resolves when any of the sources that were given `wake` calls it.
 *
 * A promise can't be dropped, so a loop keeps what is pending and waits again; this makes one promise a turn however
 * many sources there are, and leaves no reaction behind on those that stay pending.
 */
export class Turn {
  #resolve: (() => void) | null = null;
  #woken = false;

  readonly wake: () => void;

  constructor() {
    // not as a field's initializer: tools that keep names would define this one's with each turn
    this.wake = () => this.#wake();
  }

  #wake(): void {
    const resolve = this.#resolve;
    if (resolve !== null) {
      this.#resolve = null;
      resolve();
    } else this.#woken = true;
  }

  wait(): void | Promise<void> {
    if (this.#woken) {
      this.#woken = false;
      return;
    }
    return new Promise<void>((resolve) => {
      this.#resolve = resolve;
    });
  }
}

/** A branch of a `select!` loop whose operation is kept across turns until it is done. */
export class Kept<T> {
  #state: 'idle' | 'pending' | 'done' | 'failed' = 'idle';
  #value: T | undefined;
  #error: unknown;
  readonly #wake: () => void;

  constructor(wake: () => void) {
    this.#wake = wake;
  }

  get pending(): boolean {
    return this.#state === 'pending';
  }

  /** Whether nothing was started, or what was started has been taken. */
  get idle(): boolean {
    return this.#state === 'idle';
  }

  /** Keep what was started. A promise wakes the loop when it settles. */
  start(operation: T | Promise<T>): void {
    if (operation instanceof Promise) {
      this.#state = 'pending';
      operation.then(
        (value) => {
          this.#state = 'done';
          this.#value = value;
          this.#wake();
        },
        (error: unknown) => {
          this.#state = 'failed';
          this.#error = error;
          this.#wake();
        },
      );
    } else {
      this.#state = 'done';
      this.#value = operation;
    }
  }

  /** Wait without a promise: for {@link Kept.fail} or {@link Kept.retry}, or for ever. */
  pend(): void {
    this.#state = 'pending';
  }

  /** The wait is over: what was to be started can be. */
  retry(): void {
    this.#state = 'idle';
    this.#wake();
  }

  /** What was waited for failed. */
  fail(error: unknown): void {
    this.#state = 'failed';
    this.#error = error;
    this.#wake();
  }

  /** Whether {@link Kept.take} has something to give. */
  get ready(): boolean {
    return this.#state === 'done' || this.#state === 'failed';
  }

  /** The result; throws what the operation threw. */
  take(): T {
    const failed = this.#state === 'failed';
    this.#state = 'idle';
    if (failed) throw this.#error;
    const value = this.#value as T;
    this.#value = undefined;
    return value;
  }
}

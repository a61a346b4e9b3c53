/**
 * tokio's `watch`, `Notify` and bounded `mpsc`, with the same meaning on one event loop.
 *
 * Nothing here creates a promise unless somebody really has to wait.
 */
import { observer } from '../tracing/observer.ts';
import type { Future } from './future.ts';
import { currentWaker, PENDING, type Poll, type Waker } from './poll.ts';

/** A value that many can wait on: tokio's `watch::channel`. */
export class Watch<T> {
  #value: T;
  #version = 0;
  #waiting = new Set<{ wake: () => void }>();

  /** With this value at the beginning. */
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

  /** The present value. */
  get value(): T {
    return this.#value;
  }

  /** How often it was sent. */
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
  #waker: Waker | null = null;
  #forget: (() => void) | undefined = undefined;

  /** Rather by {@link Watch.subscribe}. */
  constructor(watch: Watch<T>, seen = watch.version) {
    this.#watch = watch;
    this.#seen = seen;
  }

  /** The present value. */
  borrow(): T {
    return this.#watch.value;
  }

  /** Another receiver that has seen the same. */
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

  /** Ready when the value was sent again since this receiver last looked. */
  pollChanged(): Poll<void> {
    if (this.#watch.version !== this.#seen) {
      this.#seen = this.#watch.version;
      return;
    }
    const waker = currentWaker();
    if (this.#waker !== waker) {
      this.#forget?.();
      this.#waker = waker;
      this.#forget = this.#watch.onChange(() => {
        this.#waker = null;
        waker.wake();
      });
    }
    return PENDING;
  }

  /** Whoever was pending here waits no more. */
  dropWait(): void {
    this.#forget?.();
    this.#forget = undefined;
    this.#waker = null;
  }

  /** Call `wake` at the next change; returns what takes it back. For who isn't polled. */
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

  /** Wake all who wait now. */
  notifyWaiters(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  /** Wake one who waits; if nobody does, the next one doesn't wait. */
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

  /** Wait for the next notification. */
  notified(): Promise<void> {
    return new Promise((resolve) => this.onNotified(resolve));
  }
}

/**
 * tokio's bounded `mpsc`, with one sender and one receiver. Where one task polls both (`tryJoin`), the sender goes on
 * until it must wait, and only then does the receiver see what was sent, as one batch.
 */
export class Channel<T> {
  readonly capacity: number;
  /** As traces call it. */
  readonly name: string;
  #items: T[] = [];
  #closed = false;
  #receiverGone = false;
  #receiver: Waker | null = null;
  #sender: Waker | null = null;

  /** `capacity`: the maximum number of items that were sent and not received. */
  constructor(capacity: number, name = 'channel') {
    this.capacity = capacity;
    this.name = name;
  }

  #wakeReceiver(): void {
    const receiver = this.#receiver;
    this.#receiver = null;
    receiver?.wake();
  }

  #wakeSender(): void {
    const sender = this.#sender;
    this.#sender = null;
    sender?.wake();
  }

  /** Ready with true when there is room for one more, with false when the receiver is gone. */
  pollReserve(): Poll<boolean> {
    if (this.#receiverGone) return false;
    if (this.#items.length < this.capacity) return true;
    this.#sender = currentWaker();
    return PENDING;
  }

  /** Send if there is room; false if there isn't, or if the receiver is gone. */
  trySend(item: T): boolean {
    if (this.#receiverGone || this.#items.length >= this.capacity) return false;
    this.#items.push(item);
    observer.channel(this.name, 'send', this.#items.length, this.capacity);
    this.#wakeReceiver();
    return true;
  }

  /** Send once there is room. False if nobody receives any more. */
  *send(item: T): Future<boolean> {
    while (this.pollReserve() === PENDING) yield;
    return this.trySend(item);
  }

  /** No more will be sent: the receiver gets what is left, then the end. */
  close(): void {
    this.#closed = true;
    observer.channel(this.name, 'close', this.#items.length, this.capacity);
    this.#wakeReceiver();
  }

  /** Nobody will receive any more: what the sender sends is refused. */
  closeReceiver(): void {
    this.#receiverGone = true;
    this.#items.length = 0;
    this.#wakeSender();
  }

  get isReceiverGone(): boolean {
    return this.#receiverGone;
  }

  /** How many items wait to be received. */
  get length(): number {
    return this.#items.length;
  }

  /** The next item; undefined when the sender closed and everything was received. */
  pollRecv(): Poll<T | undefined> {
    const item = this.#items.shift();
    if (item !== undefined) {
      observer.channel(this.name, 'receive', this.#items.length, this.capacity);
      this.#wakeSender();
    } else if (!this.#closed) {
      this.#receiver = currentWaker();
      return PENDING;
    }
    return item;
  }

  /** All items that are there, one at least; undefined when the sender closed and everything was received. */
  pollRecvAll(): Poll<T[] | undefined> {
    const items = this.#items;
    if (items.length === 0) {
      if (this.#closed) return undefined;
      this.#receiver = currentWaker();
      return PENDING;
    }
    this.#items = [];
    observer.channel(this.name, 'receive', 0, this.capacity);
    this.#wakeSender();
    return items;
  }
}

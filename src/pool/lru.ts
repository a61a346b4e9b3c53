/**
 * Which of the idle connections was released longest ago.
 *
 * The original keeps one list a thread, behind a lock, and finds entries by their keys; here there is one thread and
 * one list, and an entry is its own key.
 *
 * Port of `pingora-pool/src/lru.rs`.
 */
import { currentWaker, PENDING, type Poll, type Waker } from '../runtime/poll.ts';
import { ported, traced } from '../tracing/span.ts';
import { Entry, List } from '../utils/list.ts';

const rust = ported('pingora-pool/src/lru.rs');

/** Something that happens once, and the one who waits for it: tokio's `oneshot`, and `Notify` with one waiter. */
export class Once {
  #happened = false;
  #waker: Waker | null = null;

  notify(): void {
    if (this.#happened) return;
    this.#happened = true;
    const waker = this.#waker;
    this.#waker = null;
    waker?.wake();
  }

  /** Ready when it has happened. */
  poll(): Poll<void> {
    if (this.#happened) return;
    this.#waker = currentWaker();
    return PENDING;
  }

  /** Call `wake` when it happens, at once if it has. For who isn't polled. */
  onNotified(wake: () => void): void {
    if (this.#happened) wake();
    else this.#waker = { wake, wakeNow: wake };
  }

  /** Nobody waits any more. */
  forget(): void {
    this.#waker = null;
  }
}

/** An entry of the list. */
export class Node<T> {
  /** Happens when the entry is evicted. */
  readonly closeNotifier = new Once();
  readonly meta: T;
  /** @internal */
  readonly entry: Entry<Node<T>>;

  constructor(meta: T) {
    this.meta = meta;
    this.entry = new Entry<Node<T>>(this);
  }

  notifyClose(): void {
    this.closeNotifier.notify();
  }
}

/** A list of at most so many entries; adding one more evicts the one that was added longest ago. */
@traced
export class Lru<T> {
  private readonly lru = new List<Node<T>>();
  private readonly size: number;
  private _drain = false;

  private constructor(size: number) {
    this.size = size;
  }

  static new<T>(size: number): Lru<T> {
    return new Lru<T>(size);
  }

  get length(): number {
    return this.lru.length;
  }

  /** Whether {@link Lru.drain} was called. */
  get draining(): boolean {
    return this._drain;
  }

  /** Add an entry as the newest. Returns what was evicted for it: with a size of 0 itself. */
  @rust.method
  put(node: Node<T>): T | undefined {
    if (this._drain) {
      node.notifyClose();
      return undefined;
    }
    const { lru } = this;
    lru.remove(node.entry);
    lru.add(node.entry);
    return lru.length > this.size ? this.evict(lru.first!.value) : undefined;
  }

  private evict(node: Node<T>): T {
    this.lru.remove(node.entry);
    node.notifyClose();
    return node.meta;
  }

  /** As {@link Lru.put}; returns what tells of the entry's own eviction too. */
  @rust.method
  add(meta: T): [node: Node<T>, evicted: T | undefined] {
    const node = new Node(meta);
    return [node, this.put(node)];
  }

  /** Take an entry out. False if it isn't in. */
  @rust.method
  pop(node: Node<T>): boolean {
    return this.lru.remove(node.entry);
  }

  /** Evict everything, and from now on whatever is added. */
  @rust.method
  drain(): void {
    this._drain = true;
    for (const node of this.lru) this.evict(node);
  }
}

/**
 * Which of the idle connections was released longest ago.
 *
 * The original keeps one list a thread, behind a lock; here there is one thread and one list: a `Map`, which keeps the
 * order of insertion.
 *
 * Port of `pingora-pool/src/lru.rs`.
 */
import { ported } from '../trace/span.ts';

const rust = ported('pingora-pool/src/lru.rs');

/** Something that happens once, and the one who waits for it: tokio's `oneshot`, and `Notify` with one waiter. */
export class Once {
  #happened = false;
  #wake: (() => void) | null = null;

  get happened(): boolean {
    return this.#happened;
  }

  notify(): void {
    if (this.#happened) return;
    this.#happened = true;
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  /** Call `wake` when it happens, at once if it has. Only one can wait. */
  onNotified(wake: () => void): void {
    if (this.#happened) wake();
    else this.#wake = wake;
  }

  /** Nobody waits any more. */
  forget(): void {
    this.#wake = null;
  }
}

/** An entry of the list. */
export class Node<T> {
  /** Happens when the entry is evicted. */
  readonly closeNotifier = new Once();
  readonly meta: T;

  constructor(meta: T) {
    this.meta = meta;
  }

  notifyClose(): void {
    this.closeNotifier.notify();
  }
}

/** A list of at most so many entries; adding one more evicts the one that was added longest ago. */
export class Lru<K, T> {
  private readonly lru = new Map<K, Node<T>>();
  private readonly size: number;
  private _drain = false;

  private constructor(size: number) {
    this.size = size;
  }

  static new<K, T>(size: number): Lru<K, T> {
    return new Lru<K, T>(size);
  }

  get length(): number {
    return this.lru.size;
  }

  /** Whether {@link Lru.drain} was called. */
  get draining(): boolean {
    return this._drain;
  }

  /** Add an entry as the newest. Returns what was evicted for it: with a size of 0 itself. */
  @rust.method('Lru::put')
  put(key: K, value: Node<T>): T | undefined {
    if (this._drain) {
      value.notifyClose();
      return undefined;
    }
    const lru = this.lru;
    lru.delete(key);
    lru.set(key, value);
    if (lru.size <= this.size) return undefined;
    for (const [oldest, node] of lru) {
      lru.delete(oldest);
      node.notifyClose();
      return node.meta;
    }
    return undefined;
  }

  /** As {@link Lru.put}; returns what tells of the entry's own eviction too. */
  @rust.method('Lru::add')
  add(key: K, meta: T): [closeNotifier: Once, evicted: T | undefined] {
    const node = new Node(meta);
    return [node.closeNotifier, this.put(key, node)];
  }

  /** Take an entry out, if it is in. */
  @rust.method('Lru::pop')
  pop(key: K): Node<T> | undefined {
    const node = this.lru.get(key);
    if (node !== undefined) this.lru.delete(key);
    return node;
  }

  /** Evict everything, and from now on whatever is added. */
  @rust.method('Lru::drain')
  drain(): void {
    this._drain = true;
    const nodes = [...this.lru.values()];
    this.lru.clear();
    for (const node of nodes) node.notifyClose();
  }
}

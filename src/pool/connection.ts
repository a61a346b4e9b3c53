/**
 * A pool of connections that wait to be used again.
 *
 * Connections under one key are exchangeable. A pool holds so many of them in all; one more evicts the one released
 * longest ago. Each has a task that watches it while it waits: the peer may close it, or send what nobody asked for.
 *
 * Port of `pingora-pool/src/connection.rs`.
 */
import { display } from '../error/io.ts';
import { Log } from '../log.ts';
import type { Future } from '../runtime/future.ts';
import { currentWaker, PENDING, type Poll, type Waker } from '../runtime/poll.ts';
import type { WatchReceiver } from '../runtime/sync.ts';
import { Elapsed } from '../timeout/lib.ts';
import { sleeping } from '../timeout/sleeping.ts';
import { observer } from '../tracing/observer.ts';
import { ported, traced } from '../tracing/span.ts';
import { Entry, List } from '../utils/list.ts';
import { Lru, type Node, Once } from './lru.ts';

const rust = ported('pingora-pool/src/connection.rs');
const log = new Log('pingora_pool::connection');

/** What connections have in common that may be used for one another. */
export type GroupKey = string | number;

/** Which connection of which group. */
export class ConnectionMeta {
  readonly key: GroupKey;
  /** Unique among the connections of the pool. */
  readonly id: number;

  private constructor(key: GroupKey, id: number) {
    this.key = key;
    this.id = id;
  }

  static new(key: GroupKey, id: number): ConnectionMeta {
    return new ConnectionMeta(key, id);
  }

  toString(): string {
    return `ConnectionMeta { key: ${this.key}, id: ${this.id} }`;
  }
}

class PoolConnection<S> {
  /** Its place among all that wait. */
  readonly node: Node<ConnectionMeta>;
  readonly notifyUse: Once;
  readonly connection: S;

  constructor(node: Node<ConnectionMeta>, notifyUse: Once, connection: S) {
    this.node = node;
    this.notifyUse = notifyUse;
    this.connection = connection;
  }

  /** Tell the watcher that it is over, which lets go of the connection before this returns. */
  release(): S {
    this.notifyUse.notify();
    return this.connection;
  }
}

/** The hot queue is searched from end to end when a connection dies, so it is kept small. */
const HOT_QUEUE_SIZE = 16;

/** Exchangeable items, handed out in the order in which they came as long as there are few. */
export class PoolNode<T> {
  /** No `Map`, for the reason that {@link List} gives. */
  readonly #connections = new List<Pooled<T>>();
  readonly #hotQueue: Pooled<T>[] = [];

  static new<T>(): PoolNode<T> {
    return new PoolNode<T>();
  }

  get length(): number {
    return this.#connections.length + this.#hotQueue.length;
  }

  /** Take any item; the hot queue's oldest if there is one. */
  getAny(): Pooled<T> | undefined {
    const hot = this.#hotQueue.shift();
    if (hot !== undefined) return hot;
    const { first } = this.#connections;
    if (first === null) return undefined;
    this.#connections.remove(first);
    return first.value;
  }

  /** Put an item in under its unique id. */
  insert(id: number, item: T): void {
    if (this.#hotQueue.length < HOT_QUEUE_SIZE) this.#hotQueue.push([id, item]);
    else this.#connections.add(new Entry<Pooled<T>>([id, item]));
  }

  /** Take the item with this id out, if it is in. Looks from the oldest on, which is mostly the one that goes. */
  remove(id: number): T | undefined {
    const at = this.#hotQueue.findIndex(([hot]) => hot === id);
    if (at >= 0) return this.#hotQueue.splice(at, 1)[0]![1];
    for (let entry = this.#connections.first; entry !== null; entry = entry.after) {
      if (entry.value[0] !== id) continue;
      this.#connections.remove(entry);
      return entry.value[1];
    }
    return undefined;
  }

  *[Symbol.iterator](): Generator<T> {
    for (const [, item] of this.#hotQueue) yield item;
    for (const [, item] of this.#connections) yield item;
  }
}

type Pooled<T> = [id: number, item: T];

/** What {@link ConnectionPool.idlePoll} watches: a `Stream` is one. */
export interface Idle {
  /** Whether more has arrived than `have` bytes; false at the end. Throws how it broke, and `Elapsed`. */
  pollFill(have: number, patience?: number): Poll<boolean>;
  /** Who waited with this waker waits no more. */
  dropRead(waker: Waker): void;
}

/** Wait for a byte, the end or the time-out, whichever is first. Takes no byte: the original takes one. */
const readWithTimeout = rust.fn(
  'connection::read_with_timeout',
  function* (connection: Idle, timeoutMs: number | undefined): Future<void> {
    const waker = currentWaker();
    try {
      let more = connection.pollFill(0, timeoutMs);
      while (more === PENDING) {
        yield;
        more = connection.pollFill(0, timeoutMs);
      }
      if (more) log.warn('Data received on idle client connection, close it');
      else log.debug('Peer closed the idle connection or timeout');
    } catch (error) {
      if (error instanceof Elapsed) {
        log.debug(() => `keepalive timeout ${timeoutMs}ms reached`);
        log.debug('Peer closed the idle connection or timeout');
      } else log.debug(() => `error with the idle connection, close it ${display(error as Error)}`);
    } finally {
      connection.dropRead(waker);
    }
  },
);

/** `select!`, biased: who takes the connection out goes first, so that it isn't closed under him. */
function isOut(notifyEvicted: Once, watchUse: Once): boolean {
  if (watchUse.poll() !== PENDING) log.debug('idle connection is being picked up');
  else if (notifyEvicted.poll() !== PENDING) log.debug('idle connection is being evicted');
  else return false;
  return true;
}

/**
 * The pool. What it drops (evicted, timed out, closed by the peer) it gives to `close`: Rust frees it by scope.
 */
@traced
export class ConnectionPool<S> {
  private readonly pool = new Map<GroupKey, PoolNode<PoolConnection<S>>>();
  private readonly lru: Lru<ConnectionMeta>;
  private readonly size: number;
  private readonly close: (connection: S) => void;

  private constructor(size: number, close: (connection: S) => void) {
    this.size = size;
    this.lru = Lru.new(size);
    this.close = close;
  }

  /** A pool of at most `size` connections. `close` is called with each that leaves it unused. */
  static new<S>(size: number, close: (connection: S) => void = () => {}): ConnectionPool<S> {
    return new ConnectionPool<S>(size, close);
  }

  /** How many connections wait. */
  get length(): number {
    return this.lru.length;
  }

  /** How many groups the pool remembers. */
  get groups(): number {
    return this.pool.size;
  }

  private getPoolNode(key: GroupKey): PoolNode<PoolConnection<S>> {
    let node = this.pool.get(key);
    if (node === undefined) {
      // A group stays while its connections are out, for they come back; of those that don't no more are kept than
      // there may be connections.
      if (this.pool.size > 2 * this.size + 16) this.sweep();
      node = PoolNode.new();
      this.pool.set(key, node);
    }
    return node;
  }

  private sweep(): void {
    for (const [key, node] of this.pool) {
      if (node.length === 0) this.pool.delete(key);
    }
  }

  /** Only out of its group: the list of the least recently used has dropped it. */
  private popEvicted(meta: ConnectionMeta): PoolConnection<S> | undefined {
    const node = this.pool.get(meta.key);
    if (node === undefined) {
      log.warn(() => `Fail to get pool node for ${meta}`);
      return undefined;
    }
    const dropped = node.remove(meta.id);
    if (node.length === 0) this.pool.delete(meta.key);
    log.debug(() => `evict fd: ${meta.id} from key ${meta.key}`);
    if (dropped !== undefined) {
      observer.pool('upstream', 'close', meta.key, dropped.connection, this.length);
      this.close(dropped.connection);
    }
    return dropped;
  }

  /** Drop a connection that has ended, if it is still in the pool. */
  @rust.method
  popClosed(meta: ConnectionMeta): void {
    const dropped = this.popEvicted(meta);
    if (dropped !== undefined) this.lru.pop(dropped.node);
  }

  /** Take a connection of the group, if there is one. Its watcher has let go of it when this returns. */
  @rust.method
  get(key: GroupKey): S | undefined {
    const found = this.pool.get(key)?.getAny();
    if (found === undefined) {
      observer.pool('upstream', 'miss', key, undefined, this.length);
      return undefined;
    }
    this.lru.pop(found[1].node);
    observer.pool('upstream', 'get', key, found[1].connection, this.length);
    return found[1].release();
  }

  /**
   * Let a connection wait here for its next use. Returns what happens when it is evicted, and what happens when it is
   * picked up: for {@link ConnectionPool.idlePoll} or {@link ConnectionPool.idleTimeout}.
   */
  @rust.method
  put(meta: ConnectionMeta, connection: S): [notifyEvicted: Once, watchUse: Once] {
    const watchUse = new Once();
    const [node, replaced] = this.lru.add(meta);
    this.getPoolNode(meta.key).insert(meta.id, new PoolConnection(node, watchUse, connection));
    observer.pool('upstream', 'put', meta.key, connection, this.length);
    // after it is in its group: a pool of size 0 evicts it at once, and has to find it
    if (replaced !== undefined) this.popEvicted(replaced);
    else if (this.lru.draining) this.popEvicted(meta);
    return [node.closeNotifier, watchUse];
  }

  /**
   * Watch a connection that was put here. When it ends, or `timeoutMs` milliseconds have passed, it is dropped. Ends when
   * there is nothing to watch any more: it was dropped, evicted or picked up.
   */
  @rust.method
  *idlePoll(
    connection: Idle,
    meta: ConnectionMeta,
    timeoutMs: number | undefined,
    notifyEvicted: Once,
    watchUse: Once,
  ): Future<void> {
    const read = readWithTimeout(connection, timeoutMs);
    try {
      for (;;) {
        if (isOut(notifyEvicted, watchUse)) return;
        if (read.next().done) break;
        yield;
      }
    } finally {
      read.return();
    }
    this.popClosed(meta);
  }

  /**
   * Drop a connection that was put here after `timeoutMs` milliseconds, or once `notifyClosed` changes, unless it is
   * picked up or evicted before. For connections that read by themselves (HTTP/2).
   */
  @rust.method
  *idleTimeout(
    meta: ConnectionMeta,
    timeoutMs: number,
    notifyEvicted: Once,
    notifyClosed: WatchReceiver<boolean>,
    watchUse: Once,
  ): Future<void> {
    const expired = sleeping(timeoutMs);
    try {
      for (;;) {
        if (isOut(notifyEvicted, watchUse)) return;
        // it may have closed between `put` and now
        if (notifyClosed.borrow() || notifyClosed.pollChanged() !== PENDING) {
          log.debug('idle connection is being closed');
          break;
        }
        if (expired.next().done) {
          log.debug('idle connection is being evicted');
          break;
        }
        yield;
      }
    } finally {
      expired.return();
      notifyClosed.dropWait();
    }
    this.popClosed(meta);
  }

  /** Drop every connection, and from now on whatever is put here. */
  drain(): void {
    this.lru.drain();
    const nodes = [...this.pool.values()];
    this.pool.clear();
    for (const node of nodes) {
      for (const { connection } of node) this.close(connection);
    }
  }
}

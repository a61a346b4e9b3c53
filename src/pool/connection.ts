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
import type { Reader } from '../protocols/l4/stream.ts';
import type { WatchReceiver } from '../runtime/sync.ts';
import { type Armed, arm } from '../timeout/lib.ts';
import { observer } from '../tracing/observer.ts';
import { tracing } from '../tracing/recorder.ts';
import { ported } from '../tracing/span.ts';
import { Entry, List } from '../utils/list.ts';
import { Lru, type Node, Once, type OnceWaiter } from './lru.ts';

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
  /** Wake `reader` at the next byte or the end, at once if that is here. */
  watch(reader: Reader): void;
  /** Don't wake it any more. */
  unwatch(reader: Reader): void;
  readonly bufferedLength: number;
  readonly readEnded: boolean;
  readonly ioError: Error | null;
}

/** Watches a connection that waits, in one object: there is one for each request. */
class IdleWatch<S> implements Reader, OnceWaiter {
  private readonly pool: ConnectionPool<S>;
  private readonly connection: Idle;
  private readonly meta: ConnectionMeta;
  private readonly timeoutMs: number | undefined;
  private readonly evicted: Once;
  private readonly used: Once;
  private readonly done: () => void;
  private armed: Armed | null = null;
  private readDone: (() => void) | undefined = undefined;
  /** Drops the connection in the span of the watch: what ends it comes from outside. */
  private traced: (() => void) | undefined = undefined;

  constructor(
    pool: ConnectionPool<S>,
    connection: Idle,
    meta: ConnectionMeta,
    timeoutMs: number | undefined,
    evicted: Once,
    used: Once,
    done: () => void,
  ) {
    this.pool = pool;
    this.connection = connection;
    this.meta = meta;
    this.timeoutMs = timeoutMs;
    this.evicted = evicted;
    this.used = used;
    this.done = done;
  }

  start(): void {
    this.used.watch(this);
    this.evicted.watch(this);
    if (tracing.recorder === null) this.read(undefined);
    else {
      this.traced = tracing.recorder.bind(() => this.drop());
      // pending for ever if it is cancelled, as a dropped future is: its span ends with its task
      readWithTimeout(this).catch(() => {});
    }
  }

  /** Wait for a byte, the end or the time-out; `readDone` is called first then. */
  read(readDone: (() => void) | undefined): void {
    const { timeoutMs } = this;
    this.readDone = readDone;
    if (timeoutMs !== undefined) {
      this.armed = arm(timeoutMs, () => {
        this.armed = null;
        this.connection.unwatch(this);
        log.debug(() => `keepalive timeout ${timeoutMs}ms reached`);
        this.readEnded();
      });
    }
    this.connection.watch(this);
  }

  wake(): void {
    const { connection } = this;
    if (connection.bufferedLength === 0 && !connection.readEnded) {
      connection.watch(this);
      return;
    }
    this.armed?.cancel();
    this.readEnded();
  }

  /** Whoever ends all reads doesn't mean this one. */
  end(): boolean {
    return false;
  }

  private readEnded(): void {
    const { connection } = this;
    this.readDone?.();
    this.used.forget();
    this.evicted.forget();
    if (connection.bufferedLength > 0) log.warn('Data received on idle client connection, close it');
    else if (connection.ioError !== null) {
      log.debug(() => `error with the idle connection, close it ${display(connection.ioError!)}`);
    } else log.debug('Peer closed the idle connection or timeout');
    if (this.traced === undefined) this.drop();
    else this.traced();
  }

  private drop(): void {
    this.pool.popClosed(this.meta);
    this.done();
  }

  /** It is used or evicted: let go of the connection, without a byte taken. */
  happened(once: Once): void {
    const { used, evicted } = this;
    log.debug(once === used ? 'idle connection is being picked up' : 'idle connection is being evicted');
    used.forget();
    evicted.forget();
    this.connection.unwatch(this);
    this.armed?.cancel();
    this.done();
  }
}

/** Wait for a byte, the end or the time-out, whichever is first. */
const readWithTimeout = rust.fn(
  'connection::read_with_timeout',
  (watch: IdleWatch<any>) => new Promise<void>((resolve) => watch.read(resolve)),
);

/**
 * The pool. What it drops (evicted, timed out, closed by the peer) it gives to `close`: Rust frees it by scope.
 */
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
  @rust.method('ConnectionPool::pop_closed')
  popClosed(meta: ConnectionMeta): void {
    const dropped = this.popEvicted(meta);
    if (dropped !== undefined) this.lru.pop(dropped.node);
  }

  /** Take a connection of the group, if there is one. Its watcher has let go of it when this returns. */
  @rust.method('ConnectionPool::get')
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
  @rust.method('ConnectionPool::put')
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
   * Watch a connection that was put here. When it ends, or `timeoutMs` milliseconds have passed, it is dropped.
   * Resolves when there is nothing to watch any more: it was dropped, evicted or picked up.
   */
  @rust.method('ConnectionPool::idle_poll')
  idlePoll(
    connection: Idle,
    meta: ConnectionMeta,
    timeoutMs: number | undefined,
    notifyEvicted: Once,
    watchUse: Once,
  ): Promise<void> {
    return new Promise<void>((resolve) => {
      this.watchIdle(connection, meta, timeoutMs, notifyEvicted, watchUse, resolve);
    });
  }

  /**
   * What {@link ConnectionPool.idlePoll} does, without a task: `done` is called when there is nothing to watch any
   * more. With tracing off nobody would see the task. (What that gains was not measured alone.)
   */
  watchIdle(
    connection: Idle,
    meta: ConnectionMeta,
    timeoutMs: number | undefined,
    notifyEvicted: Once,
    watchUse: Once,
    done: () => void,
  ): void {
    if (watchUse.happened) {
      log.debug('idle connection is being picked up');
      done();
      return;
    }
    if (notifyEvicted.happened) {
      log.debug('idle connection is being evicted');
      done();
      return;
    }
    new IdleWatch(this, connection, meta, timeoutMs, notifyEvicted, watchUse, done).start();
  }

  /**
   * Drop a connection that was put here after `timeoutMs` milliseconds, or once `notifyClosed` changes, unless it is
   * picked up or evicted before. For connections that read by themselves (HTTP/2).
   */
  @rust.method('ConnectionPool::idle_timeout')
  idleTimeout(
    meta: ConnectionMeta,
    timeoutMs: number,
    notifyEvicted: Once,
    notifyClosed: WatchReceiver<boolean>,
    watchUse: Once,
  ): Promise<void> {
    return new Promise<void>((resolve) => {
      if (watchUse.happened || notifyEvicted.happened) return resolve();
      const end = (message: string, drop: boolean) => {
        watchUse.forget();
        notifyEvicted.forget();
        unwatch();
        armed.cancel();
        log.debug(message);
        if (drop) this.popClosed(meta);
        resolve();
      };
      const armed = arm(timeoutMs, () => end('idle connection is being evicted', true));
      const unwatch = notifyClosed.onChange(() => end('idle connection is being closed', true));
      watchUse.onNotified(() => end('idle connection is being picked up', false));
      notifyEvicted.onNotified(() => end('idle connection is being evicted', false));
      // it may have closed between `put` and now
      if (notifyClosed.borrow()) end('idle connection is being closed', true);
    });
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

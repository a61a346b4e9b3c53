import { describe, expect, it } from 'vitest';
import { ConnectionMeta, ConnectionPool, type Idle, PoolNode } from '../../src/pool/connection.ts';
import { currentWaker, PENDING, type Poll, type Waker } from '../../src/runtime/poll.ts';
import { Watch } from '../../src/runtime/sync.ts';
import { promised } from '../../src/runtime/task.ts';
import { Limit } from '../../src/timeout/lib.ts';
import { captureLog } from '../support/log.ts';

/** A connection whose peer does what the test says. */
class Mock implements Idle {
  private bytes = 0;
  private ended = false;
  private reader: Waker | undefined;

  /** How many wait for it. */
  get waiting(): number {
    return this.reader === undefined ? 0 : 1;
  }

  pollFill(have: number, patience?: number): Poll<boolean> {
    if (this.bytes > have) return true;
    if (this.ended) return false;
    if (patience !== undefined) this.limit.check(patience);
    this.reader = currentWaker();
    return PENDING;
  }

  private readonly limit = new Limit(() => this.reader?.wake());

  dropRead(waker: Waker): void {
    if (this.reader === waker) this.reader = undefined;
    this.limit.end();
  }

  send(bytes: number): void {
    this.bytes += bytes;
    this.reader?.wake();
  }

  end(): void {
    this.ended = true;
    this.reader?.wake();
  }
}

const meta = (key: number, id: number) => ConnectionMeta.new(key, id);

describe('PoolNode', () => {
  it('hands items out in the order in which they came, while there are few', () => {
    const node = PoolNode.new<string>();
    for (let id = 1; id <= 16; id++) node.insert(id, `item ${id}`);
    for (let id = 1; id <= 16; id++) expect(node.getAny()).toEqual([id, `item ${id}`]);
    expect(node.getAny()).toBeUndefined();
  });

  it('keeps more than the hot queue takes, and finds each of them', () => {
    const node = PoolNode.new<number>();
    for (let id = 1; id <= 20; id++) node.insert(id, id);
    expect(node.length).toBe(20);
    expect([node.remove(3), node.remove(3), node.remove(18)]).toEqual([3, undefined, 18]);
    const left = Array.from({ length: 18 }, () => node.getAny()![1]);
    expect(left.toSorted((a, b) => a - b)).toEqual([1, 2, ...[...Array(14).keys()].map((i) => i + 4), 19, 20]);
    expect(node.getAny()).toBeUndefined();
  });
});

describe('ConnectionPool', () => {
  it('gives out only connections of the key', () => {
    const pool = ConnectionPool.new<string>(3);
    pool.put(meta(101, 1), 'v1');
    pool.put(meta(102, 2), 'v2');
    pool.put(meta(101, 3), 'v3');
    expect([pool.get(102), pool.get(102)]).toEqual(['v2', undefined]);
    expect([pool.get(101), pool.get(101), pool.get(101)]).toEqual(['v1', 'v3', undefined]);
    expect(pool.get(103)).toBeUndefined();
  });

  it('drops a connection that has ended, once', () => {
    const closed: string[] = [];
    const pool = ConnectionPool.new<string>(3, (value) => closed.push(value));
    pool.put(meta(101, 1), 'v1');
    pool.put(meta(101, 3), 'v3');
    pool.popClosed(meta(101, 1));
    pool.popClosed(meta(101, 1));
    expect(closed).toEqual(['v1']);
    expect([pool.get(101), pool.get(101)]).toEqual(['v3', undefined]);
  });

  it('evicts and closes the connection that was released longest ago, whatever its key', () => {
    const closed: string[] = [];
    const pool = ConnectionPool.new<string>(2, (value) => closed.push(value));
    const [evicted1] = pool.put(meta(101, 1), 'v1');
    const [evicted2] = pool.put(meta(102, 2), 'v2');
    const [evicted3] = pool.put(meta(101, 3), 'v3');
    expect([evicted1.poll() === undefined, evicted2.poll() === undefined, evicted3.poll() === undefined]).toEqual([
      true,
      false,
      false,
    ]);
    expect(closed).toEqual(['v1']);
    expect([pool.get(101), pool.get(101)]).toEqual(['v3', undefined]);
  });

  it('keeps nothing when it may keep nothing', () => {
    const closed: string[] = [];
    const pool = ConnectionPool.new<string>(0, (value) => closed.push(value));
    const [evicted] = pool.put(meta(1, 1), 'v1');
    expect(evicted.poll() === undefined).toBe(true);
    expect(closed).toEqual(['v1']);
    expect(pool.get(1)).toBeUndefined();
  });

  it('forgets groups whose connections have gone', () => {
    const pool = ConnectionPool.new<number>(4);
    for (let id = 0; id < 1000; id++) {
      pool.put(meta(id, id), id);
      // every other one is picked up and never comes back
      if (id % 2 === 0) pool.get(id);
    }
    expect(pool.length).toBe(4);
    expect(pool.groups).toBeLessThan(32);
  });

  it('closes everything when it is drained, and whatever comes after', () => {
    const closed: string[] = [];
    const pool = ConnectionPool.new<string>(4, (value) => closed.push(value));
    pool.put(meta(1, 1), 'v1');
    pool.put(meta(2, 2), 'v2');
    pool.drain();
    pool.put(meta(3, 3), 'v3');
    expect(closed).toEqual(['v1', 'v2', 'v3']);
    expect(pool.get(3)).toBeUndefined();
  });
});

describe('ConnectionPool.idlePoll', () => {
  function parked(size = 3, timeoutMs?: number) {
    const closed: Mock[] = [];
    const pool = ConnectionPool.new<Mock>(size, (mock) => closed.push(mock));
    const mock = new Mock();
    const [evicted, used] = pool.put(meta(1, 1), mock);
    const watched = promised(pool.idlePoll(mock, meta(1, 1), timeoutMs, evicted, used));
    return { closed, pool, mock, watched, evicted, used };
  }

  it('drops a connection on which something arrives', async () => {
    const { closed, pool, mock, watched } = parked();
    const lines = captureLog('warn');
    mock.send(1);
    await watched;
    expect(lines.map(({ msg }) => msg)).toEqual(['Data received on idle client connection, close it']);
    expect(closed).toEqual([mock]);
    expect(pool.get(1)).toBeUndefined();
  });

  it('keeps a connection whose watcher was woken for nothing', async () => {
    const { closed, pool, mock, watched } = parked();
    mock.send(0);
    await new Promise((resolve) => setImmediate(resolve));
    expect([closed, pool.length]).toEqual([[], 1]);
    mock.end();
    await watched;
    expect([closed, pool.length]).toEqual([[mock], 0]);
  });

  it('drops a connection that the peer closes', async () => {
    const { closed, pool, mock, watched } = parked();
    const lines = captureLog('debug');
    mock.end();
    await watched;
    expect(lines.map(({ msg }) => msg)).toContain('Peer closed the idle connection or timeout');
    expect(closed).toEqual([mock]);
    expect(pool.length).toBe(0);
  });

  it('drops a connection when the time is up', async () => {
    const { closed, pool, mock, watched } = parked(3, 1);
    const lines = captureLog('debug');
    await watched;
    expect(lines.map(({ msg }) => msg)).toContain('keepalive timeout 1ms reached');
    expect(closed).toEqual([mock]);
    expect(mock.waiting).toBe(0);
    expect(pool.get(1)).toBeUndefined();
  });

  it('lets go of a connection that is handed out', async () => {
    const { closed, pool, mock, watched } = parked(3, 60_000);
    expect(mock.waiting).toBe(1);
    expect(pool.get(1)).toBe(mock);
    await watched;
    expect(mock.waiting).toBe(0);
    expect(closed).toEqual([]);
  });

  it('never touches a connection that was picked up before the watch began', async () => {
    const pool = ConnectionPool.new<Mock>(3);
    const mock = new Mock();
    const [evicted, used] = pool.put(meta(1, 1), mock);
    pool.get(1);
    await promised(pool.idlePoll(mock, meta(1, 1), 1, evicted, used));
    expect(mock.waiting).toBe(0);
  });

  it('ends when the connection is evicted', async () => {
    const { closed, pool, mock, watched } = parked(1);
    pool.put(meta(1, 2), new Mock());
    await watched;
    expect(closed).toEqual([mock]);
    expect(mock.waiting).toBe(0);
  });
});

describe('ConnectionPool.idleTimeout', () => {
  function parked(timeoutMs: number) {
    const closed: string[] = [];
    const pool = ConnectionPool.new<string>(1, (value) => closed.push(value));
    const [evicted, used] = pool.put(meta(1, 1), 'v1');
    const watch = new Watch(false);
    const watched = promised(pool.idleTimeout(meta(1, 1), timeoutMs, evicted, watch.subscribe(), used));
    return { closed, pool, watch, watched };
  }

  it('drops a connection when the time is up', async () => {
    const { closed, watched } = parked(1);
    await watched;
    expect(closed).toEqual(['v1']);
  });

  it('drops a connection that says that it is closed', async () => {
    const { closed, watch, watched } = parked(60_000);
    watch.send(true);
    await watched;
    expect(closed).toEqual(['v1']);
  });

  it('ends without dropping what is picked up', async () => {
    const { closed, pool, watched } = parked(60_000);
    expect(pool.get(1)).toBe('v1');
    await watched;
    expect(closed).toEqual([]);
  });

  it('ends when the connection is evicted', async () => {
    const { closed, pool, watched } = parked(60_000);
    pool.put(meta(1, 2), 'v2');
    await watched;
    expect(closed).toEqual(['v1']);
  });
});

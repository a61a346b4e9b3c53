import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { emitted, type Future, Oneshot, settle, tryJoin, until } from '../../src/runtime/future.ts';
import { currentWaker, PENDING, type Waker } from '../../src/runtime/poll.ts';
import { Channel } from '../../src/runtime/sync.ts';
import { polled, promised, Task } from '../../src/runtime/task.ts';
import { sleeping } from '../../src/timeout/sleeping.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('tryJoin', () => {
  it('polls both, the first one first, whenever something wakes them', async () => {
    const seen: string[] = [];
    let waker: Waker | undefined;
    let ready = false;
    function* half(name: string): Future<void> {
      seen.push(`${name} begins`);
      waker = currentWaker();
      while (!ready) yield;
      seen.push(`${name} ends`);
    }
    const done = promised(tryJoin(half('one'), half('two')));
    expect(seen).toEqual(['one begins', 'two begins']);
    waker!.wake();
    await turn();
    expect(seen).toHaveLength(2);
    ready = true;
    waker!.wake();
    await done;
    expect(seen).toEqual(['one begins', 'two begins', 'one ends', 'two ends']);
  });

  it('lets the first see what the second has sent, as one batch', async () => {
    const channel = new Channel<string>(4);
    const batches: string[][] = [];
    function* receiver(): Future<void> {
      while (batches.length === 0) {
        const batch = channel.pollRecvAll();
        if (batch === PENDING) yield;
        else if (batch !== undefined) batches.push(batch);
      }
    }
    function* sender(): Future<void> {
      channel.trySend('head');
      channel.trySend('body');
    }
    await promised(tryJoin(receiver(), sender()));
    expect(batches).toEqual([['head', 'body']]);
  });

  it('drops the other when one fails, and throws its error', async () => {
    let dropped = false;
    let waker: Waker | undefined;
    function* waits(): Future<void> {
      try {
        for (;;) yield;
      } finally {
        dropped = true;
      }
    }
    function* fails(): Future<void> {
      waker = currentWaker();
      yield;
      throw new Error('broken');
    }
    const done = promised(tryJoin(waits(), fails()));
    expect(dropped).toBe(false);
    waker!.wake();
    await expect(done).rejects.toThrow('broken');
    expect(dropped).toBe(true);
  });

  it('ends when each has ended, in its own time', async () => {
    let resolve = (_: number) => {};
    const slow = new Promise<number>((done) => {
      resolve = done;
    });
    let got = 0;
    function* short(): Future<void> {}
    function* long(): Future<void> {
      got = yield* until(slow);
    }
    const done = promised(tryJoin(short(), long()));
    resolve(7);
    await done;
    expect(got).toBe(7);
  });
});

describe('what a future waits for', () => {
  it('is a promise whose rejection it can catch', async () => {
    const seen: unknown[] = [];
    function* waits(): Future<void> {
      seen.push(yield* until(Promise.resolve(1)));
      try {
        yield* until(Promise.reject(new Error('no')));
      } catch (error) {
        seen.push((error as Error).message);
      }
    }
    await promised(waits());
    expect(seen).toEqual([1, 'no']);
  });

  it('is whatever an application returns: a value, a promise or a future', async () => {
    function* future(): Future<number> {
      return 3;
    }
    const got: number[] = [];
    for (const given of [1, Promise.resolve(2), future()]) got.push(await promised(settle<number>(given)));
    expect(got).toEqual([1, 2, 3]);
  });

  it('is room in a channel, or the end of who receives', async () => {
    const channel = new Channel<number>(1);
    const sent: boolean[] = [];
    const received: unknown[] = [];
    function* sender(): Future<void> {
      for (let n = 1; n <= 4; n++) sent.push(yield* channel.send(n));
    }
    function* receiver(): Future<void> {
      for (let n = 1; n <= 2; n++) {
        received.push(channel.pollRecv());
        yield;
      }
      channel.closeReceiver();
    }
    await promised(tryJoin(sender(), receiver()));
    expect(received).toEqual([1, 2]);
    expect(sent).toEqual([true, true, true, false]);
  });

  it('is an event of an emitter, which is listened to no longer than that', async () => {
    const events = ['error', 'close', 'ready'];
    const told: string[] = [];
    for (const [event, ...args] of [['ready'], ['error', new Error('broken')], ['close']] as const) {
      const emitter = new EventEmitter();
      const waiting = promised(emitted(emitter, 'ready')).then(
        () => told.push('ready'),
        (error: Error) => told.push(error.message),
      );
      emitter.emit(event, ...args);
      // Node says this behind each error
      emitter.emit('close');
      await waiting;
      expect(events.map((name) => emitter.listenerCount(name))).toEqual([0, 0, 0]);
    }
    expect(told).toEqual(['ready', 'broken', 'closed before ready']);
    const emitter = new EventEmitter();
    const task = new Task(emitted(emitter, 'ready'), null, { resolve: expect.fail, reject: expect.fail });
    task.poll();
    expect(events.map((name) => emitter.listenerCount(name))).toEqual([1, 1, 1]);
    task.drop();
    expect(events.map((name) => emitter.listenerCount(name))).toEqual([0, 0, 0]);
  });

  it('is what is told first, before somebody waits or after', async () => {
    const early = new Oneshot<number>();
    early.resolve(1);
    early.reject(new Error('too late'));
    expect(await promised(early.receive())).toBe(1);
    const late = new Oneshot<number>();
    const waiting = promised(late.receive());
    late.reject(new Error('no'));
    late.resolve(2);
    await expect(waiting).rejects.toThrow('no');
  });

  it('is time, which is let go when it is dropped', async () => {
    await promised(sleeping(1));
    const before = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const task = new Task(sleeping(60_000), null, { resolve: () => {}, reject: () => {} });
    task.poll();
    expect(process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length).toBe(before + 1);
    task.drop();
    expect(process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length).toBe(before);
  });
});

describe('a task', () => {
  it('that wakes itself without end lets others go on', async () => {
    let stop = false;
    let polls = 0;
    function* busy(): Future<void> {
      while (!stop) {
        polls++;
        currentWaker().wake();
        yield;
      }
    }
    const done = promised(busy());
    await turn();
    stop = true;
    await done;
    expect(polls).toBeGreaterThan(100);
  });

  it('runs the `finally` of what it drops, once, and is not polled again', () => {
    const seen: string[] = [];
    function* waits(): Future<void> {
      try {
        seen.push('polled');
        yield;
        seen.push('polled again');
      } finally {
        seen.push('dropped');
      }
    }
    const task = new Task(waits(), null, { resolve: () => {}, reject: () => {} });
    task.poll();
    task.drop();
    task.drop();
    task.poll();
    expect(seen).toEqual(['polled', 'dropped']);
  });

  it('is woken by what it polled, however often it was woken before', async () => {
    const wakers: Waker[] = [];
    let value: number | typeof PENDING = PENDING;
    const got = polled(() => {
      wakers.push(currentWaker());
      return value;
    });
    wakers[0]!.wake();
    wakers[0]!.wake();
    await turn();
    expect(wakers).toHaveLength(2);
    value = 5;
    wakers[0]!.wake();
    expect(await got).toBe(5);
  });
});

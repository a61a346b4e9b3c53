import { describe, expect, it } from 'vitest';
import { type Future, sendTo, TryJoin, takeFrom, until } from '../../src/runtime/future.ts';
import { Channel, Kept } from '../../src/runtime/sync.ts';

describe('TryJoin', () => {
  it('runs both in turns, the first one first, whenever something wakes them', async () => {
    const seen: string[] = [];
    const join = new TryJoin();
    let ready = false;
    function* half(name: string): Future<void> {
      seen.push(`${name} begins`);
      while (!ready) yield;
      seen.push(`${name} ends`);
    }
    const done = join.run(half('one'), half('two'));
    expect(seen).toEqual(['one begins', 'two begins']);
    join.wake();
    expect(seen).toHaveLength(2);
    ready = true;
    join.wake();
    await done;
    expect(seen).toEqual(['one begins', 'two begins', 'one ends', 'two ends']);
  });

  it('lets the first see what the second has done in the same turn', async () => {
    const join = new TryJoin();
    let sent: string[] = [];
    const batches: string[][] = [];
    function* receiver(): Future<void> {
      while (batches.length === 0) {
        if (sent.length > 0) batches.push(sent.splice(0));
        else yield;
      }
    }
    function* sender(): Future<void> {
      sent = ['head'];
      join.wake();
      sent.push('body');
      yield;
    }
    const done = join.run(receiver(), sender());
    join.wake();
    await done;
    expect(batches).toEqual([['head', 'body']]);
  });

  it('drops the other when one fails, and rejects with its error', async () => {
    const join = new TryJoin();
    let dropped = false;
    function* waits(): Future<void> {
      try {
        for (;;) yield;
      } finally {
        dropped = true;
      }
    }
    function* fails(): Future<void> {
      yield;
      throw new Error('broken');
    }
    const done = join.run(waits(), fails());
    expect(dropped).toBe(false);
    join.wake();
    await expect(done).rejects.toThrow('broken');
    expect(dropped).toBe(true);
  });

  it('ends when each has ended, in its own time', async () => {
    const join = new TryJoin();
    let resolve = (_: number) => {};
    const slow = new Promise<number>((done) => (resolve = done));
    let got = 0;
    function* short(): Future<void> {}
    function* long(): Future<void> {
      got = yield* until(slow, join.wake);
    }
    const done = join.run(short(), long());
    resolve(7);
    await done;
    expect(got).toBe(7);
  });
});

describe('what a future waits for', () => {
  const joined = async (half: (wake: () => void) => Future<void>) => {
    const join = new TryJoin();
    function* nothing(): Future<void> {}
    await join.run(half(join.wake), nothing());
  };

  it('is a promise whose rejection it can catch', async () => {
    const seen: unknown[] = [];
    await joined(function* (wake) {
      seen.push(yield* until(Promise.resolve(1), wake));
      try {
        yield* until(Promise.reject(new Error('no')), wake);
      } catch (error) {
        seen.push((error as Error).message);
      }
    });
    expect(seen).toEqual([1, 'no']);
  });

  it('is told apart from what it has got, for who drops it', async () => {
    const join = new TryJoin();
    const kept = new Kept<number>(join.wake);
    const pending: boolean[] = [];
    function* waits(): Future<void> {
      try {
        yield* takeFrom(kept, Promise.resolve(1));
        pending.push(kept.pending);
        yield* takeFrom(kept, new Promise<number>(() => {}));
      } finally {
        pending.push(kept.pending);
      }
    }
    function* fails(): Future<void> {
      yield;
      while (pending.length === 0) yield;
      throw new Error('broken');
    }
    await expect(join.run(waits(), fails())).rejects.toThrow('broken');
    expect(pending).toEqual([false, true]);
  });

  it('is room in a channel, or the end of who receives', async () => {
    const channel = new Channel<number>(1);
    const join = new TryJoin();
    const sent: boolean[] = [];
    const received: (number | undefined)[] = [];
    function* sender(): Future<void> {
      for (let n = 1; n <= 4; n++) sent.push(yield* sendTo(channel, n, join.wake));
    }
    function* receiver(): Future<void> {
      for (let n = 1; n <= 2; n++) {
        received.push(channel.tryRecv());
        yield;
      }
      channel.closeReceiver();
    }
    await join.run(sender(), receiver());
    expect(received).toEqual([1, 2]);
    expect(sent).toEqual([true, true, true, false]);
  });
});

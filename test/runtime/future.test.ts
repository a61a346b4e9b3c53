import { describe, expect, it } from 'vitest';
import { type Future, TryJoin, until } from '../../src/runtime/future.ts';

const newJoin = () =>
  new TryJoin<string>(
    () => 'joined',
    (error) => {
      if (error instanceof TypeError) throw error;
      return `failed: ${error}`;
    },
  );

describe('TryJoin', () => {
  it('runs both in turns, the first one first, whenever something wakes them', async () => {
    const seen: string[] = [];
    const join = newJoin();
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
    expect(await done).toBe('joined');
    expect(seen).toEqual(['one begins', 'two begins', 'one ends', 'two ends']);
  });

  it('lets the first see what the second has done in the same turn', async () => {
    const join = newJoin();
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

  it('drops the other when one fails, and says what that is taken for', async () => {
    const join = newJoin();
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
    expect(await done).toBe('failed: Error: broken');
    expect(dropped).toBe(true);
  });

  it('rejects with what the judgement of a failure throws', async () => {
    const join = newJoin();
    function* waits(): Future<void> {
      for (;;) yield;
    }
    function* fails(): Future<void> {
      yield;
      throw new TypeError('a mistake');
    }
    const done = join.run(waits(), fails());
    join.wake();
    await expect(done).rejects.toThrow('a mistake');
  });

  it('ends when each has ended, in its own time', async () => {
    const join = newJoin();
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

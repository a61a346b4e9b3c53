import { describe, expect, it } from 'vitest';
import { type Future, TryJoin, until } from '../../src/runtime/future.ts';

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

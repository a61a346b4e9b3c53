import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Future } from '../../src/runtime/future.ts';
import { promised, Task } from '../../src/runtime/task.ts';
import { arm, armedTimers, Elapsed, sleep, timeout, timersArmed } from '../../src/timeout/lib.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});

afterEach(async () => {
  if (vi.isFakeTimers()) await vi.runAllTimersAsync();
  vi.useRealTimers();
});

describe('arm', () => {
  it('fires once, after its time, up to 10 ms late', async () => {
    let fired = 0;
    arm(25, () => fired++);
    await vi.advanceTimersByTimeAsync(24);
    expect(fired).toBe(0);
    await vi.advanceTimersByTimeAsync(11);
    expect(fired).toBe(1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(fired).toBe(1);
  });

  // Node calls after a millisecond what is to wait longer than its timers can
  it.each([2 ** 31, 1e10, Infinity])(
    'does not fire before its time when that is longer than Node has: %d ms',
    async (ms) => {
      let fired = 0;
      const armed = arm(ms, () => fired++);
      await vi.advanceTimersByTimeAsync(2 ** 31 - 1000);
      expect(fired).toBe(0);
      armed.cancel();
    },
  );

  it('does not fire when it was cancelled', async () => {
    let fired = 0;
    const armed = arm(20, () => fired++);
    armed.cancel();
    armed.cancel();
    await vi.advanceTimersByTimeAsync(1000);
    expect(fired).toBe(0);
  });

  it('shares one timer among those of one instant, and cancels each alone', async () => {
    const fired: string[] = [];
    arm(20, () => fired.push('a'));
    const b = arm(20, () => fired.push('b'));
    arm(20, () => fired.push('c'));
    expect(vi.getTimerCount()).toBe(1);
    b.cancel();
    await vi.advanceTimersByTimeAsync(40);
    expect(fired).toEqual(['a', 'c']);
  });

  it('takes the same function twice', async () => {
    let fired = 0;
    const fire = () => {
      fired++;
    };
    const first = arm(20, fire);
    arm(20, fire);
    first.cancel();
    await vi.advanceTimersByTimeAsync(40);
    expect(fired).toBe(1);
  });

  it('keeps the process alive while somebody waits, and only then', async () => {
    vi.useRealTimers();
    const alive = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = alive();
    const first = arm(60_000, () => {});
    expect(alive()).toBe(before + 1);
    first.cancel();
    expect(alive()).toBe(before);
    const second = arm(60_000, () => {});
    expect(alive()).toBe(before + 1);
    second.cancel();
    expect(alive()).toBe(before);
  });
});

describe('timeout', () => {
  it('gives what the operation gives in time, and leaves nothing armed', async () => {
    expect(await timeout(50, Promise.resolve(7))).toBe(7);
    await expect(timeout(50, Promise.reject(new Error('no')))).rejects.toThrow('no');
  });

  it('throws Elapsed when the time is up', async () => {
    const waiting = timeout(50, new Promise(() => {}));
    const check = expect(waiting).rejects.toBeInstanceOf(Elapsed);
    await vi.advanceTimersByTimeAsync(60);
    await check;
  });

  /** Never ends; says that it was dropped. */
  function* endless(dropped: () => void): Future<void> {
    try {
      for (;;) yield;
    } finally {
      dropped();
    }
  }

  it('drops a future when the time is up, before that is heard', async () => {
    const seen: string[] = [];
    const check = promised(
      timeout(
        50,
        endless(() => seen.push('dropped')),
      ),
    ).catch((error) => seen.push(error.name));
    await vi.advanceTimersByTimeAsync(40);
    expect(seen).toEqual([]);
    await vi.advanceTimersByTimeAsync(20);
    await check;
    expect(seen).toEqual(['dropped', 'Elapsed']);
  });

  it('that is dropped drops its future, and leaves nothing armed', () => {
    const dropped = vi.fn();
    const task = new Task(timeout(50, endless(dropped)), null, { resolve: expect.fail, reject: expect.fail });
    const before = armedTimers();
    task.poll();
    expect(armedTimers()).toBe(before + 1);
    task.drop();
    expect(dropped).toHaveBeenCalledOnce();
    expect(armedTimers()).toBe(before);
  });

  it('arms no timer for what need not wait, nor without a limit', () => {
    function* ready(): Future<number> {
      return 7;
    }
    const before = timersArmed();
    expect(timeout(50, ready()).next()).toEqual({ done: true, value: 7 });
    const waiting = timeout(undefined, endless(expect.fail));
    expect(waiting.next().done).toBe(false);
    expect(timersArmed()).toBe(before);
  });

  it('says which of two it was', async () => {
    function* inner(ms: number): Future<string> {
      try {
        yield* timeout(ms, endless(vi.fn()));
        return 'neither';
      } catch (error) {
        expect(error).toBeInstanceOf(Elapsed);
        return 'inner';
      }
    }
    const both = [timeout(50, inner(10)), timeout(10, inner(50))].map((one) => promised(one).catch(() => 'outer'));
    await vi.advanceTimersByTimeAsync(60);
    expect(await Promise.all(both)).toEqual(['inner', 'outer']);
  });

  it('lets an operation that fails after its time fail unheard', async () => {
    let fail: (error: Error) => void = () => {};
    const late = new Promise<never>((_, reject) => {
      fail = reject;
    });
    const check = expect(timeout(10, late)).rejects.toBeInstanceOf(Elapsed);
    await vi.advanceTimersByTimeAsync(20);
    await check;
    fail(new Error('too late'));
    await vi.advanceTimersByTimeAsync(1);
  });
});

describe('sleep', () => {
  it('waits', async () => {
    let awake = false;
    const sleeping = sleep(30).then(() => {
      awake = true;
    });
    await vi.advanceTimersByTimeAsync(29);
    expect(awake).toBe(false);
    await vi.advanceTimersByTimeAsync(11);
    await sleeping;
    expect(awake).toBe(true);
  });
});

/** What counts of the time in which a body is waited for. */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Pace, Rates } from '../../../src/protocols/http/pace.ts';
import { enterPoll, leavePoll } from '../../../src/runtime/poll.ts';
import { armedTimers } from '../../../src/timeout/lib.ts';
import { fakeClock } from '../../support/clock.ts';

beforeEach(fakeClock);

/** 100 bytes a second, and a grace of four seconds: looked at once a second. */
function begun() {
  const rates = new Rates({ request: { bytesPerSecond: 100, graceMs: 4000 } });
  const body = { moved: 0, counts: true, woken: 0 };
  const pace = new Pace(
    rates,
    rates.request!,
    () => body.moved,
    () => body.counts,
  );
  const waker = { wake: () => body.woken++ };
  const waiting = (waits: boolean) => {
    const before = enterPoll(waker);
    try {
      return pace.isTooSlow(waits);
    } finally {
      leavePoll(before);
    }
  };
  waiting(true);
  /** Wait for so many seconds, while so many bytes come in each. */
  const wait = (seconds: number, bytes = 0) => {
    for (let i = 0; i < seconds; i++) {
      body.moved += bytes;
      vi.advanceTimersByTime(1000);
    }
  };
  return { rates, body, pace, waiting, wait };
}

describe('a body that is waited for', () => {
  it('is too slow when nothing has come for the grace, and who waits is woken', () => {
    const { pace, body, waiting, wait } = begun();
    wait(4);
    expect(waiting(true)).toBe(false);
    wait(2);
    expect(waiting(true)).toBe(true);
    expect(body.woken).toBeGreaterThan(0);
    pace.end();
  });

  it('may go on for ever at the slowest rate', () => {
    const { pace, waiting, wait } = begun();
    wait(1000, 100);
    expect(waiting(true)).toBe(false);
    pace.end();
  });

  it('is too slow at half of that after twice the grace', () => {
    const { pace, waiting, wait } = begun();
    wait(7, 50);
    expect(waiting(true)).toBe(false);
    wait(6, 50);
    expect(waiting(true)).toBe(true);
    pace.end();
  });

  it('catches up by what comes late', () => {
    const { pace, waiting, wait } = begun();
    for (let i = 0; i < 10; i++) {
      wait(3);
      wait(1, 400);
    }
    expect(waiting(true)).toBe(false);
    pace.end();
  });

  it('saves up nothing by coming early', () => {
    const { pace, waiting, wait } = begun();
    wait(1, 1_000_000);
    wait(6);
    expect(waiting(true)).toBe(true);
    pace.end();
  });

  it('takes as long as it likes while nobody waits for it, or the time does not count', () => {
    const { pace, body, waiting, wait } = begun();
    waiting(false);
    wait(100);
    waiting(true);
    body.counts = false;
    wait(100);
    expect(waiting(true)).toBe(false);
    body.counts = true;
    wait(8);
    expect(waiting(true)).toBe(true);
    pace.end();
  });

  it('is not blamed for the time in which this process stood still', () => {
    const { pace, waiting, wait } = begun();
    wait(1);
    const now = performance.now();
    vi.spyOn(performance, 'now').mockImplementation(() => now + 3_600_000);
    wait(1);
    vi.restoreAllMocks();
    expect(waiting(true)).toBe(false);
    pace.end();
  });
});

it('leaves no timer behind when the last body has ended', () => {
  const before = armedTimers();
  const { rates, pace } = begun();
  const other = new Pace(
    rates,
    rates.request!,
    () => 0,
    () => true,
  );
  pace.end();
  expect(armedTimers()).toBe(before + 1);
  other.end();
  other.end();
  expect(armedTimers()).toBe(before);
});

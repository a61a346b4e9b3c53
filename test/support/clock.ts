/** Time that passes when the test says so. */
import { onTestFinished, vi } from 'vitest';

let epoch = 0;

/** From now on until the test ends. It begins later each time, for timers of one instant are kept together. */
export function fakeClock(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  epoch += 1e9;
  vi.advanceTimersByTime(epoch);
  onTestFinished(() => {
    vi.useRealTimers();
  });
}

/** tokio's `sleep`: the port's own. */
import type { Future } from '../runtime/future.ts';
import { currentWaker } from '../runtime/poll.ts';
import { arm } from './lib.ts';

/** Wait for `ms` milliseconds. */
export function* sleeping(ms: number): Future<void> {
  const waker = currentWaker();
  let over = false;
  const armed = arm(ms, () => {
    over = true;
    waker.wake();
  });
  try {
    while (!over) yield;
  } finally {
    armed.cancel();
  }
}

/** Waiting as the rest of the port does it: what can't go on says `PENDING` and keeps the waker of whoever polls it. */

/** The answer of a poll that has to wait. */
export const PENDING: unique symbol = Symbol('pending');

/** A result, or {@link PENDING}: then the task that polled is woken once polling again is worthwhile. */
export type Poll<T> = T | typeof PENDING;

/** Wakes a task. */
export interface Waker {
  wake(): void;
}

const nobody: Waker = { wake() {} };
let current: Waker = nobody;

/** Who polls at the moment. */
export function currentWaker(): Waker {
  return current;
}

/** From now on `waker` polls. Returns who did before, for {@link leave}. */
export function enter(waker: Waker): Waker {
  const before = current;
  current = waker;
  return before;
}

/** It no longer polls, and `before` does again. */
export function leave(before: Waker): void {
  current = before;
}

/** Poll on behalf of `waker`. */
export function pollAs<T>(waker: Waker, poll: () => T): T {
  const before = enter(waker);
  try {
    return poll();
  } finally {
    leave(before);
  }
}

/**
 * What is polled: it says ready or pending, and keeps who is to be woken.
 *
 * Rust's `Poll` and `Waker`. A function that is polled may be called again and again: while it is pending it has done
 * nothing that would be done twice, and what it gives when it is ready it gives once.
 */

/** Not ready yet: whoever was the current waker is woken when it is worth asking again. */
export const PENDING: unique symbol = Symbol.for('pingora-traced.pending');

/** What a polled function returns. */
export type Poll<T> = T | typeof PENDING;

/** Whose work a task does: what a server's clients of both kinds bring has to have room beside each other (turn.ts). */
export const Work = {
  /** Nobody's in particular. */
  ANY: 0,
  /** A client's who is let in when there is room: of HTTP/2. */
  HELD: 1,
  /** A client's who is always read: of HTTP/1. */
  FREE: 2,
} as const;
export type Work = (typeof Work)[keyof typeof Work];

/** Who is woken. */
export interface Waker {
  /**
   * It is worth polling again; what isn't ready is pending again. `first`: before those who only begin, for what waits
   * here holds what others wait for, as a connection to an origin that has answered.
   */
  wake(first?: boolean): void;
  /** Poll at once, if it isn't being polled: for what arrives in bulk. */
  wakeNow?(): void;
  /** Whose work is done when it is woken. */
  work?: Work;
}

/** Polled outside of a task: nobody can be woken. */
const NOBODY: Waker = { wake() {} };

let current: Waker = NOBODY;

/** Who is to be woken: the task that is being polled. A leaf that is pending keeps it, in place of the one before. */
export function currentWaker(): Waker {
  return current;
}

/** Make `waker` the current one. Returns the one before, for {@link leavePoll}. */
export function enterPoll(waker: Waker): Waker {
  const before = current;
  current = waker;
  return before;
}

/** Put the waker back that was current before. */
export function leavePoll(before: Waker): void {
  current = before;
}

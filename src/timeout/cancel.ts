/**
 * Dropping a future that is under way.
 *
 * Rust drops the loser of a `timeout`, and with it the socket that it was opening. A promise can't be dropped, so what
 * opens something says how to take it back, and a deadline that passes takes it back.
 */

import { Cancelled } from '../runtime/cancelled.ts';
import { arm, Elapsed } from '../timeout/lib.ts';

/** Lets an operation that was started be taken back. */
export class Cancellation {
  #cancelled = false;
  readonly #undo = new Set<() => void>();

  get cancelled(): boolean {
    return this.#cancelled;
  }

  /** Call `undo` when this is cancelled, at once if it is; returns what takes the call back. */
  onCancel(undo: () => void): () => void {
    if (this.#cancelled) {
      undo();
      return () => {};
    }
    this.#undo.add(undo);
    return () => this.#undo.delete(undo);
  }

  cancel(): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    const undo = [...this.#undo];
    this.#undo.clear();
    for (const call of undo) call();
  }
}

/**
 * Run `operation` for at most `ms` milliseconds. It is cancelled when the time is up, or when `parent` is, and must
 * then free what it holds and reject. Rejects with `Elapsed` when the time was up, with `Cancelled` when `parent` was
 * cancelled.
 *
 * Without a limit (`ms` undefined) it is a plain call.
 */
export function withDeadline<T>(
  ms: number | undefined,
  parent: Cancellation | undefined,
  operation: (cancellation: Cancellation | undefined) => Promise<T>,
): Promise<T> {
  return ms === undefined ? operation(parent) : limited(ms, parent, operation);
}

async function limited<T>(
  ms: number,
  parent: Cancellation | undefined,
  operation: (cancellation: Cancellation) => Promise<T>,
): Promise<T> {
  const cancellation = new Cancellation();
  let elapsed = false;
  const armed = arm(ms, () => {
    elapsed = true;
    cancellation.cancel();
  });
  const unlink = parent?.onCancel(() => cancellation.cancel());
  try {
    return await operation(cancellation);
  } catch (error) {
    if (elapsed) throw new Elapsed();
    throw parent?.cancelled ? new Cancelled() : error;
  } finally {
    armed.cancel();
    unlink?.();
  }
}

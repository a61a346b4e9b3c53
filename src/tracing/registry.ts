/**
 * Every function that can be traced, and how its wrapper is put on and taken off.
 *
 * Off means unwrapped: a method is the very function that stands in the source, a free function one call through a
 * variable (3 ns on Node 20). Attaching the first recorder puts all wrappers on, detaching the last takes them off.
 */

/** A function that can be traced: Pingora's name for it and the file it has there (`app`: the application's own). */
export interface Site {
  /** Pingora's name for the function. */
  readonly fn: string;
  /** Path in Pingora's repository, `app` for an application's hook, null for what only the port has. */
  readonly rust: string | null;
}

/** What is polled and can be dropped, as `runtime/future.ts` has it. */
export type Future<T> = Generator<void, T, void>;

/** Whether something is a future: what a generator function returns. */
export function isFuture(what: unknown): what is Future<any> {
  return (
    typeof what === 'object' &&
    what !== null &&
    typeof (what as Future<unknown>).next === 'function' &&
    typeof (what as Future<unknown>).return === 'function'
  );
}

export type AnyFunction = (...args: any[]) => unknown;

interface Wrapped {
  on(): void;
  off(): void;
}

const wrapped: Wrapped[] = [];
const attached = new Set<object>();

/** Add a function to those that are wrapped while a recorder is attached. */
export function register(on: () => void, off: () => void): void {
  wrapped.push({ on, off });
  if (attached.size > 0) on();
}

/** @internal */
export function install(recorder: object): void {
  if (attached.size === 0) for (const { on } of wrapped) on();
  attached.add(recorder);
}

/** @internal */
export function uninstall(recorder: object): void {
  if (attached.delete(recorder) && attached.size === 0) for (const { off } of wrapped) off();
}

/**
 * What the port tells beside its calls: bytes, frames, how full channels and pools are, state machines.
 *
 * Whoever has something to tell calls a function of {@link observer}, traced or not. While nothing is recorded each of
 * them does nothing; {@link observe} puts others in their place when a recorder is attached. So nobody outside of this
 * folder asks whether there is one.
 */
import type { Facts, Side } from './model.ts';

/** A connection, as far as it matters here: it is told apart by identity. */
export interface Observed {
  /** Its number in this process; the layers of one connection have the same. */
  readonly wire: number;
  /** Whose it is. */
  readonly side?: Side | undefined;
  /** Where its other end is; undefined for a Unix socket. */
  readonly peerAddress?: { readonly ip: string; readonly port: number } | undefined;
}

/** What can be told. Arguments must cost nothing to make: they are made when nobody listens, too. */
export interface Observer {
  /** A call took the first `length` of these bytes, which had arrived on a connection. */
  read(connection: Observed, bytes: Uint8Array, length: number): void;
  /** A call gave a connection bytes to send; text is latin1. */
  wrote(connection: Observed, bytes: Uint8Array | string): void;
  /** Bytes, or the end, arrived on a connection: what wakes a task that waits for it. */
  arrived(connection: Observed, end: boolean): void;
  /** A timer ran out. */
  fired(): void;
  /** A frame of HTTP/2 went by. `facts` is asked only if somebody listens. */
  frame(
    connection: Observed,
    way: 'in' | 'out',
    type: string,
    stream: number,
    flags: number,
    length: number,
    facts: (() => Facts) | undefined,
  ): void;
  /** A channel has `depth` of `capacity` items after this. */
  channel(name: string, what: 'send' | 'receive' | 'close', depth: number, capacity: number): void;
  /** A pool has `size` connections after this. */
  pool(
    name: string,
    what: 'put' | 'get' | 'miss' | 'evict' | 'close',
    key: string | number,
    connection: unknown,
    size: number,
  ): void;
  /** A state machine, told apart by identity, is in this state now. */
  state(machine: object, name: string, state: string): void;
}

function nothing(): void {}

/** Its functions do nothing unless somebody observes. */
export const observer: Observer = {
  read: nothing,
  wrote: nothing,
  arrived: nothing,
  fired: nothing,
  frame: nothing,
  channel: nothing,
  pool: nothing,
  state: nothing,
};

const SILENT: Readonly<Observer> = { ...observer };

/** Tell `by` from now on; null: nobody. */
export function observe(by: Observer | null): void {
  Object.assign(observer, by ?? SILENT);
}

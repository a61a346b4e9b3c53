/**
 * What a way to choose a backend has to have.
 *
 * Port of the traits of `pingora-load-balancing/src/selection/mod.rs`.
 */
import type { Backend } from '../backend.ts';
import type { BackendSet } from '../backend-set.ts';

/**
 * What a choice goes by, where it goes by anything: bytes, or a string of bytes (latin1, one character a byte), as
 * every string of the network is here. A string with characters beyond that stands for its UTF-8.
 */
export type Key = string | Uint8Array;

/** The bytes of a key. */
export function keyBytes(key: Key): Uint8Array {
  if (typeof key !== 'string') return key;
  for (let i = 0; i < key.length; i++) {
    if (key.charCodeAt(i) > 0xff) return Buffer.from(key, 'utf8');
  }
  return Buffer.from(key, 'latin1');
}

/** Chooses among a fixed set of backends. */
export interface BackendSelection {
  /** The backends in the order in which to try them for `key`. */
  iter(key: Key): BackendIter;
}

/** Makes a {@link BackendSelection} for a set of backends; the type parameter of the original's `LoadBalancer<S>`. */
export interface Selection<S extends BackendSelection = BackendSelection> {
  /** What chooses among these backends. */
  build(backends: BackendSet): S;
}

/** The first is the first choice; the others are for when it can't be used. May go on for ever and repeat itself. */
export interface BackendIter {
  /** The next backend, undefined at the end. A backend may come more than once. */
  next(): Backend | undefined;
}

/** A whole number that needs all of 64 bits. */
export interface U64 {
  /** The upper 32 bits. */
  readonly hi: number;
  /** The lower 32 bits. */
  readonly lo: number;
}

/** Gives numbers that a backend is chosen by. */
export interface SelectionAlgorithm {
  /**
   * The next number, not yet brought down to the number of backends: a safe integer, or what doesn't fit into one.
   * The bytes of `key` are good until the call returns.
   */
  next(key: Key): number | U64;
}

/** Makes a {@link SelectionAlgorithm}. */
export interface AlgorithmClass<A extends SelectionAlgorithm = SelectionAlgorithm> {
  /** An algorithm without a state of before. */
  new: () => A;
}

/**
 * How a backend is chosen: the ways that come with it. What each of them has to have is in `traits.ts`.
 *
 * Port of `pingora-load-balancing/src/selection/mod.rs`.
 */
import { ported, traced } from '../../tracing/span.ts';
import type { Backend } from '../backend.ts';
import * as algorithms from './algorithms.ts';
import { KetamaHashing } from './consistent.ts';
import type { BackendIter, Selection } from './traits.ts';
import { Weighted } from './weighted.ts';

export type {
  AlgorithmClass,
  BackendIter,
  BackendSelection,
  Key,
  Selection,
  SelectionAlgorithm,
  U64,
} from './traits.ts';

const rust = ported('pingora-load-balancing/src/selection/mod.rs');

/**
 * By the FNV-1a hash of the key, on weighted backends. The name is the original's; {@link FNVHash} is the usual one.
 */
export const FVNHash: Selection<Weighted<algorithms.FnvHasher>> = Weighted.of(algorithms.FnvHasher);
/** A selection that {@link FVNHash} made. */
export type FVNHash = Weighted<algorithms.FnvHasher>;
/** By the FNV-1a hash of the key, on weighted backends: equal keys get the same backend while the set stays. */
export const FNVHash: typeof FVNHash = FVNHash;
/** A selection that {@link FNVHash} made. */
export type FNVHash = FVNHash;

/** At random, on weighted backends. */
export const Random: Selection<Weighted<algorithms.Random>> = Weighted.of(algorithms.Random);
/** A selection that {@link Random} made. */
export type Random = Weighted<algorithms.Random>;

/** In turn, on weighted backends. */
export const RoundRobin: Selection<Weighted<algorithms.RoundRobin>> = Weighted.of(algorithms.RoundRobin);
/** A selection that {@link RoundRobin} made; it keeps its place between calls. */
export type RoundRobin = Weighted<algorithms.RoundRobin>;

/** By ketama's consistent hash of the key, on weighted backends. */
export const Consistent: Selection<KetamaHashing> = KetamaHashing;
/** A selection that {@link Consistent} made. */
export type Consistent = KetamaHashing;

/**
 * No search goes on for longer. With every backend down the original looks at as many items as it is told to, on one
 * thread of several; here that would be the event loop.
 */
const MOST_ITERATIONS = 2 ** 20;

/** Gives each backend of an iterator once, and looks at no more than `maxIterations` (at most 2^20) of its items. */
@traced
export class UniqueIterator {
  private readonly iter: BackendIter;
  private readonly maxIterations: number;
  private steps = 0;
  /** Nearly always the first choice is taken: only a second one needs a set. */
  private first: Backend | undefined;
  private seen: Set<string> | undefined;

  private constructor(iter: BackendIter, maxIterations: number) {
    this.iter = iter;
    this.maxIterations = Math.min(maxIterations, MOST_ITERATIONS);
  }

  @rust.method
  static new(iter: BackendIter, maxIterations: number): UniqueIterator {
    return new UniqueIterator(iter, maxIterations);
  }

  /** The next backend that wasn't given before. */
  @rust.method
  getNext(): Backend | undefined {
    // an item is drawn before the limit is looked at, as in the original: round robin counts it
    for (let item = this.iter.next(); item !== undefined; item = this.iter.next()) {
      if (this.steps >= this.maxIterations) return undefined;
      this.steps++;
      if (this.first === undefined) {
        this.first = item;
        return item;
      }
      if (item === this.first) continue;
      this.seen ??= new Set([this.first.hashKey()]);
      const key = item.hashKey();
      if (!this.seen.has(key)) {
        this.seen.add(key);
        return item;
      }
    }
    return undefined;
  }
}

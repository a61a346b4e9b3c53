/**
 * Weighted choice: a backend stands in a list as often as it weighs, and a number says where to look.
 *
 * Port of `pingora-load-balancing/src/selection/weighted.rs`.
 */
import { ported, traced } from '../../tracing/span.ts';
import type { Backend } from '../backend.ts';
import type { BackendSet } from '../backend-set.ts';
import type {
  AlgorithmClass,
  BackendIter,
  BackendSelection,
  Key,
  Selection,
  SelectionAlgorithm,
  U64,
} from './traits.ts';

const rust = ported('pingora-load-balancing/src/selection/weighted.rs');

/** An entry of the weighted list has 16 bits. */
const MAX_BACKENDS = 0xffff;
/** Up to here the remainder of a 64-bit number can be found in doubles. */
const MAX_WEIGHT = 2 ** 26;

/** Where an index is written for the next one to be hashed from. */
const scratch = new DataView(new ArrayBuffer(8));
const scratchBytes = new Uint8Array(scratch.buffer);

function indexBytes(index: number | U64): Uint8Array {
  const wide = typeof index === 'object';
  scratch.setUint32(0, wide ? index.lo : index >>> 0, true);
  scratch.setUint32(4, wide ? index.hi : Math.floor(index / 0x1_0000_0000), true);
  return scratchBytes;
}

function remainder(index: number | U64, of: number): number {
  if (typeof index === 'number') return index % of;
  return ((index.hi % of) * (0x1_0000_0000 % of) + index.lo) % of;
}

/** Backends, each as often as it weighs, and what chooses among them. */
@traced
export class Weighted<A extends SelectionAlgorithm = SelectionAlgorithm> implements BackendSelection {
  /** The backends in order. */
  readonly backends: readonly Backend[];
  /** Indices into `backends`. */
  readonly weighted: Uint16Array;
  /** What makes numbers of keys. */
  readonly algorithm: A;

  private constructor(backends: readonly Backend[], weighted: Uint16Array, algorithm: A) {
    this.backends = backends;
    this.weighted = weighted;
    this.algorithm = algorithm;
  }

  /** Weighted choice by `algorithm`, to give to a load balancer. */
  static of<A extends SelectionAlgorithm>(algorithm: AlgorithmClass<A>): Selection<Weighted<A>> {
    return { build: (backends) => Weighted.build(backends, algorithm) as Weighted<A> };
  }

  /** Throws for more than 65535 backends, and for weights of more than 2^26 together. */
  @rust.method('<Weighted as BackendSelection>::build')
  static build(backends: BackendSet, algorithm: AlgorithmClass): Weighted {
    if (backends.size > MAX_BACKENDS) throw new RangeError('support up to 2^16 backends');
    const list = [...backends];
    const total = list.reduce((sum, backend) => sum + backend.weight, 0);
    if (total > MAX_WEIGHT) throw new RangeError(`weights of ${total} together are more than ${MAX_WEIGHT}`);
    const weighted = new Uint16Array(total);
    let at = 0;
    for (const [index, backend] of list.entries()) {
      weighted.fill(index, at, at + backend.weight);
      at += backend.weight;
    }
    return new Weighted(list, weighted, algorithm.new());
  }

  /** The first by weight, then all in the algorithm's order. */
  @rust.method('<Weighted as BackendSelection>::iter')
  iter(key: Key): WeightedIterator {
    return new WeightedIterator(key, this);
  }
}

/** First the weighted choice, then any of the backends, weights aside: each number is drawn from the one before it. */
@traced
export class WeightedIterator implements BackendIter {
  /** Any number; its remainder says where. */
  private index: number | U64;
  private readonly selection: Weighted;
  private first = true;

  /** Rather by {@link Weighted.iter}. */
  constructor(key: Key, selection: Weighted) {
    this.index = selection.algorithm.next(key);
    this.selection = selection;
  }

  /** The next backend; it never ends. */
  @rust.method('<WeightedIterator as BackendIter>::next')
  next(): Backend | undefined {
    const { backends, weighted, algorithm } = this.selection;
    // no weight at all: the original divides by zero
    if (weighted.length === 0) return undefined;
    if (this.first) {
      this.first = false;
      return backends[weighted[remainder(this.index, weighted.length)]!];
    }
    this.index = algorithm.next(indexBytes(this.index));
    return backends[remainder(this.index, backends.length)];
  }
}

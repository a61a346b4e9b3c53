/**
 * The numbers that a weighted choice goes by: counted, random, or hashed.
 *
 * Port of `pingora-load-balancing/src/selection/algorithms.rs`. There any `Hasher` is an algorithm; here it is the one
 * that is used, the `fnv` crate's.
 */
import { ported, traced } from '../../tracing/span.ts';
import { type Key, keyBytes, type SelectionAlgorithm, type U64 } from './traits.ts';

const rust = ported('pingora-load-balancing/src/selection/algorithms.rs');

/** FNV-1a with 64 bits, in two halves: a bigint would be made anew for every byte. */
@traced
export class FnvHasher implements SelectionAlgorithm {
  /** One that begins anew. */
  @rust.method('<H as SelectionAlgorithm>::new')
  static new(): FnvHasher {
    return new FnvHasher();
  }

  @rust.method('<H as SelectionAlgorithm>::next')
  next(key: Key): U64 {
    const bytes = keyBytes(key);
    // the offset basis, cbf29ce484222325
    let hi = 0xcbf29ce4;
    let lo = 0x84222325;
    for (let i = 0; i < bytes.length; i++) {
      lo = (lo ^ bytes[i]!) >>> 0;
      // times the prime, 2^40 + 1b3: what is shifted by 40 lands in the upper half
      const low = lo * 0x1b3;
      hi = (hi * 0x1b3 + Math.floor(low / 0x1_0000_0000) + ((lo << 8) >>> 0)) >>> 0;
      lo = low >>> 0;
    }
    return { hi, lo };
  }
}

/** In turn. */
@traced
export class RoundRobin implements SelectionAlgorithm {
  private count = 0;

  /** One that begins anew. */
  @rust.method('<RoundRobin as SelectionAlgorithm>::new')
  static new(): RoundRobin {
    return new RoundRobin();
  }

  @rust.method('<RoundRobin as SelectionAlgorithm>::next')
  next(_key: Key): number {
    const count = this.count;
    this.count = count === Number.MAX_SAFE_INTEGER ? 0 : count + 1;
    return count;
  }
}

/** At random. */
@traced
export class Random implements SelectionAlgorithm {
  /** One that begins anew. */
  @rust.method('<Random as SelectionAlgorithm>::new')
  static new(): Random {
    return new Random();
  }

  @rust.method('<Random as SelectionAlgorithm>::next')
  next(_key: Key): number {
    // no more bits than Math.random really has: stretched further, the lowest ones are no longer random
    return Math.floor(Math.random() * 0x1_0000_0000);
  }
}

/**
 * Consistent hashing of backends.
 *
 * Port of `pingora-load-balancing/src/selection/consistent.rs`.
 */
import { Bucket, Continuum, type Cursor } from '../../ketama/lib.ts';
import { ported, traced } from '../../tracing/span.ts';
import type { Backend } from '../backend.ts';
import type { BackendSet } from '../backend-set.ts';
import { type BackendIter, type BackendSelection, type Key, keyBytes } from './traits.ts';

const rust = ported('pingora-load-balancing/src/selection/consistent.rs');

/** A ketama ring of backends. Only IP addresses have a place on it: backends with a Unix domain socket are left out. */
@traced
export class KetamaHashing implements BackendSelection {
  /** The ring of points that the backends stand at. */
  readonly ring: Continuum;
  /** By address. */
  readonly backends: ReadonlyMap<string, Backend>;

  private constructor(ring: Continuum, backends: ReadonlyMap<string, Backend>) {
    this.ring = ring;
    this.backends = backends;
  }

  /** Throws when a backend weighs nothing. */
  @rust.method('<KetamaHashing as BackendSelection>::build')
  static build(backends: BackendSet): KetamaHashing {
    const buckets: Bucket[] = [];
    const byAddress = new Map<string, Backend>();
    for (const backend of backends) {
      if (backend.addr.kind !== 'inet') continue;
      buckets.push(Bucket.new(backend.addr, backend.weight));
      byAddress.set(backend.addr.toString(), backend);
    }
    return new KetamaHashing(Continuum.new(buckets), byAddress);
  }

  /** From the point that `key` falls on, around the ring. */
  @rust.method('<KetamaHashing as BackendSelection>::iter')
  iter(key: Key): OwnedNodeIterator {
    return new OwnedNodeIterator(this, this.ring.nodeIdx(keyBytes(key)));
  }
}

/** The backends along the ring. */
@traced
export class OwnedNodeIterator implements BackendIter, Cursor {
  /** The point that comes next. */
  idx: number;
  private readonly hashing: KetamaHashing;

  /** From the point `idx` on. */
  constructor(hashing: KetamaHashing, idx: number) {
    this.hashing = hashing;
    this.idx = idx;
  }

  /** The backend of the next point, for ever. */
  @rust.method('<OwnedNodeIterator as BackendIter>::next')
  next(): Backend | undefined {
    const addr = this.hashing.ring.getAddr(this);
    return addr === undefined ? undefined : this.hashing.backends.get(addr.toString());
  }
}

/**
 * A set of backends that is in order: what Rust's `BTreeSet<Backend>` is to the original. The order matters, because
 * round robin goes by it.
 */
import type { Backend } from './backend.ts';

/** Backends in order, none twice. It doesn't change. */
export class BackendSet implements Iterable<Backend> {
  readonly #sorted: readonly Backend[];
  readonly #keys: ReadonlySet<string>;

  private constructor(sorted: readonly Backend[], keys: ReadonlySet<string>) {
    this.#sorted = sorted;
    this.#keys = keys;
  }

  /** The set without backends. */
  static readonly empty = new BackendSet([], new Set());

  /** A set of these; of equal ones the first stays. */
  static from(backends: Iterable<Backend>): BackendSet {
    if (backends instanceof BackendSet) return backends;
    const unique = new Map<string, Backend>();
    for (const backend of backends) unique.set(backend.hashKey(), backend);
    const sorted = [...unique.values()].sort((a, b) => a.compare(b));
    return new BackendSet(sorted, new Set(unique.keys()));
  }

  /** How many backends there are. */
  get size(): number {
    return this.#sorted.length;
  }

  /** Whether a backend of this address and weight is in it. */
  has(backend: Backend): boolean {
    return this.#keys.has(backend.hashKey());
  }

  /** Whether both have the same backends. */
  equals(other: BackendSet): boolean {
    if (this === other) return true;
    return this.size === other.size && this.#sorted.every((backend) => other.has(backend));
  }

  /** The backends in order: by address, then by weight. */
  [Symbol.iterator](): IterableIterator<Backend> {
    return this.#sorted.values();
  }
}

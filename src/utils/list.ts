/**
 * A list whose members can be taken out from wherever they stand: what an intrusive linked list is in Rust.
 *
 * For what comes and goes with every request, where a `Map` or a `Set` would keep what was in it until the next full
 * collection (docs/PERFORMANCE.md).
 */

/** A member of a {@link List}. */
export class Entry<T> {
  readonly value: T;
  /** @internal */
  before: Entry<T> | null = null;
  /** @internal */
  after: Entry<T> | null = null;
  /** @internal */
  list: List<T> | null = null;

  constructor(value: T) {
    this.value = value;
  }
}

/** Members in the order in which they came. */
export class List<T> {
  private _first: Entry<T> | null = null;
  private last: Entry<T> | null = null;
  private _length = 0;

  get length(): number {
    return this._length;
  }

  /** The member that came first. */
  get first(): Entry<T> | null {
    return this._first;
  }

  /** Add a member that is in no list, as the last. */
  add(entry: Entry<T>): void {
    entry.list = this;
    entry.before = this.last;
    if (this.last === null) this._first = entry;
    else this.last.after = entry;
    this.last = entry;
    this._length++;
  }

  /** Take a member out; false if it isn't in. */
  remove(entry: Entry<T>): boolean {
    if (entry.list !== this) return false;
    const { before, after } = entry;
    if (before === null) this._first = after;
    else before.after = after;
    if (after === null) this.last = before;
    else after.before = before;
    // what is out must keep nothing that is in
    entry.before = null;
    entry.after = null;
    entry.list = null;
    this._length--;
    return true;
  }

  /** The values, the first one first. One may be taken out while it is its turn. */
  *[Symbol.iterator](): Generator<T> {
    for (let entry = this._first; entry !== null; ) {
      const { after } = entry;
      yield entry.value;
      entry = after;
    }
  }
}

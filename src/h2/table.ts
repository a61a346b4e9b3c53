/**
 * The open streams of a connection by their identifiers.
 *
 * Not a `Map`: one through which streams come and go is copied again and again, and the copies keep each other and what
 * was in them (docs/PERFORMANCE.md).
 */
import type { Stream } from './stream.ts';

/** Slots of a connection that has had no more than a few streams at once. */
const FEW = 8;

/** Open addressing: a stream is in the slot of its identifier, or in one of those behind it up to the first empty one. */
export class StreamTable {
  private slots: (Stream | null)[] = empty(FEW);
  private _size = 0;

  /** How many streams are in it. */
  get size(): number {
    return this._size;
  }

  get(id: number): Stream | undefined {
    return this.slots[this.find(id)] ?? undefined;
  }

  /** Put a stream in that isn't in. */
  add(stream: Stream): void {
    // at most half of the slots are taken, so that those searched are few
    if (this._size * 2 >= this.slots.length) this.resize(this.slots.length * 2);
    this.slots[this.find(stream.id)] = stream;
    this._size++;
  }

  /** Take the stream with this identifier out, if it is in. */
  delete(id: number): void {
    const { slots } = this;
    const last = slots.length - 1;
    let gap = this.find(id);
    if (slots[gap] === null) return;
    this._size--;
    // those behind move up, as far as each may: a gap would end the search for them
    for (let at = (gap + 1) & last; ; at = (at + 1) & last) {
      const stream = slots[at]!;
      if (stream === null) break;
      const moves = (at - slotOf(stream.id, last)) & last;
      if (moves < ((at - gap) & last)) continue;
      slots[gap] = stream;
      gap = at;
    }
    slots[gap] = null;
    if (this._size === 0 && slots.length > 4 * FEW) this.slots = empty(FEW);
  }

  clear(): void {
    this.slots = empty(FEW);
    this._size = 0;
  }

  /** In the order in which they began, as they are now. */
  [Symbol.iterator](): IterableIterator<Stream> {
    const streams = this.slots.filter((stream) => stream !== null);
    return streams.sort((a, b) => a.id - b.id).values();
  }

  /** The slot that this identifier is in, or could be put in. */
  private find(id: number): number {
    const { slots } = this;
    const last = slots.length - 1;
    let at = slotOf(id, last);
    for (let stream = slots[at]!; stream !== null && stream.id !== id; stream = slots[at]!) at = (at + 1) & last;
    return at;
  }

  private resize(length: number): void {
    const before = this.slots;
    this.slots = empty(length);
    for (const stream of before) if (stream !== null) this.slots[this.find(stream.id)] = stream;
    // it may be old, and V8 would take what it points to for alive
    before.fill(null);
  }
}

/** One end's identifiers are all odd or all even (RFC 9113 5.1.1). */
function slotOf(id: number, last: number): number {
  return (id >>> 1) & last;
}

function empty(length: number): null[] {
  return new Array<null>(length).fill(null);
}

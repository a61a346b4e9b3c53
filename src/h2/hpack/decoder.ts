/**
 * HPACK: from bytes to fields (RFC 7541 3).
 *
 * Nothing is made a field but its value, and that only if it didn't come from a table.
 */
import type { Name, Names } from '../names.ts';
import { huffmanDecode } from './huffman.ts';
import { ENTRY_OVERHEAD, FIRST_DYNAMIC, STATIC_TABLE } from './static-table.ts';

/** Takes the fields of a block. */
export interface FieldSink {
  /**
   * One field. `valid`: its value has no character that a value can't have. `never`: it must not be put into a table
   * by whoever sends it on (RFC 7541 6.2.3).
   */
  add(name: Name, value: string, valid: boolean, never: boolean): void;
}

/** The block isn't HPACK: the connection can't go on (RFC 9113 4.3, COMPRESSION_ERROR). */
export class HpackError extends Error {
  override readonly name = 'HpackError';
}

/** What a value may hold: RFC 9110 5.5, so no CR, LF or NUL (RFC 9113 8.2.1), nor other control characters. */
const VALUE_BYTE = new Uint8Array(256);
VALUE_BYTE.fill(1, 0x20, 0x7f);
VALUE_BYTE.fill(1, 0x80);
VALUE_BYTE[0x09] = 1;

/**
 * Whether these bytes can be a value. RFC 9113 8.2.1: no spaces around it, which HTTP/1 would take away and so read
 * something else.
 */
function isValue(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end) return true;
  const first = bytes[start]!;
  const last = bytes[end - 1]!;
  if (first === 0x20 || first === 0x09 || last === 0x20 || last === 0x09) return false;
  for (let i = start; i < end; i++) if (VALUE_BYTE[bytes[i]!] === 0) return false;
  return true;
}

class Entry {
  readonly name: Name;
  readonly value: string;
  readonly valid: boolean;

  constructor(name: Name, value: string, valid: boolean) {
    this.name = name;
    this.value = value;
    this.valid = valid;
  }

  get size(): number {
    return this.name.text.length + this.value.length + ENTRY_OVERHEAD;
  }
}

/** Decoded Huffman strings land here; as large as the largest block that there was. */
let scratch = Buffer.allocUnsafeSlow(4096);

/** One direction of a connection: decodes its blocks, each in its turn. */
export class Decoder {
  private readonly names: Names;
  /** A ring: the newest entry at `newest`, the older ones before it. */
  private entries: (Entry | null)[] = [];
  private newest = -1;
  private count = 0;
  private size = 0;
  private maxSize: number;
  /** What this end allows the table to be (SETTINGS_HEADER_TABLE_SIZE). */
  private limit: number;
  /** The next block has to begin with a size not above `limit`. */
  private mustShrink = false;

  private block: Buffer = scratch;
  private pos = 0;
  private end = 0;
  private valid = true;

  constructor(names: Names, limit = 4096) {
    this.names = names;
    this.limit = limit;
    // RFC 9113 6.5.2: the peer may believe in 4096 until it has read what this end says
    this.maxSize = 4096;
  }

  /** The peer has acknowledged that the table may have `limit` bytes. */
  setLimit(limit: number): void {
    this.limit = limit;
    // RFC 9113 4.3.1: a lower limit has to be followed by the encoder saying so
    if (limit < this.maxSize) this.mustShrink = true;
  }

  /** Bytes that the dynamic table takes, and entries that it has. */
  get table(): { size: number; entries: number } {
    return { size: this.size, entries: this.count };
  }

  /** Decode `block[start, end)`, which is a whole block. Throws {@link HpackError}; nothing can be decoded after it. */
  decode(block: Buffer, start: number, end: number, sink: FieldSink): void {
    this.block = block;
    this.pos = start;
    this.end = end;
    this.sizeUpdates();
    while (this.pos < end) {
      const first = block[this.pos]!;
      if (first >= 0x80) this.indexed(sink);
      else if (first >= 0x40) this.literal(6, true, false, sink);
      else if (first >= 0x20) throw new HpackError('a table size in the middle of a block');
      else this.literal(4, false, first >= 0x10, sink);
    }
    this.block = scratch;
  }

  /** RFC 7541 4.2: changes of the table's size stand at the beginning of a block, two at most. */
  private sizeUpdates(): void {
    for (let n = 0; this.pos < this.end && (this.block[this.pos]! & 0xe0) === 0x20; n++) {
      if (n === 2) throw new HpackError('more than two table sizes');
      const size = this.integer(5);
      if (size > this.limit) throw new HpackError('a table size above the limit');
      this.mustShrink = false;
      this.maxSize = size;
      this.evict(0);
    }
    if (this.mustShrink) throw new HpackError('no table size although the limit was lowered');
  }

  private indexed(sink: FieldSink): void {
    const first = this.block[this.pos]! & 0x7f;
    let index = first;
    if (first === 0x7f) index = this.integer(7);
    else this.pos++;
    if (index >= FIRST_DYNAMIC) {
      const entry = this.dynamic(index);
      sink.add(entry.name, entry.value, entry.valid, false);
      return;
    }
    // RFC 7541 6.1
    if (index === 0) throw new HpackError('index 0');
    sink.add(this.names.static[index]!, STATIC_TABLE[index - 1]![1], true, false);
  }

  private dynamic(index: number): Entry {
    const age = index - FIRST_DYNAMIC;
    // RFC 7541 2.3.3
    if (age >= this.count) throw new HpackError('an index beyond the table');
    return this.entries[(this.newest - age) & (this.entries.length - 1)]!;
  }

  private literal(prefix: number, keep: boolean, never: boolean, sink: FieldSink): void {
    const index = this.integer(prefix);
    let name: Name;
    if (index === 0) name = this.names.get(this.string(false));
    else name = index < FIRST_DYNAMIC ? this.names.static[index]! : this.dynamic(index).name;
    const value = this.string(true);
    const { valid } = this;
    if (keep) this.insert(new Entry(name, value, valid));
    sink.add(name, value, valid, never);
  }

  /** RFC 7541 5.1. Nothing here needs more than 28 bits. */
  private integer(prefix: number): number {
    const { block, end } = this;
    const full = (1 << prefix) - 1;
    let value = block[this.pos++]! & full;
    if (value < full) return value;
    for (let shift = 0; ; shift += 7) {
      if (this.pos >= end) throw new HpackError('an integer is cut off');
      const byte = block[this.pos++]!;
      value += (byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return value;
      if (shift === 21) throw new HpackError('an integer is too large');
    }
  }

  /** RFC 7541 5.2. Sets `valid` for a value. */
  private string(isFieldValue: boolean): string {
    if (this.pos >= this.end) throw new HpackError('a string is missing');
    const huffman = this.block[this.pos]! >= 0x80;
    const length = this.integer(7);
    const start = this.pos;
    const end = start + length;
    if (end > this.end) throw new HpackError('a string is cut off');
    this.pos = end;
    if (!huffman) {
      if (isFieldValue) this.valid = isValue(this.block, start, end);
      return this.block.toString('latin1', start, end);
    }
    // the shortest code has five bits
    const most = (length * 8) / 5 + 1;
    if (scratch.length < most) scratch = Buffer.allocUnsafeSlow(2 * most);
    const decoded = huffmanDecode(this.block, start, end, scratch);
    if (decoded < 0) throw new HpackError('a string is not Huffman');
    if (isFieldValue) this.valid = isValue(scratch, 0, decoded);
    return scratch.toString('latin1', 0, decoded);
  }

  private insert(entry: Entry): void {
    const { size } = entry;
    // RFC 7541 4.4: what is larger than the table empties it
    this.evict(size);
    if (size > this.maxSize) return;
    if (this.count === this.entries.length) this.grow();
    this.newest = (this.newest + 1) & (this.entries.length - 1);
    this.entries[this.newest] = entry;
    this.count++;
    this.size += size;
  }

  /** Make room for `room` bytes. */
  private evict(room: number): void {
    while (this.count > 0 && this.size + room > this.maxSize) {
      const oldest = (this.newest - this.count + 1) & (this.entries.length - 1);
      this.size -= this.entries[oldest]!.size;
      this.entries[oldest] = null;
      this.count--;
    }
  }

  private grow(): void {
    const { entries, count } = this;
    const larger: (Entry | null)[] = new Array(Math.max(8, 2 * entries.length)).fill(null);
    for (let age = 0; age < count; age++) {
      larger[count - 1 - age] = entries[(this.newest - age) & (entries.length - 1)]!;
    }
    this.entries = larger;
    this.newest = count - 1;
  }
}

/**
 * HPACK: from fields to bytes (RFC 7541 3).
 *
 * Heads of one connection are alike: most of the fields stand where the head before had them, with the same value. So
 * each place remembers what it held and where in the tables that is; who finds the same again writes one byte without
 * looking anything up. Comparing a text with itself is cheap, and with another one mostly ends at the length.
 */
import type { Output } from '../output.ts';
import { huffmanEncode, huffmanLength } from './huffman.ts';
import { ENTRY_OVERHEAD, FIRST_DYNAMIC, STATIC_TABLE } from './static-table.ts';

/** How a field of a name is sent. */
const Policy = {
  /** Put into the table. */
  INDEX: 0,
  /** Not put into it: the next value is another one. */
  LITERAL: 1,
  /** Never put into any (RFC 7541 7.1.3): a secret that could be guessed by looking at sizes. */
  NEVER: 2,
  /** {@link Policy.NEVER} if it is short enough to be guessed. */
  NEVER_IF_SHORT: 3,
} as const;

/** Nobody guesses so many characters. */
const LONG_ENOUGH = 20;

const POLICIES = new Map<string, number>([
  [':path', Policy.LITERAL],
  ['age', Policy.LITERAL],
  ['content-length', Policy.LITERAL],
  ['etag', Policy.LITERAL],
  ['if-modified-since', Policy.LITERAL],
  ['if-none-match', Policy.LITERAL],
  ['location', Policy.LITERAL],
  ['set-cookie', Policy.LITERAL],
  ['authorization', Policy.NEVER],
  ['proxy-authorization', Policy.NEVER],
  ['cookie', Policy.NEVER_IF_SHORT],
]);

/** A name that is sent. */
class OutName {
  readonly text: string;
  /** Its first index in the static table; 0 if it isn't there. */
  readonly index: number;
  /** The values that the static table has for it, from `index` on. */
  readonly values: readonly string[];
  readonly policy: number;

  constructor(text: string) {
    this.text = text;
    this.index = STATIC_TABLE.findIndex(([name]) => name === text) + 1;
    this.values = STATIC_TABLE.filter(([name, value]) => name === text && value !== '').map(([, value]) => value);
    this.policy = POLICIES.get(text) ?? Policy.INDEX;
  }
}

/** Names as they are given, in whatever case; RFC 9113 8.2: sent in lower case. */
const outNames = new Map<string, OutName>();
const KEPT_NAMES = 512;

function outName(name: string): OutName {
  const known = outNames.get(name);
  if (known !== undefined) return known;
  const lower = name.toLowerCase();
  let made = outNames.get(lower);
  if (made === undefined) {
    made = new OutName(lower);
    if (outNames.size < KEPT_NAMES && name.length <= 64) outNames.set(lower, made);
  }
  if (outNames.size < KEPT_NAMES && name.length <= 64) outNames.set(name, made);
  return made;
}

/** An entry of the dynamic table, and the older ones of the same name. */
class Entry {
  readonly value: string;
  /** The how manieth it is that was ever put in. */
  readonly seq: number;
  older: Entry | null;

  constructor(value: string, seq: number, older: Entry | null) {
    this.value = value;
    this.seq = seq;
    this.older = older;
  }
}

/** What a connection knows of a name. */
class Used {
  newest: Entry | null = null;
  inserts = 0;
  hits = 0;
}

/** So many values of one name are looked at. */
const SEARCH = 8;
/** After so many values of a name, hardly any of which came again, its values aren't put into the table. */
const TRIES = 32;
/** The table is never larger than this, however much the peer allows. */
const MAX_TABLE = 4096;

/** What an encoder may choose (RFC 7541 2.3: what is indexed; 5.2: how a string is written). */
export interface Choices {
  /** Put every field into the table, whatever its name. Default: names whose values are worth keeping. */
  readonly indexAll?: boolean;
  /** Write strings in Huffman's code where that is no longer. Default: yes. */
  readonly huffman?: boolean;
}

/** One direction of a connection: encodes its blocks, each in its turn. */
export class Encoder {
  private readonly indexAll: boolean;
  private readonly huffman: boolean;
  private maxSize = MAX_TABLE;
  private size = 0;
  /** How many entries were ever put in, and how many of them have left. */
  private inserted = 0;
  private evicted = 0;
  /** The sizes of the entries, oldest first. */
  private sizes: number[] = [];
  private oldest = 0;
  private used = new Map<OutName, Used>();
  /** The smallest size since the last block, and whether the size has to be said. */
  private smallest = MAX_TABLE;
  private changed = false;

  // what each place held in the block before: name, value, and a static index or (negative) an entry's number
  private readonly lastNames: string[] = [];
  private readonly lastValues: string[] = [];
  private readonly lastAt: number[] = [];
  private place = 0;

  constructor({ indexAll = false, huffman = true }: Choices = {}) {
    this.indexAll = indexAll;
    this.huffman = huffman;
  }

  /** Bytes that the dynamic table takes, and entries that it has. */
  get table(): { size: number; entries: number } {
    return { size: this.size, entries: this.inserted - this.evicted };
  }

  /** The peer allows the table to have `size` bytes (SETTINGS_HEADER_TABLE_SIZE). */
  setMaxSize(size: number): void {
    const max = Math.min(size, MAX_TABLE);
    if (max === this.maxSize) return;
    this.smallest = this.changed ? Math.min(this.smallest, max) : Math.min(this.maxSize, max);
    this.changed = true;
    this.maxSize = max;
    this.evict(0);
  }

  /** Begin a block. */
  begin(out: Output): void {
    this.place = 0;
    if (!this.changed) return;
    // RFC 7541 4.2: the smallest size in between, then the one that counts
    this.changed = false;
    out.reserve(16);
    if (this.smallest < this.maxSize) integer(out, 0x20, 5, this.smallest);
    integer(out, 0x20, 5, this.maxSize);
  }

  /** Add a field. `never`: it must not be in a table (RFC 7541 6.2.3). */
  field(out: Output, name: string, value: string, never = false): void {
    const place = this.place++;
    if (!never && this.lastValues[place] === value && this.lastNames[place] === name) {
      const at = this.lastAt[place]!;
      if (at > 0) {
        out.reserve(1);
        out.buffer[out.pos++] = 0x80 | at;
        return;
      }
      if (-at > this.evicted) {
        out.reserve(8);
        integer(out, 0x80, 7, FIRST_DYNAMIC + this.inserted + at);
        return;
      }
    }
    this.search(out, outName(name), name, value, never, place);
  }

  private search(out: Output, name: OutName, given: string, value: string, never: boolean, place: number): void {
    const policy = never ? Policy.NEVER : this.indexAll ? Policy.INDEX : name.policy;
    const { index } = name;
    if (index > 0) {
      const { values } = name;
      for (let i = 0; i < values.length; i++) {
        if (values[i] !== value) continue;
        this.remember(place, given, value, index + i);
        out.reserve(1);
        out.buffer[out.pos++] = 0x80 | (index + i);
        return;
      }
    }
    const isShortSecret = policy === Policy.NEVER_IF_SHORT && value.length < LONG_ENOUGH;
    const used = policy === Policy.INDEX || policy === Policy.NEVER_IF_SHORT ? this.useOf(name) : null;
    const newest = used === null ? null : this.alive(used);
    if (used !== null && newest !== null && !isShortSecret) {
      let entry: Entry | null = newest;
      for (let n = 0; entry !== null && n < SEARCH && entry.seq > this.evicted; n++) {
        if (entry.value === value) {
          used.hits++;
          this.remember(place, given, value, -entry.seq);
          out.reserve(8);
          integer(out, 0x80, 7, FIRST_DYNAMIC + this.inserted - entry.seq);
          return;
        }
        entry = entry.older;
      }
    }
    const nameAt = index > 0 ? index : newest !== null ? FIRST_DYNAMIC + this.inserted - newest.seq : 0;
    out.reserve(24 + name.text.length + value.length);
    const size = name.text.length + value.length + ENTRY_OVERHEAD;
    const repeats = used !== null && (used.inserts < TRIES || used.hits * 4 >= used.inserts);
    if (used !== null && !isShortSecret && repeats && size <= this.maxSize / 2) {
      integer(out, 0x40, 6, nameAt);
      this.insert(used, value, size);
      this.remember(place, given, value, -this.inserted);
    } else integer(out, policy === Policy.NEVER || isShortSecret ? 0x10 : 0, 4, nameAt);
    if (nameAt === 0) string(out, name.text, this.huffman);
    string(out, value, this.huffman);
  }

  private remember(place: number, name: string, value: string, at: number): void {
    // a head with more fields than this isn't one of many
    if (place >= 64) return;
    this.lastNames[place] = name;
    this.lastValues[place] = value;
    this.lastAt[place] = at;
  }

  private useOf(name: OutName): Used {
    let used = this.used.get(name);
    if (used === undefined) {
      if (this.used.size >= 256) this.used = new Map();
      used = new Used();
      this.used.set(name, used);
    }
    return used;
  }

  /** The newest entry of a name that is still in the table. */
  private alive(used: Used): Entry | null {
    const { newest } = used;
    if (newest !== null && newest.seq <= this.evicted) used.newest = null;
    return used.newest;
  }

  private insert(used: Used, value: string, size: number): void {
    this.evict(size);
    this.size += size;
    this.sizes.push(size);
    const older = this.alive(used);
    used.newest = new Entry(value, ++this.inserted, older);
    used.inserts++;
    // what has left the table isn't held on to
    for (let entry = older, n = 1; entry !== null; entry = entry.older, n++) {
      if (n >= SEARCH || (entry.older !== null && entry.older.seq <= this.evicted)) entry.older = null;
    }
  }

  /** Make room for `room` bytes. */
  private evict(room: number): void {
    while (this.oldest < this.sizes.length && this.size + room > this.maxSize) {
      this.size -= this.sizes[this.oldest++]!;
      this.evicted++;
    }
    if (this.oldest >= 64) {
      this.sizes = this.sizes.slice(this.oldest);
      this.oldest = 0;
    }
  }
}

/** RFC 7541 5.1. There must be room. */
function integer(out: Output, pattern: number, prefix: number, value: number): void {
  const full = (1 << prefix) - 1;
  const { buffer } = out;
  if (value < full) {
    buffer[out.pos++] = pattern | value;
    return;
  }
  buffer[out.pos++] = pattern | full;
  let rest = value - full;
  while (rest >= 128) {
    buffer[out.pos++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  buffer[out.pos++] = rest;
}

/** RFC 7541 5.2, in Huffman's code unless that is longer or not wanted. There must be room. */
function string(out: Output, text: string, huffman: boolean): void {
  const { length } = text;
  const short = huffman ? huffmanLength(text) : length + 1;
  if (short <= length) {
    integer(out, 0x80, 7, short);
    out.pos = huffmanEncode(text, out.buffer, out.pos);
    return;
  }
  integer(out, 0, 7, length);
  const { buffer } = out;
  for (let i = 0; i < length; i++) buffer[out.pos++] = text.charCodeAt(i);
}

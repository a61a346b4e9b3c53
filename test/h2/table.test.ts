import { describe, expect, it } from 'vitest';
import type { Stream } from '../../src/h2/stream.ts';
import { StreamTable } from '../../src/h2/table.ts';
import { random } from '../support/random.ts';

/** All that a table needs of a stream. */
const stream = (id: number) => ({ id }) as Stream;
const ids = (table: StreamTable) => Array.from(table, ({ id }) => id);

describe('the table of open streams', () => {
  it('does what a map does, whatever comes and goes', () => {
    const next = random(7);
    const table = new StreamTable();
    const map = new Map<number, Stream>();
    for (let i = 0; i < 20_000; i++) {
      // now few streams, now many, with gaps between their identifiers
      const id = 1 + 2 * Math.floor(next() * (i % 4000 < 2000 ? 40 : 700));
      if (map.has(id)) {
        expect(table.get(id)).toBe(map.get(id));
        table.delete(id);
        map.delete(id);
      } else if (map.size < 128) {
        table.add(stream(id));
        map.set(id, table.get(id)!);
        expect(table.get(id)?.id).toBe(id);
      } else table.delete(id);
      expect(table.size).toBe(map.size);
    }
    expect(ids(table)).toEqual([...map.keys()].sort((a, b) => a - b));
  });

  it('finds a stream behind the gap that another has left', () => {
    const table = new StreamTable();
    // these share a slot of eight: 1, 17 and 33; the next one has the slot behind it to itself
    for (const id of [1, 17, 33, 3]) table.add(stream(id));
    table.delete(1);
    expect(ids(table)).toEqual([3, 17, 33]);
    expect([17, 33, 3].map((id) => table.get(id)?.id)).toEqual([17, 33, 3]);
    expect(table.get(1)).toBeUndefined();
  });

  it('gives streams in the order in which they began, as they are when it is asked', () => {
    const table = new StreamTable();
    for (let id = 1; id < 400; id += 2) table.add(stream(id));
    const seen: number[] = [];
    for (const { id } of table) {
      seen.push(id);
      table.delete(id);
    }
    expect(seen).toEqual(Array.from({ length: 200 }, (_, i) => 1 + 2 * i));
    expect(table.size).toBe(0);
  });
});

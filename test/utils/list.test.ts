import { expect, it } from 'vitest';
import { Entry, List } from '../../src/utils/list.ts';

function listOf(...values: string[]): { list: List<string>; entries: Entry<string>[] } {
  const list = new List<string>();
  const entries = values.map((value) => new Entry(value));
  for (const entry of entries) list.add(entry);
  return { list, entries };
}

it.each([
  { from: 'the front', at: 0, left: ['b', 'c'] },
  { from: 'the middle', at: 1, left: ['a', 'c'] },
  { from: 'the end', at: 2, left: ['a', 'b'] },
])('takes a member out from $from, once', ({ at, left }) => {
  const { list, entries } = listOf('a', 'b', 'c');
  expect([list.remove(entries[at]!), list.remove(entries[at]!)]).toEqual([true, false]);
  expect([...list]).toEqual(left);
  expect([list.length, list.first?.value]).toEqual([2, left[0]]);
});

it('keeps the order when a member is put back', () => {
  const { list, entries } = listOf('a', 'b', 'c');
  list.remove(entries[0]!);
  list.add(entries[0]!);
  expect([...list]).toEqual(['b', 'c', 'a']);
});

it('goes on when a member is taken out in its turn', () => {
  const { list } = listOf('a', 'b', 'c');
  const seen: string[] = [];
  for (const value of list) {
    seen.push(value);
    list.remove(list.first!);
  }
  expect([seen, list.length, list.first]).toEqual([['a', 'b', 'c'], 0, null]);
});

it('leaves alone what is in another list', () => {
  const { list } = listOf('a');
  const other = listOf('b');
  expect(list.remove(other.entries[0]!)).toBe(false);
  expect([...other.list]).toEqual(['b']);
});

import { describe, expect, it } from 'vitest';
import { Lru } from '../../src/pool/lru.ts';

describe('Lru', () => {
  it('evicts what was added longest ago', () => {
    const lru = Lru.new<number, string>(2);
    const [first] = lru.add(1, 'one');
    const [second] = lru.add(2, 'two');
    const [third, evicted] = lru.add(3, 'three');
    expect(evicted).toBe('one');
    expect([first.happened, second.happened, third.happened]).toEqual([true, false, false]);
  });

  it('evicts nothing for a place that was freed', () => {
    const lru = Lru.new<number, string>(2);
    lru.add(1, 'one');
    lru.add(2, 'two');
    expect(lru.pop(1)?.meta).toBe('one');
    expect(lru.add(3, 'three')[1]).toBeUndefined();
    expect(lru.add(4, 'four')[1]).toBe('two');
  });

  it('counts an entry that is added again as new', () => {
    const lru = Lru.new<number, string>(2);
    lru.add(1, 'one');
    lru.add(2, 'two');
    lru.add(1, 'one again');
    expect(lru.add(3, 'three')[1]).toBe('two');
  });

  it('evicts everything when it is drained, and whatever comes after', () => {
    const lru = Lru.new<number, string>(4);
    const [first] = lru.add(1, 'one');
    const [second] = lru.add(2, 'two');
    lru.drain();
    const [third] = lru.add(3, 'three');
    expect([first.happened, second.happened, third.happened]).toEqual([true, true, true]);
    expect(lru.length).toBe(0);
  });
});

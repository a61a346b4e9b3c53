import { describe, expect, it } from 'vitest';
import { Lru } from '../../src/pool/lru.ts';

describe('Lru', () => {
  it('evicts what was added longest ago', () => {
    const lru = Lru.new<string>(2);
    const [first] = lru.add('one');
    const [second] = lru.add('two');
    const [third, evicted] = lru.add('three');
    expect(evicted).toBe('one');
    expect([first, second, third].map((node) => node.closeNotifier.poll() === undefined)).toEqual([true, false, false]);
  });

  it('evicts nothing for a place that was freed', () => {
    const lru = Lru.new<string>(2);
    const [first] = lru.add('one');
    lru.add('two');
    expect([lru.pop(first), lru.pop(first)]).toEqual([true, false]);
    expect(lru.add('three')[1]).toBeUndefined();
    expect(lru.add('four')[1]).toBe('two');
  });

  it('counts an entry that is added again as new', () => {
    const lru = Lru.new<string>(2);
    const [first] = lru.add('one');
    lru.add('two');
    lru.put(first);
    expect(lru.add('three')[1]).toBe('two');
  });

  it('evicts everything when it is drained, and whatever comes after', () => {
    const lru = Lru.new<string>(4);
    const [first] = lru.add('one');
    const [second] = lru.add('two');
    lru.drain();
    const [third] = lru.add('three');
    expect([first, second, third].map((node) => node.closeNotifier.poll() === undefined)).toEqual([true, true, true]);
    expect(lru.length).toBe(0);
  });
});

import { describe, expect, it } from 'vitest';
import { Backend, BackendSet } from '../../../src/load-balancing/lib.ts';
import { type BackendIter, RoundRobin, UniqueIterator } from '../../../src/load-balancing/selection/mod.ts';

const [a, b, c] = [Backend.new('1.1.1.1:80'), Backend.new('1.0.0.1:80'), Backend.new('1.0.0.255:80')];

function over(items: Backend[]): BackendIter {
  const left = [...items];
  return { next: () => left.shift() };
}

describe('UniqueIterator', () => {
  it('gives what the iterator has, then nothing', () => {
    const all = UniqueIterator.new(over([a, b, c]), 3);
    expect([all.getNext(), all.getNext(), all.getNext(), all.getNext()]).toEqual([a, b, c, undefined]);
  });

  it('looks at no more items than it may', () => {
    const one = UniqueIterator.new(over([a, b, c]), 1);
    expect([one.getNext(), one.getNext()]).toEqual([a, undefined]);
    const none = UniqueIterator.new(over([a]), 0);
    expect(none.getNext()).toBeUndefined();
    // items that were given before count as looked at
    const repeating = UniqueIterator.new(over([a, a, a, b]), 3);
    expect([repeating.getNext(), repeating.getNext()]).toEqual([a, undefined]);
  });

  it('gives no backend twice, nor another object that is the same backend', () => {
    const unique = UniqueIterator.new(over([a, a, Backend.new('1.1.1.1:80'), b, b, a, b, c]), 10);
    expect([unique.getNext(), unique.getNext(), unique.getNext(), unique.getNext()]).toEqual([a, b, c, undefined]);
  });

  it('tells backends of one address by their weight', () => {
    const heavy = Backend.new('1.1.1.1:80', 2);
    const unique = UniqueIterator.new(over([a, heavy]), 10);
    expect([unique.getNext(), unique.getNext()]).toEqual([a, heavy]);
  });

  it('ends a search without a limit where Pingora would go on for ever', () => {
    const iter = RoundRobin.build(BackendSet.from([a, b])).iter('');
    const unique = UniqueIterator.new(iter, Number.POSITIVE_INFINITY);
    expect([unique.getNext(), unique.getNext(), unique.getNext()]).toEqual([b, a, undefined]);
  });
});

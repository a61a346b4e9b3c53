import { describe, expect, it } from 'vitest';
import { FnvHasher, Random, RoundRobin } from '../../../src/load-balancing/selection/algorithms.ts';
import vectors from '../../ketama/vectors.generated.json' with { type: 'json' };

function fnv(key: string | Uint8Array): string {
  const { hi, lo } = FnvHasher.new().next(key);
  return hi.toString(16).padStart(8, '0') + lo.toString(16).padStart(8, '0');
}

describe('FnvHasher', () => {
  // http://www.isthe.com/chongo/tech/comp/fnv/
  it.each([
    ['', 'cbf29ce484222325'],
    ['a', 'af63dc4c8601ec8c'],
    ['b', 'af63df4c8601f1a5'],
    ['foobar', '85944171f73967e8'],
  ])('hashes %j as FNV-1a with 64 bits does', (key, hash) => {
    expect(fnv(key)).toBe(hash);
  });

  it('hashes what the fnv crate hashes to the same', () => {
    for (const [key, hash] of vectors.fnv as [string, string][]) {
      expect([key, fnv(Buffer.from(key))]).toEqual([key, hash]);
    }
  });

  it('hashes the same as the definition does with big integers', () => {
    const bytes = Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 167 + 13) & 255));
    for (let length = 0; length <= bytes.length; length += 7) {
      let hash = 0xcbf29ce484222325n;
      for (const byte of bytes.subarray(0, length)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
      expect(fnv(bytes.subarray(0, length))).toBe(hash.toString(16).padStart(16, '0'));
    }
  });
});

describe('RoundRobin', () => {
  it('counts from zero', () => {
    const algorithm = RoundRobin.new();
    expect([algorithm.next('a'), algorithm.next('b'), algorithm.next('a')]).toEqual([0, 1, 2]);
  });
});

describe('Random', () => {
  it('gives whole numbers that aren’t all the same', () => {
    const algorithm = Random.new();
    const numbers = Array.from({ length: 100 }, () => algorithm.next(''));
    expect(numbers.every((number) => Number.isSafeInteger(number) && number >= 0)).toBe(true);
    expect(new Set(numbers).size).toBeGreaterThan(50);
  });
});

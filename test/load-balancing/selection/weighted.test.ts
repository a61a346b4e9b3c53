import { describe, expect, it } from 'vitest';
import { Backend, BackendSet } from '../../../src/load-balancing/lib.ts';
import {
  FNVHash,
  FVNHash,
  Random,
  RoundRobin,
  type SelectionAlgorithm,
} from '../../../src/load-balancing/selection/mod.ts';
import { Weighted } from '../../../src/load-balancing/selection/weighted.ts';
import { SocketAddr } from '../../../src/protocols/l4/socket.ts';

const b1 = Backend.new('1.1.1.1:80');
const b3 = Backend.new('1.0.0.255:80');

/** Names of the backends that an iterator gives first. */
function first(count: number, iter: { next(): Backend | undefined }): string[] {
  return Array.from({ length: count }, () => String(iter.next()));
}

describe('round robin', () => {
  it('goes by address, each as often in a row as it weighs, whatever the key', () => {
    const heavy = Backend.new('1.0.0.1:80', 2);
    const selection = RoundRobin.build(BackendSet.from([b1, heavy, b3]));
    const chosen = Array.from({ length: 8 }, (_, i) => String(selection.iter(`key${i}`).next()));
    const round = ['1.0.0.1:80', '1.0.0.1:80', '1.0.0.255:80', '1.1.1.1:80'];
    expect(chosen).toEqual([...round, ...round]);
  });

  it('falls back in turn, weights aside', () => {
    const heavy = Backend.new('1.0.0.1:80', 8);
    const iter = RoundRobin.build(BackendSet.from([b1, heavy, b3])).iter('');
    expect(first(5, iter)).toEqual(['1.0.0.1:80', '1.0.0.255:80', '1.1.1.1:80', '1.0.0.1:80', '1.0.0.255:80']);
  });

  it('takes IPv4 first, then IPv6, then Unix domain sockets', () => {
    const set = BackendSet.from([
      new Backend(SocketAddr.parse('/run/app.sock')),
      Backend.new('[::1]:80'),
      Backend.new('10.0.0.1:80'),
      Backend.new('9.0.0.1:443'),
      Backend.new('9.0.0.1:80'),
    ]);
    const selection = RoundRobin.build(set);
    const chosen = Array.from({ length: 5 }, () => String(selection.iter('').next()));
    expect(chosen).toEqual(['9.0.0.1:80', '9.0.0.1:443', '10.0.0.1:80', '[::1]:80', '/run/app.sock']);
  });
});

describe('FNV', () => {
  const heavy = Backend.new('1.0.0.1:80', 10);
  const selection = FVNHash.build(BackendSet.from([b1, heavy, b3]));
  const name = { b1: '1.1.1.1:80', b2: '1.0.0.1:80', b3: '1.0.0.255:80' };

  it('has its usual name too', () => {
    expect(FNVHash).toBe(FVNHash);
  });

  it('chooses what Pingora chooses: by weight first, then evenly, each hash made from the one before', () => {
    const { b1, b2, b3 } = name;
    expect(first(11, selection.iter('test'))).toEqual([b2, b2, b2, b1, b3, b2, b2, b1, b2, b3, b1]);
    const chosen = [1, 2, 3, 4, 5, 6, 7].map((i) => String(selection.iter(`test${i}`).next()));
    expect(chosen).toEqual([b2, b2, b3, b1, b2, b2, b2]);
  });

  it('gives one key one backend, as a string or as bytes', () => {
    for (const key of ['a', 'caf\xe9', '/path?x=1']) {
      expect(selection.iter(Buffer.from(key, 'latin1')).next()).toBe(selection.iter(key).next());
    }
    expect(selection.iter(Buffer.from('ключ')).next()).toBe(selection.iter('ключ').next());
  });
});

describe('random', () => {
  it('chooses each backend about as often as it weighs', () => {
    const heavy = Backend.new('1.0.0.1:80', 8);
    const selection = Random.build(BackendSet.from([b1, heavy, b3]));
    const count = new Map<string, number>();
    for (let i = 0; i < 10_000; i++) {
      const chosen = String(selection.iter('').next());
      count.set(chosen, (count.get(chosen) ?? 0) + 1);
    }
    // the standard deviations are 30 and 40: sixteen of them and more
    expect(count.get('1.1.1.1:80')).toBeGreaterThan(500);
    expect(count.get('1.1.1.1:80')).toBeLessThan(1500);
    expect(count.get('1.0.0.1:80')).toBeGreaterThan(7300);
    expect(count.get('1.0.0.1:80')).toBeLessThan(8700);
  });
});

describe('weighted selection', () => {
  it('finds nothing among no backends', () => {
    expect(RoundRobin.build(BackendSet.empty).iter('').next()).toBeUndefined();
  });

  it('finds nothing where nothing has weight, which Pingora divides by zero for', () => {
    const selection = RoundRobin.build(BackendSet.from([Backend.new('1.1.1.1:80', 0)]));
    expect(selection.iter('').next()).toBeUndefined();
  });

  it('refuses more backends than 16 bits can count, and more weight than can be counted exactly', () => {
    const many = Array.from({ length: 65536 }, (_, i) => Backend.new(`10.0.${i >> 8}.${i & 255}:80`));
    expect(() => RoundRobin.build(BackendSet.from(many))).toThrow('support up to 2^16 backends');
    expect(() => RoundRobin.build(BackendSet.from([Backend.new('1.1.1.1:80', 2 ** 26 + 1)]))).toThrow(RangeError);
  });

  it('goes by an algorithm of the application, with 64 bits if it has them', () => {
    class Wide implements SelectionAlgorithm {
      static new = () => new Wide();
      next(key: string | Uint8Array) {
        // the second number is made from the eight bytes of the first
        if (typeof key !== 'string') return Number(Buffer.from(key).readBigUInt64LE() % 1000n);
        return { hi: 0xffffffff, lo: 0xfffffffe };
      }
    }
    const set = BackendSet.from([b1, Backend.new('1.0.0.1:80', 10), b3]);
    const list = [...set];
    const iter = Weighted.of(Wide).build(set).iter('any');
    // 2^64 - 2 is 2 modulo 12 and 614 modulo 1000, which is 2 modulo 3
    expect(0xfffffffffffffffen % 12n).toBe(2n);
    expect(iter.next()).toBe(list[0]);
    expect(0xfffffffffffffffen % 1000n).toBe(614n);
    expect(iter.next()).toBe(list[2]);
  });
});

import { describe, expect, it } from 'vitest';
import { crc32 } from '../../src/ketama/crc32.ts';
import { Bucket, Continuum } from '../../src/ketama/lib.ts';
import { SocketAddr } from '../../src/protocols/l4/socket.ts';
import nginx from './nginx.generated.json' with { type: 'json' };
import vectors from './vectors.generated.json' with { type: 'json' };

function ring(nodes: readonly (string | number)[][]): Continuum {
  return Continuum.new(nodes.map(([addr, weight]) => Bucket.new(SocketAddr.parse(String(addr)), Number(weight))));
}

function take(count: number, iter: Iterator<SocketAddr>): string[] {
  return Array.from({ length: count }, () => String(iter.next().value));
}

describe('crc32', () => {
  it('gives the checksums that are known', () => {
    expect(crc32(Buffer.from('123456789'))).toBe(0xcbf43926);
    expect(crc32(Buffer.from('The quick brown fox jumps over the lazy dog'))).toBe(0x414fa339);
    expect(crc32(Buffer.alloc(0))).toBe(0);
  });

  it('can be continued', () => {
    expect(crc32(Buffer.from('56789'), crc32(Buffer.from('1234')))).toBe(0xcbf43926);
  });
});

describe('Continuum', () => {
  it.each(vectors.rings)('gives each key to the server that pingora-ketama 0.1.0 gives it to: $name', (vector) => {
    const made = ring(vector.nodes);
    const addresses = vector.nodes.map(([addr]) => String(SocketAddr.parse(String(addr))));
    for (const [key, idx, next] of vector.choices as [string, number, number[]][]) {
      expect([key, made.nodeIdx(Buffer.from(key))]).toEqual([key, idx]);
      expect([key, ...take(5, made.nodeIter(Buffer.from(key)))]).toEqual([key, ...next.map((node) => addresses[node])]);
      expect(String(made.node(Buffer.from(key)))).toBe(addresses[next[0]!]);
    }
  });

  it('gives each key to the server that nginx gives it to', () => {
    const made = ring(Array.from({ length: 9 }, (_, i) => [`10.0.0.${i + 1}:443`, 100]));
    for (const [key, last] of nginx.choices) {
      expect([key, String(made.node(Buffer.from(String(key))))]).toEqual([key, `10.0.0.${last}:443`]);
    }
  });

  it('moves only the keys of a server that goes', () => {
    const nodes = Array.from({ length: 10 }, (_, i) => [`127.0.0.${i + 1}:6443`, (i % 3) + 1]);
    const gone = '127.0.0.4:6443';
    const before = ring(nodes);
    const after = ring(nodes.filter(([addr]) => addr !== gone));
    let moved = 0;
    for (let i = 0; i < 2000; i++) {
      const key = Buffer.from(`key-${i}`);
      const [was, is] = [String(before.node(key)), String(after.node(key))];
      if (was === gone) moved++;
      else expect(is).toBe(was);
    }
    expect(moved).toBeGreaterThan(0);
  });

  it('goes round and round', () => {
    const made = ring([['127.0.0.1:7777', 1]]);
    const cursor = { idx: made.nodeIdx(Buffer.from('doghash')) };
    const start = cursor.idx;
    for (let i = 0; i < made.length; i++) expect(made.getAddr(cursor)).toBeDefined();
    expect(cursor.idx).toBe(start);
  });

  it('has no server on an empty ring', () => {
    const empty = ring([]);
    expect(empty.node(Buffer.from('a'))).toBeUndefined();
    const iter = empty.nodeIter(Buffer.from('a'));
    expect([iter.next().done, iter.next().done]).toEqual([true, true]);
  });

  it('refuses a server without weight', () => {
    expect(() => Bucket.new(SocketAddr.parse('127.0.0.1:80'), 0)).toThrow('weight must be at least one');
  });
});

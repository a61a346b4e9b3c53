import { describe, expect, it } from 'vitest';
import { Backend, BackendSet } from '../../../src/load-balancing/lib.ts';
import { Consistent } from '../../../src/load-balancing/selection/mod.ts';
import { SocketAddr } from '../../../src/protocols/l4/socket.ts';

const b1 = Backend.new('1.1.1.1:80');
const b2 = Backend.new('1.0.0.1:80');
const b3 = Backend.new('1.0.0.255:80');
const keys = Array.from({ length: 10 }, (_, i) => `test${i}`);

function choices(...backends: Backend[]): (Backend | undefined)[] {
  const selection = Consistent.build(BackendSet.from(backends));
  return keys.map((key) => selection.iter(key).next());
}

describe('consistent selection', () => {
  it('chooses what Pingora chooses', () => {
    expect(choices(b1, b2, b3)).toEqual([b2, b1, b1, b1, b1, b3, b1, b3, b1, b2]);
  });

  it('moves only the keys of the backend that goes', () => {
    expect(choices(b1, b2)).toEqual([b2, b1, b1, b1, b1, b2, b1, b1, b1, b2]);
  });

  it('goes on along the ring to the others', () => {
    const iter = Consistent.build(BackendSet.from([b1, b2, b3])).iter('test0');
    const met = new Set<Backend>();
    for (let i = 0; i < 480; i++) met.add(iter.next()!);
    expect([...met].map(String).toSorted()).toEqual(['1.0.0.1:80', '1.0.0.255:80', '1.1.1.1:80']);
  });

  it('leaves Unix domain sockets out', () => {
    const uds = new Backend(SocketAddr.parse('/a.sock'));
    expect(choices(uds)).toEqual(keys.map(() => undefined));
    expect(choices(uds, b1)).toEqual(keys.map(() => b1));
  });

  it('refuses a backend without weight', () => {
    expect(() => choices(Backend.new('1.1.1.1:80', 0))).toThrow('weight must be at least one');
  });
});

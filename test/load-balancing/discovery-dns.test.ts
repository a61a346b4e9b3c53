import { describe, expect, it } from 'vitest';
import { DnsDiscovery } from '../../src/load-balancing/discovery-dns.ts';
import { Backends, LoadBalancer } from '../../src/load-balancing/lib.ts';
import { RoundRobin } from '../../src/load-balancing/selection/mod.ts';
import { Watch } from '../../src/runtime/sync.ts';

/** A resolver whose answers the test sets; a name without one isn't found. */
function scripted(answers: Record<string, string[]>) {
  const asked: string[] = [];
  const resolver = async (name: string) => {
    asked.push(name);
    const found = answers[name];
    if (found === undefined) throw new Error(`getaddrinfo ENOTFOUND ${name}`);
    return found.map((address) => ({ address }));
  };
  return { answers, asked, resolver };
}

const addresses = (backends: Backends) => [...backends.getBackend()].map(String);

describe('DnsDiscovery', () => {
  it('finds all addresses of all names, with their ports and weights', async () => {
    const { resolver } = scripted({ a: ['10.0.0.2', '10.0.0.1'], b: ['::1'] });
    const names = [
      { name: 'a', port: 80, weight: 3 },
      { name: 'b', port: 8080 },
    ];
    const backends = Backends.new(DnsDiscovery.new(names, resolver));
    await backends.update();
    expect([...backends.getBackend()].map((backend) => `${backend} ${backend.weight}`)).toEqual([
      '10.0.0.1:80 3',
      '10.0.0.2:80 3',
      '[::1]:8080 1',
    ]);
  });

  it('follows the answers', async () => {
    const { answers, resolver } = scripted({ a: ['10.0.0.1'] });
    const backends = Backends.new(DnsDiscovery.new([{ name: 'a', port: 80 }], resolver));
    expect(await backends.update()).toBe(true);
    expect(await backends.update()).toBe(false);
    answers.a = ['10.0.0.2'];
    expect(await backends.update()).toBe(true);
    expect(addresses(backends)).toEqual(['10.0.0.2:80']);
  });

  it('keeps what a name had when it can’t be looked up or has no addresses, and still follows the others', async () => {
    const { answers, resolver } = scripted({ a: ['10.0.0.1'], b: ['10.0.1.1'] });
    const names = ['a', 'b'].map((name) => ({ name, port: 80 }));
    const backends = Backends.new(DnsDiscovery.new(names, resolver));
    await backends.update();
    delete answers.a;
    answers.b = ['10.0.1.2'];
    await backends.update();
    expect(addresses(backends)).toEqual(['10.0.0.1:80', '10.0.1.2:80']);
    answers.a = [];
    answers.b = ['10.0.1.3'];
    await backends.update();
    expect(addresses(backends)).toEqual(['10.0.0.1:80', '10.0.1.3:80']);
  });

  it('throws when a name never had an answer', async () => {
    const { resolver } = scripted({});
    const backends = Backends.new(DnsDiscovery.new([{ name: 'a', port: 80 }], resolver));
    await expect(backends.update()).rejects.toThrow('ENOTFOUND a');
  });

  it('refuses a port or a weight that is none', () => {
    expect(() => DnsDiscovery.new([{ name: 'a', port: 65536 }])).toThrow(RangeError);
    expect(() => DnsDiscovery.new([{ name: 'a', port: 80, weight: -1 }])).toThrow(RangeError);
  });

  it('asks the system if nothing else is said', async () => {
    const backends = Backends.new(DnsDiscovery.new([{ name: 'localhost', port: 80 }]));
    await backends.update();
    expect(addresses(backends).length).toBeGreaterThan(0);
  });

  it('is asked again every updateFrequency', async () => {
    const { answers, resolver } = scripted({ a: ['10.0.0.1'] });
    const shutdown = new Watch(false);
    let lookups = 0;
    const discovery = DnsDiscovery.new([{ name: 'a', port: 80 }], async (name) => {
      if (++lookups === 2) answers.a = ['10.0.0.2'];
      if (lookups === 3) shutdown.send(true);
      return resolver(name);
    });
    const balancer = LoadBalancer.fromBackends(Backends.new(discovery), RoundRobin);
    balancer.updateFrequency = 1;
    await balancer.start(shutdown.subscribe());
    expect(lookups).toBe(3);
    expect(String(balancer.select('', 16))).toBe('10.0.0.2:80');
  });
});

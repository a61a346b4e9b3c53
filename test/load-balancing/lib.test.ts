import { describe, expect, it } from 'vitest';
import { ErrorType, PingoraError } from '../../src/error/lib.ts';
import { type Discovered, type ServiceDiscovery, Static } from '../../src/load-balancing/discovery.ts';
import type { HealthCheck } from '../../src/load-balancing/health-check.ts';
import { Backend, Backends, LoadBalancer } from '../../src/load-balancing/lib.ts';
import { Consistent, FVNHash, Random, RoundRobin } from '../../src/load-balancing/selection/mod.ts';
import { SocketAddr } from '../../src/protocols/l4/socket.ts';
import { Recorder } from '../../src/tracing/recorder.ts';

const good1 = Backend.new('1.1.1.1:80');
const good2 = Backend.new('1.0.0.1:80');
const bad = Backend.new('127.0.0.1:79');

/** A check that fails for the backends in `down`. */
class Scripted implements HealthCheck {
  readonly down = new Set<string>();
  readonly checked: string[] = [];
  success = 1;
  failure = 1;

  async check(target: Backend): Promise<void> {
    this.checked.push(String(target));
    if (this.down.has(String(target))) throw PingoraError.new(ErrorType.ConnectRefused);
  }

  healthThreshold(success: boolean): number {
    return success ? this.success : this.failure;
  }
}

describe('Backend', () => {
  it('is the same for the same address and weight', () => {
    expect(Backend.new('[::1]:80').equals(Backend.new('[0:0::1]:80'))).toBe(true);
    expect(good1.equals(Backend.new('1.1.1.1:80', 2))).toBe(false);
    expect(Backend.new('1.1.1.1:80', 2).hashKey()).toBe(Backend.new('1.1.1.1:80', 2).hashKey());
  });

  it('refuses an address that is none, and a weight that is none', () => {
    expect(() => Backend.new('localhost:80')).toThrow('invalid socket addr');
    expect(() => Backend.new('/run/app.sock')).toThrow(PingoraError);
    for (const weight of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => Backend.new('1.1.1.1:80', weight)).toThrow(RangeError);
    }
  });

  it('is printed to the log as Pingora prints it', () => {
    expect(Backend.new('1.1.1.1:80', 3).debug()).toBe('Backend { addr: Inet(1.1.1.1:80), weight: 3 }');
    const uds = new Backend(SocketAddr.parse('/a.sock'));
    expect(uds.debug()).toBe('Backend { addr: Unix("/a.sock" (pathname)), weight: 1 }');
  });
});

describe('LoadBalancer.tryFromIter', () => {
  it('takes addresses, backends and names, and knows them at once', async () => {
    const balancer = await LoadBalancer.tryFromIter(['1.1.1.1:80', SocketAddr.parse('[::1]:80'), good2], RoundRobin);
    const backends = balancer.backends().getBackend();
    expect([...backends].map(String)).toEqual(['1.0.0.1:80', '1.1.1.1:80', '[::1]:80']);
    expect(backends.has(good1)).toBe(true);
  });

  it('looks a name up', async () => {
    const balancer = await LoadBalancer.tryFromIter(['localhost:8080'], RoundRobin);
    const found = [...balancer.backends().getBackend()].map(String);
    expect(found.length).toBeGreaterThan(0);
    for (const address of found) expect(['127.0.0.1:8080', '[::1]:8080']).toContain(address);
  });

  it.each(['1.1.1.1', '1.1.1.1:http', '1.1.1.1:65536', 'name.invalid:80'])('rejects %s', async (address) => {
    await expect(LoadBalancer.tryFromIter([address], RoundRobin)).rejects.toThrow();
  });

  it('rejects a Unix domain socket, as Pingora does', async () => {
    await expect(LoadBalancer.tryFromIter([SocketAddr.parse('/a.sock')], RoundRobin)).rejects.toThrow('UDS socket');
  });

  it('makes the calls that Pingora makes', async () => {
    const recorder = new Recorder().attach();
    try {
      await recorder.root('main', async () => {
        const balancer = await LoadBalancer.tryFromIter(['1.1.1.1:80'], RoundRobin);
        balancer.select('', 256);
      });
    } finally {
      recorder.detach();
    }
    const paths = recorder.spans.map((span) => {
      const names: string[] = [];
      for (let at: typeof span | null = span; at !== null; at = at.parent) names.unshift(at.site.fn);
      return names.join(' > ');
    });
    const make = 'LoadBalancer::try_from_iter';
    expect(paths).toContain(`${make} > LoadBalancer::from_backends`);
    expect(paths).toContain(
      `${make} > LoadBalancer::update > Backends::update > <Static as ServiceDiscovery>::discover`,
    );
    const choose = 'LoadBalancer::select > LoadBalancer::select_with';
    expect(paths).toContain(`${choose} > UniqueIterator::get_next > <WeightedIterator as BackendIter>::next`);
    expect(paths).toContain(`${choose} > Backends::ready > Health::ready`);
  });
});

describe('LoadBalancer.select', () => {
  it('passes over backends that are unhealthy or disabled', async () => {
    const balancer = await LoadBalancer.tryFromIter(['1.1.1.1:80', '1.0.0.1:80', '127.0.0.1:79'], RoundRobin);
    const check = new Scripted();
    check.down.add('127.0.0.1:79');
    balancer.setHealthCheck(check);
    await balancer.backends().runHealthCheck(false);
    balancer.backends().setEnable(good2, false);
    const chosen = Array.from({ length: 6 }, () => String(balancer.select('', 256)));
    expect(new Set(chosen)).toEqual(new Set(['1.1.1.1:80']));
    balancer.backends().setEnable(good2, true);
    expect(new Set(Array.from({ length: 6 }, () => String(balancer.select('', 256))))).toEqual(
      new Set(['1.0.0.1:80', '1.1.1.1:80']),
    );
  });

  it.each([
    ['round robin', RoundRobin],
    ['random', Random],
    ['FNV', FVNHash],
    ['consistent', Consistent],
  ] as const)('finds nothing when all are down: %s', async (_name, selection) => {
    const balancer = await LoadBalancer.tryFromIter<any>([good1, good2], selection);
    for (const backend of balancer.backends().getBackend()) balancer.backends().setEnable(backend, false);
    expect(balancer.select('key', 256)).toBeUndefined();
    expect(balancer.select('key', 0)).toBeUndefined();
  });

  it('finds nothing among no backends', () => {
    const balancer = LoadBalancer.fromBackends(Backends.new(Static.new()), RoundRobin);
    expect(balancer.select('', 256)).toBeUndefined();
  });

  it('asks the application, each backend once, in turn, with its readiness', async () => {
    const balancer = await LoadBalancer.tryFromIter([good1, good2, bad], RoundRobin);
    balancer.backends().setEnable(good2, false);
    const asked: string[] = [];
    const chosen = balancer.selectWith('', 256, (backend, ready) => {
      asked.push(`${backend} ${ready}`);
      return String(backend) === '127.0.0.1:79';
    });
    expect(chosen?.equals(bad)).toBe(true);
    expect(asked).toEqual(['1.0.0.1:80 false', '1.1.1.1:80 true', '127.0.0.1:79 true']);
  });
});

describe('Backends', () => {
  it('says whether an update changed the set', async () => {
    const discovery = Static.new([good1, good2]);
    const backends = Backends.new(discovery);
    expect(backends.getBackend().size).toBe(0);
    expect(await backends.update()).toBe(true);
    expect(await backends.update()).toBe(false);
    discovery.remove(good2);
    expect(await backends.update()).toBe(true);
    discovery.set([Backend.new('1.1.1.1:80', 5)]);
    expect(await backends.update()).toBe(true);
    discovery.add(Backend.new('1.1.1.1:80', 5));
    expect(await backends.update()).toBe(false);
  });

  it('keeps the health of those that stay, and gives new ones a good one', async () => {
    const discovery = Static.new([good1, bad]);
    const backends = Backends.new(discovery);
    const check = new Scripted();
    check.down.add('127.0.0.1:79');
    backends.setHealthCheck(check);
    await backends.update();
    await backends.runHealthCheck(false);
    backends.setEnable(good1, false);
    discovery.add(good2);
    await backends.update();
    expect([good1, good2, bad].map((backend) => backends.ready(backend))).toEqual([false, true, false]);
  });

  it('lets the discovery enable and disable, whether or not the set changed', async () => {
    const enablement = new Map([[bad.hashKey(), false]]);
    const discovery: ServiceDiscovery = {
      discover: async (): Promise<Discovered> => [[bad, good1], enablement],
    };
    const backends = Backends.new(discovery);
    expect(await backends.update()).toBe(true);
    expect([backends.ready(good1), backends.ready(bad)]).toEqual([true, false]);
    enablement.set(bad.hashKey(), true);
    enablement.set(good1.hashKey(), false);
    expect(await backends.update()).toBe(false);
    expect([backends.ready(good1), backends.ready(bad)]).toEqual([false, true]);
  });

  it('takes an unknown backend for ready only without a health check', async () => {
    const backends = Backends.new(Static.new([good1]));
    await backends.update();
    expect(backends.ready(bad)).toBe(true);
    backends.setHealthCheck(new Scripted());
    expect(backends.ready(bad)).toBe(false);
    backends.setEnable(bad, true);
    expect(backends.ready(bad)).toBe(false);
  });

  it('checks one backend after the other, in order, or all of them at once', async () => {
    const backends = Backends.new(Static.new([good1, good2, bad]));
    await backends.update();
    const order = ['1.0.0.1:80', '1.1.1.1:80', '127.0.0.1:79'];
    const waiting: (() => void)[] = [];
    const log: string[] = [];
    let begun = () => {};
    backends.setHealthCheck({
      healthThreshold: () => 1,
      check: async (target) => {
        log.push(String(target));
        const gate = new Promise<void>((resolve) => waiting.push(resolve));
        begun();
        await gate;
      },
    });
    const nextBegins = () =>
      new Promise<void>((resolve) => {
        begun = resolve;
      });

    let begins = nextBegins();
    const sequential = backends.runHealthCheck(false);
    for (let i = 1; i <= 3; i++) {
      await begins;
      expect(log).toEqual(order.slice(0, i));
      begins = nextBegins();
      waiting.shift()!();
    }
    await sequential;

    log.length = 0;
    const all = new Promise<void>((resolve) => {
      begun = () => log.length === 3 && resolve();
    });
    const parallel = backends.runHealthCheck(true);
    await all;
    expect(log.toSorted()).toEqual(order);
    for (const release of waiting) release();
    await parallel;
  });
});

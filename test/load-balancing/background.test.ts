import { describe, expect, it } from 'vitest';
import { type ServiceDiscovery, Static } from '../../src/load-balancing/discovery.ts';
import type { HealthCheck } from '../../src/load-balancing/health-check.ts';
import { Backend, Backends, LoadBalancer } from '../../src/load-balancing/lib.ts';
import { RoundRobin } from '../../src/load-balancing/selection/mod.ts';
import { Watch } from '../../src/runtime/sync.ts';
import { captureLog } from '../support/log.ts';

const backend = Backend.new('10.0.0.1:80');
const HOUR = 3_600_000;

/** A load balancer whose discoveries and checks are counted, with somebody to wait for them. */
function counted(onRound: (what: 'discover' | 'check', count: number) => unknown = () => {}) {
  const counts = { discover: 0, check: 0 };
  const discovery: ServiceDiscovery = {
    async discover() {
      await onRound('discover', ++counts.discover);
      return [[backend], new Map()];
    },
  };
  const check: HealthCheck = {
    healthThreshold: () => 1,
    async check() {
      await onRound('check', ++counts.check);
    },
  };
  const balancer = LoadBalancer.fromBackends(Backends.new(discovery), RoundRobin);
  balancer.setHealthCheck(check);
  return { balancer, counts };
}

describe('LoadBalancer as a background service', () => {
  it('discovers and checks once and returns if no frequency is set', async () => {
    const { balancer, counts } = counted();
    await balancer.start(new Watch(false).subscribe());
    expect(counts).toEqual({ discover: 1, check: 1 });
    expect(balancer.select('', 1)).toBe(backend);
  });

  it('does nothing when the shutdown has already begun', async () => {
    const { balancer, counts } = counted();
    balancer.updateFrequency = HOUR;
    await balancer.start(new Watch(true).subscribe());
    expect(counts).toEqual({ discover: 0, check: 0 });
  });

  it('checks again and again, and discovers once, if only the checks have a frequency', async () => {
    const shutdown = new Watch(false);
    const { balancer, counts } = counted((what, count) => what === 'check' && count === 3 && shutdown.send(true));
    balancer.healthCheckFrequency = 1;
    await balancer.start(shutdown.subscribe());
    expect(counts).toEqual({ discover: 1, check: 3 });
  });

  it('discovers again and again, and checks once, if only the discovery has a frequency', async () => {
    const shutdown = new Watch(false);
    const { balancer, counts } = counted((what, count) => what === 'discover' && count === 3 && shutdown.send(true));
    balancer.updateFrequency = 1;
    await balancer.start(shutdown.subscribe());
    expect(counts).toEqual({ discover: 3, check: 1 });
  });

  it('stops at once when the shutdown begins, though the next round is far', async () => {
    const shutdown = new Watch(false);
    const { balancer, counts } = counted((what) => {
      // the round is over and the service asleep
      if (what === 'check') setImmediate(() => shutdown.send(true));
    });
    balancer.updateFrequency = HOUR;
    await balancer.start(shutdown.subscribe());
    expect(counts).toEqual({ discover: 1, check: 1 });
  });

  it('sleeps for longer than Node’s timers can count, which would end at once', async () => {
    const warnings: string[] = [];
    const warned = (warning: Error) => warnings.push(warning.name);
    process.on('warning', warned);
    const shutdown = new Watch(false);
    const { balancer, counts } = counted((what) => {
      if (what === 'check') setImmediate(() => setImmediate(() => shutdown.send(true)));
    });
    balancer.healthCheckFrequency = 100 * 24 * HOUR;
    await balancer.start(shutdown.subscribe());
    process.off('warning', warned);
    expect(counts).toEqual({ discover: 1, check: 1 });
    expect(warnings).toEqual([]);
  });

  it('goes on sleeping when the watch is told once more that there is no shutdown', async () => {
    const shutdown = new Watch(false);
    const { balancer, counts } = counted((what) => {
      if (what !== 'check') return;
      setImmediate(() => {
        shutdown.send(false);
        setImmediate(() => shutdown.send(true));
      });
    });
    balancer.updateFrequency = HOUR;
    await balancer.start(shutdown.subscribe());
    expect(counts).toEqual({ discover: 1, check: 1 });
  });

  it.each(['discover', 'check'] as const)('doesn’t wait at the shutdown for a %s that hangs', async (hanging) => {
    const shutdown = new Watch(false);
    const { balancer } = counted((what) => {
      if (what !== hanging) return;
      shutdown.send(false);
      shutdown.send(true);
      return new Promise(() => {});
    });
    balancer.healthCheckFrequency = HOUR;
    await balancer.start(shutdown.subscribe());
  });

  it('keeps the backends and says so when a discovery fails', async () => {
    const log = captureLog();
    const shutdown = new Watch(false);
    const { balancer } = counted((what, count) => {
      if (what !== 'discover' || count === 1) return;
      if (count === 3) shutdown.send(true);
      throw new Error('no such luck');
    });
    balancer.updateFrequency = 1;
    await balancer.start(shutdown.subscribe());
    expect(balancer.select('', 1)).toBe(backend);
    expect(log.map(({ msg }) => msg)).toContain('service discovery failed: Error: no such luck');
  });

  it('chooses among what was discovered last', async () => {
    const discovery = Static.new([backend]);
    const balancer = LoadBalancer.fromBackends(Backends.new(discovery), RoundRobin);
    await balancer.start(new Watch(false).subscribe());
    discovery.set([Backend.new('10.0.0.2:80')]);
    expect(String(balancer.select('', 1))).toBe('10.0.0.1:80');
    await balancer.start(new Watch(false).subscribe());
    expect(String(balancer.select('', 1))).toBe('10.0.0.2:80');
  });
});

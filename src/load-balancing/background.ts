/**
 * The load balancer as a background service: discovers and checks again and again.
 *
 * Port of `pingora-load-balancing/src/background.rs`.
 */
import { Log } from '../log.ts';
import type { ShutdownWatch } from '../runtime/sync.ts';
import { arm } from '../timeout/lib.ts';
import { ported } from '../tracing/span.ts';

const rust = ported('pingora-load-balancing/src/background.rs');
const log = new Log('pingora_load_balancing::background');

/** Node's timers count no further than 2^31 - 1 ms (24.8 days); a longer wait is waited in pieces. */
const LONGEST_SLEEP_MS = 2_000_000_000;

/** What is done again and again: a `LoadBalancer` has it. */
export interface Rounds {
  readonly updateFrequency: number | undefined;
  readonly healthCheckFrequency: number | undefined;
  readonly parallelHealthCheck: boolean;
  update(): Promise<void>;
  backends(): { runHealthCheck(parallel: boolean): Promise<void> };
}

/** Wait for `ms`, or until the watch changes. */
function sleepOrChange(ms: number, shutdown: ShutdownWatch): Promise<void> {
  return new Promise((resolve) => {
    const armed = arm(Math.min(ms, LONGEST_SLEEP_MS), () => {
      forget();
      resolve();
    });
    const forget = shutdown.onChange(() => {
      armed.cancel();
      resolve();
    });
  });
}

/** Wait for `work`, or until the shutdown begins, which leaves `work` to end by itself. */
function workOrShutdown(work: Promise<void>, shutdown: ShutdownWatch): Promise<void> {
  return new Promise((resolve, reject) => {
    let forget = () => {};
    const listen = () => {
      forget = shutdown.onChange(() => (shutdown.borrow() ? resolve() : listen()));
    };
    listen();
    // it may have begun while the work did
    if (shutdown.borrow()) resolve();
    work.then(resolve, reject).finally(() => forget());
  });
}

async function update(balancer: Rounds): Promise<void> {
  try {
    await balancer.update();
  } catch (error) {
    // the backends known so far stay; the original says nothing
    log.error(() => `service discovery failed: ${error}`);
  }
}

/**
 * Update at once and every `updateFrequency`, check at once and every `healthCheckFrequency`, until the shutdown
 * begins. Returns after the first round if neither is set.
 *
 * Where the original sleeps until its next round before it looks whether to stop, this stops at once.
 */
export const start = rust.fn(
  '<LoadBalancer as BackgroundService>::start',
  async (balancer: Rounds, shutdown: ShutdownWatch): Promise<void> => {
    let now = performance.now();
    let nextUpdate = now;
    let nextHealthCheck = now;
    for (;;) {
      if (shutdown.borrow()) return;

      if (nextUpdate <= now) {
        await workOrShutdown(update(balancer), shutdown);
        if (shutdown.borrow()) return;
        nextUpdate = now + (balancer.updateFrequency ?? Number.POSITIVE_INFINITY);
      }

      if (nextHealthCheck <= now) {
        await workOrShutdown(balancer.backends().runHealthCheck(balancer.parallelHealthCheck), shutdown);
        if (shutdown.borrow()) return;
        nextHealthCheck = now + (balancer.healthCheckFrequency ?? Number.POSITIVE_INFINITY);
      }

      if (balancer.updateFrequency === undefined && balancer.healthCheckFrequency === undefined) return;
      const toWake = Math.min(nextUpdate, nextHealthCheck);
      await sleepOrChange(toWake - performance.now(), shutdown);
      now = performance.now();
    }
  },
);

/**
 * Load balancing: backends that are found, checked, and chosen among.
 *
 * Port of `pingora-load-balancing/src/lib.rs`.
 */
import { Log } from '../log.ts';
import { currentHandle } from '../runtime/lib.ts';
import type { ShutdownWatch } from '../runtime/sync.ts';
import type { BackgroundService } from '../services/background.ts';
import { ported, traced } from '../tracing/span.ts';
import type { Backend } from './backend.ts';
import { BackendSet } from './backend-set.ts';
import { start } from './background.ts';
import { type ServiceDiscovery, Static, type ToSocketAddrs } from './discovery.ts';
import { Health, type HealthCheck } from './health-check.ts';
import { type BackendSelection, type Key, type Selection, UniqueIterator } from './selection/mod.ts';

export { Backend } from './backend.ts';
export { BackendSet } from './backend-set.ts';

const rust = ported('pingora-load-balancing/src/lib.rs');
const log = new Log('pingora_load_balancing');

const checkAndReport = rust.fn(
  'run_health_check::check_and_report',
  async (backend: Backend, check: HealthCheck, healthTable: ReadonlyMap<string, Health>): Promise<void> => {
    let healthy = true;
    let failure: unknown;
    try {
      await check.check(backend);
    } catch (error) {
      healthy = false;
      failure = error;
    }
    const health = healthTable.get(backend.hashKey());
    if (health === undefined) return;
    if (!health.observeHealth(healthy, check.healthThreshold(healthy))) return;
    if (healthy) log.info(() => `${backend.debug()} becomes healthy`);
    else log.warn(() => `${backend.debug()} becomes unhealthy, ${failure}`);
  },
);

/** The backends, the way in which they are found, and their health. */
@traced
export class Backends {
  private readonly discovery: ServiceDiscovery;
  private healthCheck: HealthCheck | undefined;
  private backends = BackendSet.empty;
  /** By hash key; has every backend of `backends`. */
  private health: ReadonlyMap<string, Health> = new Map();

  private constructor(discovery: ServiceDiscovery) {
    this.discovery = discovery;
  }

  /** No backends until the first {@link Backends.update}, and no health check. */
  @rust.method
  static new(discovery: ServiceDiscovery): Backends {
    return new Backends(discovery);
  }

  /** Check with `check` from now on; without one every backend is taken for healthy. */
  @rust.method
  setHealthCheck(check: HealthCheck): void {
    this.healthCheck = check;
  }

  /** True when the set of backends became another one. */
  @rust.method
  doUpdate(newBackends: BackendSet, enablement: ReadonlyMap<string, boolean>): boolean {
    if (newBackends.equals(this.backends)) {
      for (const [key, enabled] of enablement) this.health.get(key)?.enable(enabled);
      return false;
    }
    const health = new Map<string, Health>();
    for (const backend of newBackends) {
      const key = backend.hashKey();
      const kept = this.health.get(key)?.clone() ?? new Health();
      const enabled = enablement.get(key);
      if (enabled !== undefined) kept.enable(enabled);
      health.set(key, kept);
    }
    this.backends = newBackends;
    this.health = health;
    return true;
  }

  /**
   * Whether the backend may be sent requests: healthy and enabled. One that isn't known is ready only if there is no
   * health check.
   */
  @rust.method
  ready(backend: Backend): boolean {
    const health = this.health.get(backend.hashKey());
    return health === undefined ? this.healthCheck === undefined : health.ready();
  }

  /** Take a backend out of use, or put it back, whatever its health. Does nothing for one that isn't known. */
  @rust.method
  setEnable(backend: Backend, enabled: boolean): void {
    this.health.get(backend.hashKey())?.enable(enabled);
  }

  /** The backends, in order. */
  getBackend(): BackendSet {
    return this.backends;
  }

  /** Discover again. True when the set of backends became another one. Throws what the discovery throws. */
  @rust.method
  async update(): Promise<boolean> {
    const [newBackends, enablement] = await this.discovery.discover();
    return this.doUpdate(BackendSet.from(newBackends), enablement);
  }

  /** Check all backends, if there is a health check: one after the other, or all at once (`parallel`). */
  @rust.method
  async runHealthCheck(parallel: boolean): Promise<void> {
    const check = this.healthCheck;
    if (check === undefined) return;
    if (!parallel) {
      for (const backend of this.backends) await checkAndReport(backend, check, this.health);
      return;
    }
    const runtime = currentHandle();
    const table = this.health;
    await Promise.all(
      Array.from(this.backends, (backend) =>
        runtime.spawn(`health check ${backend}`, () => checkAndReport(backend, check, table)),
      ),
    );
  }
}

const byHealth = (_backend: Backend, ready: boolean): boolean => ready;

/**
 * Discovery, health checks and selection together.
 *
 * Discovery and health checks are repeated only while it runs as a background service: give it to
 * {@link backgroundService}, and that to the server. Without one it is never checked, and every backend counts as well.
 * Each thread of a server has a balancer of its own, with its own turn and its own checks.
 *
 * ```ts
 * const balancer = await LoadBalancer.tryFromIter(['127.0.0.1:8080', '127.0.0.1:8081'], RoundRobin);
 * console.log(String(balancer.select('', 256))); // 127.0.0.1:8080
 * console.log(String(balancer.select('', 256))); // 127.0.0.1:8081
 * balancer.backends().setEnable(Backend.new('127.0.0.1:8080'), false);
 * console.log(String(balancer.select('', 256))); // 127.0.0.1:8081
 * ```
 */
@traced
export class LoadBalancer<S extends BackendSelection = BackendSelection> implements BackgroundService {
  private readonly known: Backends;
  private readonly selection: Selection<S>;
  private selector: S;
  /** Milliseconds between health checks. Undefined (the default): they run once, when the service starts. */
  healthCheckFrequency: number | undefined;
  /** Milliseconds between discoveries. Undefined (the default): once, when the service starts. */
  updateFrequency: number | undefined;
  /** Whether all backends are checked at once. Default: one after the other. */
  parallelHealthCheck = false;

  private constructor(backends: Backends, selection: Selection<S>) {
    this.known = backends;
    this.selection = selection;
    this.selector = selection.build(backends.getBackend());
  }

  /**
   * A load balancer over fixed addresses: `await LoadBalancer.tryFromIter(['1.1.1.1:80', 'name:80'], RoundRobin)`.
   *
   * Async, because a name has to be looked up; the original blocks for that. Throws when an address makes no sense or
   * its name isn't found.
   */
  @rust.method
  static async tryFromIter<S extends BackendSelection>(
    addresses: Iterable<ToSocketAddrs>,
    selection: Selection<S>,
  ): Promise<LoadBalancer<S>> {
    const balancer = LoadBalancer.fromBackends(Backends.new(await Static.tryFromIter(addresses)), selection);
    await balancer.update();
    return balancer;
  }

  /** A load balancer over `backends`, which are empty until they are updated: by hand or as a background service. */
  @rust.method
  static fromBackends<S extends BackendSelection>(backends: Backends, selection: Selection<S>): LoadBalancer<S> {
    return new LoadBalancer(backends, selection);
  }

  /** Discover again, and choose among what was found from now on. Throws what the discovery throws. */
  @rust.method
  async update(): Promise<void> {
    if (await this.known.update()) this.selector = this.selection.build(this.known.getBackend());
  }

  /**
   * The first backend that is ready, in the order that the selection has for `key`; undefined if none is.
   *
   * Round robin and random selection take no notice of `key`. `maxIterations` bounds the search, which goes on past
   * backends that it has met before: on a ketama ring the next one may be many steps away.
   */
  @rust.method
  select(key: Key, maxIterations: number): Backend | undefined {
    return this.selectWith(key, maxIterations, byHealth);
  }

  /** As {@link LoadBalancer.select}, but `accept` decides, told for each backend in turn whether it is ready. */
  @rust.method
  selectWith(
    key: Key,
    maxIterations: number,
    accept: (backend: Backend, ready: boolean) => boolean,
  ): Backend | undefined {
    const candidates = UniqueIterator.new(this.selector.iter(key), maxIterations);
    for (let backend = candidates.getNext(); backend !== undefined; backend = candidates.getNext()) {
      if (accept(backend, this.known.ready(backend))) return backend;
    }
    return undefined;
  }

  /**
   * As {@link Backends.setHealthCheck}. How often, `healthCheckFrequency` says. A backend that turns unhealthy is logged
   * as a warning, one that is well again as information.
   */
  @rust.method
  setHealthCheck(check: HealthCheck): void {
    this.known.setHealthCheck(check);
  }

  /** The backends that it chooses among, with their health. */
  backends(): Backends {
    return this.known;
  }

  /** Run as a background service until `shutdown` turns true. */
  start(shutdown: ShutdownWatch): Promise<void> {
    return start(this, shutdown);
  }
}

/** The origins of `npm start`: which there are, which is next, and what is known of them. */
import { isIP } from 'node:net';
import { splitAddress } from '../listeners/l4.ts';
import { Static } from '../load-balancing/discovery.ts';
import { HttpHealthCheck, TcpHealthCheck } from '../load-balancing/health-check.ts';
import { type Backend, Backends, LoadBalancer } from '../load-balancing/lib.ts';
import { RoundRobin } from '../load-balancing/selection/mod.ts';
import { Complaint } from './complaint.ts';
import { DEMO, demoOrigin } from './demo.ts';
import type { Options } from './options.ts';

/** An origin that couldn't be reached is left alone for so long, in milliseconds, as long as there are others. */
const REST_MS = 10_000;

/** Chooses among the origins. */
export class Origins {
  readonly balancer: LoadBalancer<RoundRobin>;
  /** The name for TLS by origin, where `--sni` doesn't give it. */
  private readonly names: ReadonlyMap<string, string>;
  private readonly options: Options;
  /** Until when each that couldn't be reached rests. */
  private readonly resting = new Map<string, number>();
  /** How many requests each has now. */
  private readonly busy = new Map<string, number>();

  private constructor(balancer: LoadBalancer<RoundRobin>, names: ReadonlyMap<string, string>, options: Options) {
    this.balancer = balancer;
    this.names = names;
    this.options = options;
  }

  /** Look the names up. Throws {@link Complaint}. */
  static async of(options: Options): Promise<Origins> {
    const backends: Backend[] = [];
    const names = new Map<string, string>();
    for (const given of options.upstream) {
      if (given === DEMO && options.upstreamTls)
        throw new Complaint('--upstream demo: that origin speaks no TLS: leave --upstream-tls out', 2);
      const address = given === DEMO ? await demoOrigin() : given;
      const name = splitAddress(address)?.host ?? '';
      if (options.upstreamTls && options.sni === '' && !options.insecure && isIP(name) !== 0) {
        const wanted = `--sni NAME, which its certificate must have, or --insecure`;
        throw new Complaint(`--upstream-tls: ${name} is an address, and certificates have names: add ${wanted}`, 2);
      }
      try {
        for (const backend of (await Static.tryFromIter([address])).get()) {
          backends.push(backend);
          if (isIP(name) === 0 && !names.has(backend.hashKey())) names.set(backend.hashKey(), name);
        }
      } catch (error) {
        const why = error instanceof Error ? error.message : error;
        throw new Complaint(`--upstream ${given}: ${why}; write a name that can be resolved, or an IP address`);
      }
    }
    const balancer = LoadBalancer.fromBackends(Backends.new(Static.new(backends)), RoundRobin);
    await balancer.update();
    const origins = new Origins(balancer, names, options);
    if (options.healthCheck !== undefined) origins.check(options.healthCheck);
    return origins;
  }

  private check(every: number): void {
    const { healthCheckPath: path, upstreamTls, sni, insecure } = this.options;
    const name = sni !== '' ? sni : ([...this.names.values()][0] ?? '');
    let check: TcpHealthCheck | HttpHealthCheck;
    if (path === undefined) check = upstreamTls && name !== '' ? TcpHealthCheck.newTls(name) : TcpHealthCheck.new();
    else {
      check = HttpHealthCheck.new(name === '' ? 'localhost' : name, upstreamTls);
      check.req.setUri(path);
    }
    if (insecure) {
      check.peerTemplate.options.verifyCert = false;
      check.peerTemplate.options.verifyHostname = false;
    }
    this.balancer.setHealthCheck(check);
    this.balancer.healthCheckFrequency = every;
    this.balancer.parallelHealthCheck = true;
  }

  /** The next one that isn't among `failed`. Undefined: there is none, or all have more requests than they may. */
  choose(failed: readonly Backend[]): Backend | undefined {
    let chosen: Backend | undefined;
    if (this.resting.size > 0) {
      const now = performance.now();
      chosen = this.balancer.selectWith(
        '',
        256,
        (backend, ready) => this.may(backend, ready, failed) && (this.resting.get(backend.hashKey()) ?? 0) <= now,
      );
    }
    chosen ??= this.balancer.selectWith('', 256, (backend, ready) => this.may(backend, ready, failed));
    if (chosen !== undefined) this.busy.set(chosen.hashKey(), (this.busy.get(chosen.hashKey()) ?? 0) + 1);
    return chosen;
  }

  private may(backend: Backend, ready: boolean, failed: readonly Backend[]): boolean {
    return (
      ready && !failed.includes(backend) && (this.busy.get(backend.hashKey()) ?? 0) < this.options.maxOriginRequests
    );
  }

  /** Whether there is one beside those. */
  hasOther(failed: readonly Backend[]): boolean {
    return [...this.balancer.backends().getBackend()].some(
      (backend) => !failed.includes(backend) && this.balancer.backends().ready(backend),
    );
  }

  /** A request of its is over. */
  done(backend: Backend): void {
    const key = backend.hashKey();
    this.busy.set(key, Math.max(0, (this.busy.get(key) ?? 0) - 1));
  }

  /** It couldn't be reached. */
  rest(backend: Backend): void {
    this.resting.set(backend.hashKey(), performance.now() + REST_MS);
  }

  /** What it is asked for, and checked against, over TLS. */
  nameOf(backend: Backend): string {
    return this.options.sni !== '' ? this.options.sni : (this.names.get(backend.hashKey()) ?? '');
  }
}

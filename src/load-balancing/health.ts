/**
 * The health of one backend, as the checks and the operator see it.
 *
 * Port of the second half of `pingora-load-balancing/src/health_check.rs`; the checks themselves are in
 * `health-check.ts`. Apart, so that a load balancer without checks doesn't load the connectors.
 */
import { ported } from '../trace/span.ts';
import type { Backend } from './lib.ts';

const rust = ported('pingora-load-balancing/src/health_check.rs');

/** Starts healthy and enabled. */
export class Health {
  private healthy = true;
  /** Whether it may be used, however healthy it is. */
  private enabled = true;
  /** How many checks in a row have said the opposite of `healthy`. */
  private consecutive = 0;

  clone(): Health {
    const copy = new Health();
    copy.healthy = this.healthy;
    copy.enabled = this.enabled;
    copy.consecutive = this.consecutive;
    return copy;
  }

  /** Both healthy and enabled. */
  @rust.method('Health::ready')
  ready(): boolean {
    return this.healthy && this.enabled;
  }

  @rust.method('Health::enable')
  enable(enabled: boolean): void {
    this.enabled = enabled;
  }

  /** Take note of a check's result; true when it was the last of `flipThreshold` in a row that turn the health over. */
  @rust.method('Health::observe_health')
  observeHealth(health: boolean, flipThreshold: number): boolean {
    if (health === this.healthy) {
      this.consecutive = 0;
      return false;
    }
    if (++this.consecutive < flipThreshold) return false;
    this.healthy = health;
    this.consecutive = 0;
    return true;
  }
}

/** Finds out whether a backend is well. */
export interface HealthCheck {
  /** Returns if the check passes, throws (or rejects) if it fails. */
  check(target: Backend): Promise<void>;
  /** How many checks in a row turn a backend healthy (`success`) or unhealthy. */
  healthThreshold(success: boolean): number;
}

/**
 * A server among which a load balancer chooses.
 *
 * Port of `Backend` in `pingora-load-balancing/src/lib.rs`.
 */
import { ErrorType, PingoraError } from '../error/lib.ts';
import { SocketAddr } from '../protocols/l4/socket.ts';
import { ported, traced } from '../tracing/span.ts';

const rust = ported('pingora-load-balancing/src/lib.rs');

/**
 * A server to send requests to. It doesn't change.
 *
 * ```ts
 * const [light, heavy] = [Backend.new('127.0.0.1:8080'), Backend.new('127.0.0.1:8081', 3)];
 * console.log(heavy.weight, light.equals(heavy)); // 3 false
 * ```
 */
@traced
export class Backend {
  /** Where it listens. */
  readonly addr: SocketAddr;
  /** Its share of the requests, among the weights of all: a whole number. */
  readonly weight: number;
  private readonly identity: string;

  /** Throws a `RangeError` unless `weight` is a whole number, zero or more. */
  constructor(addr: SocketAddr, weight = 1) {
    if (!Number.isSafeInteger(weight) || weight < 0) throw new RangeError(`invalid weight ${weight}`);
    this.addr = addr;
    this.weight = weight;
    this.identity = `${addr.kind} ${addr} ${weight}`;
  }

  /** The backend at `1.2.3.4:80` or `[::1]:80`. Throws `InternalError` for anything else. */
  @rust.method
  static new(addr: string, weight = 1): Backend {
    const inet = SocketAddr.parseInet(addr);
    if (inet === undefined) {
      const cause = new Error('invalid socket address syntax');
      throw PingoraError.because(ErrorType.InternalError, 'invalid socket addr', cause);
    }
    return new Backend(inet, weight);
  }

  /**
   * What tells this backend from others: equal for equal address and weight. A string where the original has a number,
   * made once.
   */
  hashKey(): string {
    return this.identity;
  }

  /** Whether address and weight are the same. */
  equals(other: Backend): boolean {
    return this.identity === other.identity;
  }

  /** The order of backends: by address, then by weight. */
  compare(other: Backend): number {
    return this.addr.compare(other.addr) || this.weight - other.weight;
  }

  /** The address. */
  toString(): string {
    return this.addr.toString();
  }

  /** As the original prints it to the log. */
  debug(): string {
    const addr =
      this.addr.kind === 'inet' ? `Inet(${this.addr})` : `Unix(${JSON.stringify(this.addr.path)} (pathname))`;
    return `Backend { addr: ${addr}, weight: ${this.weight} }`;
  }
}

/**
 * How many connections a service takes at a time, in all and from one address. The port's own: the original takes what
 * comes.
 */
import { Log } from '../log.ts';
import { countRefusal } from '../utils/refusals.ts';

const log = new Log('pingora_core::services::listening');

/** A flood of connections is no flood of lines: there is one in so many milliseconds at most. */
const LINE_EVERY_MS = 1000;

/** What a service takes at a time. With threads each has its part of these. */
export interface ConnectionLimits {
  /** Connections in all. Default: as many as there are descriptors for. */
  readonly connections?: number | undefined;
  /** Connections from one IP address, or over Unix sockets. Default: as many as in all. */
  readonly perAddress?: number | undefined;
}

/** Counts the connections of a service. */
export class Admission {
  private readonly limits: { readonly connections: number; readonly perAddress: number };
  private open = 0;
  private readonly byAddress = new Map<string, number>();
  private lastLine = Number.NEGATIVE_INFINITY;
  private untold = 0;

  /** `threads`: how many share the limits. */
  constructor({ connections, perAddress }: ConnectionLimits, threads = 1) {
    const part = (limit = Number.POSITIVE_INFINITY) => Math.ceil(limit / threads);
    this.limits = { connections: part(connections), perAddress: part(perAddress) };
  }

  /** One more from this address. False: it is one too many, and isn't counted. */
  enter(address: string): boolean {
    const { connections, perAddress } = this.limits;
    const same = this.byAddress.get(address) ?? 0;
    if (this.open >= connections) return this.refuse('connections', address);
    if (same >= perAddress) return this.refuse('connections of one address', address);
    this.open++;
    this.byAddress.set(address, same + 1);
    return true;
  }

  /** One less. */
  leave(address: string): void {
    this.open--;
    const left = this.byAddress.get(address)! - 1;
    if (left === 0) this.byAddress.delete(address);
    else this.byAddress.set(address, left);
  }

  private refuse(limit: string, address: string): false {
    countRefusal(limit);
    const now = performance.now();
    if (now - this.lastLine < LINE_EVERY_MS) this.untold++;
    else {
      const more = this.untold === 0 ? '' : `, and ${this.untold} more since the last line`;
      log.warn(`too many ${limit}: one of ${address} is refused, ${this.open} are open${more}`);
      this.lastLine = now;
      this.untold = 0;
    }
    return false;
  }
}

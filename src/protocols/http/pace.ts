/**
 * How slowly a client may send the body of its request, or take that of its response. The port's own: 0.1.0 has no such
 * limit. Later Pingora has `min_send_rate`, the rate at which a response must be taken.
 *
 * Only time in which the client is the slow side counts: a body is looked at from the first time on that it is waited
 * for, about four times in its grace, and time between two looks counts if it is waited for at both. A client falls
 * behind by that time and catches up by what the bytes that have moved take at the slowest rate; it is too slow once it
 * is behind by the grace. What it was early can't be saved up. Nothing is noted a read or a write.
 */
import { currentWaker, type Waker } from '../../runtime/poll.ts';
import { Deadline } from '../../timeout/lib.ts';
import { Entry, List } from '../../utils/list.ts';

/** Bodies are looked at so often at least, in milliseconds. */
const MAX_INTERVAL_MS = 1000;

/** The slowest that a body may be. */
export interface BodyRate {
  /** Bytes a second, without framing. */
  readonly bytesPerSecond: number;
  /**
   * A client may be behind that by so many milliseconds, as one is that sends nothing for so long. Default: 30,000 for
   * requests; 300,000 for responses, for a client may stop reading for a while.
   */
  readonly graceMs?: number | undefined;
}

/**
 * The slowest that bodies may be: who holds a connection and an origin by sending or taking a byte now and then is let
 * go. Time in which the origin is the slow side doesn't count, nor do upgraded connections (WebSocket).
 */
export interface BodyRates {
  /**
   * Of requests. Who is slower gets 408. It isn't asked of calls of gRPC, nor while the origin answers a request that
   * goes on. Default: no limit.
   */
  readonly request?: BodyRate | undefined;
  /**
   * Of responses, as their client takes them. The connection of who is slower is reset; over HTTP/2 its stream is.
   * Default: no limit.
   */
  readonly response?: BodyRate | undefined;
}

const REQUEST_GRACE_MS = 30_000;
const RESPONSE_GRACE_MS = 300_000;

/** As `BodyRate`, whole. */
export interface Rule {
  readonly bytesPerSecond: number;
  readonly graceMs: number;
}

/** The slowest rates of bodies, for all clients of a proxy. */
export class Rates {
  /** Of requests. Undefined: none. */
  readonly request: Rule | undefined;
  /** Of responses; over HTTP/2 each connection looks at its streams. */
  readonly response: Rule | undefined;
  private readonly paces = new List<Pace>();
  private readonly interval: number;
  private readonly deadline = new Deadline(() => this.look());
  private lookedAt = 0;

  constructor({ request, response }: BodyRates) {
    this.request = rule(request, REQUEST_GRACE_MS);
    this.response = rule(response, RESPONSE_GRACE_MS);
    const graces = [this.request, this.response].map((rule) => (rule?.graceMs ?? Infinity) / 4);
    this.interval = Math.min(MAX_INTERVAL_MS, ...graces);
  }

  /** @internal */
  add(entry: Entry<Pace>): void {
    if (this.paces.length === 0) {
      this.lookedAt = performance.now();
      this.deadline.set(this.interval);
    }
    this.paces.add(entry);
  }

  /** @internal */
  remove(entry: Entry<Pace>): void {
    this.paces.remove(entry);
    if (this.paces.length === 0) this.deadline.end();
  }

  private look(): void {
    const now = performance.now();
    // a process that stood still can't say that its clients did
    const passed = Math.min(now - this.lookedAt, this.interval * 2);
    this.lookedAt = now;
    for (const pace of this.paces) pace.look(passed);
    if (this.paces.length > 0) this.deadline.set(this.interval);
  }
}

/** One body. */
export class Pace {
  /** Who waits for the client now. */
  private waiting: Waker | null = null;
  private isOver = false;
  private waitedBefore = false;
  private behind = 0;
  private moved: number;
  private readonly entry: Entry<Pace> = new Entry<Pace>(this);
  private readonly rates: Rates;
  private readonly rate: Rule;
  private readonly bytes: () => number;
  private readonly counts: () => boolean;

  /** `bytes`: how many have moved so far. `counts`: whether the time in which somebody waits counts now. */
  constructor(rates: Rates, rate: Rule, bytes: () => number, counts: () => boolean) {
    this.rates = rates;
    this.rate = rate;
    this.bytes = bytes;
    this.counts = counts;
    this.moved = bytes();
    rates.add(this.entry);
  }

  /** The task that runs now `waits` for the client, or has got what it wanted. Returns whether the client is too slow. */
  isTooSlow(waits: boolean): boolean {
    this.waiting = waits ? currentWaker() : null;
    return waits && this.isOver;
  }

  /** Nobody waits any more, and somebody may again. */
  dropWait(): void {
    this.waiting = null;
  }

  /** @internal Look at it, `passed` milliseconds after the last time. */
  look(passed: number): void {
    const { waiting, waitedBefore, moved } = this;
    this.waitedBefore = waiting !== null && this.counts();
    this.moved = this.bytes();
    if (waitedBefore && this.waitedBefore) this.behind += passed;
    this.behind = Math.max(0, this.behind - ((this.moved - moved) * 1000) / this.rate.bytesPerSecond);
    this.isOver = this.waitedBefore && this.behind >= this.rate.graceMs;
    if (this.isOver) waiting!.wake();
  }

  /** There is nothing to look at any more. */
  end(): void {
    this.dropWait();
    this.rates.remove(this.entry);
  }
}

function rule(rate: BodyRate | undefined, usual: number): Rule | undefined {
  return rate && { bytesPerSecond: rate.bytesPerSecond, graceMs: rate.graceMs ?? usual };
}

/** By when a peer has to have done something, and what happens if it hasn't. Infinity: nothing is waited for. */
import { type Armed, arm } from '../timeout/lib.ts';
import type { Limits } from './limits.ts';
import { H2Error, Reason } from './reason.ts';

/** Acts when the time is up. */
export interface DeadlinesOwner {
  readonly closed: boolean;
  /** The peer took too long: say so, and close. */
  fail(error: H2Error): void;
  /** The peer takes none of the bytes that wait for it. */
  stalled(): void;
  /** Nothing comes from the peer: ask it whether it is there. */
  askPeer(): void;
  /** It doesn't answer. */
  silent(): void;
  /** Look for streams that don't get on. */
  lookAtStreams(now: number): void;
}

/** The deadlines of a connection, with one timer for all. */
export class Deadlines {
  /** Of the preface and the first SETTINGS. */
  settings: number;
  /** Of the acknowledgement of this end's SETTINGS. */
  settingsAck: number;
  /** Of the end of a field block that has begun. */
  block = Infinity;
  /** Of the peer's taking bytes. */
  stalled = Infinity;
  /** Of the next look at the streams. */
  progress = Infinity;
  private readonly owner: DeadlinesOwner;
  private readonly silenceMs: number;
  private heardAt = performance.now();
  private asked = false;
  private checkAt = Infinity;
  private timer: Armed | null = null;

  constructor(owner: DeadlinesOwner, limits: Limits) {
    this.owner = owner;
    this.silenceMs = limits.silenceMs;
    this.settings = this.heardAt + limits.prefaceMs;
    this.settingsAck = this.heardAt + limits.settingsAckMs;
    this.checkBy(this.settings);
  }

  /** Something has arrived. */
  heard(): void {
    this.heardAt = performance.now();
    this.asked = false;
  }

  /** Look after what takes too long at `time`, or before. */
  checkBy(time: number): void {
    const at = Math.min(time, this.silentAt());
    if (at >= this.checkAt) return;
    this.checkAt = at;
    this.timer?.cancel();
    this.timer = arm(Math.max(0, at - performance.now()), () => this.check());
  }

  /** The connection has ended. */
  stop(): void {
    this.timer?.cancel();
    this.timer = null;
  }

  private silentAt(): number {
    return this.silenceMs > 0 ? this.heardAt + this.silenceMs : Infinity;
  }

  private check(): void {
    const { owner } = this;
    this.timer = null;
    this.checkAt = Infinity;
    if (owner.closed) return;
    const now = performance.now();
    if (now >= this.settings) owner.fail(H2Error.goaway(Reason.PROTOCOL_ERROR, 'no SETTINGS in time'));
    else if (now >= this.block) {
      owner.fail(H2Error.goaway(Reason.ENHANCE_YOUR_CALM, 'a field block that does not end'));
    } else if (now >= this.settingsAck) {
      owner.fail(H2Error.goaway(Reason.SETTINGS_TIMEOUT, 'SETTINGS not acknowledged'));
    } else if (now >= this.stalled) owner.stalled();
    else if (now >= this.silentAt()) {
      if (this.asked) owner.silent();
      else {
        this.asked = true;
        this.heardAt = now;
        owner.askPeer();
      }
    }
    if (!owner.closed && now >= this.progress) owner.lookAtStreams(now);
    if (!owner.closed) {
      this.checkBy(Math.min(this.settings, this.block, this.settingsAck, this.stalled, this.progress));
    }
  }
}

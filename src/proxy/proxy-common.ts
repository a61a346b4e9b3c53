/**
 * What exchanges of both kinds share: how they end, and the two state machines of what is left to read from the client and
 * what is left to send to it.
 *
 * Port of `pingora-proxy/src/proxy_common.rs`.
 */
import type { PingoraError } from '../error/lib.ts';
import { observer } from '../tracing/observer.ts';
import { ported, traced } from '../tracing/span.ts';

const rust = ported('pingora-proxy/src/proxy_common.rs');

/** So many pieces may wait between the two halves of an exchange. */
export const TASK_BUFFER_SIZE = 4;

/** How a request ended: whether the client's connection can be kept, and what went wrong. */
export interface Outcome {
  reuse: boolean;
  error: PingoraError | undefined;
}

/** Where reading from the client stands. */
@traced
export class DownstreamStateMachine {
  private state: 'Reading' | 'ReadingFinished' | 'Errored';

  private constructor(finished: boolean) {
    this.state = finished ? 'ReadingFinished' : 'Reading';
    observer.state(this, 'downstream', this.state);
  }

  /** `finished`: the request's body has been read, or there is none. */
  @rust.method
  static new(finished: boolean): DownstreamStateMachine {
    return new DownstreamStateMachine(finished);
  }

  /** Whether more can be read, or the client's leaving be waited for. */
  canPoll(): boolean {
    return this.state !== 'Errored';
  }

  isReading(): boolean {
    return this.state === 'Reading';
  }

  isDone(): boolean {
    return this.state !== 'Reading';
  }

  isErrored(): boolean {
    return this.state === 'Errored';
  }

  /** Finished, if `set`. */
  maybeFinished(set: boolean): void {
    if (!set) return;
    this.state = 'ReadingFinished';
    observer.state(this, 'downstream', this.state);
  }

  toErrored(): void {
    this.state = 'Errored';
    observer.state(this, 'downstream', this.state);
  }
}

/** Where the response stands: what comes from the origin and what comes from a cache end separately. */
@traced
export class ResponseStateMachine {
  private upstreamResponseDone = false;
  private cachedResponseDone = true; // there is none unless a cache says so

  private constructor() {
    this.tell();
  }

  private tell(): void {
    observer.state(this, 'response', this.isDone() ? 'Done' : this.upstreamResponseDone ? 'UpstreamDone' : 'Reading');
  }

  @rust.method
  static new(): ResponseStateMachine {
    return new ResponseStateMachine();
  }

  isDone(): boolean {
    return this.upstreamResponseDone && this.cachedResponseDone;
  }

  upstreamDone(): boolean {
    return this.upstreamResponseDone;
  }

  cachedDone(): boolean {
    return this.cachedResponseDone;
  }

  enableCachedResponse(): void {
    this.cachedResponseDone = false;
    this.tell();
  }

  maybeSetUpstreamDone(done: boolean): void {
    if (!done) return;
    this.upstreamResponseDone = true;
    this.tell();
  }

  maybeSetCacheDone(done: boolean): void {
    if (!done) return;
    this.cachedResponseDone = true;
    this.tell();
  }
}

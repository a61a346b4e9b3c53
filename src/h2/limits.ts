/**
 * What a peer may ask of a connection. Each limit is there because of an attack or a kind of it; going over one ends
 * the stream or the connection with the error that the RFC names, most often ENHANCE_YOUR_CALM (RFC 9113 10.5).
 */

import { H2Error, Reason } from './reason.ts';

/** So many at once, and so many a second after that. */
export interface Rate {
  /** So many at once. */
  readonly atOnce: number;
  /** So many more each second. */
  readonly perSecond: number;
}

/** The limits of a connection; what is left out has the default. */
export interface Limits {
  /** Streams that the peer may have open at a time (SETTINGS_MAX_CONCURRENT_STREAMS). Default: 128. */
  readonly maxConcurrentStreams: number;
  /**
   * Size of a head as RFC 9113 6.5.2 counts it, said to the peer as SETTINGS_MAX_HEADER_LIST_SIZE. A request above it
   * is answered 431. Bounds what HPACK can blow up (an HPACK bomb). Default: 65,536.
   */
  readonly maxHeaderListSize: number;
  /** Fields of a head, pseudo-header fields included. Default: 260. */
  readonly maxHeaderFields: number;
  /**
   * Bytes of a field block as it is sent, each frame of it counted with 41 more, so that neither long nor endless
   * CONTINUATION goes on for ever (CVE-2024-27316). Default: 131,072.
   */
  readonly maxHeaderBlock: number;
  /**
   * Streams that the peer resets (rapid reset, CVE-2023-44487) or has this end reset by breaking a rule (MadeYouReset,
   * CVE-2025-8671). Default: 500, and 50 a second.
   */
  readonly resets: Rate;
  /** SETTINGS, each of which has to be acknowledged (CVE-2019-9515). Default: 100, and 10 a second. */
  readonly settings: Rate;
  /**
   * PING, PRIORITY, frames of types that nobody knows, what comes for streams that are gone, and WINDOW_UPDATE beyond two
   * for each DATA that was sent (CVE-2019-9512, CVE-2019-9513). What moves a message gives back four. Default: 2,000, and
   * 200 a second.
   */
  readonly control: Rate;
  /** DATA without a byte and without the stream's end (CVE-2019-9518). Default: 100, and 10 a second. */
  readonly emptyData: Rate;
  /**
   * DATA of less than 64 bytes because a window let out no more (CVE-2019-9511). Each 256 bytes of DATA that are sent give
   * one back. Default: 1,000, and 100 a second.
   */
  readonly tinyWindows: Rate;
  /** Bytes that wait for a peer that doesn't read, DATA not counted (CVE-2019-9517). Default: 1,048,576. */
  readonly maxUnsent: number;
  /** Milliseconds until the preface and the first SETTINGS must be here. Default: 10,000. */
  readonly prefaceMs: number;
  /** Milliseconds until a field block that has begun must be whole. Default: 10,000. */
  readonly headersMs: number;
  /** Milliseconds until SETTINGS must be acknowledged. Default: 30,000. */
  readonly settingsAckMs: number;
  /** Milliseconds that a peer may take none of the bytes that wait for it. Default: 60,000. */
  readonly stalledMs: number;
  /**
   * Milliseconds that bytes of a stream may wait while the peer's windows let none of them out. 0: for ever. Default:
   * 300,000.
   */
  readonly streamStalledMs: number;
  /**
   * At a server: bytes a second that the peer must let out of a stream while bytes wait. One that stays behind that by
   * `streamStalledMs` ends, so that opening a window by a byte now and then is of no use. 0: none. Default: 0.
   */
  readonly minSendRate: number;
  /**
   * At a server: milliseconds in which nothing of a stream moves whose request isn't complete. 0: for ever. Default:
   * 3,600,000, for calls of gRPC may be silent for long, and 0 for clients.
   */
  readonly streamIdleMs: number;
  /**
   * At a client: milliseconds that the rest of a request may wait for a window once its response is complete: a server
   * that has answered may read on, and need not (RFC 9113 8.1). 0: for ever. Default: 10,000.
   */
  readonly uploadRestMs: number;
  /**
   * After so many milliseconds without a byte the peer is asked whether it is there (PING), and after as many more
   * without one the connection is closed. 0: never. Default: 60,000 for servers, 0 for clients.
   */
  readonly silenceMs: number;
}

/** What counts unless something else is said. */
export const DEFAULT_LIMITS: Limits = {
  maxConcurrentStreams: 128,
  maxHeaderListSize: 65_536,
  maxHeaderFields: 260,
  maxHeaderBlock: 131_072,
  resets: { atOnce: 500, perSecond: 50 },
  settings: { atOnce: 100, perSecond: 10 },
  control: { atOnce: 2000, perSecond: 200 },
  emptyData: { atOnce: 100, perSecond: 10 },
  tinyWindows: { atOnce: 1000, perSecond: 100 },
  maxUnsent: 1_048_576,
  prefaceMs: 10_000,
  headersMs: 10_000,
  settingsAckMs: 30_000,
  stalledMs: 60_000,
  streamStalledMs: 300_000,
  minSendRate: 0,
  streamIdleMs: 3_600_000,
  uploadRestMs: 10_000,
  silenceMs: 60_000,
};

/** How much of a {@link Rate} is left. */
export class Budget {
  private readonly rate: Rate;
  private left: number;
  private at = 0;

  constructor(rate: Rate) {
    this.rate = rate;
    this.left = rate.atOnce;
  }

  /** Use one. Throws {@link H2Error}, which ends the connection, if there is none left; `what` there were too many of. */
  spend(what: string): void {
    if (!this.take()) throw H2Error.goaway(Reason.ENHANCE_YOUR_CALM, `too many ${what}`);
  }

  private take(): boolean {
    if (this.left < 1) {
      const now = performance.now();
      if (this.at === 0) this.at = now;
      this.left = Math.min(this.rate.atOnce, this.left + ((now - this.at) / 1000) * this.rate.perSecond);
      this.at = now;
      if (this.left < 1) return false;
    } else if (this.left === this.rate.atOnce) this.at = performance.now();
    this.left--;
    return true;
  }

  /** Give some back. */
  earn(count: number): void {
    this.left = Math.min(this.rate.atOnce, this.left + count);
  }
}

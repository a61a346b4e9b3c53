/**
 * Ends streams that don't get on: whose bytes wait for a window that never opens, or whose request never goes on.
 *
 * Nothing is noted a frame. A connection's streams are looked at now and then, and only those that are there at two
 * looks are remembered, with how far they were. So the end comes up to a quarter of the limit late.
 */
import type { Limits } from './limits.ts';
import { H2Error, Reason } from './reason.ts';
import type { Stream } from './stream.ts';

/** How far a stream was, and since when. */
interface Mark {
  sent: number;
  sentAt: number;
  received: number;
  receivedAt: number;
  /** Milliseconds that it takes longer than it may, if there is a slowest rate. */
  behind: number;
}

/** Why a stream ends that is below the slowest rate. */
export const TOO_SLOW = 'a window that opens too slowly';

/** What is known of the streams of one connection. */
export class Progress {
  private readonly limits: Limits;
  private readonly isServer: boolean;
  private marks = new Map<Stream, Mark>();
  private lookedAt = 0;
  /** Milliseconds from one look to the next; Infinity if nothing is limited. */
  readonly interval: number;

  constructor(limits: Limits, isServer: boolean) {
    this.limits = limits;
    this.isServer = isServer;
    const { streamStalledMs, streamIdleMs, uploadRestMs } = limits;
    const counted = isServer ? [streamStalledMs, streamIdleMs] : [streamStalledMs, streamIdleMs, uploadRestMs];
    this.interval = Math.min(...counted.map((limit) => (limit > 0 ? limit : Infinity))) / 4;
  }

  /** Look at all streams: those that are to end, and why. */
  overdue(streams: Iterable<Stream>, now: number): [stream: Stream, why: H2Error][] {
    const { marks: before } = this;
    const marks = new Map<Stream, Mark>();
    const overdue: [Stream, H2Error][] = [];
    for (const stream of streams) {
      const { sent, received } = stream;
      const mark = before.get(stream) ?? { sent: -1, sentAt: now, received: -1, receivedAt: now, behind: 0 };
      if (before.has(stream)) mark.behind = this.behind(stream, mark, now - this.lookedAt);
      if (mark.sent !== sent || stream.unsent === 0) mark.sentAt = now;
      if (mark.sent !== sent || mark.received !== received) mark.receivedAt = now;
      mark.sent = sent;
      mark.received = received;
      marks.set(stream, mark);
      const why = this.judge(stream, mark, now);
      if (why !== null) overdue.push([stream, why]);
    }
    this.marks = marks;
    this.lookedAt = now;
    return overdue;
  }

  /** How far the peer is behind the slowest rate, `passed` milliseconds after the last look. */
  private behind(stream: Stream, mark: Mark, passed: number): number {
    const { minSendRate } = this.limits;
    if (minSendRate === 0 || !this.isServer || stream.unsent === 0) return 0;
    return Math.max(0, mark.behind + passed - ((stream.sent - mark.sent) * 1000) / minSendRate);
  }

  private judge(stream: Stream, mark: Mark, now: number): H2Error | null {
    const { streamStalledMs, streamIdleMs, uploadRestMs } = this.limits;
    const stalled = now - mark.sentAt;
    if (!this.isServer && stream.remoteEnded && isOver(stalled, uploadRestMs)) {
      return new H2Error('reset', Reason.CANCEL, 'user', 'the response is complete and the server reads no more');
    }
    if (isOver(stalled, streamStalledMs)) return refusal('a window that does not open');
    if (isOver(mark.behind, streamStalledMs)) return refusal(TOO_SLOW);
    if (!stream.remoteEnded && isOver(now - mark.receivedAt, streamIdleMs)) {
      return refusal('a message that does not go on');
    }
    return null;
  }
}

function isOver(time: number, limit: number): boolean {
  return limit > 0 && time >= limit;
}

function refusal(detail: string): H2Error {
  return H2Error.reset(Reason.ENHANCE_YOUR_CALM, detail);
}

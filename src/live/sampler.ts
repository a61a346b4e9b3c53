/**
 * Traces one request in so many of a server that serves: the port's own.
 *
 * Each chosen request has a recorder of its own, rooted where the application gets the session. All others do what they
 * would. What that costs them and the chosen ones: docs/PERFORMANCE.md.
 */
import type { HttpServerApp } from '../apps/mod.ts';
import type { RequestHeader } from '../http/lib.ts';
import type { Session } from '../protocols/http/server.ts';
import type { Stream } from '../protocols/l4/stream.ts';
import { type Future, settle } from '../runtime/future.ts';
import type { ShutdownWatch } from '../runtime/sync.ts';
import { workerNumber } from '../runtime/worker.ts';
import { exportTrace } from '../tracing/export.ts';
import type { TraceDocument } from '../tracing/model.ts';
import { Recorder } from '../tracing/recorder.ts';
import { values } from '../values/mod.ts';

/**
 * A request may last for days and move gigabytes, as a tunnel does: what is recorded of it fits into some megabytes.
 * The usual one makes two hundred spans.
 */
const LIMITS = { spans: 5000, ms: 10 * 60_000, runs: 1000 };

/** What a list of requests says of one. */
export interface SampledRequest {
  /** When its first byte was read, in milliseconds since 1970. */
  readonly time: number;
  /** How long it took from there to its end, in milliseconds. */
  readonly ms: number;
  /** Null: it was refused before it was a request. */
  readonly method: string | null;
  /** Without its query, up to 300 characters; null as `method`. */
  readonly path: string | null;
  /** What the client got; null: nothing. */
  readonly status: number | null;
}

/** The trace of one request. */
export interface Sample {
  /** Counts up from 1. */
  readonly id: number;
  /** `GET /path 200`. */
  readonly name: string;
  /** The request, for lists and filters; absent if the trace isn't one of a request. */
  readonly request?: SampledRequest;
  /** The whole trace. */
  readonly trace: TraceDocument;
}

/** Chooses requests and hands over their traces. */
export class Sampler {
  private readonly every: number;
  private readonly deliver: (sample: Sample) => void;
  private requests = 0;
  private samples = 0;
  // keeps nothing itself: attached, it makes that what happens is told
  private readonly gate = new Recorder({ events: { events: 0 } });
  private readonly values = values();

  /** One request in `every`, beginning with the first. `deliver` gets each trace when its request has ended. */
  constructor(every: number, deliver: (sample: Sample) => void) {
    this.every = every;
    this.deliver = deliver;
    this.gate.attach();
  }

  /** The application, with its requests sampled. */
  wrap(app: HttpServerApp): HttpServerApp {
    return {
      processNewHttp: (session, shutdown) => this.serve(app, session, shutdown),
      ...(app.h2Options === undefined ? {} : { h2Options: () => app.h2Options?.() }),
      httpCleanup: () => app.httpCleanup?.(),
    };
  }

  private *serve(app: HttpServerApp, session: Session, shutdown: ShutdownWatch): Future<Stream | undefined> {
    if (this.requests++ % this.every !== 0) {
      try {
        return yield* settle(app.processNewHttp(session, shutdown));
      } finally {
        this.uncount(session);
      }
    }
    const recorder = new Recorder({ runs: true, values: this.values, events: {}, limits: LIMITS });
    recorder.phase = 'request';
    try {
      return yield* recorder.rootFuture('request', () => settle(app.processNewHttp(session, shutdown)));
    } finally {
      if (!this.uncount(session)) this.end(recorder, session);
    }
  }

  /** A kept connection that ended without another request was none. True if it wasn't. */
  private uncount(session: Session): boolean {
    if (session.responseWritten() !== undefined) return false;
    this.requests--;
    return true;
  }

  private end(recorder: Recorder, session: Session): void {
    const head = requestOf(session);
    const trace = exportTrace(recorder, 'live', [], workerNumber());
    const micros = (trace.spans[0]?.end ?? 0) - beganAt(trace);
    const request: SampledRequest = {
      time: Math.round(Date.now() - micros / 1000),
      ms: Math.round(micros) / 1000,
      method: head?.method ?? null,
      path: head === undefined ? null : listed(head.path),
      status: session.responseWritten()?.status ?? null,
    };
    const name = `${request.method ?? '-'} ${request.path ?? '-'} ${request.status ?? '-'}`;
    this.deliver({ id: ++this.samples, name, request, trace });
  }

  /** Choose no more. */
  stop(): void {
    this.gate.detach();
  }
}

/** A path may be as long as a head may be, and lists are sent to every page that is open. */
const listed = (path: string) => (path.length > 300 ? `${path.slice(0, 300)}…` : path);

/** When the client's first byte came: a kept connection has waited for it, which is no part of the request. */
function beganAt({ connections = [], events = [], spans }: TraceDocument): number {
  const downstream = connections.find(({ side }) => side === 'downstream')?.id;
  const first = events.find((event) => event.kind === 'bytes' && event.way === 'in' && event.connection === downstream);
  return first?.time ?? spans[0]?.start ?? 0;
}

/** The request's head; undefined if it was refused before it was one. */
function requestOf(session: Session): RequestHeader | undefined {
  try {
    return session.reqHeader();
  } catch {
    return undefined;
  }
}

/** What a scenario's runner and its server process tell each other. */
import type { Phase } from '../tracing/model.ts';
import type { Addresses } from './client.ts';

/** What the server process is started with, as JSON in its first argument. */
export interface ServerPlan {
  scenario: string;
  /** The origin's port. */
  origin: number;
  /** Where another process listens that hands its socket over. */
  takesOver: string | undefined;
  /** A port where nothing listens, for the tries that must fail. */
  closed: number;
  /** Files of the listener's certificate and its key. */
  cert: string;
  key: string;
  /** Where the scenario's files go: Unix sockets, the PID. */
  dir: string;
  /** False: nothing is recorded, and the trace that is written is empty. */
  traced: boolean;
  /** The file that the trace is written to as the process exits; see {@link partOf}. */
  trace: string;
}

/** The file that a process of the server writes its part of the trace to; 0: the one that was started. */
export function partOf({ trace }: ServerPlan, thread: number): string {
  return thread === 0 ? trace : `${trace}.${thread}`;
}

/** From the runner. The server answers each with `{ done: id }`. */
export type Command = { id: number } & (
  | { phase: Phase }
  /** Wait until no request is being proxied. */
  | { idle: 'requests' }
  /** Wait until no connection is being served. */
  | { idle: 'connections' }
  /** Wait until so many listeners accept; the server's own, to its threads. */
  | { listening: number }
  /** Wait until a function has ended so many times. */
  | { fn: string; ended: number }
  /** Wait until a function has ended so many times more. */
  | { fn: string; more: number }
);

/** From the server. */
export type Report = { ready: Addresses } | { done: number };

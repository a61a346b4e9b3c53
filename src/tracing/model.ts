/**
 * The trace format, version 2: what a run of a scenario gives, and what everything that shows traces reads.
 *
 * Version 2 adds to version 1 what happened (`in`, `out`, `changed`, `error` of a span) and what passed
 * (`connections`, `events`); every field of version 1 keeps its meaning, and files of version 1 can still be read.
 */

/** When a span started: before the first client, while serving, or after the signal (or the client's last byte). */
export type Phase = 'startup' | 'request' | 'shutdown';

/** How a span ended: `error` when it threw, `cancelled` when it lost a race or its task ended before it did. */
export type Status = 'ok' | 'error' | 'cancelled';

/** Facts by name, in the order in which they are read. A list is one of header fields, each `name: value`. */
export type Facts = Record<string, string | number | boolean | null | string[]>;

/** Something that a call changed. */
export interface Change {
  /** What, as `request header via` or `keepalive`. */
  what: string;
  /** Null: it wasn't there. */
  from: string | null;
  /** Null: it isn't there any more. */
  to: string | null;
}

/** Why a call failed: Pingora's error, or another one's message as a cause. */
export interface Failure {
  /** Pingora's `ErrorType`, as `ConnectRefused`; the class of an error that isn't Pingora's. */
  type: string;
  /** On whose side; absent for what isn't Pingora's. */
  source?: 'Upstream' | 'Downstream' | 'Internal' | 'Unset';
  /** Pingora's context of the error. */
  context?: string;
  /** Whether the request may be tried again. */
  retry?: boolean | 'ReusedOnly';
  /** What it came from. */
  cause?: Failure;
  /** The message of an error that isn't Pingora's. */
  message?: string;
  /** The whole chain as Pingora's log would write it; only on the outermost. */
  log?: string;
}

/** Whose connection: the client's, or one to an origin. */
export type Side = 'downstream' | 'upstream';

/** A connection that bytes went over. */
export interface TraceConnection {
  /** Unique in the trace. */
  id: number;
  /** Whose it is. */
  side: Side;
  /** The peer's address, or the path of a Unix socket. */
  peer: string | null;
}

interface EventBase {
  /** Microseconds from the start of the trace. */
  time: number;
  /** The span in which it happened; null if no span was running. */
  span: number | null;
}

/** Bytes that a call read from a connection or wrote to it, after TLS was taken off or before it is put on. */
export interface BytesEvent extends EventBase {
  /** Bytes were read or written. */
  kind: 'bytes';
  /** The connection's id. */
  connection: number;
  /** Read or written. */
  way: 'in' | 'out';
  /** How many bytes went this way on this connection before. */
  offset: number;
  /** How many. */
  length: number;
  /** The bytes, one character a byte (latin1), up to the recorder's limit; secrets are masked with `*`. */
  bytes?: string;
}

/** A frame of HTTP/2 that was read or written. */
export interface FrameEvent extends EventBase {
  /** An HTTP/2 frame went in or out. */
  kind: 'frame';
  /** The connection's id. */
  connection: number;
  /** Read or written. */
  way: 'in' | 'out';
  /** As `HEADERS`. */
  type: string;
  /** The stream's number; 0 is the connection. */
  stream: number;
  /** The flags that are set, by name. */
  flags: string[];
  /** Of its payload, in bytes. */
  length: number;
  /** What matters of it: header fields, an error code, a window. */
  facts?: Facts;
}

/** How full a channel is after something was sent or received. */
export interface ChannelEvent extends EventBase {
  /** Something was put into a channel or taken out. */
  kind: 'channel';
  /** Which, as `request` (client to origin) or `response`. */
  channel: string;
  /** Which of both. */
  what: 'send' | 'receive' | 'close';
  /** How many items are in it then. */
  depth: number;
  /** How many fit. */
  capacity: number;
}

/** What waits in a pool of connections after one came or went. */
export interface PoolEvent extends EventBase {
  /** A connection went into the pool or came out of it. */
  kind: 'pool';
  /** Which, as `upstream`. */
  pool: string;
  /** Which of both. */
  what: 'put' | 'get' | 'miss' | 'evict' | 'close';
  /** Of the group of exchangeable connections. */
  key: string;
  /** The connection's id. */
  connection?: number;
  /** How many connections wait in all. */
  size: number;
}

/** A state machine went on. */
export interface StateEvent extends EventBase {
  /** A state machine changed its state. */
  kind: 'state';
  /** `downstream` (is the request's body read?) or `response` (is the answer passed on?). */
  machine: string;
  /** The state before. */
  from: string | null;
  /** The state after. */
  to: string;
}

/** A task that waited goes on. */
export interface WakeEvent extends EventBase {
  /** A task was woken. */
  kind: 'wake';
  /** The task's number. */
  task: number;
  /** What woke it, as `bytes on connection 2`, `timer` or `task 3`. */
  by: string;
}

/** What happened beside the calls. */
export type TraceEvent = BytesEvent | FrameEvent | ChannelEvent | PoolEvent | StateEvent | WakeEvent;

/** A task, as it is written to a file. */
export interface TraceTask {
  /** From 1, along the tree of who spawned whom. */
  id: number;
  /** What it was spawned as. */
  name: string;
  /** The span whose call spawned it; null for the main task. */
  spawnedBy: number | null;
  /** When it was spawned, in microseconds from the start of the trace. */
  start?: number;
  /** Which thread of the server it runs on; absent in the process that was started. */
  thread?: number;
}

/** One call of a traced function, as it is written to a file. */
export interface TraceSpan {
  /** Unique in the trace, in order of start. */
  id: number;
  /** The span that called this one; that spawned its task, for the first spans of a task. */
  parent: number | null;
  /** The number of its task. */
  task: number;
  /** When it started: before the first client, while serving, or after the signal. */
  phase: Phase;
  /** Pingora's name for the function. */
  fn: string;
  /** Pingora's file and line; `app` for an application's hook; null for what only the port has. */
  rust: { file: string; line?: number } | null;
  /** The port's file and line; null for a hook whose source isn't known. */
  ts: { file: string; line: number } | null;
  /** Microseconds from the start of the trace. */
  start: number;
  /** Null for what never ended. */
  end: number | null;
  /** How it ended; `cancelled` when it lost a race or its task ended first. */
  status: Status;
  /** Facts of the call. */
  attributes: Record<string, string | number | boolean>;
  /** What went in: arguments and the state that the call decides by. */
  in?: Facts;
  /** What came out. */
  out?: Facts;
  /** What it changed. */
  changed?: Change[];
  /** Why it failed, if its status is `error`. */
  error?: Failure;
  /** When an async span was running, in order; the rest of its time it waited. Absent if it never waited. */
  runs?: [from: number, to: number][];
}

/** The format's version that is written. */
export const VERSION = 2;

/** A trace, as it is written to a file. */
export interface TraceDocument {
  /** Of the format. */
  version: 1 | 2;
  /** The version of Pingora that the port follows. */
  pingora: string;
  /** The scenario, or `live`. */
  scenario: string;
  /** The version of Node that it ran on. */
  node: string;
  /** When it began, in milliseconds since 1970, to the microsecond. Traces of before it was kept lack it. */
  began?: number;
  /** The tasks, by their numbers. */
  tasks: TraceTask[];
  /** In order of start; a parent comes before its children. */
  spans: TraceSpan[];
  /** The connections of which events tell. */
  connections?: TraceConnection[];
  /** In order of time. */
  events?: TraceEvent[];
  /** What the recorder's limits left out. */
  cut?: { spans?: number; events?: number; bytes?: number };
}

/** The spans by the span that made them; under null those without a parent. */
export function childrenOf(spans: readonly TraceSpan[]): Map<number | null, TraceSpan[]> {
  const children = new Map<number | null, TraceSpan[]>();
  for (const span of spans) {
    const siblings = children.get(span.parent);
    if (siblings) siblings.push(span);
    else children.set(span.parent, [span]);
  }
  return children;
}

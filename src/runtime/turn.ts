/**
 * The order of work in a turn of the event loop: first read on all connections that have something, then poll the tasks
 * that were woken, then write what they flushed.
 *
 * Why not in the callback of each read: docs/PERFORMANCE.md.
 *
 * After {@link EVENT_INTERVAL} tasks it looks at the sockets again, as tokio does: what the first of them asked for is
 * answered by then, and their connections to origins are free for the others. Without that, a thousand clients that
 * send at once need a thousand connections to the origin.
 */
import { Work } from './poll.ts';

/** So many tasks are polled before the sockets are looked at again: tokio's `event_interval`. */
const EVENT_INTERVAL = 61;
/** Fewer in a turn that has accepted a connection: docs/PERFORMANCE.md. */
const WHILE_ACCEPTING = 8;

/** While so many tasks wait to be polled nothing new is begun unless it has waited for its turn. */
const ROOM = EVENT_INTERVAL >> 1;
/** While so many wait for room, none is let in before all tasks were polled: what they bring is enough for more turns. */
const CROWD = 16;

/** Who is polled in its turn. Neither call may throw what somebody else should catch. */
export interface Woken {
  /** Whose work it does. Default: `Work.ANY`. */
  readonly work?: Work;
  /** @internal Run as far as possible. */
  poll(): void;
}

/** Who brings new work, and waits until there is room for it. */
export interface Waiting {
  /** There is room. May not throw either. */
  letIn(): void;
}

/** A connection that has something to write. */
export interface Flushing {
  /** Write what was flushed. */
  writeFlushed(): void;
}

/**
 * First in, first out: a ring that grows. What has left is forgotten at once, and no array is left behind: either would
 * keep tasks that have ended, with all that they held, until V8 marks its whole heap (docs/PERFORMANCE.md).
 */
class Queue<T> {
  private items = empty<T>(64);
  private at = 0;
  length = 0;

  push(item: T): void {
    if (this.length === this.items.length) this.grow();
    const { items } = this;
    items[(this.at + this.length++) & (items.length - 1)] = item;
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const { items, at } = this;
    const item = items[at];
    items[at] = undefined;
    this.at = (at + 1) & (items.length - 1);
    this.length--;
    return item;
  }

  private grow(): void {
    const { items, at } = this;
    this.items = [...items.slice(at), ...items.slice(0, at), ...empty<T>(items.length)];
    items.fill(undefined);
    this.at = 0;
  }
}

function empty<T>(length: number): (T | undefined)[] {
  return new Array<T | undefined>(length).fill(undefined);
}

/** Tasks that hold what others wait for. */
const first = new Queue<Woken>();
const ready = new Queue<Woken>();
/** How many of `ready` do work of either kind. */
let held = 0;
let free = 0;
/** Who brings new work and waits for room. */
const outside = new Queue<Waiting>();
let flushed: Flushing[] = [];
/** The tasks in line will be polled, or are being polled. */
let polls = false;
let writes = false;
let accepting = false;

/** A connection was accepted in this turn, and libuv accepts one a turn: more may wait. */
export function acceptedInTurn(): void {
  accepting = true;
}

/** Poll `task` in this turn, once everything that has arrived was read, or in the next; `before` those that only begin. */
export function pollInTurn(task: Woken, before = false): void {
  if (before) first.push(task);
  else {
    ready.push(task);
    count(task, 1);
  }
  if (polls) return;
  polls = true;
  setImmediate(poll);
  writeSoon();
}

/**
 * Whether few tasks wait. If not, `waiting` is let in once that is so, or when its turn has come, one each turn.
 *
 * For who brings new work of his own accord, as a client's connection of HTTP/2: what isn't read yet waits as bytes, and
 * each request that was read as some dozen objects. Clients of HTTP/1 don't ask, and must not keep the others out: beside
 * their tasks there is always room for as many.
 */
export function hasRoom(waiting: Waiting): boolean {
  if (isRoom()) return true;
  outside.push(waiting);
  return false;
}

/** Write what `stream` has flushed at the end of this turn. */
export function writeInTurn(stream: Flushing): void {
  flushed.push(stream);
  writeSoon();
}

function writeSoon(): void {
  if (writes) return;
  writes = true;
  // in line behind the polls: what is put in line while it runs waits for the next turn
  setImmediate(write);
}

function poll(): void {
  try {
    for (let left = accepting ? WHILE_ACCEPTING : EVENT_INTERVAL; left > 0; left--) {
      const task = first.shift() ?? nextReady();
      if (task === undefined) break;
      task.poll();
    }
  } finally {
    accepting = false;
    letSomeIn();
    // the rest, or those behind one that threw
    polls = first.length + ready.length > 0;
    if (polls) {
      setImmediate(poll);
      // behind it again: what it flushes must not wait for another turn
      writeSoon();
    }
  }
}

function nextReady(): Woken | undefined {
  const task = ready.shift();
  if (task !== undefined) count(task, -1);
  return task;
}

function count({ work }: Woken, change: 1 | -1): void {
  if (work === Work.HELD) held += change;
  else if (work === Work.FREE) free += change;
}

/** One that waits for room, so that none waits for ever, and as many more as there is room for. */
function letSomeIn(): void {
  do outside.shift()?.letIn();
  while (outside.length > 0 && isRoom());
}

function isRoom(): boolean {
  return ready.length - free < (outside.length < CROWD ? ROOM : 1) || held < free;
}

function write(): void {
  writes = false;
  const streams = flushed;
  flushed = [];
  let at = 0;
  try {
    while (at < streams.length) streams[at++]!.writeFlushed();
  } finally {
    // when one throws, the others have their turn later: they don't have to suffer
    for (; at < streams.length; at++) writeInTurn(streams[at]!);
  }
}

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
/** So many tasks are polled before the sockets are looked at again: tokio's `event_interval`. */
const EVENT_INTERVAL = 61;
/** Fewer in a turn that has accepted a connection: docs/PERFORMANCE.md. */
const WHILE_ACCEPTING = 8;

/** Who is polled in its turn. Neither call may throw what somebody else should catch. */
export interface Woken {
  /** @internal Run as far as possible. */
  poll(): void;
}

/** A connection that has something to write. */
export interface Flushing {
  /** Write what was flushed. */
  writeFlushed(): void;
}

/** First in, first out, without moving what is in it: `shift` does, for more than some. */
class Queue<T> {
  private items: T[] = [];
  private at = 0;

  get length(): number {
    return this.items.length - this.at;
  }

  push(item: T): void {
    this.items.push(item);
  }

  shift(): T | undefined {
    const { items, at } = this;
    if (at === items.length) return undefined;
    const item = items[at]!;
    this.at = at + 1;
    if (this.at === items.length) {
      items.length = 0;
      this.at = 0;
    } else if (this.at > 1024) {
      this.items = items.slice(this.at);
      this.at = 0;
    }
    return item;
  }
}

/** Tasks that hold what others wait for. */
const first = new Queue<Woken>();
const ready = new Queue<Woken>();
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
  (before ? first : ready).push(task);
  if (polls) return;
  polls = true;
  setImmediate(poll);
  writeSoon();
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
      const task = first.shift() ?? ready.shift();
      if (task === undefined) break;
      task.poll();
    }
  } finally {
    accepting = false;
    // the rest, or those behind one that threw
    polls = first.length + ready.length > 0;
    if (polls) {
      setImmediate(poll);
      // behind it again: what it flushes must not wait for another turn
      writeSoon();
    }
  }
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

/**
 * The order of work in a turn of the event loop: first read on all connections that have something, then let those
 * work who waited for it, then write what they flushed.
 *
 * Node calls back after each read. With the work done and the answer written in there, each request sends the processor
 * from this program through all of the system's TCP and back, and what either needs is out of its caches when it is its
 * turn again. A request of two small reads costs 10 % less so with 32 connections and 15 % less with 128, as much with
 * 4, and about 3 % more with a single one. Redis and others work so for the same reason.
 *
 * The port's own: tokio too wakes its tasks after it has looked at all connections, but each writes when it likes.
 */

/** A connection, as seen from here. Neither may throw what somebody else should catch. */
export interface Turning {
  /** Wake who waits for bytes. */
  wakeReaders(): void;
  /** Write what was flushed. */
  writeFlushed(): void;
}

let arrived: Turning[] = [];
let flushed: Turning[] = [];
/** How often {@link write} will be called. */
let writes = 0;

/** Wake the readers of `stream` once everything that has arrived in this turn was read. */
export function wakeInTurn(stream: Turning): void {
  if (arrived.length === 0) {
    setImmediate(wake);
    // in line behind it now: what is put in line while it runs waits for the next turn
    writes++;
    setImmediate(write);
  }
  arrived.push(stream);
}

/** Write what `stream` has flushed at the end of this turn. */
export function writeInTurn(stream: Turning): void {
  if (writes === 0) {
    writes++;
    setImmediate(write);
  }
  flushed.push(stream);
}

function wake(): void {
  const streams = arrived;
  arrived = [];
  forEach(streams, (stream) => stream.wakeReaders(), wakeInTurn);
}

function write(): void {
  writes--;
  const streams = flushed;
  flushed = [];
  forEach(streams, (stream) => stream.writeFlushed(), writeInTurn);
}

/** When one throws, the others have their turn `later`: they don't have to suffer. */
function forEach(streams: Turning[], now: (stream: Turning) => void, later: (stream: Turning) => void): void {
  let at = 0;
  try {
    while (at < streams.length) now(streams[at++]!);
  } finally {
    for (; at < streams.length; at++) later(streams[at]!);
  }
}

/**
 * Frees what was read and passed on before V8 thinks of it.
 *
 * A buffer is a small object whose bytes are outside of V8's heap. V8 looks through its young objects when those fill
 * up, and through all of its heap when the bytes outside have become some tens of megabytes more. Where bodies pass that
 * are large and ask for few objects the second comes first, some times for each 100 MiB, and costs many times what the
 * first does (gain: docs/PERFORMANCE.md). Not for HTTP/1, whose many connections make enough objects.
 *
 * The port's own.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** After so many bytes that have passed it is asked what is outside. */
const EVERY = 1024 * 1024;
/** So many bytes more than were left are too many. */
const MOST = 4 * 1024 * 1024;

let passed = 0;
let left = Infinity;
let collect: ((options: { type: 'minor' }) => void) | undefined;

/** So many bytes of bodies have passed. */
export function bytesPass(length: number): void {
  passed += length;
  if (passed >= EVERY) look();
}

function look(): void {
  passed = 0;
  const { external_memory: outside } = getHeapStatistics();
  left = Math.min(left, outside);
  if (outside - left < MOST) return;
  collect ??= exposed();
  collect({ type: 'minor' });
  // what was freed is counted a little later, and seen the next time
  left = outside;
}

/** V8's own function, which only contexts have that are made while the flag is set. */
function exposed(): (options: { type: 'minor' }) => void {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('globalThis.gc');
  setFlagsFromString('--no-expose-gc');
  // a V8 whose flags are frozen frees when it thinks of it
  return typeof gc === 'function' ? (gc as (options: object) => void) : () => {};
}

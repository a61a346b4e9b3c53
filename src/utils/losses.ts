/**
 * What was to be written somewhere and couldn't be, counted by what it was: lines of the log, traces. Nobody is stopped
 * by it, so it has to be seen elsewhere: `npm start` shows these numbers with its metrics.
 */
const counts = new Map<string, number>();

/** Count `count` of `what` that were lost. */
export function lose(what: string, count = 1): void {
  counts.set(what, (counts.get(what) ?? 0) + count);
}

/** How many were lost since the process began, by what they were. */
export function losses(): ReadonlyMap<string, number> {
  return counts;
}

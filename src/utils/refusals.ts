/**
 * What was refused because there was too much of it, counted by the limit: connections, targets, and the like. `npm
 * start` shows these numbers with its metrics.
 */
const counts = new Map<string, number>();

/** Count one that went over this limit. */
export function countRefusal(limit: string): void {
  counts.set(limit, (counts.get(limit) ?? 0) + 1);
}

/** How many were refused since the process began, by the limit. */
export function refusals(): ReadonlyMap<string, number> {
  return counts;
}

/** A short run of each target, with what was found before; `npm run fuzz` runs longer. */
import { beforeAll, expect, test } from 'vitest';
import { setLog } from '../../src/log.ts';
import { fuzz, targets } from './targets.ts';

beforeAll(() => setLog('silent'));

/** In this many tries each kind of change has been made many times, and a run takes a second or two. */
const TRIES: ReadonlyMap<string, number> = new Map([
  ['requests', 150],
  ['responses', 150],
  ['yaml', 500],
  ['traces', 1000],
  ['handover', 20],
]);

test.each([...targets.keys()])('%s: nothing is read wrongly', async (name) => {
  const { found, tried } = await fuzz(name, 1, (tried) => tried < TRIES.get(name)!);
  expect(found).toEqual([]);
  expect(tried).toBeGreaterThanOrEqual(TRIES.get(name)!);
});

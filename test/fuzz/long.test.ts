/** The long run of `npm run fuzz`, which says by its environment what to run. */
import { beforeAll, expect, test } from 'vitest';
import { setLog } from '../../src/log.ts';
import { fuzz, keep } from './targets.ts';

const { FUZZ_TARGETS, FUZZ_SECONDS = '60', FUZZ_SEED = '1', FUZZ_KEEP } = process.env;

beforeAll(() => setLog('silent'));

test.runIf(FUZZ_TARGETS !== undefined).each((FUZZ_TARGETS ?? '').split(','))(
  '%s',
  async (name) => {
    const until = performance.now() + Number(FUZZ_SECONDS) * 1000;
    const { found, tried } = await fuzz(name, Number(FUZZ_SEED), () => performance.now() < until);
    console.log(`${name}: ${tried} inputs, ${found.length} read wrongly`);
    if (FUZZ_KEEP !== undefined) for (const { input } of found) keep(name, input);
    expect(found).toEqual([]);
  },
  Number(FUZZ_SECONDS) * 2000 + 60_000,
);

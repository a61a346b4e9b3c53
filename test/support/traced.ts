/**
 * Servers of the tests' own process, traced: with `TRACED=1` (`npm run test:traced`) each test of a proxy runs with a
 * recorder attached that keeps everything there is to keep. What a trace shows must be what runs without one.
 */
import { onTestFinished } from 'vitest';
import { Recorder } from '../../src/tracing/recorder.ts';
import { values } from '../../src/values/mod.ts';

/** Whether the tests run traced. */
export const isTraced = process.env.TRACED === '1';

/** Run `start`, whose tasks are traced until the test ends if tests run traced. */
export function perhapsTraced<T>(start: () => T): T {
  if (!isTraced) return start();
  const recorder = new Recorder({ runs: true, values: values(), events: {} }).attach();
  onTestFinished(() => {
    recorder.detach();
    if (recorder.spans.length === 0) throw new Error('the test ran traced and no call was recorded');
  });
  return recorder.root('main', start);
}

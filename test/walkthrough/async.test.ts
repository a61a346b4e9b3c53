/** The examples of chapter 00, beside what their Rust printed when it was run by hand. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { projectRoot } from '../../src/tracing/sites.ts';
import { runExamples } from '../../walkthrough/00-async/async.ts';

test('the examples in TypeScript print what those in Rust printed', async () => {
  const { printed } = await runExamples();
  expect(printed).toBe(readFileSync(join(projectRoot, 'walkthrough/00-async/printed.txt'), 'utf8'));
});

test('a future that was dropped is cancelled in the trace, and what was spawned has a task of its own', async () => {
  const { trace } = await runExamples();
  expect(trace.spans.filter(({ status }) => status !== 'ok').map(({ fn, status }) => [fn, status])).toEqual([
    ['async::slow', 'cancelled'],
  ]);
  expect(trace.spans.every(({ ts }) => ts?.file === 'walkthrough/00-async/async.ts')).toBe(true);
  expect(trace.tasks.map(({ name }) => name)).toEqual(['main', 'task of spawns', 'task of rings', 'task of watches']);
});

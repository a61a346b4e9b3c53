import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { spawn } from '../../src/runtime/lib.ts';
import { exportTrace } from '../../src/tracing/export.ts';
import type { TraceDocument } from '../../src/tracing/model.ts';
import { Recorder } from '../../src/tracing/recorder.ts';
import schema from '../../src/tracing/schema.json' with { type: 'json' };
import { own, ported } from '../../src/tracing/span.ts';
import { makeTrace } from './made.ts';

const validate = new Ajv({ allErrors: true, strict: true, strictTypes: false }).compile(schema);
const errors = (document: unknown) => (validate(document) ? [] : validate.errors);

const rust = ported('pingora-core/src/server/mod.rs');

describe('the schema of the trace format', () => {
  test('accepts what the recorder exports', async () => {
    const work = own.fn('work', async () => {
      await new Promise<void>((resolve) => setImmediate(resolve));
    });
    const main = rust.fn('Server::main_loop', () => spawn('work', work));
    const recorder = new Recorder({ runs: true }).attach();
    await recorder.root('main', main);
    recorder.detach();
    const trace = JSON.parse(JSON.stringify(exportTrace(recorder, 'made'))) as TraceDocument;
    expect(errors(trace)).toEqual([]);
    expect(trace.spans[0]!.rust).toEqual({ file: 'pingora-core/src/server/mod.rs', line: 79 });
    expect(trace.spans[1]!.rust).toBeNull();
    expect(trace.spans[1]!.runs!.length).toBeGreaterThan(0);
    expect(trace.tasks.map(({ id, name, spawnedBy }) => [id, name, spawnedBy])).toEqual([
      [1, 'main', null],
      [2, 'work', 1],
    ]);
  });

  const broken: [name: string, change: (trace: any) => void][] = [
    ['another version', (trace) => Object.assign(trace, { version: 2 })],
    ['no spans', (trace) => delete trace.spans],
    ['an unknown property', (trace) => Object.assign(trace.spans[0], { extra: 1 })],
    ['an unknown status', (trace) => Object.assign(trace.spans[0], { status: 'fine' })],
    ['an unknown phase', (trace) => Object.assign(trace.spans[0], { phase: 'lunch' })],
    ['a Pingora file without a line', (trace) => delete trace.spans[0].rust.line],
    ['an application hook with a line', (trace) => Object.assign(trace.spans[0], { rust: { file: 'app', line: 1 } })],
    ['a span that never says whether it ended', (trace) => delete trace.spans[0].end],
    ['an attribute that is an object', (trace) => Object.assign(trace.spans[0].attributes, { a: {} })],
    ['a run without an end', (trace) => Object.assign(trace.spans[0], { runs: [[1]] })],
  ];

  test('accepts a trace made by hand', () => {
    expect(errors(makeTrace([{ fn: 'a', calls: [{ fn: 'hook', file: 'app' }] }]))).toEqual([]);
  });

  test.each(broken)('refuses %s', (_, change) => {
    const trace = makeTrace([{ fn: 'a' }]);
    change(trace);
    expect(errors(trace)).not.toEqual([]);
  });
});

test('tasks are numbered along who spawned whom, however they raced', async () => {
  const nested = rust.fn('nested', () => spawn('below', async () => {}));
  const both = rust.fn('both', () => Promise.all([spawn('one', nested), spawn('two', nested)]));
  const recorder = new Recorder().attach();
  await recorder.root('main', both);
  recorder.detach();
  const { tasks, spans } = exportTrace(recorder, 'made');
  expect(tasks.map(({ id, name }) => [id, name])).toEqual([
    [1, 'main'],
    [2, 'one'],
    [3, 'below'],
    [4, 'two'],
    [5, 'below'],
  ]);
  expect(spans.map(({ fn, task }) => [fn, task])).toEqual([
    ['both', 1],
    ['nested', 2],
    ['nested', 4],
  ]);
});

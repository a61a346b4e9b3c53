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
    ['another version', (trace) => Object.assign(trace, { version: 3 })],
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

  /** A trace of version 2 with one of everything. */
  const second = (): any => {
    const trace: any = makeTrace([
      {
        fn: 'a',
        span: {
          status: 'error',
          in: { request: 'GET / HTTP/1.1', fields: ['host: a'], tries: 1, reused: false, body: null },
          out: { status: 502 },
          changed: [{ what: 'request header via', from: null, to: '1.1 a' }],
          error: {
            type: 'ConnectRefused',
            source: 'Upstream',
            context: 'peer: 127.0.0.1:1',
            retry: 'ReusedOnly',
            cause: { type: 'Error', message: 'ECONNREFUSED' },
            log: 'Upstream ConnectRefused context: peer: 127.0.0.1:1 cause: ECONNREFUSED',
          },
        },
      },
    ]);
    const at = { time: 12, span: 1 };
    return Object.assign(trace, {
      version: 2,
      connections: [{ id: 1, side: 'upstream', peer: null }],
      events: [
        { ...at, kind: 'bytes', connection: 1, way: 'in', offset: 0, length: 2, bytes: 'a\u00ff' },
        {
          ...at,
          kind: 'frame',
          connection: 1,
          way: 'out',
          type: 'HEADERS',
          stream: 1,
          flags: ['END_HEADERS'],
          length: 9,
        },
        { ...at, kind: 'channel', channel: 'request', what: 'send', depth: 1, capacity: 4 },
        { ...at, kind: 'pool', pool: 'upstream', what: 'put', key: '1', connection: 1, size: 1 },
        { ...at, kind: 'state', machine: 'response', from: null, to: 'reading' },
        { ...at, span: null, kind: 'wake', task: 1, by: 'timer' },
      ],
      cut: { bytes: 3 },
    });
  };

  test('accepts values and events, and still version 1', () => {
    expect(errors(second())).toEqual([]);
    expect(errors({ ...makeTrace([{ fn: 'a' }]), version: 1 })).toEqual([]);
  });

  test.each<[string, (trace: any) => void]>([
    ['an error without a type', (trace) => delete trace.spans[0].error.type],
    ['a change that says no from', (trace) => delete trace.spans[0].changed[0].from],
    ['a fact that is an object', (trace) => Object.assign(trace.spans[0].in, { a: {} })],
    ['bytes without an offset', (trace) => delete trace.events[0].offset],
    ['a letter that is no byte', (trace) => Object.assign(trace.events[0], { bytes: '€' })],
    ['an event of no kind', (trace) => Object.assign(trace.events[0], { kind: 'noise' })],
    ['a connection on no side', (trace) => Object.assign(trace.connections[0], { side: 'left' })],
  ])('refuses in version 2 %s', (_, change) => {
    const trace = second();
    change(trace);
    expect(errors(trace)).not.toEqual([]);
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

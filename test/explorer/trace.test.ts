import { describe, expect, test } from 'vitest';
import { checkTrace, parseTrace, TraceError } from '../../explorer/trace.ts';
import type { TraceDocument } from '../../src/tracing/model.ts';
import { makeTrace } from '../tracing/made.ts';

/** What is said of a trace after something was done to it. */
function complaint(spoil: (trace: any) => unknown): string {
  const trace = structuredClone(makeTrace([{ fn: 'a', calls: [{ fn: 'b' }, { fn: 'c', task: 'other' }] }]));
  const spoiled = spoil(trace) ?? trace;
  try {
    checkTrace(spoiled);
  } catch (error) {
    expect(error).toBeInstanceOf(TraceError);
    expect((error as Error).message).not.toContain('\n');
    return (error as Error).message;
  }
  return 'nothing wrong';
}

const textComplaint = (text: string) => {
  try {
    parseTrace(text);
    return 'nothing wrong';
  } catch (error) {
    return (error as Error).message;
  }
};

describe('a trace', () => {
  test('that hangs together is read as it is', () => {
    const trace = makeTrace([{ fn: 'a', calls: [{ fn: 'b', span: { runs: [[1, 2]] } }] }]);
    expect(parseTrace(JSON.stringify(trace))).toEqual(trace);
  });

  test('may have tasks without a start and hooks without a source', () => {
    const trace = makeTrace([{ fn: 'a', file: 'app', span: { ts: null } }]);
    delete trace.tasks[0]!.start;
    expect(complaint(() => trace)).toBe('nothing wrong');
  });

  test('may have fields that are not known yet', () => {
    expect(
      complaint((trace) => {
        trace.extra = 1;
      }),
    ).toBe('nothing wrong');
  });
});

describe('a file that is no trace is called by what it is', () => {
  test('empty', () => expect(textComplaint(' \n')).toBe('an empty file'));
  test('not JSON, in one line', () => {
    expect(textComplaint('{"version": 1,\n"spans": [')).toMatch(/^not JSON: [^\n]+$/);
    expect(textComplaint('h1\n├── Server::new')).toMatch(/^not JSON: /);
  });
  test('a list', () => expect(complaint(() => [])).toMatch(/^a list, not a trace/));
  test('a number', () => expect(complaint(() => 7)).toMatch(/^7, not a trace/));
  test('a Perfetto trace', () => expect(complaint(() => ({ traceEvents: [] }))).toMatch(/^a Perfetto trace;.*json$/));
  test('an OpenTelemetry trace', () => expect(complaint(() => ({ resourceSpans: [] }))).toMatch(/^an OpenTelemetry/));
  test('another version', () => {
    expect(
      complaint((trace) => {
        trace.version = 3;
      }),
    ).toBe('a trace of version 3; this page reads versions 1 and 2');
    expect(complaint(() => ({}))).toBe('a trace of version missing; this page reads versions 1 and 2');
  });
});

describe('a trace that does not hang together is told which part is wrong', () => {
  const cases: [string, (trace: TraceDocument & Record<string, any>) => unknown, string][] = [
    ['no tasks', (t) => ({ ...t, tasks: undefined }), 'a trace without a list of tasks (missing)'],
    ['no spans', (t) => ({ ...t, spans: 3 }), 'a trace without a list of spans (3)'],
    ['not one span', (t) => ({ ...t, spans: [] }), 'a trace without a single span'],
    ['no scenario', (t) => ({ ...t, scenario: null }), "a trace without a scenario's name (null)"],
    [
      'a parent that is not there',
      (t) => {
        t.spans[1]!.parent = 99;
      },
      "span 2 has the parent 99, which isn't in the trace",
    ],
    [
      'a parent that comes later',
      (t) => {
        t.spans[1]!.parent = 3;
      },
      'span 2 has the parent 3, which comes after it',
    ],
    [
      'its own parent',
      (t) => {
        t.spans[1]!.parent = 2;
      },
      'span 2 has the parent 2, which comes after it',
    ],
    [
      'no parent at all',
      (t) => {
        delete (t.spans[1] as any).parent;
      },
      'span 2 has a parent that is no id (missing)',
    ],
    [
      'one id twice',
      (t) => {
        t.spans[1]!.id = 1;
      },
      'two spans have the id 1',
    ],
    [
      'no id',
      (t) => {
        t.spans[1]!.id = 0;
      },
      'span number 2 has no id (0)',
    ],
    [
      'no object',
      (t) => {
        t.spans[1] = null as any;
      },
      'span number 2 is null, not an object',
    ],
    [
      'an unknown task',
      (t) => {
        t.spans[1]!.task = 9;
      },
      "span 2 is of task 9, which isn't in the trace",
    ],
    [
      'no name',
      (t) => {
        t.spans[1]!.fn = '';
      },
      'span 2 has no fn ("")',
    ],
    [
      'no start',
      (t) => {
        t.spans[1]!.start = Number.NaN;
      },
      'span 2 has no start (null)',
    ],
    [
      'an end before the start',
      (t) => {
        t.spans[1]!.end = 1;
      },
      'span 2 ends before it starts',
    ],
    [
      'out of order',
      (t) => {
        t.spans[2]!.start = 1;
      },
      'span 3 starts before the one in front of it; spans are in order of start',
    ],
    [
      'no end',
      (t) => {
        delete (t.spans[1] as any).end;
      },
      'span 2 has no end (missing); null says it never ended',
    ],
    [
      'an unknown phase',
      (t) => {
        t.spans[1]!.phase = 'end' as any;
      },
      'span 2 has the phase "end", not startup, request, shutdown',
    ],
    [
      'an unknown status',
      (t) => {
        t.spans[1]!.status = 'failed' as any;
      },
      'span 2 has the status "failed", not ok, error, cancelled',
    ],
    [
      'no attributes',
      (t) => {
        t.spans[1]!.attributes = [] as any;
      },
      'span 2 has no attributes ([])',
    ],
    [
      'a place without a file',
      (t) => {
        t.spans[1]!.ts = {} as any;
      },
      'the ts of span 2 names no file ({})',
    ],
    [
      'a line that is no number',
      (t) => {
        t.spans[1]!.rust = { file: 'x.rs', line: '7' as any };
      },
      'the rust of span 2 has a line that is no number ("7")',
    ],
    [
      'runs that are none',
      (t) => {
        t.spans[1]!.runs = [[1]] as any;
      },
      'span 2 has runs that are no list of [start, end]',
    ],
    [
      'one task twice',
      (t) => {
        t.tasks[1]!.id = 1;
      },
      'two tasks have the id 1',
    ],
    [
      'a task of nobody',
      (t) => {
        t.tasks[1]!.spawnedBy = 77;
      },
      "task 2 was spawned by span 77, which isn't in the trace",
    ],
    [
      'facts that are none',
      (t) => {
        t.spans[1]!.in = { a: {} } as any;
      },
      'the in of span 2 is no list of facts ({"a":{}})',
    ],
    [
      'an error without a type',
      (t) => {
        t.spans[1]!.error = {} as any;
      },
      'span 2 has an error without a type',
    ],
    [
      'an event of no span',
      (t) => {
        t.events = [{ kind: 'state', time: 1, span: 9, machine: 'response', from: null, to: 'done' }];
      },
      "event number 1 is of span 9, which isn't in the trace",
    ],
    [
      'bytes of no connection',
      (t) => {
        t.events = [{ kind: 'bytes', time: 1, span: 1, connection: 1, way: 'in', offset: 0, length: 1 }];
      },
      "event number 1 is of connection 1, which isn't in the trace",
    ],
    [
      'bytes that say not where they are',
      (t) => {
        t.connections = [{ id: 1, side: 'downstream', peer: null }];
        t.events = [{ kind: 'bytes', time: 1, span: 1, connection: 1, way: 'in', length: 1 } as any];
      },
      'event number 1 is no bytes that can be read',
    ],
  ];
  for (const [what, spoil, says] of cases) test(what, () => expect(complaint(spoil)).toBe(says));
});

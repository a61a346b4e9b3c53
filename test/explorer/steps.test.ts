import { describe, expect, test } from 'vitest';
import { Steps } from '../../explorer/steps.ts';
import type { TraceDocument } from '../../src/tracing/model.ts';
import { type Made, makeTrace } from '../tracing/made.ts';

const walkOf = (trace: TraceDocument) => {
  const steps = new Steps(trace);
  return Array.from({ length: steps.count }, (_, step) => {
    const { fn } = steps.spans[steps.spanAt(step)]!;
    return steps.isEnd(step) ? `/${fn}` : fn;
  }).join(' ');
};

/** a calls b, which calls c, then d; e comes after a. */
const CALLS: Made[] = [{ fn: 'a', calls: [{ fn: 'b', calls: [{ fn: 'c' }] }, { fn: 'd' }] }, { fn: 'e' }];
const made = () => new Steps(makeTrace(CALLS));
const at = (steps: Steps, fn: string) => steps.beginOf(steps.callsOf(fn)[0]!);
const fnAt = (steps: Steps, step: number) => steps.spans[steps.spanAt(step)]!.fn;

describe('the order of steps', () => {
  test('is that of time', () => {
    const trace = makeTrace([{ fn: 'a', calls: [{ fn: 'b' }, { fn: 'c' }] }]);
    // Both at once: b ends while c goes on.
    trace.spans[1]!.end = trace.spans[2]!.start + 1;
    expect(walkOf(trace)).toBe('a b c /b /c /a');
  });

  test('has calls inside their callers where the clock did not move', () => {
    const trace = makeTrace(CALLS);
    for (const span of trace.spans) Object.assign(span, { start: 5, end: 5 });
    expect(walkOf(trace)).toBe('a b c /c /b d /d /a e /e');
  });

  test('has what ends before what begins, at one time', () => {
    const trace = makeTrace([{ fn: 'a' }, { fn: 'b' }]);
    trace.spans[0]!.end = trace.spans[1]!.start;
    expect(walkOf(trace)).toBe('a /a b /b');
  });

  test('has a caller end after a call that begins and ends at the same time', () => {
    const trace = makeTrace([{ fn: 'a', calls: [{ fn: 'b', calls: [{ fn: 'c' }] }] }]);
    const [a, b, c] = trace.spans;
    for (const end of [a, b, c]) end!.end = 90;
    c!.start = 90;
    expect(walkOf(trace)).toBe('a b c /c /b /a');
  });

  test('lets a task outlive the call that spawned it', () => {
    const trace = makeTrace([{ fn: 'a', calls: [{ fn: 'b', task: 'other' }] }]);
    trace.spans[0]!.end = 15;
    expect(walkOf(trace)).toBe('a /a b /b');
  });

  test('has no end for what never ended', () => {
    const trace = makeTrace([{ fn: 'a', calls: [{ fn: 'b' }], span: { end: null } }]);
    expect(walkOf(trace)).toBe('a b /b');
    const steps = new Steps(trace);
    expect(steps.endOf(0)).toBeNull();
    expect(steps.stateOf(0, steps.count - 1)).toBe('open');
  });
});

describe('a step', () => {
  test('in goes to the next call that begins, and at the last to the end', () => {
    const steps = made();
    const seen = [fnAt(steps, 0)];
    let step = 0;
    for (let i = 0; i < 4; i++) {
      step = steps.into(step);
      seen.push(fnAt(steps, step));
    }
    expect(seen).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(steps.into(step)).toBe(steps.count - 1);
    expect(steps.into(steps.count - 1)).toBe(steps.count - 1);
  });

  test('back goes the same way', () => {
    const steps = made();
    const seen: string[] = [];
    for (let step = at(steps, 'e'); step > 0; ) {
      step = steps.back(step);
      seen.push(fnAt(steps, step));
    }
    expect(seen).toEqual(['d', 'c', 'b', 'a']);
    expect(steps.back(0)).toBe(0);
  });

  test('over goes past what the call calls: to the next of its caller, or of its caller’s', () => {
    const steps = made();
    expect(fnAt(steps, steps.over(at(steps, 'b')))).toBe('d');
    expect(fnAt(steps, steps.over(at(steps, 'c')))).toBe('d');
    expect(fnAt(steps, steps.over(at(steps, 'd')))).toBe('e');
    expect(fnAt(steps, steps.over(at(steps, 'a')))).toBe('e');
  });

  test('over goes to the end of the last call, and no further', () => {
    const steps = made();
    const last = at(steps, 'e');
    expect(steps.over(last)).toBe(steps.endOf(4));
    expect(steps.over(steps.endOf(4)!)).toBe(steps.endOf(4));
  });

  test('over never goes back in time', () => {
    const trace = makeTrace([
      {
        fn: 'a',
        calls: [
          { fn: 'b', task: 'one' },
          { fn: 'c', task: 'two' },
        ],
      },
    ]);
    // The first task makes a call long after the second began.
    trace.spans.push({ ...structuredClone(trace.spans[1]!), id: 4, parent: 2, fn: 'late', start: 80, end: 90 });
    trace.spans[1]!.end = 95;
    const steps = new Steps(trace);
    expect(steps.over(at(steps, 'late'))).toBe(steps.endOf(3));
    expect(fnAt(steps, steps.over(at(steps, 'b')))).toBe('c');
  });

  test('out goes to the begin of the caller, and from the outermost to its own', () => {
    const steps = made();
    expect(fnAt(steps, steps.out(at(steps, 'c')))).toBe('b');
    expect(steps.out(at(steps, 'a'))).toBe(0);
    expect(steps.out(steps.endOf(0)!)).toBe(0);
  });

  test('is kept inside the trace', () => {
    const steps = made();
    expect([steps.clamp(-3), steps.clamp(1e9), steps.clamp(Number.NaN)]).toEqual([0, steps.count - 1, 0]);
  });
});

test('calls are ahead, open or over', () => {
  const steps = made();
  const d = at(steps, 'd');
  expect(['a', 'b', 'd', 'e'].map((fn) => steps.stateOf(steps.callsOf(fn)[0]!, d))).toEqual([
    'open',
    'over',
    'open',
    'ahead',
  ]);
  expect(steps.stateOf(3, steps.endOf(3)!)).toBe('over');
});

test('what a task begins with is known', () => {
  const steps = new Steps(makeTrace([{ fn: 'a', calls: [{ fn: 'b', task: 'other', calls: [{ fn: 'c' }] }] }]));
  expect([0, 1, 2].map((span) => steps.isSpawned(span))).toEqual([false, true, false]);
});

test('a trace as deep as it is long is walked like any other', () => {
  const trace = makeTrace([{ fn: 'f0' }]);
  const first = trace.spans[0]!;
  const depth = 20_000;
  trace.spans = Array.from({ length: depth }, (_, i) => ({
    ...first,
    id: i + 1,
    parent: i === 0 ? null : i,
    fn: `f${i}`,
    start: 1,
    end: 1,
  }));
  const steps = new Steps(trace);
  expect(steps.count).toBe(2 * depth);
  expect(steps.depthOf(depth - 1)).toBe(depth - 1);
  expect(steps.endOf(0)).toBe(2 * depth - 1);
  expect(steps.pathTo(depth - 1)).toHaveLength(depth);
});

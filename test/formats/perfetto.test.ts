import { describe, expect, test } from 'vitest';
import { printPerfetto } from '../../src/formats/perfetto.ts';
import { findScenario } from '../../src/scenarios/index.ts';
import type { TraceDocument } from '../../src/tracing/model.ts';
import { runScenario } from '../support/scenario.ts';
import { makeTrace } from '../tracing/made.ts';

interface Event {
  name: string;
  cat: string;
  ph: string;
  ts: number;
  dur?: number;
  pid: number;
  tid: number;
  id: string;
  args?: Record<string, unknown>;
}

const eventsOf = (trace: TraceDocument) => (JSON.parse(printPerfetto(trace)) as { traceEvents: Event[] }).traceEvents;
const of = (events: Event[], ph: string) => events.filter((event) => event.ph === ph);

/** What Chrome's trace viewer and Perfetto ask of events. */
function holds(trace: TraceDocument): void {
  const events = eventsOf(trace);
  const begins = of(events, 'b');
  const ends = new Map(of(events, 'e').map((event) => [event.id, event]));
  expect(begins).toHaveLength(trace.spans.length);
  expect(new Set(begins.map(({ id }) => id)).size).toBe(begins.length);
  expect(ends.size).toBe(begins.length);
  for (const begin of begins) {
    const end = ends.get(begin.id)!;
    expect([end.name, end.cat, end.pid, end.tid]).toEqual([begin.name, begin.cat, begin.pid, begin.tid]);
    expect(end.ts).toBeGreaterThanOrEqual(begin.ts);
    expect(events.indexOf(end)).toBeGreaterThan(events.indexOf(begin));
  }

  const starts = of(events, 's');
  const finishes = new Map(of(events, 'f').map((event) => [event.id, event]));
  expect(starts).toHaveLength(trace.tasks.filter(({ spawnedBy }) => spawnedBy !== null).length);
  expect(finishes.size).toBe(starts.length);
  const slices = of(events, 'X');
  const inSlice = (event: Event) =>
    slices.some(
      ({ pid, tid, ts, dur }) => pid === event.pid && tid === event.tid && ts <= event.ts && event.ts <= ts + dur!,
    );
  for (const start of starts) {
    const finish = finishes.get(start.id)!;
    expect(finish.ts).toBeGreaterThanOrEqual(start.ts);
    expect([inSlice(start), inSlice(finish)]).toEqual([true, true]);
    expect(finish.pid).not.toBe(start.pid);
  }

  const named = of(events, 'M').filter(({ name }) => name === 'process_name');
  expect(named.map(({ pid }) => pid)).toEqual(trace.tasks.map(({ id }) => id));
  const timed = events.filter(({ ph }) => ph !== 'M').map(({ ts }) => ts);
  expect(timed).toEqual([...timed].sort((a, b) => a - b));
}

describe('trace events', () => {
  test.each(['h1', 'tls-h2'])(
    'of %s are whole: every begin has its end, every flow both of its slices',
    async (name) => {
      holds(await runScenario(findScenario(name)!));
    },
  );

  test('say of a call where it is, in which phase, and how it ended', () => {
    const trace = makeTrace([{ fn: 'a', span: { status: 'error', attributes: { peer: 'x:1' } } }]);
    const [begin] = of(eventsOf(trace), 'b');
    expect(begin!.args).toEqual({
      phase: 'startup',
      status: 'error',
      pingora: 'pingora-core/src/server/mod.rs:7',
      port: 'src/server/mod.ts:70',
      peer: 'x:1',
    });
  });

  test('end what never ended with the trace, and say so', () => {
    const trace = makeTrace([{ fn: 'open', span: { end: null }, calls: [{ fn: 'b', task: 'late' }] }]);
    holds(trace);
    const events = eventsOf(trace);
    expect(of(events, 'b')[0]!.args).toMatchObject({ unfinished: true });
    expect(of(events, 'e').find(({ name }) => name === 'open')!.ts).toBe(Math.max(...of(events, 'e').map((e) => e.ts)));
  });
});

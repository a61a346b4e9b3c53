import { describe, expect, test } from 'vitest';
import { Lanes } from '../../explorer/lanes.ts';
import { Steps } from '../../explorer/steps.ts';
import { printPerfetto } from '../../src/formats/perfetto.ts';
import { printTree } from '../../src/formats/tree.ts';
import { mergeTraces, type TracePart } from '../../src/tracing/merge.ts';
import type { TraceDocument, TraceEvent } from '../../src/tracing/model.ts';
import { makeTrace } from './made.ts';

/** The process that was started: it makes the threads of its service. */
const owner = (): TraceDocument =>
  makeTrace([
    {
      fn: 'Server::run_service',
      calls: [
        { fn: 'Runtime::new_steal', span: { attributes: { threads: 2 } } },
        { fn: 'start_service', task: 'proxy' },
      ],
    },
  ]);

/** A thread of it; `connection`: it serves one. */
const thread = (connection: boolean): TraceDocument =>
  makeTrace([
    { fn: 'Server::new' },
    {
      fn: 'Server::run_forever',
      calls: [
        {
          fn: 'start_service',
          task: 'proxy',
          calls: connection ? [{ fn: 'accept' }, { fn: 'handle_event', task: 'connection' }] : [{ fn: 'accept' }],
        },
      ],
    },
  ]);

const parts: TracePart[] = [
  { thread: 0, origin: 1_000_000, trace: owner() },
  { thread: 1, origin: 1_000_500, trace: thread(false) },
  { thread: 2, origin: 1_000_400, trace: thread(true) },
];

describe('traces of the processes of a server, merged', () => {
  const merged = mergeTraces(parts);

  test('have ids of their own, in order of start, parents before children', () => {
    expect(merged.spans.map(({ id }) => id)).toEqual(merged.spans.map((_, i) => i + 1));
    expect(merged.tasks.map(({ id }) => id)).toEqual(merged.tasks.map((_, i) => i + 1));
    const starts = merged.spans.map(({ start }) => start);
    expect(starts).toEqual([...starts].sort((a, b) => a - b));
    for (const { id, parent } of merged.spans) expect(parent ?? 0).toBeLessThan(id);
  });

  test('share a clock', () => {
    const [own] = parts[2]!.trace.spans.filter(({ fn }) => fn === 'handle_event');
    const [there] = merged.spans.filter(({ fn }) => fn === 'handle_event');
    expect([there!.start, there!.end]).toEqual([own!.start + 400, own!.end! + 400]);
  });

  test('leave out what a thread did before it ran services, and put its share where its runtime was made', () => {
    expect(merged.spans.filter(({ fn }) => /new$|forever/.test(fn))).toEqual([]);
    const maker = merged.spans.find(({ fn }) => fn === 'Runtime::new_steal')!;
    const shares = merged.tasks.filter((task) => task.name === 'proxy' && task.thread !== undefined);
    expect(shares.map(({ spawnedBy }) => spawnedBy)).toEqual([maker.id, maker.id]);
    for (const { id } of shares) expect(merged.spans.find(({ task }) => task === id)!.parent).toBe(maker.id);
  });

  test('number threads as they came to their first connection', () => {
    expect(merged.tasks.map(({ name, thread: on }) => [name, on])).toEqual([
      ['main', undefined],
      ['proxy', undefined],
      ['proxy', 1],
      ['connection', 1],
      ['proxy', 2],
    ]);
  });

  test('keep their connections and events, of the spans that they were of', () => {
    const bytes = (span: number): TraceEvent => ({
      kind: 'bytes',
      time: 7,
      span,
      connection: 1,
      way: 'in',
      offset: 0,
      length: 2,
    });
    const withBytes = (trace: TraceDocument, peer: string): TraceDocument => {
      const { id, task } = trace.spans.at(-1)!;
      const events: TraceEvent[] = [bytes(id), { kind: 'wake', time: 8, span: id, task, by: 'timer' }];
      return { ...trace, connections: [{ id: 1, side: 'downstream', peer }], events };
    };
    const [first, , last] = parts as [TracePart, TracePart, TracePart];
    const all = mergeTraces([
      { ...first, trace: withBytes(first.trace, 'a:1') },
      { ...last, trace: withBytes(last.trace, 'b:2') },
    ]);
    expect(all.connections!.map(({ id, peer }) => [id, peer])).toEqual([
      [1, 'a:1'],
      [2, 'b:2'],
    ]);
    const told = all.events!.map((event) => {
      const { fn, task } = all.spans.find(({ id }) => id === event.span)!;
      return [event.time, fn, event.kind === 'bytes' ? event.connection : event.kind === 'wake' && event.task === task];
    });
    expect(told).toEqual([
      [7, 'start_service', 1],
      [8, 'start_service', true],
      [407, 'handle_event', 2],
      [408, 'handle_event', true],
    ]);
  });

  test('say in each picture which thread a task is on', () => {
    const tree = printTree(merged);
    expect(tree).toContain('● task 4  connection  thread 1  ⇠ start_service, task 3');
    expect(tree).toContain('⇢ task 5 proxy  thread 2');
    const { traceEvents } = JSON.parse(printPerfetto(merged)) as { traceEvents: { name: string; args: any }[] };
    const names = traceEvents.filter(({ name }) => name === 'process_name').map(({ args }) => args.name as string);
    expect(names).toContain('thread 1, task 4 connection');
    expect(new Lanes(new Steps(merged)).lanes.map(({ name }) => name)).toContain('connection, thread 1');
  });
});

/** Frames of HTTP/2 in a traced run, and in each format. */
import { beforeAll, describe, expect, test } from 'vitest';
import { toSpans } from '../../src/formats/otlp.ts';
import { printPerfetto } from '../../src/formats/perfetto.ts';
import { printTree } from '../../src/formats/tree.ts';
import { findScenario } from '../../src/scenarios/index.ts';
import type { FrameEvent, TraceDocument } from '../../src/tracing/model.ts';
import { runScenario } from '../support/scenario.ts';

describe('frames of HTTP/2', () => {
  let trace: TraceDocument;
  let frames: FrameEvent[];
  beforeAll(async () => {
    trace = await runScenario(findScenario('h2-to-h2')!);
    frames = (trace.events ?? []).filter((event) => event.kind === 'frame');
  }, 60_000);

  const find = (side: 'downstream' | 'upstream', way: 'in' | 'out', type: string) =>
    frames.find(
      (one) =>
        one.way === way &&
        one.type === type &&
        trace.connections?.find(({ id }) => id === one.connection)?.side === side,
    );

  test('each says which way, on which stream, and what matters of it', () => {
    expect(find('downstream', 'in', 'HEADERS')).toMatchObject({
      stream: 1,
      flags: ['END_STREAM', 'END_HEADERS'],
      facts: { fields: expect.arrayContaining([':method: GET', ':path: /one']) },
    });
    expect(find('upstream', 'out', 'HEADERS')).toMatchObject({
      stream: 1,
      facts: { fields: expect.arrayContaining([':method: GET', ':path: /one']) },
    });
    expect(find('upstream', 'in', 'HEADERS')?.facts?.fields).toEqual(expect.arrayContaining([':status: 200']));
    expect(find('downstream', 'out', 'HEADERS')?.facts?.fields).toEqual(expect.arrayContaining([':status: 200']));
    expect(find('downstream', 'out', 'DATA')).toMatchObject({ stream: 1, length: 67, flags: ['END_STREAM'] });
    expect(find('downstream', 'out', 'SETTINGS')?.facts).toMatchObject({ MAX_CONCURRENT_STREAMS: 128 });
    expect(find('upstream', 'out', 'WINDOW_UPDATE')?.facts).toEqual({ window: `+${(1 << 23) - 65_535}` });
  });

  test('the tree shows them when it is asked to, and no bytes', () => {
    const shown = printTree(trace, { frames: true });
    expect(shown).toMatch(/← HEADERS stream 1 END_STREAM END_HEADERS, \d+ bytes from the client/);
    expect(shown).toContain(':path: /one');
    expect(shown).not.toMatch(/[←→] \d+ bytes/);
    expect(printTree(trace)).not.toContain('HEADERS stream');
  });

  test('Perfetto and OpenTelemetry carry them as events of the span', () => {
    const events = (JSON.parse(printPerfetto(trace)) as { traceEvents: { ph: string; name: string }[] }).traceEvents;
    const told = frames.filter(({ span }) => span !== null).length;
    expect(events.filter(({ ph }) => ph === 'n')).toHaveLength(told);
    const spans = toSpans(trace).flatMap((span) => span.events.filter(({ name }) => /^(?:sent|received) /.test(name)));
    expect(spans).toHaveLength(told);
    expect(spans.find(({ name }) => name === 'sent HEADERS')?.attributes).toMatchObject({ 'pingora.h2.stream.id': 1 });
  });
});

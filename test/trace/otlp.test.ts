import { expect, test } from 'vitest';
import { printOtlp } from '../../src/trace/otlp.ts';
import { makeTrace } from './made.ts';

interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: Record<string, unknown> }[];
  status: { code: number };
}

const NOW = 1_700_000_000_000;
const spansOf = (text: string) => JSON.parse(text).resourceSpans[0].scopeSpans[0].spans as Span[];

test('a trace is an OTLP request: ids of the right size, parents that are there, nanoseconds', () => {
  const trace = makeTrace([
    {
      fn: 'a',
      calls: [
        { fn: 'b', task: 'late', span: { end: null } },
        { fn: 'c', span: { status: 'error' } },
      ],
    },
  ]);
  const [a, b, c] = spansOf(printOtlp(trace, NOW));
  for (const span of [a!, b!, c!]) {
    expect(span.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(span.spanId).toMatch(/^(?!0{16})[0-9a-f]{16}$/);
    expect(BigInt(span.endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(span.startTimeUnixNano));
  }
  expect([a!.parentSpanId, b!.parentSpanId, c!.parentSpanId]).toEqual([undefined, a!.spanId, a!.spanId]);
  expect([a!.status.code, c!.status.code]).toEqual([1, 2]);
  // the trace ended now, and what was still open ended with it
  expect(BigInt(b!.endTimeUnixNano)).toBe(BigInt(NOW) * 1_000_000n);
  expect(b!.attributes).toContainEqual({ key: 'unfinished', value: { boolValue: true } });
  expect(b!.attributes).toContainEqual({ key: 'task.name', value: { stringValue: 'late' } });
  expect(a!.attributes).toContainEqual({ key: 'pingora.line', value: { intValue: '7' } });
});

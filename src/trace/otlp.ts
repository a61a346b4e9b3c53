/**
 * Prints a trace as an OTLP/JSON request, as a collector's `/v1/traces` takes it:
 *
 * ```sh
 * npm run --silent trace -- h1 --format otlp | curl -H 'Content-Type: application/json' -d @- localhost:4318/v1/traces
 * ```
 *
 * A trace knows only the time since it began; here it ended at `now`.
 */
import { createHash } from 'node:crypto';
import type { TraceDocument, TraceSpan } from './model.ts';

type Value = { stringValue: string } | { intValue: string } | { doubleValue: number } | { boolValue: boolean };

function value(of: string | number | boolean): Value {
  if (typeof of === 'string') return { stringValue: of };
  if (typeof of === 'boolean') return { boolValue: of };
  return Number.isInteger(of) ? { intValue: String(of) } : { doubleValue: of };
}

const attributes = (of: Record<string, string | number | boolean | undefined>) =>
  Object.entries(of).flatMap(([key, one]) => (one === undefined ? [] : [{ key, value: value(one) }]));

const INTERNAL = 1;
const OK = 1;
const ERROR = 2;

/** The trace as OTLP/JSON. `now`: milliseconds since 1970 at which it ended. */
export function printOtlp(trace: TraceDocument, now = Date.now()): string {
  const { spans, tasks, scenario, node, pingora } = trace;
  const last = spans.reduce((latest, { start, end }) => Math.max(latest, start, end ?? 0), 0);
  const nanos = (micros: number) => String(BigInt(Math.round((now - last / 1000) * 1000 + micros)) * 1000n);
  const traceId = createHash('sha256').update(`${scenario} ${now}`).digest('hex').slice(0, 32);
  const spanId = (id: number) => id.toString(16).padStart(16, '0');
  const taskName = new Map(tasks.map(({ id, name }) => [id, name]));

  const convert = (span: TraceSpan) => ({
    traceId,
    spanId: spanId(span.id),
    ...(span.parent !== null && { parentSpanId: spanId(span.parent) }),
    name: span.fn,
    kind: INTERNAL,
    startTimeUnixNano: nanos(span.start),
    endTimeUnixNano: nanos(span.end ?? last),
    attributes: attributes({
      'code.function': span.fn,
      'code.filepath': span.ts?.file,
      'code.lineno': span.ts?.line,
      'pingora.file': span.rust?.file,
      'pingora.line': span.rust?.line,
      'pingora.phase': span.phase,
      'task.id': span.task,
      'task.name': taskName.get(span.task),
      unfinished: span.end === null ? true : undefined,
      cancelled: span.status === 'cancelled' ? true : undefined,
      ...span.attributes,
    }),
    status: { code: span.status === 'error' ? ERROR : OK },
  });

  const resource = {
    attributes: attributes({
      'service.name': 'pingora-traced',
      'service.version': pingora,
      'process.runtime.version': node,
    }),
  };
  const scopeSpans = [{ scope: { name: scenario }, spans: spans.map(convert) }];
  return `${JSON.stringify({ resourceSpans: [{ resource, scopeSpans }] })}\n`;
}

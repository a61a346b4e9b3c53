/**
 * A trace as OpenTelemetry has it: printed as OTLP/JSON, or as spans for an exporter (see `collector.ts`).
 *
 * Made of the SDK's packages, which are optional: import this file through `withOpenTelemetry`, which says
 * what to install where they are missing. They are the last ones that run on Node 20: 2.x, and 0.2xx beside it.
 *
 * Attributes follow the semantic conventions 1.33 and newer (`code.function.name` was `code.function` before); what
 * they have no name for is below `pingora.`.
 */
import { createHash } from 'node:crypto';
import type { Attributes, HrTime, SpanContext } from '@opentelemetry/api';
import type { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer';
import { detectResources, envDetector, type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import {
  childrenOf,
  type Facts,
  type FrameEvent,
  type TraceDocument,
  type TraceEvent,
  type TraceSpan,
  type TraceTask,
} from '../tracing/model.ts';

/** What the SDK's exporters take. */
export type ReadableSpan = Parameters<OTLPTraceExporter['export']>[0][number];

const PINGORA = 'https://github.com/cloudflare/pingora/blob/0.1.0/';

// the values of the API's SpanKind, SpanStatusCode and TraceFlags
const INTERNAL = 0;
const SERVER = 1;
const CLIENT = 2;
const UNSET = 0;
const ERROR = 2;
const SAMPLED = 1;

/** What answers a request, and what asks the origin: of these a collector makes its figures a service. */
const KINDS: ReadonlyMap<string, number> = new Map([
  ['HttpProxy::process_request', SERVER],
  ['HttpProxy::proxy_to_upstream', CLIENT],
]);

/** The trace as one OTLP/JSON request, as a collector's `/v1/traces` takes it. */
export function printOtlp(trace: TraceDocument): string {
  return `${Buffer.from(JsonTraceSerializer.serializeRequest(toSpans(trace))!).toString()}\n`;
}

/** The trace's id, 32 hexadecimal digits: the same for the same trace, another one for any other. */
export function traceIdOf(trace: TraceDocument): string {
  return createHash('sha256').update(JSON.stringify(trace)).digest('hex').slice(0, 32);
}

/**
 * The spans, in their order, as one trace. What a span waited and which tasks it spawned are its events; what hasn't
 * ended ends with the trace.
 */
export function toSpans(trace: TraceDocument): ReadableSpan[] {
  const { spans, tasks } = trace;
  const last = spans.reduce((latest, { start, end }) => Math.max(latest, start, end ?? 0), 0);
  const at = clock(trace.began ?? Date.now() - last / 1000);
  const traceId = traceIdOf(trace);
  // unique in the trace by its low half; the high half keeps the ids of two traces apart
  const context = (id: number): SpanContext => ({
    traceId,
    spanId: traceId.slice(0, 8) + id.toString(16).padStart(8, '0'),
    traceFlags: SAMPLED,
  });
  const taskNames = new Map(tasks.map(({ id, name }) => [id, name]));
  const spawned = new Map<number | null, TraceTask[]>(tasks.map(({ spawnedBy }) => [spawnedBy, []]));
  for (const task of tasks) spawned.get(task.spawnedBy)!.push(task);
  const resource = resourceOf(trace);
  const instrumentationScope = { name: 'pingora-traced', version: trace.pingora };

  const frames = new Map<number, FrameEvent[]>();
  for (const event of trace.events ?? []) {
    if (event.kind !== 'frame' || event.span === null) continue;
    const known = frames.get(event.span);
    if (known === undefined) frames.set(event.span, [event]);
    else known.push(event);
  }

  const told = new Map<number | null, TraceEvent[]>();
  for (const event of trace.events ?? []) {
    const known = told.get(event.span);
    if (known === undefined) told.set(event.span, [event]);
    else known.push(event);
  }
  const children = childrenOf(spans);

  return spans.map((span) => {
    const end = span.end ?? last;
    return {
      name: span.fn,
      kind: KINDS.get(span.fn) ?? INTERNAL,
      spanContext: () => context(span.id),
      ...(span.parent !== null && { parentSpanContext: context(span.parent) }),
      startTime: at(span.start),
      endTime: at(end),
      duration: clock(0)(end - span.start),
      ended: true,
      status: {
        code: span.status === 'error' ? ERROR : UNSET,
        ...(span.error !== undefined && { message: span.error.log ?? span.error.message ?? span.error.type }),
      },
      attributes: { ...attributesOf(span, taskNames.get(span.task)), ...http(span, children) },
      events: [
        ...waits(span, at),
        ...spawns(spawned.get(span.id) ?? [], span.start, at),
        ...framesOf(frames.get(span.id) ?? [], at),
        ...(told.get(span.id) ?? []).flatMap((event) => eventsOf(event, at)),
      ],
      links: [],
      resource,
      instrumentationScope,
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
    };
  });
}

/**
 * `micros` after `began` (milliseconds since 1970) as seconds and nanoseconds: a double is too coarse for one number.
 */
function clock(began: number): (micros: number) => HrTime {
  const whole = Math.floor(began / 1000);
  const rest = Math.round((began - whole * 1000) * 1000);
  return (micros) => {
    const tenths = Math.round((rest + micros) * 10);
    return [whole + Math.floor(tenths / 1e7), (tenths % 1e7) * 100];
  };
}

function attributesOf(span: TraceSpan, taskName: string | undefined): Attributes {
  const { fn, ts, rust, phase, task, status, end, attributes } = span;
  return {
    'code.function.name': fn,
    ...(ts && { 'code.file.path': ts.file, 'code.line.number': ts.line }),
    ...(rust && { 'pingora.file.path': rust.file }),
    ...(rust?.line !== undefined && {
      'pingora.line.number': rust.line,
      'pingora.url': `${PINGORA}${rust.file}#L${rust.line}`,
    }),
    'pingora.phase': phase,
    'pingora.task.id': task,
    ...(taskName !== undefined && { 'pingora.task.name': taskName }),
    ...(status === 'cancelled' && { 'pingora.cancelled': true }),
    ...(end === null && { 'pingora.unfinished': true }),
    ...attributes,
    ...factsOf('pingora.in', span.in),
    ...factsOf('pingora.out', span.out),
    ...(span.changed && {
      'pingora.changed': span.changed.map(({ what, from, to }) => `${what}: ${from ?? '-'} → ${to ?? '-'}`),
    }),
    ...(span.error && { 'error.type': span.error.type }),
  };
}

/** As `pingora.in.head_size`; what is null is left out. */
function factsOf(prefix: string, facts: Facts = {}): Attributes {
  const known = Object.entries(facts).filter(([, value]) => value !== null);
  return Object.fromEntries(known.map(([name, value]) => [`${prefix}.${name.replaceAll(' ', '_')}`, value!]));
}

const isFailure = (status: number | undefined, isServer: boolean) =>
  // a server's error is 5xx; a client's is 4xx too
  status !== undefined && status >= (isServer ? 500 : 400);

/** By the semantic conventions for HTTP (1.33): of the request that is served, and of each try with an origin. */
function http(span: TraceSpan, children: ReadonlyMap<number | null, TraceSpan[]>): Attributes {
  const kind = KINDS.get(span.fn);
  if (kind === undefined) return {};
  const isServer = kind === SERVER;
  const [, method, target, version] = /^(\S+) (\S+) HTTP\/([\d.]+)$/.exec(String(span.in?.request ?? '')) ?? [];
  const [path, query] = target?.split('?', 2) ?? [];
  const status = isServer ? statusIn(span.out?.answered) : answerOf(span, children);
  const [, host, port] = /^(.*):(\d+)$/.exec(String(span.attributes.peer ?? '')) ?? [];
  const error = typeof span.out?.error === 'string' ? span.out.error.trim() : '';
  const [, failed] = /^(?:(?:Upstream|Downstream|Internal) )?(\S+)/.exec(error) ?? [];
  const type = failed ?? (isFailure(status, isServer) ? String(status) : undefined);
  return {
    ...(method !== undefined && { 'http.request.method': method }),
    ...(isServer && path !== undefined && { 'url.path': path, ...(query !== undefined && { 'url.query': query }) }),
    ...(isServer && version !== undefined && { 'network.protocol.name': 'http', 'network.protocol.version': version }),
    ...(!isServer &&
      host !== undefined && { 'server.address': host.replace(/^\[|\]$/g, ''), 'server.port': Number(port) }),
    ...(status !== undefined && { 'http.response.status_code': status }),
    ...(type !== undefined && { 'error.type': type }),
  };
}

function statusIn(line: unknown): number | undefined {
  const [, status] = /^HTTP\/\S+ (\d{3})/.exec(String(line ?? '')) ?? [];
  return status === undefined ? undefined : Number(status);
}

/** The status of the origin's answer: some call below read it. */
function answerOf(span: TraceSpan, children: ReadonlyMap<number | null, TraceSpan[]>): number | undefined {
  const todo = [...(children.get(span.id) ?? [])];
  for (let at = todo.shift(); at !== undefined; at = todo.shift()) {
    if (/::read_response(?:_header)?$/.test(at.fn) && at.out?.response !== undefined) return statusIn(at.out.response);
    todo.push(...(children.get(at.id) ?? []));
  }
  return undefined;
}

/** What happened beside the calls, frames apart. Bytes by their number only: their text stays in the trace. */
function eventsOf(event: TraceEvent, at: (micros: number) => HrTime): ReadableSpan['events'] {
  const of = (name: string, attributes: Attributes) => [{ name, time: at(event.time), attributes }];
  switch (event.kind) {
    case 'bytes':
      return of('bytes', {
        'network.io.direction': event.way === 'in' ? 'receive' : 'transmit',
        'pingora.connection.id': event.connection,
        'pingora.bytes.length': event.length,
      });
    case 'wake':
      return of('wake', { 'pingora.wake.by': event.by });
    case 'state':
      return of(`state ${event.machine}`, { 'pingora.state': event.to });
    case 'pool':
      return of(`pool ${event.what}`, { 'pingora.pool.size': event.size });
    case 'channel':
      return of(`channel ${event.what}`, {
        'pingora.channel.name': event.channel,
        'pingora.channel.depth': event.depth,
      });
    default:
      return [];
  }
}

function waits({ runs = [] }: TraceSpan, at: (micros: number) => HrTime): ReadableSpan['events'] {
  return runs.slice(1).map(([resumed], i) => {
    const suspended = runs[i]![1];
    const micros = Math.round(resumed - suspended);
    return { name: 'wait', time: at(suspended), attributes: { 'pingora.wait.microseconds': micros } };
  });
}

function spawns(tasks: TraceTask[], from: number, at: (micros: number) => HrTime): ReadableSpan['events'] {
  return tasks.map(({ id, name, start = from }) => ({
    name: 'spawn',
    time: at(start),
    attributes: { 'pingora.task.id': id, 'pingora.task.name': name },
  }));
}

/** Frames of HTTP/2 that the span read and wrote. */
function framesOf(frames: FrameEvent[], at: (micros: number) => HrTime): ReadableSpan['events'] {
  return frames.map(({ way, type, stream, flags, length, connection, facts = {}, time }) => ({
    name: `${way === 'in' ? 'received' : 'sent'} ${type}`,
    time: at(time),
    attributes: {
      'pingora.h2.connection.id': connection,
      'pingora.h2.stream.id': stream,
      'pingora.h2.frame.type': type,
      'pingora.h2.frame.flags': flags,
      'pingora.h2.frame.length': length,
      ...Object.fromEntries(
        Object.entries(facts).flatMap(([name, value]) =>
          value === null ? [] : [[`pingora.h2.${name.toLowerCase().replaceAll(' ', '_')}`, value]],
        ),
      ),
    },
  }));
}

/** `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` come before what is said here. */
function resourceOf({ pingora, node, scenario }: TraceDocument): Resource {
  return resourceFromAttributes({
    'service.name': 'pingora-traced',
    'service.version': pingora,
    'process.runtime.name': 'nodejs',
    'process.runtime.version': node.replace(/^v/, ''),
    'process.runtime.description': 'Node.js',
    'pingora.scenario': scenario,
  }).merge(detectResources({ detectors: [envDetector] }));
}

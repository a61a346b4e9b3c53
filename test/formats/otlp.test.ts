/** What a trace becomes as OTLP. */
import { expect, test } from 'vitest';
import { printOtlp, toSpans } from '../../src/formats/otlp.ts';
import { readOtlp } from '../support/otlp-receiver.ts';
import { makeTrace } from '../tracing/made.ts';

const BEGAN = 1_700_000_000_000.25;
const printed = (trace: ReturnType<typeof makeTrace>) => readOtlp(JSON.parse(printOtlp({ ...trace, began: BEGAN })));
const atMicros = (micros: number) => BigInt(BEGAN * 1000) * 1000n + BigInt(micros * 1000);

test('a span has its parent, its times on the wall clock, its two places, its task', () => {
  const trace = makeTrace([{ fn: 'a', calls: [{ fn: 'b', task: 'late', span: { start: 20.1, end: 33.3 } }] }]);
  const [a, b] = printed(trace).spans;
  expect(a!.parentSpanId).toBe('');
  expect(b!.parentSpanId).toBe(a!.spanId);
  expect([b!.start, b!.end]).toEqual([atMicros(20.1), atMicros(33.3)]);
  expect(b!.attributes).toEqual({
    'code.function.name': 'b',
    'code.file.path': 'src/server/mod.ts',
    'code.line.number': 70,
    'pingora.file.path': 'pingora-core/src/server/mod.rs',
    'pingora.line.number': 7,
    'pingora.url': 'https://github.com/cloudflare/pingora/blob/0.1.0/pingora-core/src/server/mod.rs#L7',
    'pingora.phase': 'startup',
    'pingora.task.id': 2,
    'pingora.task.name': 'late',
  });
  // who spawned it says when
  expect(a!.events).toEqual([
    { name: 'spawn', time: atMicros(15), attributes: { 'pingora.task.id': 2, 'pingora.task.name': 'late' } },
  ]);
});

test('ids are of the right size, unique, the same for the same trace and others for another', () => {
  const trace = makeTrace([{ fn: 'a', calls: [{ fn: 'b' }, { fn: 'c' }] }]);
  const { spans } = printed(trace);
  for (const span of spans) {
    expect(span.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(span.spanId).toMatch(/^(?!0{16})[0-9a-f]{16}$/);
  }
  expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
  expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(3);
  expect(printed(trace).spans).toEqual(spans);
  const [other] = readOtlp(JSON.parse(printOtlp({ ...trace, began: BEGAN + 1 }))).spans;
  expect(other!.traceId).not.toBe(spans[0]!.traceId);
  expect(other!.spanId).not.toBe(spans[0]!.spanId);
});

test('an error is a status; what was cancelled or never ended says so, and ends with the trace', () => {
  const { spans } = printed(
    makeTrace([
      { fn: 'good' },
      { fn: 'bad', span: { status: 'error' } },
      { fn: 'lost', span: { status: 'cancelled' } },
      { fn: 'open', span: { end: null } },
    ]),
  );
  const [good, bad, lost, open] = spans;
  expect([good!.status, bad!.status, lost!.status, open!.status]).toEqual([0, 2, 0, 0]);
  expect(lost!.attributes['pingora.cancelled']).toBe(true);
  expect(open!.attributes['pingora.unfinished']).toBe(true);
  expect(open!.end).toBe(atMicros(40));
});

test('between two runs a span waited: an event with how long', () => {
  const runs: [number, number][] = [
    [10, 11],
    [20.5, 21],
    [22, 23],
  ];
  const { spans } = printed(makeTrace([{ fn: 'a', span: { end: 30, runs } }]));
  expect(spans[0]!.events).toEqual([
    { name: 'wait', time: atMicros(11), attributes: { 'pingora.wait.microseconds': 10 } },
    { name: 'wait', time: atMicros(21), attributes: { 'pingora.wait.microseconds': 1 } },
  ]);
});

test("a request is of kind server, what asks the origin of kind client; the application's hook has no line in Pingora", () => {
  const request = { fn: 'HttpProxy::process_request', calls: [{ fn: 'HttpProxy::proxy_to_upstream' }] };
  const { spans } = printed(
    makeTrace([request, { fn: '<app as ProxyHttp>::logging', file: 'app' }, { fn: 'x', file: null }]),
  );
  // of the wire, where 0 is "unspecified"
  expect(spans.map(({ kind }) => kind)).toEqual([2, 3, 1, 1]);
  expect(spans[2]!.attributes).toMatchObject({ 'pingora.file.path': 'app' });
  expect(spans[2]!.attributes).not.toHaveProperty('pingora.url');
  expect(spans[3]!.attributes).not.toHaveProperty('pingora.file.path');
});

test('the resource says what ran, and on what; a trace that lacks its beginning ended now', () => {
  const trace = makeTrace([{ fn: 'a' }], 'h1');
  expect(printed(trace).resource).toEqual({
    'service.name': 'pingora-traced',
    'service.version': '0.1.0',
    'process.runtime.name': 'nodejs',
    'process.runtime.version': '20.0.0',
    'process.runtime.description': 'Node.js',
    'pingora.scenario': 'h1',
  });
  const [seconds] = toSpans(trace)[0]!.endTime;
  expect(Math.abs(seconds - Date.now() / 1000)).toBeLessThan(60);
});

test('a request and its try have the attributes of the conventions for HTTP; a failure its type and its words', () => {
  const { spans } = printed(
    makeTrace([
      {
        fn: 'HttpProxy::process_request',
        span: { in: { request: 'GET /a?b=c HTTP/1.1' }, out: { answered: 'HTTP/1.1 502 Bad Gateway' } },
        calls: [
          {
            fn: 'HttpProxy::proxy_to_upstream',
            span: {
              attributes: { peer: '127.0.0.1:9' },
              in: { request: 'GET /a?b=c HTTP/1.1' },
              out: { error: 'Upstream ConnectRefused context: no' },
            },
            calls: [
              { fn: 'l4::connect', span: { status: 'error', error: { type: 'ConnectRefused', log: 'said so' } } },
            ],
          },
          {
            fn: 'HttpProxy::proxy_to_upstream',
            span: { attributes: { peer: '[::1]:8' }, in: { request: 'GET /a?b=c HTTP/1.1' } },
            calls: [
              {
                fn: 'x',
                calls: [{ fn: 'HttpSession::read_response', span: { out: { response: 'HTTP/1.1 404 Not Found' } } }],
              },
            ],
          },
        ],
      },
    ]),
  );
  const [request, failed, connect, answered] = spans;
  expect(request!.attributes).toMatchObject({
    'http.request.method': 'GET',
    'url.path': '/a',
    'url.query': 'b=c',
    'network.protocol.version': '1.1',
    'http.response.status_code': 502,
    'error.type': '502',
  });
  expect(failed!.attributes).toMatchObject({
    'server.address': '127.0.0.1',
    'server.port': 9,
    'error.type': 'ConnectRefused',
  });
  expect(failed!.attributes['http.response.status_code']).toBeUndefined();
  expect(connect!.attributes['error.type']).toBe('ConnectRefused');
  expect(answered!.attributes).toMatchObject({
    'server.address': '::1',
    'http.response.status_code': 404,
    'error.type': '404',
  });
});

test('bytes are events that tell how many, not which', () => {
  const trace = makeTrace([{ fn: 'a' }]);
  trace.connections = [{ id: 1, side: 'upstream', peer: null }];
  trace.events = [
    { kind: 'bytes', time: 12, span: 1, connection: 1, way: 'in', offset: 0, length: 6, bytes: 'secret' },
  ];
  const [a] = printed(trace).spans;
  expect(a!.events).toEqual([
    {
      name: 'bytes',
      time: atMicros(12),
      attributes: { 'network.io.direction': 'receive', 'pingora.connection.id': 1, 'pingora.bytes.length': 6 },
    },
  ]);
});

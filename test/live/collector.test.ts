/** Traces sent to a collector: by `npm run trace`, and by a server that serves. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { printOtlp } from '../../src/formats/otlp.ts';
import { Collector } from '../../src/live/collector.ts';
import { tracesEndpoint } from '../../src/live/endpoint.ts';
import { OtlpReceiver, readOtlp } from '../support/otlp-receiver.ts';
import { Program } from '../support/program.ts';
import { makeTrace } from '../tracing/made.ts';

const WITHOUT = pathToFileURL('test/support/without-opentelemetry.mjs').href;
const env = { OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: '' };

const trace = (args: string[], more: NodeJS.ProcessEnv = {}) =>
  new Program('src/scenarios/cli.ts', args, { env: { ...env, ...more } });

test('a scenario is sent to the endpoint, and one line says how many spans of it', async () => {
  const receiver = await OtlpReceiver.start();
  const program = trace(['h1', '--endpoint', receiver.url], {
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Basic%20abc',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
    OTEL_SERVICE_NAME: 'mine',
  });
  expect(await program.ended, program.stderr).toMatchObject({ code: 0 });
  const { headers, resource, spans } = await receiver.next();
  expect(program.stdout).toBe(
    `${spans.length} spans of h1 sent to ${receiver.url}/v1/traces, trace ${spans[0]!.traceId}\n`,
  );
  expect(program.stderr).toBe('');
  expect(headers).toMatchObject({ authorization: 'Basic abc', 'content-encoding': 'gzip' });
  expect(resource).toMatchObject({ 'service.name': 'mine', 'deployment.environment.name': 'test' });

  const byId = new Map(spans.map((span) => [span.spanId, span]));
  expect(byId.size).toBe(spans.length);
  for (const { name, parentSpanId, start, end } of spans) {
    expect(end, name).toBeGreaterThanOrEqual(start);
    if (parentSpanId !== '') expect(byId.get(parentSpanId), name).toBeDefined();
  }
  const [asked] = spans.filter(({ name }) => name === '<HttpProxy as HttpServerApp>::process_new_http');
  const callers: string[] = [];
  for (let at = asked; at !== undefined; at = byId.get(at.parentSpanId)) callers.push(at.name);
  expect(callers.at(-1)).toBe('Server::run_forever');
  expect(spans.filter(({ kind }) => kind === 2).map(({ name }) => name)).toEqual(['HttpProxy::process_request']);
  const waited = spans.filter(({ events }) => events.some(({ name }) => name === 'wait'));
  expect(waited.map(({ name }) => name)).toContain('l4::connect');
});

test('what is sent is what is printed', async () => {
  const receiver = await OtlpReceiver.start();
  const made = {
    ...makeTrace([{ fn: 'a', calls: [{ fn: 'b', span: { status: 'error', attributes: { share: 0.5 } } }] }]),
    began: 1.7e12,
  };
  const collector = new Collector(tracesEndpoint('--endpoint', receiver.url)!);
  expect(await collector.send(made)).toBe(2);
  await collector.close();
  const { headers: _, ...received } = await receiver.next();
  expect(received).toEqual(readOtlp(JSON.parse(printOtlp(made))));
});

test('a trace of many spans goes in several requests, each a part of it', async () => {
  const receiver = await OtlpReceiver.start();
  const calls = Array.from({ length: 5000 }, (_, i) => ({ fn: `f${i}` }));
  const collector = new Collector(tracesEndpoint('--endpoint', receiver.url)!);
  expect(await collector.send(makeTrace([{ fn: 'a', calls }]))).toBe(5001);
  await collector.close();
  expect(receiver.received.length).toBeGreaterThan(1);
  const spans = receiver.received.flatMap((request) => request.spans);
  expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(5001);
  expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
});

test('where to send to: the flag, then the variables, with /v1/traces where a base is meant', () => {
  const at = (given?: string, more: NodeJS.ProcessEnv = {}) => tracesEndpoint('--endpoint', given, more)?.href;
  const OTEL_EXPORTER_OTLP_ENDPOINT = 'http://base:4318';
  const OTEL_EXPORTER_OTLP_TRACES_ENDPOINT = 'https://whole/traces';
  expect(at()).toBeUndefined();
  expect(at('http://[::1]:4318')).toBe('http://[::1]:4318/v1/traces');
  expect(at('http://c:1/v1/traces', { OTEL_EXPORTER_OTLP_ENDPOINT })).toBe('http://c:1/v1/traces');
  expect(at('http://c/otlp/')).toBe('http://c/otlp/v1/traces');
  expect(at(undefined, { OTEL_EXPORTER_OTLP_ENDPOINT })).toBe('http://base:4318/v1/traces');
  expect(at(undefined, { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT })).toBe(
    'https://whole/traces',
  );
  for (const bad of ['127.0.0.1:4318', 'collector', 'grpc://c:4317']) {
    expect(() => at(bad)).toThrow(`--endpoint ${bad}: not an address`);
  }
  expect(() => at('http://c:0')).toThrow('--endpoint http://c:0: nothing listens on port 0');
});

test('a path that the collector lacks, and spans that it refused, are said in one line', async () => {
  const receiver = await OtlpReceiver.start();
  receiver.rejects = 3;
  const lost = trace(['bad-request', '--format', 'otlp'], {
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${receiver.url}/v2/spans`,
  });
  const refused = trace(['bad-request', '--endpoint', receiver.url]);
  expect(await lost.ended).toMatchObject({ code: 1 });
  expect(lost.stdout).toBe('');
  expect(lost.stderr).toBe(
    `${receiver.url}/v2/spans: the collector answered 404 Not Found: no such signal; is the path right?\n`,
  );
  expect(await refused.ended).toMatchObject({ code: 0 });
  expect(refused.stderr).toMatch(/^[^\n]*Partial Success[^\n]*"rejectedSpans":"?3"?[^\n]*too many[^\n]*\n$/);
});

test('an endpoint where nobody listens is said before anything is run', async () => {
  const free = createTcpServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as AddressInfo;
  await new Promise((closed) => free.close(closed));
  const program = trace(['h1', '--endpoint', `http://127.0.0.1:${port}`]);
  expect(await program.ended).toMatchObject({ code: 1 });
  expect(program.stdout).toBe('');
  expect(program.stderr).toBe(
    `http://127.0.0.1:${port}/v1/traces: can't connect: connect ECONNREFUSED 127.0.0.1:${port}; does a collector listen there?\n`,
  );
});

test.each([
  [['--format', 'tree', '--endpoint', 'http://127.0.0.1:1'], '--endpoint goes with --format otlp'],
  [['--stack', '--endpoint', 'http://127.0.0.1:1'], '--endpoint goes with --format otlp'],
  [['--endpoint', 'http://127.0.0.1:1', '--out', 'x'], '--endpoint sends, --out writes: give one'],
  [['--endpoint', 'localhost'], '--endpoint localhost: not an address'],
])('%j is refused in one line', async (flags, line) => {
  const program = trace(['h1', ...flags]);
  expect(await program.ended).toMatchObject({ code: 1 });
  expect(program.stderr.trim().split('\n')).toHaveLength(1);
  expect(program.stderr).toContain(line);
});

test("without OpenTelemetry's packages only what needs them fails, and says what to install", async () => {
  const NODE_OPTIONS = `--import ${WITHOUT}`;
  const upstream = ['--listen', '127.0.0.1:0', '--upstream', '127.0.0.1:1'];
  const printing = trace(['h1', '--format', 'otlp'], { NODE_OPTIONS });
  const sending = new Program('src/main.ts', [...upstream, '--trace-otlp', 'http://127.0.0.1:1'], {
    env: { ...env, NODE_OPTIONS },
  });
  for (const program of [printing, sending]) {
    expect((await program.ended).code).toBeGreaterThan(0);
    expect(program.stderr.trim().split('\n')).toHaveLength(1);
    expect(program.stderr).toContain('npm install --include=optional');
  }
  const tree = trace(['bad-request'], { NODE_OPTIONS });
  expect(await tree.ended, tree.stderr).toMatchObject({ code: 0 });
  const serving = new Program('src/main.ts', [...upstream, '--trace-ui', '127.0.0.1:0'], {
    env: { ...env, NODE_OPTIONS },
  });
  await serving.until(/ready/);
  serving.child.kill('SIGKILL');
});

test('live requests are sent as they end; a collector that is gone is logged once and hurts no request', async () => {
  const origin = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1');
  await once(origin, 'listening');
  onTestFinished(() => void origin.close());
  const receiver = await OtlpReceiver.start();
  const program = new Program(
    'src/main.ts',
    [
      ...['--listen', '127.0.0.1:0', '--upstream', `127.0.0.1:${(origin.address() as AddressInfo).port}`],
      ...['--trace', '1/2', '--trace-otlp', receiver.url],
    ],
    { env: { ...env, OTEL_EXPORTER_OTLP_TIMEOUT: '200' } },
  );
  onTestFinished(() => void program.child.kill('SIGKILL'));
  const [, address] = (await program.until(/listening on (\S+)/))!;
  await program.until(/ready/);
  expect(program.stdout).toContain(`tracing one request in 2 to ${receiver.url}/v1/traces`);
  const get = async (path: string) => (await fetch(`${address}${path}`, { headers: { connection: 'close' } })).text();

  for (const path of ['/traced', '/not', '/traced-too']) expect(await get(path)).toBe('hello');
  for (const path of ['/traced', '/traced-too']) {
    const { resource, spans } = await receiver.next();
    expect(resource['pingora.scenario']).toBe('live');
    expect(spans[0]).toMatchObject({ name: '<HttpProxy as HttpServerApp>::process_new_http', parentSpanId: '' });
    expect(spans.map(({ attributes }) => `${attributes['http.request.method']} ${attributes['url.path']}`)).toContain(
      `GET ${path}`,
    );
  }

  receiver.stop();
  for (let i = 0; i < 6; i++) expect(await get('/')).toBe('hello');
  await program.until(/a trace could not be sent/);
  for (let i = 0; i < 6; i++) expect(await get('/')).toBe('hello');
  program.child.kill('SIGINT');
  await program.ended;
  expect(`${program.stdout}${program.stderr}`.match(/could not be sent/g)).toHaveLength(1);
});

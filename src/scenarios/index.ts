/**
 * The scenarios: what each runs, and what its client does. All run the application of `app.ts`; the recorded ones have
 * the names of their records.
 */
import { gunzipSync } from 'node:zlib';
import type { Client } from './client.ts';
import { answered, type Scenario } from './scenario.ts';
import { setupScenarios } from './setup-scenarios.ts';
import { stories } from './stories.ts';

const get =
  (...paths: string[]) =>
  async (client: Client) => {
    for (const path of paths) answered(await client.http(path), 200);
  };

const getH2 =
  (...paths: string[]) =>
  async (client: Client) => {
    for (const answer of await client.http2(...paths)) answered(answer, 200);
  };

/** In seconds: what a server that shuts down waits for. The defaults add up to five minutes. */
const SHORT = {
  gracePeriodSeconds: 0.5,
  gracefulShutdownTimeoutSeconds: 0.1,
  closeTimeoutSeconds: 0.1,
  upgradeSockRetryIntervalSeconds: 0.1,
};

export const scenarios: readonly Scenario[] = [
  {
    name: 'h1',
    about: 'one plain HTTP/1.1 GET through the proxy to an HTTP/1.1 origin',
    listeners: ['tcp'],
    does: ['GET /hello HTTP/1.1'],
    client: get('/hello'),
  },
  {
    name: 'keepalive',
    about: 'two GETs, one after the other, on one client connection',
    listeners: ['tcp'],
    does: ['GET /one', 'GET /two'],
    client: get('/one', '/two'),
  },
  {
    name: 'tls-h1',
    about: 'a TLS listener without h2; the client offers http/1.1',
    listeners: ['tls'],
    does: ['GET /hello over TLS, ALPN http/1.1'],
    client: async (client) => answered(await client.https('/hello'), 200),
  },
  {
    name: 'tls-h2',
    about: 'a TLS listener with enable_h2; two streams on one connection',
    listeners: ['h2'],
    does: ['GET /one and GET /two over one h2 connection'],
    client: getH2('/one', '/two'),
  },
  {
    name: 'uds',
    about: 'a Unix socket listener beside a TCP one; the request comes over the Unix socket',
    listeners: ['tcp', 'uds'],
    does: ['GET /hello'],
    client: async (client) => answered(await client.uds('/hello'), 200),
  },
  {
    name: 'bad-request',
    about: 'a header line without a colon: 400 and the connection closes',
    listeners: ['tcp'],
    does: ['GET / with the line "bad header line"'],
    client: async (client) => {
      const got = await client.raw('GET / HTTP/1.1\r\nHost: localhost\r\nbad header line\r\n\r\n');
      if (!got.startsWith('HTTP/1.1 400 ')) throw new Error(`the answer is ${JSON.stringify(got)}, not a 400`);
    },
  },
  {
    name: 'post',
    about: 'POST with Content-Length 5',
    listeners: ['tcp'],
    does: ['POST /post, body "hello"'],
    client: async (client) => answered(await client.http('/post', { method: 'POST', body: 'hello' }), 200),
  },
  {
    name: 'chunked-post',
    about: 'POST with a chunked body',
    listeners: ['tcp'],
    does: ['POST /post, chunked body "hello"'],
    client: async (client) => {
      const headers = { 'transfer-encoding': 'chunked' };
      answered(await client.http('/post', { method: 'POST', body: 'hello', headers }), 200);
    },
  },
  {
    name: 'head',
    about: 'HEAD: an answer that has a Content-Length and no body',
    listeners: ['tcp'],
    does: ['HEAD /'],
    client: async (client) => answered(await client.http('/', { method: 'HEAD' }), 200, ''),
  },
  {
    name: 'retry',
    about: 'the first upstream refuses; fail_to_connect marks the error retryable and the second try succeeds',
    listeners: ['tcp'],
    does: ['GET /'],
    app: { retry: true },
    client: get('/'),
  },
  {
    name: 'dead-upstream',
    about: 'the only backend refuses connections: 502',
    listeners: ['tcp'],
    does: ['GET /'],
    origin: 'closed',
    client: async (client) => answered(await client.http('/'), 502),
  },
  {
    name: 'deny',
    about: 'request_filter answers 403 itself',
    listeners: ['tcp'],
    does: ['GET /deny'],
    app: { deny: true },
    client: async (client) => answered(await client.http('/deny'), 403),
  },
  {
    name: 'h2-upstream',
    about: 'HTTP/1.1 client, h2-over-TLS origin (peer options: min and max HTTP version 2)',
    listeners: ['tcp'],
    does: ['GET /a'],
    origin: 'tls-h2',
    app: { tlsUpstream: true, h2Upstream: true },
    client: get('/a'),
  },
  {
    name: 'h2-to-h2',
    about: 'HTTP/2 on both sides',
    listeners: ['h2'],
    does: ['GET /one over h2'],
    origin: 'tls-h2',
    app: { tlsUpstream: true, h2Upstream: true },
    client: getH2('/one'),
  },
  {
    name: 'tls-upstream',
    about: 'HTTP/1.1 client, HTTP/1.1-over-TLS origin',
    listeners: ['tcp'],
    does: ['GET /a'],
    origin: 'tls-h1',
    app: { tlsUpstream: true },
    client: get('/a'),
  },
  {
    name: 'health-check',
    about: 'TcpHealthCheck every second as a background service beside the proxy; then a GET',
    listeners: ['tcp'],
    does: ['GET /a', 'the second round of checks'],
    beside: 'health-check',
    client: get('/a'),
    ends: { signal: 'SIGINT', after: { fn: 'Backends::run_health_check', ended: 2 } },
  },
  {
    name: 'echo-app',
    about: 'a ServeHttp application (http_app) on its own listening service, beside the proxy service',
    listeners: ['tcp'],
    does: ['POST / "hi" to the echo service'],
    beside: 'echo',
    client: async (client) => answered(await client.beside('/', { method: 'POST', body: 'hi' }), 200, 'hi'),
  },
  {
    name: 'prometheus',
    about: 'the Prometheus service beside the proxy service',
    listeners: ['tcp'],
    does: ['GET /metrics'],
    beside: 'prometheus',
    client: async (client) => answered(await client.beside('/metrics'), 200, null),
  },
  {
    name: 'graceful-shutdown',
    about: 'a GET, then SIGTERM',
    listeners: ['tcp'],
    does: ['GET /', 'SIGTERM'],
    client: get('/'),
    ends: { signal: 'SIGTERM', conf: SHORT },
  },
  {
    name: 'upgrade',
    about: 'a GET, then SIGQUIT with no new process waiting on the upgrade socket',
    listeners: ['tcp'],
    does: ['GET /', 'SIGQUIT'],
    client: get('/'),
    ends: { signal: 'SIGQUIT', conf: SHORT },
  },
  {
    name: 'websocket',
    about: 'an upgrade to WebSocket: a message there and back, and the end',
    listeners: ['tcp'],
    does: ['GET /chat, Upgrade: websocket', '"hi" there and back', 'the client closes'],
    client: async (client) => {
      const echoed = await client.websocket('/chat', 'hi');
      if (echoed !== 'hi') throw new Error(`what came back is ${JSON.stringify(echoed)}`);
    },
  },
  {
    name: 'grpc',
    about: 'a gRPC call over HTTP/2 on both sides: two messages, each answered before the next; the status in trailers',
    listeners: ['h2'],
    does: ['POST /test.Talk/Chat, "one" and "two" there and back'],
    origin: 'tls-h2',
    app: { tlsUpstream: true, h2Upstream: true },
    client: async (client) => {
      const got = JSON.stringify(await client.grpc('/test.Talk/Chat', ['one', 'two']));
      if (got !== '{"answers":["one","two"],"status":"0"}') throw new Error(`the call gave ${got}`);
    },
  },
  {
    name: 'compression',
    about: 'request_filter turns compression on; the client accepts gzip',
    listeners: ['tcp'],
    does: ['GET /hello, Accept-Encoding: gzip'],
    app: { compress: true },
    client: async (client) => {
      const got = await client.http('/hello', { headers: { 'accept-encoding': 'gzip' } });
      answered({ ...got, body: gunzipSync(Buffer.from(got.body, 'latin1')).toString() }, 200);
    },
  },
  {
    name: 'timeout',
    about: 'the origin says nothing for longer than read_timeout allows: 502',
    listeners: ['tcp'],
    does: ['GET /silence'],
    app: { readTimeout: 200 },
    client: async (client) => answered(await client.http('/silence'), 502),
  },
  {
    name: 'client-abort',
    about: 'the client leaves in the middle of the answer',
    listeners: ['tcp'],
    does: ['GET /part; the client closes its connection as soon as the answer begins'],
    client: (client) => client.abort('/part'),
  },
  {
    name: 'phases',
    about: 'every hook of ProxyHttp at work, one after the other; the first try fails to connect',
    listeners: ['tcp'],
    does: ['POST /trailers, body "hello"; the answer has trailers'],
    app: { phases: true },
    client: async (client) => {
      const got = await client.http('/trailers', { method: 'POST', body: 'hello', headers: { te: 'trailers' } });
      answered(got, 200);
      if (got.trailers?.['x-phases'] === undefined) throw new Error('the answer has no trailers');
    },
  },
  {
    name: 'downgrade',
    about: 'the origin offers HTTP/2 and then wants HTTP/1.1 (HTTP_1_1_REQUIRED): a second try over HTTP/1.1',
    listeners: ['tcp'],
    does: ['GET /a'],
    origin: 'tls-h2-refused',
    app: { tlsUpstream: true, h2Upstream: true, h1Too: true },
    client: get('/a'),
  },
  {
    name: 'threads',
    about: 'two threads: while a hook computes on one of them, the other one serves',
    listeners: ['tcp'],
    does: ['GET /busy: request_filter computes', 'meanwhile GET /quick on another connection, answered at once'],
    app: { busy: true },
    threads: 2,
    client: async (client) => {
      const busy = client.alone('/busy');
      await client.appears('busy');
      answered(await client.alone('/quick'), 200);
      client.put('enough');
      answered(await busy, 200);
    },
  },
  {
    name: 'no-steal',
    about: 'two threads and no work stealing: what is accepted goes to a random one',
    listeners: ['tcp'],
    does: ['GET /hello'],
    threads: 2,
    workStealing: false,
    client: get('/hello'),
  },
  ...stories,
  ...setupScenarios,
];

export function findScenario(name: string): Scenario | undefined {
  return scenarios.find((scenario) => scenario.name === name);
}

/** Scenarios whose server is one of `setups/`: what an application can have beside a proxy to one origin. */
import * as zlib from 'node:zlib';
import { answered, type Scenario } from './scenario.ts';

/** Node has it from 22.15 on. */
const { zstdDecompressSync } = zlib as { zstdDecompressSync?: (bytes: Buffer) => Buffer };

/** Choosing a backend. */
const selection: readonly Scenario[] = [
  {
    name: 'random',
    about: 'a load balancer that chooses at random',
    listeners: ['tcp'],
    does: ['GET /a'],
    setup: 'random',
    client: async (client) => answered(await client.http('/a'), 200),
  },
  {
    name: 'hash',
    about: "a load balancer that chooses by the path's FNV-1a hash",
    listeners: ['tcp'],
    does: ['GET /a'],
    setup: 'hash',
    client: async (client) => answered(await client.http('/a'), 200),
  },
  {
    name: 'consistent',
    about: "a load balancer that chooses by ketama's consistent hash of the path",
    listeners: ['tcp'],
    does: ['GET /a'],
    setup: 'consistent',
    client: async (client) => answered(await client.http('/a'), 200),
  },
  {
    name: 'ring',
    about: "a ring of ketama's without a load balancer",
    listeners: ['tcp'],
    does: ['GET /a', 'GET /next: what would be tried after the first choice'],
    setup: 'ring',
    client: async (client) => {
      for (const path of ['/a', '/next']) answered(await client.http(path), 200);
    },
  },
  {
    name: 'discovery',
    about: 'backends that come, go, are taken out of use, and are found by name',
    listeners: ['tcp'],
    does: [
      'GET /known: two backends are made known, one of them out of use',
      'GET /fewer: that one is removed',
      'GET /named: the backend is found by its name',
    ],
    setup: 'discovery',
    client: async (client) => {
      for (const path of ['/known', '/fewer', '/named']) answered(await client.http(path), 200);
    },
  },
  {
    name: 'http-health-check',
    about: 'HttpHealthCheck every second as a background service beside the proxy; then a GET',
    listeners: ['tcp'],
    does: ['GET /a', 'the second round of checks'],
    setup: 'http-health-check',
    checked: true,
    client: async (client) => answered(await client.http('/a'), 200),
    ends: { signal: 'SIGINT', after: { fn: 'Backends::run_health_check', ended: 2 } },
  },
  {
    name: 'h2-health-check',
    about: 'HttpHealthCheck over HTTP/2 every second as a background service beside the proxy; then a GET',
    listeners: ['tcp'],
    does: ['GET /a', 'the second round of checks'],
    origin: 'tls-h2',
    setup: 'h2-health-check',
    checked: true,
    client: async (client) => answered(await client.http('/a'), 200),
    ends: { signal: 'SIGINT', after: { fn: 'Backends::run_health_check', ended: 2 } },
  },
  {
    name: 'tls-health-check',
    about: 'TcpHealthCheck with TLS every second as a background service beside the proxy; then a GET',
    listeners: ['tcp'],
    does: ['GET /a', 'the second round of checks'],
    origin: 'tls-h1',
    setup: 'tls-health-check',
    checked: true,
    client: async (client) => answered(await client.http('/a'), 200),
    ends: { signal: 'SIGINT', after: { fn: 'Backends::run_health_check', ended: 2 } },
  },
];

/** Connecting to an origin, and keeping the connection. */
const connecting: readonly Scenario[] = [
  {
    name: 'connect-proxy',
    about: 'the origin, over TLS, is reached through a proxy on a Unix socket (CONNECT)',
    listeners: ['tcp'],
    does: ['GET /a'],
    origin: 'tls-h1',
    connectProxy: true,
    setup: 'connect-proxy',
    client: async (client) => answered(await client.http('/a'), 200),
  },
  {
    name: 'uds-upstream',
    about: 'HTTP/1.1 client, HTTP/1.1 origin on a Unix socket',
    listeners: ['tcp'],
    does: ['GET /a'],
    origin: 'uds',
    setup: 'uds-upstream',
    client: async (client) => answered(await client.http('/a'), 200),
  },
  {
    name: 'client-certificate',
    about: 'the origin wants a certificate of the proxy, which verifies the one of the origin',
    listeners: ['tcp'],
    does: ['GET /a'],
    origin: 'tls-mutual',
    setup: 'client-certificate',
    client: async (client) => answered(await client.http('/a'), 200),
  },
  {
    name: 'eviction',
    about: 'the pool has room for one connection: the second one evicts the first',
    listeners: ['tcp'],
    does: ['GET /one', 'GET /two, which goes to another peer'],
    setup: 'eviction',
    client: async (client, { ended }) => {
      answered(await client.http('/one'), 200);
      answered(await client.http('/two'), 200);
      await ended('ConnectionPool::idle_poll', 1);
    },
  },
  {
    name: 'idle-timeout',
    about: 'a connection of HTTP/2 is asked for signs of life, and closed once it was idle for long enough',
    listeners: ['tcp'],
    does: ['GET /a', 'the connection to the origin is closed'],
    origin: 'tls-h2',
    setup: 'idle-timeout',
    client: async (client, { ended, origin }) => {
      answered(await client.http('/a'), 200);
      await ended('ConnectionPool::idle_timeout', 1);
      await origin.left();
    },
  },
  {
    name: 'http-client',
    about: 'request_filter asks another server itself, with a connector of its own',
    listeners: ['tcp'],
    does: ['GET /a; request_filter POSTs "hello" to the origin'],
    setup: 'http-client',
    client: async (client) => answered(await client.http('/a'), 200),
  },
];

/** What a request and its answer pass. */
const passing: readonly Scenario[] = [
  {
    name: 'bare',
    about: 'an application without any hook but upstream_peer; the only backend refuses connections: 502',
    listeners: ['tcp'],
    does: ['GET /'],
    origin: 'closed',
    setup: 'bare',
    client: async (client) => answered(await client.http('/'), 502),
  },
  {
    name: 'purge',
    about: 'is_purge says yes, and there is no cache: 405',
    listeners: ['tcp', 'h2'],
    does: ['PURGE /a', 'PURGE /a over HTTP/2'],
    setup: 'purge',
    client: async (client) => {
      answered(await client.http('/a', { method: 'PURGE' }), 405);
      for (const answer of await client.http2({ path: '/a', method: 'PURGE' })) answered(answer, 405);
    },
  },
  {
    name: 'continue',
    about: 'the client sends its body only once it is asked for; request_filter asks',
    listeners: ['tcp'],
    does: ['POST /post, Expect: 100-continue, body "hello"'],
    setup: 'continue',
    client: async (client) => {
      const head =
        'POST /post HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n';
      const got = await client.raw(head, 'hello');
      if (!got.startsWith('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 '))
        throw new Error(`what came is ${JSON.stringify(got)}`);
    },
  },
  {
    name: 'give-up',
    about: 'request_filter answers 429 by itself, and over HTTP/2 gives the stream up',
    listeners: ['tcp', 'h2'],
    does: ['GET /a: 429', 'GET /a over HTTP/2: the stream is reset'],
    setup: 'give-up',
    client: async (client) => {
      answered(await client.http('/a'), 429);
      const refused = await client.http2('/a').catch((error: { code?: string }) => error.code);
      if (refused !== 'ERR_HTTP2_STREAM_ERROR') throw new Error(`the stream ended with ${refused}`);
    },
  },
  {
    name: 'brotli',
    about: 'the origin’s answer is compressed with brotli; then brotli of the origin is decompressed',
    listeners: ['tcp'],
    does: ['GET /hello, Accept-Encoding: br', 'GET /br, which the origin answers in brotli; the client accepts none'],
    setup: 'brotli',
    client: async (client) => {
      const got = await client.http('/hello', { headers: { 'accept-encoding': 'br' } });
      answered({ ...got, body: zlib.brotliDecompressSync(Buffer.from(got.body, 'latin1')).toString() }, 200);
      answered(await client.http('/br'), 200);
    },
  },
  {
    name: 'zstd',
    about: 'the origin’s answer is compressed with zstd',
    listeners: ['tcp'],
    does: ['GET /hello, Accept-Encoding: zstd'],
    setup: 'brotli',
    ...(zstdDecompressSync === undefined && { unavailable: 'this Node has no zstd' }),
    client: async (client) => {
      const got = await client.http('/hello', { headers: { 'accept-encoding': 'zstd' } });
      answered({ ...got, body: zstdDecompressSync!(Buffer.from(got.body, 'latin1')).toString() }, 200);
    },
  },
  {
    name: 'subrequest',
    about: 'the application asks the origin once more for what a client has asked for',
    listeners: ['tcp'],
    does: ['GET /a; logging starts a subrequest of the same'],
    setup: 'subrequest',
    client: async (client, { ended }) => {
      answered(await client.http('/a'), 200);
      await ended('<HttpProxy as Subrequest>::process_subrequest', 1);
    },
  },
  {
    name: 'modules',
    about: 'an HTTP application with a module',
    listeners: ['tcp'],
    does: ['POST /count, body "hello"'],
    setup: 'modules',
    client: async (client) => answered(await client.http('/count', { method: 'POST', body: 'hello' }), 200, '5 bytes'),
  },
  {
    name: 'daemon',
    about: 'the server goes to the background, as the user that its configuration names',
    listeners: ['tcp'],
    does: ['GET /hello'],
    daemon: true,
    client: async (client) => answered(await client.http('/hello'), 200),
  },
  {
    name: 'listeners',
    about: 'four services of one application; their endpoints are given in every way there is',
    listeners: ['tcp', 'tcp', 'tls', 'uds', 'uds', 'tls', 'tls'],
    does: ['GET /a over TCP', 'GET /b over TLS; a callback gives the certificate', 'GET /c over a Unix socket'],
    setup: 'listeners',
    client: async (client) => {
      answered(await client.http('/a'), 200);
      answered(await client.https('/b'), 200);
      answered(await client.uds('/c'), 200);
    },
  },
];

export const setupScenarios: readonly Scenario[] = [...selection, ...connecting, ...passing];

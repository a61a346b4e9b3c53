/** What an operator sees of a proxy. Each test has a registry of its own. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Registry } from 'prom-client';
import { expect, onTestFinished, test } from 'vitest';
import type { PingoraError } from '../../src/error/lib.ts';
import { PREFACE } from '../../src/h2/frame.ts';
import { TlsSettings } from '../../src/listeners/tls.ts';
import { httpProxyService, ProxyHttp, type Session } from '../../src/proxy/lib.ts';
import { proxyMetrics } from '../../src/proxy/metrics.ts';
import { ServerConf } from '../../src/server/configuration/mod.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { selfSigned } from '../../src/utils/self-signed.ts';
import { frame, GET as GET_H2, headers, settings } from '../h2/raw.ts';
import { request } from '../protocols/h2/harness.ts';
import { Origin } from '../support/origin.ts';
import { Program } from '../support/program.ts';
import { serveInTest } from '../support/service.ts';
import { Peer, turn } from '../support/streams.ts';

/** To the origin; at the first try to a port where nothing listens, for paths that begin with /retry. */
class App extends ProxyHttp<{ tries: number }> {
  readonly #origin: string;
  readonly tracer = { opened: 0, onConnected: () => void this.tracer.opened++, onDisconnected() {} };

  constructor(port: number) {
    super();
    this.#origin = `127.0.0.1:${port}`;
  }

  newCtx(): { tries: number } {
    return { tries: 0 };
  }

  override async requestFilter(session: Session): Promise<boolean> {
    if (session.reqHeader().path !== '/deny') return false;
    await session.respondError(403);
    return true;
  }

  upstreamPeer(session: Session, ctx: { tries: number }): HttpPeer {
    const dead = session.reqHeader().path.startsWith('/retry') && ctx.tries++ === 0;
    const peer = HttpPeer.new(dead ? '127.0.0.1:1' : this.#origin, false, '');
    peer.options.tracer = this.tracer;
    return peer;
  }

  override failToConnect(_session: Session, _peer: HttpPeer, _ctx: unknown, error: PingoraError): PingoraError {
    error.setRetry(true);
    return error;
  }
}

interface Metered {
  app: App;
  port: number;
  tls: number;
  /** The value of a metric, under what it shows as. */
  value(line: string): Promise<number | undefined>;
  /** Wait until the metric has this value. */
  reaches(line: string, value: number): Promise<void>;
  client(): Promise<Peer>;
}

async function metered(origin: Origin): Promise<Metered> {
  const registry = new Registry();
  const app = new App(origin.port);
  const service = httpProxyService(ServerConf.new(), app, { metrics: proxyMetrics({ registry }) });
  const { cert, key } = await selfSigned(['localhost']);
  const settings = TlsSettings.fromPem(cert, key);
  settings.enableH2();
  service.addTcp('127.0.0.1:0');
  service.addTlsWithSettings('127.0.0.1:0', undefined, settings);
  const ports = await serveInTest(service, 2);
  const value = async (line: string) => {
    const text = await registry.metrics();
    const found = text.split('\n').find((shown) => shown.startsWith(`pingora_proxy_${line} `));
    return found === undefined ? undefined : Number(found.split(' ').at(-1));
  };
  return {
    app,
    port: ports.plain,
    tls: ports.tls,
    value,
    async reaches(line, wanted) {
      while ((await value(line)) !== wanted) await turn();
    },
    async client() {
      const socket = connect(ports.plain, '127.0.0.1');
      await once(socket, 'connect');
      onTestFinished(() => {
        socket.destroy();
      });
      return new Peer(socket);
    },
  };
}

const GET = (path = '/') => `GET ${path} HTTP/1.1\r\nHost: a.test\r\n\r\n`;
const answers = (count: number) => (got: string) =>
  got.split('HTTP/1.1 ').length > count && /\r\n\r\n(hello)?$/.test(got);

test('requests, connections, durations and bytes are counted, by code, version and side', async () => {
  const origin = await Origin.start();
  const proxy = await metered(origin);
  const client = await proxy.client();
  await proxy.reaches('connections{side="downstream"}', 1);
  client.send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc');
  await client.until(answers(1));
  client.send(GET());
  await client.until(answers(2));
  client.send(GET('/deny'));
  await client.until(answers(3));

  expect(await proxy.value('requests_total{code="200",version="HTTP/1.1"}')).toBe(2);
  expect(await proxy.value('requests_total{code="403",version="HTTP/1.1"}')).toBe(1);
  expect(await proxy.value('upstream_connections_total{reused="false"}')).toBe(1);
  expect(await proxy.value('upstream_connections_total{reused="true"}')).toBe(1);
  expect(await proxy.value('body_bytes_total{direction="request"}')).toBe(3);
  expect(await proxy.value('body_bytes_total{direction="response"}')).toBe(10);
  expect(await proxy.value('request_duration_seconds_count')).toBe(3);
  expect(await proxy.value('request_duration_seconds_bucket{le="+Inf"}')).toBe(3);
  expect(await proxy.value('requests_in_flight')).toBe(0);
  expect(await proxy.value('retries_total')).toBe(0);

  expect(await proxy.value('connections{side="upstream"}')).toBe(1);
  expect(proxy.app.tracer.opened).toBe(1);
  origin.connections[0]!.socket.destroy();
  await proxy.reaches('connections{side="upstream"}', 0);
  client.socket.destroy();
  await proxy.reaches('connections{side="downstream"}', 0);
});

test('a connection of HTTP/2 is one, however many streams it has', async () => {
  const proxy = await metered(await Origin.start());
  const client = connectHttp2(`https://127.0.0.1:${proxy.tls}`, { rejectUnauthorized: false });
  onTestFinished(() => client.destroy());
  await Promise.all([1, 2, 3].map(() => request(client, { ':path': '/' })));
  await proxy.reaches('requests_total{code="200",version="HTTP/2"}', 3);
  expect(await proxy.value('connections{side="downstream"}')).toBe(1);
  client.close();
  await proxy.reaches('connections{side="downstream"}', 0);
});

test('clients of HTTP/2 that break a rule or go over a limit are counted, by what ends and with what error', async () => {
  const proxy = await metered(await Origin.start());
  const socket = connectTls({ port: proxy.tls, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] });
  onTestFinished(() => {
    socket.destroy();
  });
  await once(socket, 'secureConnect');
  expect(await proxy.value('http2_refusals_total{level="connection",error="ENHANCE_YOUR_CALM"}')).toBe(0);
  socket.write(Buffer.concat([PREFACE, settings(), headers(1, [...GET_H2, ['UPPER', 'case']])]));
  await proxy.reaches('http2_refusals_total{level="stream",error="PROTOCOL_ERROR"}', 1);
  socket.write(headers(3, [...GET_H2.filter(([name]) => name !== ':path'), [':path', '/<']]));
  await proxy.reaches('http2_refusals_total{level="stream",error="PROTOCOL_ERROR"}', 2);
  socket.write(Buffer.concat(Array.from({ length: 3000 }, () => frame(6, 0, 0, Buffer.alloc(8)))));
  await proxy.reaches('http2_refusals_total{level="connection",error="ENHANCE_YOUR_CALM"}', 1);
});

test('a retry is counted, and the connection that failed', async () => {
  const proxy = await metered(await Origin.start());
  const client = await proxy.client();
  client.send(GET('/retry'));
  await client.until(answers(1));
  expect(await proxy.value('retries_total')).toBe(1);
  expect(await proxy.value('upstream_connect_errors_total{type="ConnectRefused"}')).toBe(1);
  expect(await proxy.value('errors_total{type="ConnectRefused",source="upstream"}')).toBe(undefined);
});

test('errors are counted by their type and where they come from', async () => {
  const origin = await Origin.start(async (connection) => {
    await connection.until((got) => got.endsWith('\r\n\r\n'));
    connection.send('HTTP/1.1 nonsense\r\n\r\n');
  });
  const proxy = await metered(origin);
  const client = await proxy.client();
  client.send(GET());
  await client.end();
  await proxy.reaches('requests_total{code="502",version="HTTP/1.1"}', 1);
  expect(await proxy.value('errors_total{type="InvalidHTTPHeader",source="upstream"}')).toBe(1);

  const bad = await proxy.client();
  bad.send('GET / HTTP/1.1\r\nbad line\r\n\r\n');
  await bad.end();
  await proxy.reaches('requests_total{code="400",version="unknown"}', 1);
  expect(await proxy.value('errors_total{type="InvalidHTTPHeader",source="downstream"}')).toBe(1);
});

test('--prometheus serves them, beside those of the process', async () => {
  const origin = await Origin.start();
  const args = ['--listen', '127.0.0.1:0', '--prometheus', '127.0.0.1:0', '--upstream', `127.0.0.1:${origin.port}`];
  const program = new Program('src/main.ts', args);
  const port = (await program.until(/listening on http:\/\/127.0.0.1:(\d+)/))[1];
  const metrics = (await program.until(/metrics on (http:\/\/.*\/metrics)/))[1]!;
  expect(await textAt(`http://127.0.0.1:${port}/`)).toBe('hello');
  const shown = await textAt(metrics);
  expect(shown).toContain('pingora_proxy_requests_total{code="200",version="HTTP/1.1"} 1\n');
  expect(shown).toMatch(/^process_resident_memory_bytes \d+$/m);
  program.child.kill('SIGINT');
  await program.ended;
});

test('--prometheus with what is no address is refused', async () => {
  const program = new Program('src/main.ts', ['--listen', ':0', '--upstream', ':1', '--prometheus', 'nowhere']);
  expect(await program.ended).toMatchObject({ code: 2 });
  expect(program.stderr).toMatch(/^--prometheus nowhere: .*\n$/);
});

async function textAt(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      let text = '';
      response.on('data', (piece: Buffer) => {
        text += piece;
      });
      response.on('end', () => resolve(text));
    }).on('error', reject);
  });
}

test('docs/METRICS.md lists the metrics, their kinds and their labels, and no others', async () => {
  const registry = new Registry();
  proxyMetrics({ registry });
  const shown = await registry.metrics();
  const kinds = [...shown.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, kind]) => `${name} ${kind}`);
  const table = readFileSync(new URL('../../docs/METRICS.md', import.meta.url), 'utf8');
  const listed = [...table.matchAll(/^\| `(pingora_proxy_\w+)` \| (\w+) \|/gm)].map(
    ([, name, kind]) => `${name} ${kind}`,
  );
  expect(listed).toEqual(kinds);
});

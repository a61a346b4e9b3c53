/** The examples of what proxies are built for: certificates, routes, origins, bodies, operation. */
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, request, type Server } from 'node:http';
import { createServer as createHttps, request as requestHttps } from 'node:https';
import { type AddressInfo, createServer as createTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { expect, onTestFinished, test, vi } from 'vitest';
import { authority, type Pair } from '../support/authority.ts';
import { OtlpReceiver } from '../support/otlp-receiver.ts';
import { installed } from '../support/packed.ts';
import { Program } from '../support/program.ts';

vi.setConfig({ testTimeout: 180_000 });

async function start(name: string, env: Record<string, string>): Promise<{ program: Program; port: number }> {
  const program = new Program(`examples/${name}.js`, [], {
    installed: await installed(),
    env: { LISTEN: '127.0.0.1:0', ...env },
  });
  onTestFinished(() => void program.child.kill('SIGKILL'));
  const [, port] = await program.until(/listening on \S+:(\d+)/);
  return { program, port: Number(port) };
}

async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** An origin that answers as `answer` does; with a name, with that and the path. */
const origin = (answer: string | RequestListener): Promise<string> =>
  listening(
    createServer(typeof answer === 'string' ? ({ url }, response) => response.end(`${answer} ${url}`) : answer),
  );

/** A port where nothing listens. */
async function nobody(): Promise<string> {
  const server = createTcp().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `127.0.0.1:${port}`;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

interface Asked {
  readonly headers?: Record<string, string>;
  readonly method?: string;
  readonly body?: string;
}

async function answerOf(sent: ReturnType<typeof request>, body?: string): Promise<Answer> {
  sent.end(body);
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  let text = '';
  for await (const piece of answer) text += piece;
  return { status: answer.statusCode!, headers: answer.headers, body: text };
}

const get = (port: number, path = '/', { body, ...asked }: Asked = {}): Promise<Answer> =>
  answerOf(request({ host: '127.0.0.1', port, path, agent: false, ...asked }), body);

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'patterns-test-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function put(dir: string, name: string, { cert, key }: Pair): void {
  writeFileSync(join(dir, `${name}-key.pem`), key);
  writeFileSync(join(dir, `${name}.pem`), cert);
}

test('mutual-tls: the origin sees the proxy’s certificate, and who has none of the authority’s gets nowhere', async () => {
  const [ours, other] = await Promise.all([authority('ours'), authority('other')]);
  const dir = folder();
  writeFileSync(join(dir, 'ca.pem'), ours.cert);
  const [server, client, stranger] = await Promise.all([
    ours.sign('localhost'),
    ours.sign('the proxy'),
    other.sign('stranger'),
  ]);
  put(dir, 'server', server);
  put(dir, 'client', client);
  const tls = { ...server, ca: ours.cert, requestCert: true, rejectUnauthorized: true };
  const behind = createHttps(tls, ({ socket }, response) => {
    response.end(`hello ${(socket as TLSSocket).getPeerCertificate().subject.CN}`);
  });
  const { port } = await start('mutual-tls', { CERTS: dir, ORIGIN: await listening(behind as unknown as Server) });
  const ask = (shown: Partial<Pair>) =>
    answerOf(requestHttps({ host: 'localhost', port, agent: false, ca: ours.cert, ...shown }));
  expect(await ask(client)).toMatchObject({ status: 200, body: 'hello the proxy' });
  await expect(ask({})).rejects.toThrow();
  await expect(ask(stranger)).rejects.toThrow();
});

test('certificates-by-name: each name has its own, and a renewed one is shown from the next connection on', async () => {
  const ca = await authority('ours');
  const dir = folder();
  put(dir, 'one.test', await ca.sign('one.test'));
  put(dir, 'two.test', await ca.sign('two.test'));
  const { port } = await start('certificates-by-name', { CERTS: dir, ORIGIN: await origin('origin') });
  const shown = async (servername: string) => {
    const socket = connectTls({ host: '127.0.0.1', port, servername, ca: ca.cert });
    onTestFinished(() => void socket.destroy());
    await once(socket, 'secureConnect');
    const { subject, serialNumber } = socket.getPeerCertificate();
    return { name: subject.CN, serialNumber, socket };
  };
  const before = await shown('one.test');
  expect(before.name).toBe('one.test');
  expect((await shown('two.test')).name).toBe('two.test');
  await expect(shown('three.test')).rejects.toThrow();

  const renewed = await ca.sign('one.test');
  put(dir, 'new', renewed);
  renameSync(join(dir, 'new-key.pem'), join(dir, 'one.test-key.pem'));
  utimesSync(join(dir, 'new.pem'), new Date(), new Date(Date.now() + 2000));
  renameSync(join(dir, 'new.pem'), join(dir, 'one.test.pem'));
  expect((await shown('one.test')).serialNumber).not.toBe(before.serialNumber);
  // the one from before is still open
  before.socket.write('GET /x HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n');
  let said = '';
  for await (const piece of before.socket) said += piece;
  expect(said).toMatch(/^HTTP\/1\.1 200[\s\S]*origin \/x/);
});

test('routing: host and path decide, the prefix is cut where it should be', async () => {
  const [api, rest, files] = await Promise.all([origin('api'), origin('rest'), origin('files')]);
  const ROUTES = JSON.stringify([
    { host: 'api.test', prefix: '/v1', cut: true, origin: api },
    { host: 'api.test', prefix: '/', origin: rest },
    { prefix: '/static', origin: files },
  ]);
  const { port } = await start('routing', { ROUTES });
  const at = (Host: string, path: string) => get(port, path, { headers: { Host } });
  expect(await at('api.test', '/v1/users?x=1')).toMatchObject({ body: 'api /users?x=1' });
  expect(await at('API.test:80', '/v1')).toMatchObject({ body: 'api /' });
  expect(await at('api.test', '/v10')).toMatchObject({ body: 'rest /v10' });
  expect(await at('other.test', '/static/a')).toMatchObject({ body: 'files /static/a' });
  expect(await at('other.test', '/v1')).toMatchObject({ status: 404 });
});

test('sticky-sessions: who brings the cookie goes to the same origin, and to another one when that is gone', async () => {
  const servers = ['one', 'two', 'three'].map((name) => createServer((_, response) => response.end(name)));
  const ORIGINS = (await Promise.all(servers.map(listening))).join(',');
  const { port } = await start('sticky-sessions', { ORIGINS });
  const first = await get(port);
  const cookie = /^sticky=([^;]+); Path=\/; HttpOnly; SameSite=Lax$/.exec(first.headers['set-cookie']?.[0] ?? '');
  const headers = { Cookie: `other=1; sticky=${cookie![1]}` };
  for (let i = 0; i < 5; i++) {
    const again = await get(port, '/', { headers });
    expect(again.body).toBe(first.body);
    expect(again.headers).not.toHaveProperty('set-cookie');
  }
  const gone = servers[['one', 'two', 'three'].indexOf(first.body)]!;
  gone.closeAllConnections();
  gone.close();
  await vi.waitFor(
    async () => {
      const { status, body } = await get(port, '/', { headers });
      expect(status).toBe(200);
      expect(body).not.toBe(first.body);
    },
    { timeout: 20_000 },
  );
  // others are spread
  const bodies = new Set<string>();
  while (bodies.size < 2) bodies.add((await get(port)).body);
});

test('failover: another origin answers for one that is down or overloaded, until the budget is spent', async () => {
  const overloaded = await origin((_, response) => response.writeHead(503).end('too much'));
  const good = await origin('good');
  const down = await start('failover', { ORIGINS: [await nobody(), good].join(','), BUDGET: '1' });
  for (let i = 0; i < 4; i++) expect(await get(down.port)).toMatchObject({ status: 200, body: 'good /' });

  const busy = await start('failover', { ORIGINS: [overloaded, good].join(','), BUDGET: '1' });
  for (let i = 0; i < 4; i++) expect(await get(busy.port)).toMatchObject({ status: 200, body: 'good /' });
  // what may not be done twice is not
  const posted = [await get(busy.port, '/', { method: 'POST' }), await get(busy.port, '/', { method: 'POST' })];
  expect(posted.map(({ status }) => status).sort()).toEqual([200, 503]);

  const strict = await start('failover', { ORIGINS: [await nobody(), good].join(','), BUDGET: '0' });
  const statuses: number[] = [];
  for (let i = 0; i < 40; i++) statuses.push((await get(strict.port)).status);
  // ten retries are there from the start
  expect(statuses.slice(0, 10)).toEqual(Array(10).fill(200));
  expect(statuses.slice(10)).toContain(502);
});

test('body-filter: a word is replaced wherever the pieces break, and each piece goes on at once', async () => {
  let next: (piece: string | undefined) => void = () => {};
  const ORIGIN = await origin((incoming, outgoing) => {
    outgoing.setHeader('Content-Type', incoming.url === '/data' ? 'application/octet-stream' : 'text/plain');
    if (incoming.url === '/whole') outgoing.end('colour colour');
    else if (incoming.url === '/data') outgoing.end('colour');
    else next = (piece) => (piece === undefined ? outgoing.end() : outgoing.write(piece));
    outgoing.flushHeaders();
  });
  const { port } = await start('body-filter', { ORIGIN });
  expect(await get(port, '/whole')).toMatchObject({ status: 200, body: 'color color' });
  expect(await get(port, '/data')).toMatchObject({ body: 'colour' });

  const sent = request({ host: '127.0.0.1', port, path: '/pieces', agent: false });
  sent.end();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  answer.setEncoding('utf8');
  const seen = async (): Promise<string> => ((await once(answer, 'data')) as [string])[0];
  // each is sent only when what the one before allowed has come
  for (const [piece, expected] of [
    ['one col', 'one '],
    ['our two c', 'color two '],
    ['olours', 'colors'],
  ] as const) {
    const come = seen();
    next(piece);
    expect(await come).toBe(expected);
  }
  const last = seen();
  next('col');
  next(undefined);
  expect(await last).toBe('col');
});

test('canary: so many of a hundred go to the new version, and whoever wants to', async () => {
  const [STABLE, CANARY] = await Promise.all([origin('stable'), origin('canary')]);
  const { port } = await start('canary', { STABLE, CANARY, PERCENT: '50' });
  const seen = new Set<string>();
  while (seen.size < 2) {
    const { body, headers } = await get(port);
    expect(body).toBe(`${headers['x-version'] as string} /`);
    seen.add(body);
  }
  const none = await start('canary', { STABLE, CANARY, PERCENT: '0' });
  for (let i = 0; i < 10; i++) expect((await get(none.port)).body).toBe('stable /');
  expect((await get(none.port, '/', { headers: { 'X-Canary': 'always' } })).body).toBe('canary /');
});

test('admin: an origin is taken out of use and put back', async () => {
  const [one, two] = await Promise.all([origin('one'), origin('two')]);
  const { program, port } = await start('admin', { ORIGINS: `${one},${two}`, ADMIN: '127.0.0.1:0' });
  const [, number] = await program.until(/admin on \S+:(\d+)/);
  const admin = Number(number);
  expect((await get(admin, '/origins')).body.trim().split('\n').sort()).toEqual([`${one} on`, `${two} on`].sort());
  expect(await get(admin, `/origins/${one}`, { method: 'PUT', body: 'off' })).toMatchObject({ status: 200 });
  for (let i = 0; i < 6; i++) expect((await get(port)).body).toBe('two /');
  expect((await get(admin, '/origins')).body).toContain(`${one} off`);
  await get(admin, `/origins/${one}`, { method: 'PUT', body: 'on' });
  const bodies = new Set<string>();
  while (bodies.size < 2) bodies.add((await get(port)).body);
  expect(await get(admin, `/origins/${one}`, { method: 'PUT', body: 'maybe' })).toMatchObject({ status: 400 });
  expect(await get(admin, '/')).toMatchObject({ status: 404 });
});

test('observability: requests are counted, one’s own metrics too, and traces reach the collector', async () => {
  const collector = await OtlpReceiver.start();
  const { program, port } = await start('observability', {
    ORIGIN: await origin('origin'),
    METRICS: '127.0.0.1:0',
    COLLECTOR: collector.url,
    ONE_IN: '1',
  });
  await get(port, '/login');
  const [, number] = await program.until(/metrics on \S+:(\d+)/);
  await vi.waitFor(async () => {
    const { body } = await get(Number(number), '/metrics');
    expect(body).toMatch(/^my_logins_total 1$/m);
    expect(body).toMatch(/^pingora_proxy_requests_total\{.*code="200".*\} 1$/m);
  });
  const { spans } = await collector.next();
  expect(spans.map(({ name }) => name)).toContain('HttpProxy::process_request');
});

test('websocket: one too many is refused, and gets in when another has left', async () => {
  const { WebSocket, WebSocketServer } = await import('ws');
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  onTestFinished(() => server.close());
  const ORIGIN = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { program, port } = await start('websocket', { ORIGIN, LIMIT: '1' });
  const first = new WebSocket(`ws://127.0.0.1:${port}/`);
  await once(first, 'open');
  const second = new WebSocket(`ws://127.0.0.1:${port}/`);
  expect(((await once(second, 'error')) as [Error])[0].message).toContain('503');
  first.close(1000);
  await program.until(/disconnected/);
  const third = new WebSocket(`ws://127.0.0.1:${port}/`);
  await once(third, 'open');
  third.terminate();
});

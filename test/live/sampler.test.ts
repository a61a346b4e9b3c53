/** Tracing of a server that serves, as `npm start` offers it. */
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, get as httpGet, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { expect, onTestFinished, test, vi } from 'vitest';
import schema from '../../src/tracing/schema.json' with { type: 'json' };
import { Program } from '../support/program.ts';
import { Peer } from '../support/streams.ts';

async function get(url: string, agent?: Agent): Promise<string> {
  const [answer] = (await once(httpGet(url, { agent: agent ?? false }), 'response')) as [IncomingMessage];
  let text = '';
  for await (const piece of answer) text += piece;
  return text;
}

async function start(...flags: string[]): Promise<Program> {
  const origin = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1');
  await once(origin, 'listening');
  const upstream = `127.0.0.1:${(origin.address() as AddressInfo).port}`;
  const program = new Program('src/main.ts', ['--listen', '127.0.0.1:0', '--upstream', upstream, ...flags]);
  onTestFinished(async () => {
    program.child.kill('SIGKILL');
    await program.ended;
    origin.closeAllConnections();
    origin.close();
  });
  await program.until(/ready/);
  return program;
}

const at = (program: Program): string => /listening on (\S+)/.exec(program.stdout)![1]!;

test('one request in N is traced, counted over kept and new connections', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sampler-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const program = await start('--trace', '1/3', '--trace-dir', folder);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  for (let i = 0; i < 6; i++) expect(await get(`${at(program)}/kept${i}`, agent)).toBe('hello');
  for (let i = 0; i < 6; i++) expect(await get(`${at(program)}/new${i}`)).toBe('hello');

  program.child.kill('SIGINT'); // what is read below is complete then
  await program.ended;
  const traces = readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')));
  const valid = new Ajv({ allowUnionTypes: true }).compile(schema);
  for (const trace of traces) expect(valid(trace), JSON.stringify(valid.errors)).toBe(true);
  const requests = traces.map(({ spans }) => JSON.stringify(spans).match(/"request":"GET (\S+?)[ "]/)?.[1]);
  // the kept connection waits for its seventh request, which it may choose: that takes a turn
  expect(requests).toEqual(['/kept0', '/kept3', '/new2', '/new5']);
  for (const { spans } of traces) {
    expect(spans[0]).toMatchObject({ fn: '<HttpProxy as HttpServerApp>::process_new_http', parent: null });
    expect(spans.filter(({ fn }: { fn: string }) => fn === 'HttpProxy::process_request')).toHaveLength(1);
  }
});

test('a folder holds so many traces: the oldest go, those of an earlier start first', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sampler-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const name of ['0001.json', '0002.json', 'notes.json', '7.json']) writeFileSync(join(folder, name), '{}');
  const program = await start('--trace', '1/1', '--trace-dir', folder, '--trace-keep', '3');
  for (let i = 0; i < 4; i++) expect(await get(`${at(program)}/${i}`)).toBe('hello');
  program.child.kill('SIGINT'); // what is read below is complete then
  await program.ended;
  expect(readdirSync(folder).sort()).toEqual(['0004.json', '0005.json', '0006.json', '7.json', 'notes.json']);
});

test('the explorer is served live: a trace is listed, and told of, as its request ends', async () => {
  const program = await start('--trace-ui', '127.0.0.1:0');
  const [, ui] = (await program.until(/trace explorer on (\S+)\/\?live/))!;
  expect(await get(`${ui}/?live`)).toMatch(/<!doctype html>/i);
  expect(JSON.parse(await get(`${ui}/traces`))).toEqual([]);

  const [events] = (await once(httpGet(`${ui}/events`, { agent: false }), 'response')) as [IncomingMessage];
  onTestFinished(() => void events.destroy());
  let heard = '';
  const told = (async () => {
    for await (const piece of events) {
      heard += piece;
      if (heard.includes('data:')) return;
    }
  })();
  await get(`${at(program)}/one`);
  await told;
  expect(JSON.parse(/data: (.*)/.exec(heard)![1]!)).toMatchObject({
    ...{ id: '1', name: 'GET /one 200', spans: expect.any(Number) },
    ...{ time: expect.any(Number), ms: expect.any(Number), method: 'GET', path: '/one', status: 200 },
  });
  expect(JSON.parse(await get(`${ui}/traces/1`))).toMatchObject({ version: 2, scenario: 'live' });
  expect(await get(`${ui}/traces/2`)).toBe('no such trace, or not any more\n');
  expect(await get(`${ui}/../../package.json`)).toBe('no such page\n');
});

test.each([
  ['--trace', '5'],
  ['--trace', '1/0'],
  ['--trace-ui', 'nowhere'],
  ['--trace-otlp', 'nowhere'],
])('%s %s is refused in one line that names it', async (flag, value) => {
  const program = new Program('src/main.ts', ['--listen', '127.0.0.1:0', '--upstream', '127.0.0.1:1', flag, value]);
  expect(await program.ended).toMatchObject({ code: 2 });
  expect(program.stderr.trim().split('\n')).toHaveLength(1);
  expect(program.stderr).toContain(`${flag} ${value}`);
});

test('what lasts and moves much, as a tunnel, is recorded up to a limit, and the trace says so', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sampler-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const origin = createServer();
  origin.on('upgrade', (_request, socket: Socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.pipe(socket);
  });
  origin.listen(0, '127.0.0.1');
  await once(origin, 'listening');
  onTestFinished(() => void origin.close());
  const upstream = `127.0.0.1:${(origin.address() as AddressInfo).port}`;
  const flags = ['--listen', '127.0.0.1:0', '--upstream', upstream, '--trace', '1/1', '--trace-dir', folder];
  const program = new Program('src/main.ts', flags);
  onTestFinished(async () => {
    program.child.kill('SIGKILL');
    await program.ended;
  });
  await program.until(/ready/);
  const client = new Peer(connect(Number(new URL(at(program)).port), '127.0.0.1'));
  client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  await client.until((text) => text.includes('\r\n\r\n'));
  const head = client.received.length;
  for (let i = 1; i <= 1500; i++) {
    client.send('ping');
    await client.bytes(head + i * 4);
  }
  client.socket.end();
  await client.end();
  const file = join(folder, '0001.json');
  await vi.waitFor(() => expect(JSON.parse(readFileSync(file, 'utf8'))).toHaveProperty('cut.spans'), 10_000);
  const trace = JSON.parse(readFileSync(file, 'utf8'));
  expect(trace.spans).toHaveLength(5000);
  for (const { runs = [] } of trace.spans) expect(runs.length).toBeLessThanOrEqual(1000);
});

/** The pages that show traces, and what else can be asked for beside the proxy, under bad and malicious input. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { TraceUi } from '../../src/live/ui.ts';
import type { TraceDocument } from '../../src/tracing/model.ts';
import { Program } from '../support/program.ts';
import { Chance } from '../support/random.ts';
import { Peer } from '../support/streams.ts';

interface Target {
  program: Program;
  port: number;
  /** What is answered with 200. */
  path: string;
}

const targets = new Map<string, Target>();
const site = mkdtempSync(join(tmpdir(), 'web-test-'));
const origin = createServer((_request, response) => response.end('hello'));

beforeAll(async () => {
  writeFileSync(join(site, 'index.html'), '<!doctype html>');
  origin.listen(0, '127.0.0.1');
  await once(origin, 'listening');
  const upstream = `127.0.0.1:${(origin.address() as AddressInfo).port}`;
  const flags = ['--listen', '127.0.0.1:0', '--upstream', upstream, '--trace-ui', '127.0.0.1:0'];
  const proxy = new Program('src/main.ts', [...flags, '--prometheus', '127.0.0.1:0']);
  const docs = new Program('scripts/docs-serve.ts', ['--dir', site, '--port', '0']);
  const at = async (program: Program, what: RegExp) => Number((await program.until(what))[1]);
  const ui = await at(proxy, /trace explorer on http:\/\/127\.0\.0\.1:(\d+)/);
  const metrics = await at(proxy, /metrics on http:\/\/127\.0\.0\.1:(\d+)/);
  targets.set('the trace page', { program: proxy, port: ui, path: '/traces' });
  targets.set('metrics', { program: proxy, port: metrics, path: '/metrics' });
  targets.set('the site', { program: docs, port: await at(docs, /http:\/\/127\.0\.0\.1:(\d+)/), path: '/' });
});
afterAll(() => {
  origin.closeAllConnections();
  origin.close();
  rmSync(site, { recursive: true });
});

/** Say it on a connection of its own and read to the end of that; '' for a connection that is just closed. */
async function say(port: number, bytes: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' });
  const peer = new Peer(socket);
  socket.end(Buffer.from(bytes, 'latin1'));
  const answer = await peer.end();
  socket.destroy();
  return answer;
}

async function fetched(port: number, path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const [answer] = (await once(get({ host: '127.0.0.1', port, path, headers, agent: false }), 'response')) as [
    IncomingMessage,
  ];
  answer.resume();
  return answer;
}

const TARGETS = [
  '//',
  '///',
  'http://[',
  'http://',
  '*',
  'a',
  '/%',
  '/%00',
  '/\\',
  '//[',
  '/..%2f..%2fpackage.json',
  '?',
  '#',
];

describe.each(['the trace page', 'metrics', 'the site'])('%s', (name) => {
  test.each(TARGETS)('answers GET %s, or closes, and lives', async (path) => {
    const { port, program, path: known } = targets.get(name)!;
    const answer = await say(port, `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(/^(?:HTTP\/1\.1 [2-5]\d\d .*\r\n[\s\S]*)?$/);
    expect((await fetched(port, known)).statusCode).toBe(200);
    expect(program.child.exitCode).toBeNull();
  });

  test('outlives noise', async () => {
    const { port, program, path } = targets.get(name)!;
    const chance = new Chance(11);
    const model = `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n`;
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: 10 }, () => say(port, chance.spoil(model, 6))));
    }
    expect((await fetched(port, path)).statusCode).toBe(200);
    expect(program.child.exitCode).toBeNull();
  });
});

describe.each(['the trace page', 'the site'])('%s', (name) => {
  // A page at http://evil.test whose name resolves to 127.0.0.1 a moment later may read what it fetches from there.
  test.each(['evil.test', 'localhost.evil.test', '127.0.0.1.evil.test', 'evil.test:80'])(
    'does not answer a browser that takes it for "%s"',
    async (host) => {
      const { port, path } = targets.get(name)!;
      const answer = await fetched(port, path, { host });
      expect(answer.statusCode).toBe(421);
    },
  );

  test.each(['localhost', 'LOCALHOST:8090', '127.0.0.1', '[::1]:80', '192.0.2.1'])('answers as "%s"', async (host) => {
    const { port, path } = targets.get(name)!;
    expect((await fetched(port, path, { host })).statusCode).toBe(200);
  });

  test('tells browsers to keep it from other sites', async () => {
    const { port, path } = targets.get(name)!;
    expect((await fetched(port, path)).headers).toMatchObject({
      'cross-origin-resource-policy': 'same-origin',
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
    });
    const loaded = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' };
    expect((await fetched(port, path, loaded)).statusCode).toBe(403);
    const followed = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    expect((await fetched(port, path, followed)).statusCode).toBe(200);
  });

  test('is only to be read', async () => {
    const { port } = targets.get(name)!;
    const answer = await say(port, 'DELETE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 405 /);
  });
});

const document = (bytes: number): TraceDocument => ({
  version: 2,
  pingora: '0.1.0',
  scenario: 'x'.repeat(bytes),
  node: process.version,
  tasks: [],
  spans: [],
});

async function startUi(): Promise<{ ui: TraceUi; port: number }> {
  const ui = await TraceUi.start('127.0.0.1', 0, site);
  onTestFinished(() => ui.close());
  return { ui, port: Number(new URL(ui.url).port) };
}

test('a page that listens for traces and does not read is let go; others are told all the same', async () => {
  const { ui, port } = await startUi();
  const deaf = new Peer(connect({ port, host: '127.0.0.1' }));
  deaf.send('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await deaf.until((text) => text.includes('traces come here'));
  deaf.socket.pause();
  const reader = new Peer(connect({ port, host: '127.0.0.1' }));
  reader.send('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await reader.until((text) => text.includes('traces come here'));
  onTestFinished(() => {
    deaf.socket.destroy();
    reader.socket.destroy();
  });
  // far more than the system keeps for a reader, which is some megabytes
  const count = 40;
  for (let id = 1; id <= count; id++) {
    ui.add({ id, name: 'n'.repeat(1_000_000), trace: document(1) });
    await reader.until((text) => text.endsWith('\n\n\r\n') && text.includes(`"id":"${id}"`));
    reader.received = '';
  }
  deaf.socket.resume();
  expect((await deaf.end()).length).toBeLessThan((count * 1_000_000) / 2);
});

test('traces that are kept are bounded in bytes: the oldest goes', async () => {
  const { ui, port } = await startUi();
  const reader = new Peer(connect({ port, host: '127.0.0.1' }));
  reader.send('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');
  onTestFinished(() => void reader.socket.destroy());
  await reader.until((text) => text.includes('traces come here'));
  for (let id = 1; id <= 5; id++) {
    ui.add({ id, name: 'large', trace: document(15 * 1024 * 1024) });
    await reader.until((text) => text.includes(`"id":"${id}"`));
  }
  expect((await fetched(port, '/traces/1')).statusCode).toBe(404);
  expect((await fetched(port, '/traces/5')).statusCode).toBe(200);
});

/** What the program writes, where it can't: a full disk, a pipe that nobody reads, a folder that was removed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get, type IncomingMessage } from 'node:http';
import { type AddressInfo, createServer as createTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { Program } from '../support/program.ts';

const origin = createServer((_request, response) => response.end('hello'));
let upstream: string;
let dir: string;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'writing-test-'));
  origin.listen(0, '127.0.0.1');
  await once(origin, 'listening');
  upstream = `127.0.0.1:${(origin.address() as AddressInfo).port}`;
});
afterAll(() => {
  origin.closeAllConnections();
  origin.close();
  rmSync(dir, { recursive: true });
});

async function freePort(): Promise<number> {
  const server = createTcp().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function body(port: number | string, path = '/'): Promise<string> {
  const [response] = (await once(get({ host: '127.0.0.1', port, path, agent: false }), 'response')) as [
    IncomingMessage,
  ];
  let text = '';
  for await (const piece of response) text += piece;
  return text;
}

/** Start it by way of a shell, which is what closes its output; served when it answers. */
async function throughShell(redirection: string, flags: string[]): Promise<{ port: number; child: ChildProcess }> {
  const port = await freePort();
  const args = ['--listen', `127.0.0.1:${port}`, '--upstream', upstream, '--access-log', ...flags];
  const child = spawn('bash', ['-c', `exec node --import tsx src/main.ts ${args.join(' ')} ${redirection}`], {
    stdio: 'ignore',
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  await vi.waitFor(async () => expect(await body(port)).toBe('hello'), { timeout: 20_000, interval: 100 });
  return { port, child };
}

describe('it goes on serving, and counts what is lost, with', () => {
  test.each([
    ['standard output read by nobody', '> >(true) 2>/dev/null', 0],
    ['the log full', '2>/dev/full', 3],
    ['the log read by nobody', '2> >(true)', 3],
  ])('%s', async (_how, redirection, lines) => {
    const metrics = await freePort();
    const { port, child } = await throughShell(redirection, ['--prometheus', `127.0.0.1:${metrics}`]);
    for (let i = 0; i < 3; i++) expect(await body(port)).toBe('hello');
    const lost = /lost_total\{what="log line"\} (\d+)/.exec(await body(metrics, '/metrics'));
    expect(Number(lost?.[1] ?? 0)).toBeGreaterThanOrEqual(lines);
    expect(child.exitCode).toBeNull();
  });
});

test('a log that nobody reads holds up neither requests nor memory: what is more than a megabyte is dropped', async () => {
  const metrics = await freePort();
  // its reader sleeps
  const { port } = await throughShell('2> >(exec sleep 60)', ['--prometheus', `127.0.0.1:${metrics}`]);
  const path = `/${'x'.repeat(7000)}`;
  for (let i = 0; i < 250; i++) expect(await body(port, path)).toBe('hello');
  expect(await body(metrics, '/metrics')).toMatch(/lost_total\{what="log line"\} [1-9]/);
});

async function start(flags: string[]): Promise<{ program: Program; port: string }> {
  const program = new Program('src/main.ts', ['--listen', '127.0.0.1:0', '--upstream', upstream, ...flags]);
  onTestFinished(async () => {
    program.child.kill('SIGKILL');
    await program.ended;
  });
  await program.until(/^ready/m);
  return { program, port: (await program.until(/listening on http:\/\/127\.0\.0\.1:(\d+)/))[1]! };
}

test('a full disk under error_log is said once on standard error', async () => {
  writeFileSync(join(dir, 'full.yaml'), 'version: 1\nerror_log: /dev/full\n');
  const { program, port } = await start(['--conf', join(dir, 'full.yaml'), '--access-log']);
  for (let i = 0; i < 3; i++) expect(await body(port)).toBe('hello');
  expect(program.stderr.trim().split('\n')).toEqual([
    expect.stringMatching(/^error_log \/dev\/full can't be written: ENOSPC.*lost until it can$/),
  ]);
});

test('an error_log that cannot be opened ends the start in one line', async () => {
  writeFileSync(join(dir, 'file'), '');
  writeFileSync(join(dir, 'bad.yaml'), `version: 1\nerror_log: ${join(dir, 'file', 'log')}\n`);
  const program = new Program('src/main.ts', [
    '--conf',
    join(dir, 'bad.yaml'),
    '--listen',
    '127.0.0.1:0',
    '--upstream',
    upstream,
  ]);
  expect((await program.ended).code).toBe(1);
  expect(program.stderr.trim().split('\n')).toHaveLength(1);
  expect(program.stderr).toContain(`error_log ${join(dir, 'file', 'log')}: can't write there`);
});

describe.each([[[]], [['--threads', '2']]])('traces, with %j', (threads) => {
  const traces = (folder: string) => readdirSync(folder).filter((name) => name.endsWith('.json'));

  test('go into a folder that was removed, made again; are lost, which is said once, while they cannot; and overwrite none', async () => {
    const folder = mkdtempSync(join(dir, 'traces-'));
    writeFileSync(join(folder, '0007.json'), 'mine');
    const { program, port } = await start([...threads, '--trace', '1/1', '--trace-dir', folder]);
    expect(await body(port)).toBe('hello');
    await vi.waitFor(() => expect(traces(folder)).toEqual(['0007.json', '0008.json']), { timeout: 10_000 });
    expect(readFileSync(join(folder, '0007.json'), 'utf8')).toBe('mine');

    rmSync(folder, { recursive: true });
    expect(await body(port)).toBe('hello');
    await vi.waitFor(() => expect(traces(folder)).toHaveLength(1), { timeout: 10_000 });

    rmSync(folder, { recursive: true });
    writeFileSync(folder, '');
    for (let i = 0; i < 4; i++) expect(await body(port)).toBe('hello');
    await program.until(/a trace can't be written: .*; traces are lost until it can/);
    rmSync(folder);
    expect(await body(port)).toBe('hello');
    await program.until(/traces are written again, \d+ were lost/);
    expect(program.stderr.match(/a trace can't be written/g)).toHaveLength(1);
    program.child.kill('SIGINT');
    expect((await program.ended).code).toBe(0);
    for (const name of traces(folder)) JSON.parse(readFileSync(join(folder, name), 'utf8'));
  });
});

test('a trace folder in which nothing can be written ends the start in one line', async () => {
  const fd = openSync(join(dir, 'plain'), 'w');
  closeSync(fd);
  const flags = [
    '--listen',
    '127.0.0.1:0',
    '--upstream',
    upstream,
    '--trace',
    '1/1',
    '--trace-dir',
    join(dir, 'plain'),
  ];
  const program = new Program('src/main.ts', flags);
  expect((await program.ended).code).toBe(1);
  expect(program.stderr.trim().split('\n')).toHaveLength(1);
  expect(program.stderr).toContain(`--trace-dir ${join(dir, 'plain')}: can't write there`);
});

/** The systemd unit and the Dockerfile: their own command lines, run with the installed package. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { projectRoot } from '../../src/tracing/sites.ts';
import { installed } from '../support/packed.ts';
import { Program } from '../support/program.ts';

vi.setConfig({ testTimeout: 180_000 });

const read = (name: string) => readFileSync(join(projectRoot, 'examples/deploy', name), 'utf8');

/** An origin that answers when it is told to. */
async function origin() {
  const waiting: ServerResponse[] = [];
  let came: () => void = () => {};
  const server = createServer((request, response) => {
    if (request.url !== '/slow') response.end('quick');
    else {
      waiting.push(response);
      came();
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** A slow request has come. */
    asked: new Promise<void>((resolve) => {
      came = resolve;
    }),
    answer: () => {
      for (const response of waiting) response.end('slow');
    },
  };
}

async function ask(port: number, path: string): Promise<string> {
  const [answer] = (await once(get({ host: '127.0.0.1', port, path, agent: false }), 'response')) as [IncomingMessage];
  let body = '';
  for await (const piece of answer) body += piece;
  return body;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

test.runIf(process.platform === 'linux')(
  'the unit: a reload hands the sockets over, and a request that is being served is finished',
  async () => {
    const folder = await installed();
    const run = mkdtempSync(join(tmpdir(), 'unit-test-'));
    const { address, asked, answer } = await origin();
    const port = await freePort();
    const conf = read('pingora.yaml')
      .replaceAll('/run/pingora-traced', run)
      .replace('/var/log/', `${run}/`)
      .replace(/^user: .*\n/m, '')
      .replace('grace_period_seconds: 300', 'grace_period_seconds: 20\nclose_timeout_seconds: 0.5');
    writeFileSync(join(run, 'pingora.yaml'), conf);
    const unit = read('pingora-traced.service');
    const pid = () => Number(readFileSync(join(run, 'pid'), 'utf8'));
    onTestFinished(() => {
      try {
        process.kill(pid(), 'SIGKILL');
      } catch {
        // it has ended
      }
      rmSync(run, { recursive: true, force: true });
    });
    const flags = `--listen 127.0.0.1:${port} --upstream ${address}`;
    /** As systemd does with a line of the unit. */
    const exec = async (line: string) => {
      const command = line
        .replace('/usr/bin/node', process.execPath)
        .replace('pingora.yaml', join(run, 'pingora.yaml'))
        .replace('$FLAGS', flags)
        .replace('$MAINPID', String(line.includes('$MAINPID') ? pid() : 0));
      const [file, ...args] = command.split(' ');
      const child = spawn(file!, args, { cwd: folder, stdio: 'ignore' });
      expect(await once(child, 'exit'), command).toEqual([0, null]);
    };
    const lines = (key: string) => [...unit.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, line]) => line!);

    for (const line of lines('ExecStart')) await exec(line);
    const before = pid();
    // the first process ends when the daemon has settled in, before it listens
    await vi.waitFor(() => ask(port, '/'), { timeout: 60_000 });
    expect(await ask(port, '/')).toBe('quick');
    const slow = ask(port, '/slow');
    await asked;
    for (const line of lines('ExecReload')) await exec(line);
    const after = pid();
    expect(after).not.toBe(before);
    expect(await ask(port, '/')).toBe('quick');
    answer();
    expect(await slow).toBe('slow');
    // the old one has nothing left to wait for, or ends with its grace period
    process.kill(after, 'SIGTERM');
    await vi.waitFor(() => expect(() => process.kill(after, 0)).toThrow('ESRCH'), { timeout: 60_000 });
    await vi.waitFor(() => expect(() => process.kill(before, 0)).toThrow('ESRCH'), { timeout: 60_000 });
  },
);

test('the Dockerfile: few layers, nobody’s process, and SIGTERM ends it after what it serves', async () => {
  const folder = await installed();
  const file = read('Dockerfile');
  const instructions = [...file.replaceAll('\\\n', '').matchAll(/^([A-Z]+) (.*)$/gm)].map(([, name, rest]) => [
    name,
    rest,
  ]);
  const of = (name: string) => instructions.filter(([each]) => each === name).map(([, rest]) => rest!);
  expect(of('RUN').length + of('COPY').length + of('ADD').length).toBeLessThanOrEqual(2);
  expect(of('USER')).toEqual(['nobody']);
  expect(of('STOPSIGNAL')).toEqual(['SIGTERM']);

  const { address, asked, answer } = await origin();
  const port = await freePort();
  const [entry, ...args] = (JSON.parse(of('ENTRYPOINT')[0]!) as string[])
    .slice(1)
    .map((word) =>
      word
        .replace('/srv/node_modules', 'node_modules')
        .replace('/srv/container.yaml', join(projectRoot, 'examples/deploy/container.yaml'))
        .replace('0.0.0.0:8080', `127.0.0.1:${port}`),
    );
  const program = new Program(entry!, [...args, '--upstream', address], { installed: folder });
  await program.until(/ready, forwarding/);
  const slow = ask(port, '/slow');
  await asked;
  program.child.kill('SIGTERM');
  await program.until(/SIGTERM received/);
  answer();
  expect(await slow).toBe('slow');
  expect(await program.ended).toEqual({ code: 0, signal: null });
});

import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Program } from '../support/program.ts';

vi.setConfig({ maxConcurrency: 2 });

const entry = fileURLToPath(new URL('./program.ts', import.meta.url));
const TARGET = 'pingora_core::server';
const short = { gracePeriodSeconds: 0.5, gracefulShutdownTimeoutSeconds: 0.05, closeTimeoutSeconds: 0.05 };
const long = { gracePeriodSeconds: 600, gracefulShutdownTimeoutSeconds: 600, closeTimeoutSeconds: 600 };

async function run(plan: object): Promise<{ server: Program; port: number }> {
  const server = new Program(entry, [JSON.stringify(plan)]);
  const [, port] = await server.until(/listening on 127\.0\.0\.1:(\d+)/);
  return { server, port: Number(port) };
}

/** What a server logs under its own target; when a service comes to its end among it isn't settled. */
function order(server: Program): string[] {
  return server.logged(TARGET).filter((line) => line !== 'service exited.');
}

function get(port: number, agent?: Agent): Promise<{ body: string; connection: string | undefined }> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, agent }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk;
      });
      response.on('end', () => resolve({ body, connection: response.headers.connection }));
    });
    asked.on('error', reject);
    asked.end();
  });
}

/** A connection that is open, and stays so. */
async function openTo(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(socket, 'data');
  return socket;
}

function refused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(false);
    });
    socket.on('error', () => resolve(true));
  });
}

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'server-test-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe.concurrent('the end of a server', () => {
  test('SIGINT: at once, whatever the settings', async () => {
    const { server } = await run({ conf: long });
    server.child.kill('SIGINT');
    expect(await server.ended).toEqual({ code: 0, signal: null });
    expect(order(server)).toEqual([
      'Bootstrap starting',
      'Bootstrap done',
      'Server starting',
      'SIGINT received, exiting',
      'Waiting for runtimes to exit!',
      'All runtimes exited, exiting now',
    ]);
  });

  test('SIGTERM: the services are told, the grace period passes, the runtimes get their time', async () => {
    const { server } = await run({ conf: short, beside: ['A', 'B'] });
    server.child.kill('SIGTERM');
    expect(await server.ended).toEqual({ code: 0, signal: null });
    expect(order(server)).toEqual([
      'Bootstrap starting',
      'Bootstrap done',
      'Server starting',
      'SIGTERM received, gracefully exiting',
      'Broadcasting graceful shutdown',
      'Graceful shutdown started!',
      'Broadcast graceful shutdown complete',
      'Graceful shutdown: grace period 0.5s starts',
      'Graceful shutdown: grace period ends',
      'Waiting for runtimes to exit!',
      'Waiting for runtimes to exit!',
      'Waiting for runtimes to exit!',
      'All runtimes exited, exiting now',
    ]);
    expect(server.logged('pingora_core::services::listening')).toEqual(['Shutting down 127.0.0.1:0']);
    expect(server.logged(TARGET).filter((line) => line === 'service exited.')).toHaveLength(3);
  });

  test('SIGQUIT without a new process: it says so, and goes on as after SIGTERM', async () => {
    const { server } = await run({ conf: { ...short, upgradeSock: '/nowhere/upgrade.sock' } });
    server.child.kill('SIGQUIT');
    expect(await server.ended).toEqual({ code: 0, signal: null });
    const lines = order(server);
    const at = lines.indexOf('SIGQUIT received, sending socks and gracefully exiting');
    expect(lines[at + 1]).toBe('Trying to send socks');
    expect(lines.find((line) => line.startsWith('Unable to send listener sockets to new process: '))).toBeDefined();
    expect(lines.slice(-7)).toEqual([
      'Broadcasting graceful shutdown',
      'Graceful shutdown started!',
      'Broadcast graceful shutdown complete',
      'Graceful shutdown: grace period 0.5s starts',
      'Graceful shutdown: grace period ends',
      'Waiting for runtimes to exit!',
      'All runtimes exited, exiting now',
    ]);
  });

  test('SIGQUIT without a table of sockets: nothing is broadcast', async () => {
    const { server } = await run({ conf: short, noBootstrap: true });
    server.child.kill('SIGQUIT');
    expect(await server.ended).toEqual({ code: 0, signal: null });
    expect(order(server)).toEqual([
      'Server starting',
      'SIGQUIT received, sending socks and gracefully exiting',
      'No socks to send, shutting down.',
      'Graceful shutdown: grace period 0.5s starts',
      'Graceful shutdown: grace period ends',
      'Waiting for runtimes to exit!',
      'All runtimes exited, exiting now',
    ]);
  });

  test('SIGINT ends a grace period at once; a second SIGTERM does not', async () => {
    const { server, port } = await run({ conf: long });
    const open = await openTo(port);
    server.child.kill('SIGTERM');
    await server.until(/grace period 600s starts/);
    server.child.kill('SIGTERM');
    server.child.kill('SIGQUIT');
    server.child.kill('SIGINT');
    expect(await server.ended).toEqual({ code: 0, signal: null });
    open.destroy();
    expect(order(server).slice(-5)).toEqual([
      'Graceful shutdown: grace period 600s starts',
      'SIGINT received, exiting',
      'Graceful shutdown: grace period ends',
      'Waiting for runtimes to exit!',
      'All runtimes exited, exiting now',
    ]);
  });

  test('a grace period that is longer than a timer can be does not end at once', async () => {
    const { server, port } = await run({ conf: { ...long, gracePeriodSeconds: 1e9 } });
    const open = await openTo(port);
    server.child.kill('SIGTERM');
    await server.until(/grace period 1000000000s starts/);
    // an answer to a second signal comes later than any timer that fires at once
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(order(server)).not.toContain('Graceful shutdown: grace period ends');
    server.child.kill('SIGINT');
    expect((await server.ended).code).toBe(0);
    open.destroy();
  });

  test('an idle server ends at once at SIGTERM, however long the grace period is', async () => {
    const { server, port } = await run({ conf: long, beside: ['A'] });
    expect((await get(port, new Agent())).body).toBe('hello');
    server.child.kill('SIGTERM');
    expect(await server.ended).toEqual({ code: 0, signal: null });
    expect(order(server).slice(-5)).toEqual([
      'Graceful shutdown: grace period 600s starts',
      'Graceful shutdown: grace period ends',
      'Waiting for runtimes to exit!',
      'Waiting for runtimes to exit!',
      'All runtimes exited, exiting now',
    ]);
  });

  test('min_grace_period_seconds are waited for when nothing is left, too', async () => {
    const { server } = await run({ conf: { ...long, minGracePeriodSeconds: 600 } });
    server.child.kill('SIGTERM');
    await server.until(/service exited/);
    // an idle server would have ended long before it hears a second signal
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(order(server)).not.toContain('Graceful shutdown: grace period ends');
    server.child.kill('SIGINT');
    expect((await server.ended).code).toBe(0);
  });

  test('a service that goes on in the background keeps the server until it ends', async () => {
    const { server } = await run({ conf: long, busy: true });
    server.child.kill('SIGTERM');
    // unless the server has ended before
    await server.until(/busy to the end/);
    expect((await server.ended).code).toBe(0);
  });

  test('a connection that is kept has a while for another request, and no more', async () => {
    const { server, port } = await run({ conf: { ...long, gracefulShutdownTimeoutSeconds: 0.2 } });
    const open = await openTo(port);
    server.child.kill('SIGTERM');
    expect(await server.ended).toEqual({ code: 0, signal: null });
    open.destroy();
  });

  test('what a client still has to read of the last answer is not lost', async () => {
    const bodySize = 4 * 1024 * 1024;
    const { server, port } = await run({ conf: long, bodySize });
    const socket = connect(port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    await once(socket, 'readable');
    server.child.kill('SIGTERM');
    await server.until(/service exited/);
    let size = 0;
    for await (const chunk of socket) size += (chunk as Buffer).length;
    expect(size).toBeGreaterThan(bodySize);
    expect((await server.ended).code).toBe(0);
  });

  test('during the grace period open connections are served and closed, new ones are refused', async () => {
    const { server, port } = await run({ conf: long });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    expect(await get(port, agent)).toEqual({ body: 'hello', connection: 'keep-alive' });
    server.child.kill('SIGTERM');
    await server.until(/Shutting down/);
    expect(await get(port, agent)).toEqual({ body: 'hello', connection: 'close' });
    expect(await refused(port)).toBe(true);
    agent.destroy();
    // nothing is left to wait for
    expect((await server.ended).code).toBe(0);
  });

  test("a Unix socket's file is removed when its service stops listening", async () => {
    const uds = join(dir, 'hello.sock');
    const { server } = await run({ conf: short, uds });
    await server.until(/listening on \//);
    expect(existsSync(uds)).toBe(true);
    server.child.kill('SIGTERM');
    await server.ended;
    expect(existsSync(uds)).toBe(false);
  });

  test('and by a process that is ended by SIGINT too', async () => {
    const uds = join(dir, 'interrupted.sock');
    const { server } = await run({ uds });
    await server.until(/listening on \//);
    server.child.kill('SIGINT');
    await server.ended;
    expect(existsSync(uds)).toBe(false);
  });
});

describe.concurrent('the start of a server', () => {
  test('the service that was added last starts first', async () => {
    const server = new Program(entry, [JSON.stringify({ conf: short, beside: ['A', 'B', 'C'] })]);
    await server.until(/listening/);
    expect(server.stdout.match(/started ./g)).toEqual(['started C', 'started B', 'started A']);
  });

  test('--test ends it in bootstrap with status 0, and nothing was bound', async () => {
    const server = new Program(entry, [JSON.stringify({ opt: { test: true } })]);
    expect(await server.ended).toEqual({ code: 0, signal: null });
    expect(server.logged(TARGET)).toEqual(['Bootstrap starting', 'Server Test passed, exiting']);
    expect(server.stdout).toBe('');
  });

  test('threads for a service that has no connections to spread are warned of', async () => {
    const server = new Program(entry, [JSON.stringify({ conf: short, beside: ['A'], besideThreads: 4 })]);
    await server.until(/started A/);
    expect(server.logged(TARGET)).toContain(
      'A: 4 threads asked for, but it has no connections to spread; it runs in one',
    );
    server.child.kill('SIGINT');
    expect((await server.ended).code).toBe(0);
  });

  test('a service that comes to its end does not end the server', async () => {
    const server = new Program(entry, [JSON.stringify({ conf: short, beside: ['A'] })]);
    await server.until(/service exited/);
    expect(server.child.exitCode).toBeNull();
    server.child.kill('SIGINT');
    expect((await server.ended).code).toBe(0);
  });
});

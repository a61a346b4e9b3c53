/** `npm start`, and the end of it: npm, and a shell perhaps, stand between whoever sends the signal and the server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';

const origin = createServer((_request, response) => response.end('hello'));
let upstream: string;
beforeAll(async () => {
  origin.listen(0, '127.0.0.1');
  await once(origin, 'listening');
  upstream = `127.0.0.1:${(origin.address() as AddressInfo).port}`;
});
afterAll(() => {
  origin.closeAllConnections();
  origin.close();
});

interface Started {
  npm: ChildProcess;
  port: number;
  /** The server's own process. */
  pid: number;
}

async function start(): Promise<Started> {
  const args = ['--listen', '127.0.0.1:0', '--upstream', upstream];
  const env = { ...process.env, NODE_OPTIONS: '' };
  const npm = spawn('npm', ['start', '--', ...args], { stdio: ['ignore', 'pipe', 'pipe'], env });
  let said = '';
  const port = /listening on http:\/\/127\.0\.0\.1:(\d+)/;
  const pid = /"pid":(\d+)/;
  await new Promise<void>((resolve, reject) => {
    const hear = (piece: Buffer) => {
      said += piece;
      if (port.test(said) && pid.test(said) && said.includes('ready')) resolve();
    };
    npm.stdout.on('data', hear);
    npm.stderr.on('data', hear);
    npm.once('exit', () => reject(new Error(said)));
  });
  const started = { npm, port: Number(port.exec(said)![1]), pid: Number(pid.exec(said)![1]) };
  onTestFinished(() => {
    for (const id of [npm.pid!, started.pid]) {
      try {
        process.kill(id, 'SIGKILL');
      } catch {
        // it has ended
      }
    }
  });
  return started;
}

/** Wait until nobody listens there. */
async function silent(port: number): Promise<void> {
  for (;;) {
    const socket = connect({ port, host: '127.0.0.1' });
    const refused = await new Promise<boolean>((resolve) => {
      socket.once('error', () => resolve(true));
      socket.once('connect', () => resolve(false));
    });
    socket.destroy();
    if (refused) return;
  }
}

// SIGKILL and SIGHUP end npm before it can tell anybody.
test.each(['SIGTERM', 'SIGHUP', 'SIGKILL'] as const)('%s to npm ends the server', async (signal) => {
  const { npm, port } = await start();
  const [response] = (await once(get({ host: '127.0.0.1', port, agent: false }), 'response')) as [IncomingMessage];
  response.resume();
  expect(response.statusCode).toBe(200);
  npm.kill(signal);
  await silent(port);
});

test('SIGHUP ends the server as SIGTERM does', async () => {
  const { npm, pid } = await start();
  let log = '';
  npm.stderr!.on('data', (piece: Buffer) => {
    log += piece;
  });
  process.kill(pid, 'SIGHUP');
  while (!log.includes('Graceful shutdown started!')) await once(npm.stderr!, 'data');
  expect(log).toContain('SIGHUP received, gracefully exiting');
});

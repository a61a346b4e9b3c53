/**
 * What `node:cluster` can't do that the port's workers (`src/runtime/workers.ts`) need: why the port doesn't take it.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createHeld } from '../../src/node/held-server.ts';
import { handleOf } from '../../src/node/server-handle.ts';
import { loader } from '../support/built.ts';

const PROGRAM = new URL('./cluster-program.ts', import.meta.url);
const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

function start(...args: string[]): ChildProcess {
  const child = fork(PROGRAM, args, { execArgv: [...loader] });
  children.push(child);
  return child;
}

const told = async (child: ChildProcess) => (await once(child, 'message'))[0] as Record<string, unknown>;

async function ask(child: ChildProcess, what: string): Promise<Record<string, unknown>> {
  const answer = told(child);
  child.send(what);
  return answer;
}

/** What a client gets that connects now: the server's word, or why there is none. */
async function get(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let word = '';
  socket.on('data', (bytes) => (word += bytes));
  return new Promise((resolve) => {
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code!));
    socket.on('end', () => resolve(word));
  });
}

describe('node:cluster', () => {
  test('refuses connections from the end of its last worker on until another one listens', async () => {
    const primary = start();
    const { port } = (await ask(primary, 'fork')) as { port: number };
    expect(await get(port)).toBe('served');
    expect(await ask(primary, 'kill')).toEqual({ exit: true });
    expect(await get(port)).toBe('ECONNREFUSED');
  });

  test('has the listening sockets in a process that can not reach them, and so can not hand them over', async () => {
    const primary = start();
    await ask(primary, 'fork');
    expect(await ask(primary, 'sockets')).toEqual({ open: 1, reachable: 0 });
  });
});

describe('a held socket', () => {
  test('keeps connections waiting from the end of its last worker on until another one listens', async () => {
    const held = createHeld({ host: '127.0.0.1', port: 0 });
    const { port } = held.address() as AddressInfo;
    const worker = async () => {
      const child = start('inherit');
      const listening = told(child);
      child.send('listen', handleOf(held) as never);
      await listening;
      return child;
    };
    const first = await worker();
    expect(await get(port)).toBe('served');
    first.kill('SIGKILL');
    await once(first, 'exit');

    const waiting = get(port);
    await worker();
    expect(await waiting).toBe('served');
    await new Promise((resolve) => held.close(resolve));
  });
});

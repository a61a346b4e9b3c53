import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { createHeld } from '../../src/node/held-server.ts';
import { handleOf } from '../../src/node/server-handle.ts';
import { inThisNode } from './support.ts';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

test(
  inThisNode('_createServerHandle binds a TCP socket that accepts nothing until somebody listens on it'),
  async () => {
    const held = createHeld({ host: '127.0.0.1', port: 0 });
    servers.push(held);
    held.on('connection', () => expect.unreachable());
    const { port } = held.address() as AddressInfo;
    expect(port).toBeGreaterThan(0);

    const refused = connect(port, '127.0.0.1');
    const [error] = await once(refused, 'error');
    expect(error).toMatchObject({ code: 'ECONNREFUSED' });

    const listening = createServer().listen(handleOf(held));
    servers.push(listening);
    const accepted = once(listening, 'connection');
    const client = connect(port, '127.0.0.1');
    const [socket] = await accepted;
    socket.destroy();
    client.destroy();
  },
);

test(inThisNode('_createServerHandle binds a Unix socket'), async () => {
  const folder = mkdtempSync(join(tmpdir(), 'held-'));
  const path = join(folder, 'socket');
  const held = createHeld({ path });
  const listening = createServer().listen(handleOf(held));
  servers.push(held, listening);
  const accepted = once(listening, 'connection');
  const client = connect(path);
  const [socket] = await accepted;
  socket.destroy();
  client.destroy();
  rmSync(folder, { recursive: true });
});

test(inThisNode('_createServerHandle says what keeps it from binding'), async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  servers.push(taken);
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  expect(() => createHeld({ host: '127.0.0.1', port })).toThrow(
    expect.objectContaining({ code: 'EADDRINUSE', message: `listen EADDRINUSE: 127.0.0.1:${port}` }),
  );
});

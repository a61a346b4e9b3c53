import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { disown } from '../../src/node/disown.ts';
import { inThisNode } from './support.ts';

test(inThisNode("an accepted connection's server is in socket.server"), async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = await accepted;
  expect((socket as { server?: unknown }).server).toBe(server);
  disown(socket);
  expect((socket as { server?: unknown }).server).toBeUndefined();
  client.destroy();
  socket.destroy();
  server.close();
  await once(server, 'close');
});

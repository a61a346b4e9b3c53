/** HTTP health checks over HTTP/2: what they leave open at the backend. */
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { HttpHealthCheck } from '../../src/load-balancing/health-check.ts';
import { Backend } from '../../src/load-balancing/lib.ts';
import { h2Origin } from '../support/h2-origin.ts';

async function checked(reuse: boolean) {
  const origin = await h2Origin();
  const check = HttpHealthCheck.new('origin.test', true);
  check.peerTemplate.options.verifyCert = false;
  check.peerTemplate.options.setHttpVersion(2, 2);
  check.reuseConnection = reuse;
  return { origin, check, backend: Backend.new(`127.0.0.1:${origin.port}`) };
}

test('each check closes its connection', async () => {
  const { origin, check, backend } = await checked(false);
  for (let n = 0; n < 3; n++) {
    await check.check(backend);
    const socket = origin.sockets[n]!;
    if (!socket.destroyed) await once(socket, 'close');
  }
  expect(origin.sockets).toHaveLength(3);
});

test('with reuseConnection all checks have one connection', async () => {
  const { origin, check, backend } = await checked(true);
  for (let n = 0; n < 3; n++) await check.check(backend);
  expect([origin.sockets.length, origin.requests.length]).toEqual([1, 3]);
});

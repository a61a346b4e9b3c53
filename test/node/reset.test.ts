import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { connectionReset, wasReset } from '../../src/node/reset.ts';
import { inThisNode } from './support.ts';

async function pair(): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
  near.on('error', () => {});
  const [[far]] = await Promise.all([accepted, once(near, 'connect')]);
  server.close();
  onTestFinished(() => {
    near.destroy();
    far.destroy();
  });
  return { near, far };
}

test(inThisNode('a connection that was reset has no peer any more, one that was ended has'), async () => {
  const ended = await pair();
  ended.far.end('bytes');
  ended.near.resume();
  await once(ended.near, 'end');
  expect(wasReset(ended.near)).toBe(false);

  // often the reset is reported as an end; either way it must be seen
  for (let i = 0; i < 20; i++) {
    const { near, far } = await pair();
    let reset: boolean | undefined;
    near.on('end', () => {
      reset ??= wasReset(near);
      near.destroy();
    });
    near.on('error', (error: NodeJS.ErrnoException) => {
      expect(error.code).toBe('ECONNRESET');
      reset ??= true;
    });
    near.resume();
    far.write('bytes', () => far.resetAndDestroy());
    // `once` of node:events would reject for an error
    await new Promise((resolve) => near.once('close', resolve));
    expect(reset).toBe(true);
  }
});

test('the error is the one that Node makes', async () => {
  const { near, far } = await pair();
  far.resetAndDestroy();
  near.resume();
  const error = await new Promise<Error>((resolve) => near.once('error', resolve));
  expect({ ...connectionReset() }).toEqual({ ...error });
  expect(connectionReset().message).toBe(error.message);
});

/** WebSocket through the proxy, by a real client and a real server. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import type { PingoraError } from '../../src/error/lib.ts';
import type { Session } from '../../src/proxy/lib.ts';
import { startProxy, ToOrigin } from '../support/proxy.ts';

/** Counts the requests that have ended, and what they ended with. */
class Counting extends ToOrigin {
  readonly ended: (PingoraError | undefined)[] = [];
  #wake: () => void = () => {};

  override logging(_session: Session, error: PingoraError | undefined): void {
    this.ended.push(error);
    this.#wake();
  }

  async logged(): Promise<void> {
    while (this.ended.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

async function setUp(): Promise<{ server: WebSocketServer; client: WebSocket; served: WebSocket; app: Counting }> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  const app = new Counting(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  const proxy = await startProxy(app);
  const connected = once(server, 'connection') as Promise<[WebSocket]>;
  const client = new WebSocket(`ws://127.0.0.1:${proxy.port}/chat`, 'talk');
  onTestFinished(() => client.terminate());
  await once(client, 'open');
  const [served] = await connected;
  return { server, client, served, app };
}

async function message(socket: WebSocket): Promise<Buffer> {
  const [data] = (await once(socket, 'message')) as [Buffer];
  return data;
}

test('messages go both ways, small and large, whoever begins', async () => {
  const { client, served } = await setUp();
  expect(client.protocol).toBe('talk');
  const first = message(client);
  served.send('from the server, unasked');
  expect((await first).toString()).toBe('from the server, unasked');

  served.on('message', (data: Buffer) => served.send(data));
  for (const size of [0, 1, 125, 126, 65_536, 3_000_000]) {
    const sent = Buffer.alloc(size, size % 251);
    const back = message(client);
    client.send(sent);
    expect((await back).equals(sent)).toBe(true);
  }
  const pong = once(client, 'pong');
  client.ping();
  await pong;
});

test('many messages in both directions at once keep their order', async () => {
  const { client, served } = await setUp();
  const got: Record<string, number[]> = { client: [], served: [] };
  const all = (socket: WebSocket, name: string) =>
    new Promise<void>((resolve) => {
      socket.on('message', (data: Buffer) => {
        if (got[name]!.push(Number(data.toString())) === 500) resolve();
      });
    });
  const done = Promise.all([all(client, 'client'), all(served, 'served')]);
  for (let i = 0; i < 500; i++) {
    client.send(String(i));
    served.send(String(i));
  }
  await done;
  const order = Array.from({ length: 500 }, (_, i) => i);
  expect(got).toEqual({ client: order, served: order });
});

test.each(['client', 'server'])('the %s may close first; both see why, and the request ends well', async (who) => {
  const { client, served, app } = await setUp();
  const closed = Promise.all([once(client, 'close'), once(served, 'close')]);
  (who === 'client' ? client : served).close(4001, 'enough');
  for (const [code, reason] of (await closed) as unknown as [number, Buffer][]) {
    expect([code, reason.toString()]).toEqual([4001, 'enough']);
  }
  await app.logged();
  expect(app.ended).toEqual([undefined]);
});

test.each(['client', 'server'])('when the %s is gone without a word, the other side is told', async (who) => {
  const { client, served, app } = await setUp();
  const [gone, left] = who === 'client' ? [client, served] : [served, client];
  const told = once(left, 'close') as Promise<[number]>;
  gone.terminate();
  expect((await told)[0]).toBe(1006);
  await app.logged();
});

test('a server that doesn’t speak it refuses, and the answer gets through', async () => {
  const { server } = await setUp();
  server.options.verifyClient = () => false;
  const proxy = await startProxy(new Counting(`127.0.0.1:${(server.address() as AddressInfo).port}`));
  const client = new WebSocket(`ws://127.0.0.1:${proxy.port}/`);
  const [error] = (await once(client, 'error')) as [Error];
  expect(error.message).toContain('401');
});

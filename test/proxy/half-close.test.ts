/** Clients of HTTP/1 that end their side of the connection after a request. */
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { httpProxyService } from '../../src/proxy/lib.ts';
import { ServerConf } from '../../src/server/configuration/mod.ts';
import { armedTimers } from '../../src/timeout/lib.ts';
import { fakeClock } from '../support/clock.ts';
import { captureLog } from '../support/log.ts';
import { HELLO, Origin } from '../support/origin.ts';
import { clientOf, ToOrigin } from '../support/proxy.ts';
import { serveInTest } from '../support/service.ts';
import { type Peer, turn } from '../support/streams.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

async function start(halfClose: number | undefined): Promise<{ client: Peer; origin: Origin; asked(): Promise<Peer> }> {
  captureLog('silent');
  // it answers when the test says so
  const origin = await Origin.start(() => {});
  const service = httpProxyService(ServerConf.new(), new ToOrigin(`127.0.0.1:${origin.port}`), { halfClose });
  service.addTcp('127.0.0.1:0');
  const { plain: port } = await serveInTest(service);
  return {
    client: await clientOf(port),
    origin,
    async asked() {
      while (origin.connections.length === 0) await new Promise((resolve) => setImmediate(resolve));
      const connection = origin.connections[0]!;
      await connection.until((got) => got.includes('\r\n\r\n'));
      return connection;
    },
  };
}

/** Let what was sent arrive. */
const aWhile = () => new Promise((resolve) => setTimeout(resolve, 50));

describe('a client that ends its side after its request', () => {
  test('gets its answer', async () => {
    const { client, asked } = await start(60_000);
    client.send(GET);
    client.socket.end();
    const connection = await asked();
    await aWhile();
    expect(connection.ended).toBe(false);
    connection.send(HELLO);
    expect(await client.end()).toMatch(/^HTTP\/1\.1 200 OK\r\n.*Connection: close\r\n\r\nhello$/s);
  });

  test('gets all its answers, if it has sent more than one request', async () => {
    const { client, asked } = await start(60_000);
    client.send(GET + GET);
    client.socket.end();
    const connection = await asked();
    await aWhile();
    connection.send(HELLO);
    await connection.until((got) => got.split('\r\n\r\n').length === 3);
    connection.send(HELLO);
    expect((await client.end()).split('hello')).toHaveLength(3);
  });

  test('has left, unless that is asked for', async () => {
    const { client, asked } = await start(undefined);
    client.send(GET);
    const connection = await asked();
    client.socket.end();
    await connection.end();
    expect(await client.end()).toBe('');
  });

  test('has left when it ends in the middle of its request', async () => {
    const { client, origin } = await start(60_000);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf');
    client.socket.end();
    expect(await client.end()).not.toMatch(/ 200 /);
    for (const connection of origin.connections) await connection.end();
  });

  test('and has left all the same: its origin is let go when that shows', async () => {
    const { client, asked } = await start(60_000);
    client.send(GET);
    const connection = await asked();
    client.socket.destroy();
    await aWhile();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n');
    const more = setInterval(() => connection.send('more'), 5);
    onTestFinished(() => clearInterval(more));
    await connection.end();
  });
  describe('while its origin is silent', () => {
    beforeEach(fakeClock);

    // before what ends with the test, which needs time
    afterEach(() => {
      vi.useRealTimers();
    });

    const pass = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 500) {
        for (let i = 0; i < 20; i++) await turn();
        vi.advanceTimersByTime(500);
      }
      for (let i = 0; i < 20; i++) await turn();
    };

    test('has left once that took as long as it may', async () => {
      const before = armedTimers();
      const { client, asked } = await start(2000);
      client.send(GET);
      client.socket.end();
      const connection = await asked();
      await pass(1500);
      expect(connection.ended).toBe(false);
      await pass(2000);
      expect(connection.ended).toBe(true);
      expect(await client.end()).toBe('');
      expect(armedTimers()).toBe(before);
    });

    test('is there as long as something is written to it now and then', async () => {
      const { client, asked } = await start(2000);
      client.send(GET);
      client.socket.end();
      const connection = await asked();
      await pass(1500);
      connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n');
      for (let i = 0; i < 10; i++) {
        await pass(1500);
        connection.send('x');
      }
      expect(await client.end()).toMatch(/\r\n\r\nx{10}$/);
    });
  });
});

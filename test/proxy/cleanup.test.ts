import { expect, test } from 'vitest';
import { httpProxyService } from '../../src/proxy/lib.ts';
import { shutdownRuntimes } from '../../src/runtime/lib.ts';
import { ServerConf } from '../../src/server/configuration/mod.ts';
import { Origin } from '../support/origin.ts';
import { clientOf, ToOrigin } from '../support/proxy.ts';
import { serve } from '../support/service.ts';

test('when the runtimes end connections that wait for a request are closed, and none on which one begins', async () => {
  const origin = await Origin.start();
  const service = httpProxyService(ServerConf.new(), new ToOrigin(`127.0.0.1:${origin.port}`));
  service.addTcp('127.0.0.1:0');
  const { plain: port, shutDown, ended } = await serve(service);
  const [silent, kept, begun] = [await clientOf(port), await clientOf(port), await clientOf(port)];
  kept.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await kept.until((got) => got.endsWith('hello'));
  begun.send('GET / HTTP/1.1\r\nHost');
  // the proxy has read that once it has answered what came later
  const later = await clientOf(port);
  later.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  await later.end();
  shutDown();
  await ended;
  expect([silent.ended, kept.ended]).toEqual([false, false]);
  shutdownRuntimes();
  expect([await silent.end(), (await kept.end()).slice(-5)]).toEqual(['', 'hello']);
  begun.send(': a\r\n\r\n');
  expect(await begun.end()).toMatch(/^HTTP\/1\.1 200 OK\r\n.*Connection: close\r\n.*hello$/s);
});

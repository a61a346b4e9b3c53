import { once } from 'node:events';
import { connect } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { httpProxyService } from '../../../src/proxy/lib.ts';
import { ServerConf } from '../../../src/server/configuration/mod.ts';
import { HttpPeer } from '../../../src/upstreams/peer.ts';
import { ToPeer } from '../../support/h2-proxy.ts';
import { answering, HELLO, Origin } from '../../support/origin.ts';
import { serveInTest } from '../../support/service.ts';
import { request } from './harness.ts';

/** A proxy that listens without TLS. */
async function proxy(h2c: boolean): Promise<number> {
  const origin = await Origin.start(answering(() => HELLO));
  const app = new ToPeer(HttpPeer.new(`127.0.0.1:${origin.port}`, false, ''));
  const service = httpProxyService(ServerConf.new(), app, { h2: { h2c } });
  service.addTcp('127.0.0.1:0');
  return (await serveInTest(service)).plain;
}

function http2(port: number) {
  const client = connect(`http://127.0.0.1:${port}`);
  client.on('error', () => {});
  onTestFinished(() => client.destroy());
  return client;
}

/** What comes for `pieces`, each sent by itself. */
async function raw(port: number, ...pieces: string[]): Promise<string> {
  const socket = connectTcp(port, '127.0.0.1');
  socket.setNoDelay(true);
  onTestFinished(() => {
    socket.destroy();
  });
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  await once(socket, 'connect');
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await expect.poll(() => text).toMatch(/\r\n\r\n/);
  return text;
}

test('HTTP/2 without TLS is taken from who begins with it, beside HTTP/1, when it is allowed', async () => {
  const port = await proxy(true);
  const client = http2(port);
  const answers = await Promise.all([1, 2, 3].map((n) => request(client, { ':path': `/${n}` })));
  expect(answers.map((one) => one.status)).toEqual([200, 200, 200]);
  expect(await raw(port, 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /);
  // as far as the preface and no further
  expect(await raw(port, 'P', 'R', 'OPFIND / HTTP/1.1\r\nHost: a.test\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /);
});

test('it is refused as no HTTP/1 when it is not', async () => {
  const port = await proxy(false);
  expect(await raw(port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
});

/** A client's connection comes to its end after so many requests, and no request is lost by it. */
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { expect, onTestFinished, test } from 'vitest';
import { TlsSettings } from '../../src/listeners/tls.ts';
import { httpProxyService } from '../../src/proxy/lib.ts';
import { ServerConf } from '../../src/server/configuration/mod.ts';
import { refusals } from '../../src/utils/refusals.ts';
import { selfSigned } from '../../src/utils/self-signed.ts';
import { captureLog } from '../support/log.ts';
import { Origin } from '../support/origin.ts';
import { clientOf, ToOrigin } from '../support/proxy.ts';
import { serveInTest } from '../support/service.ts';

/** A proxy whose connections take three requests. */
async function start(tls: boolean): Promise<number> {
  const origin = await Origin.start();
  const service = httpProxyService(ServerConf.new(), new ToOrigin(`127.0.0.1:${origin.port}`), {
    requestsPerConnection: 3,
  });
  if (tls) {
    const { cert, key } = await selfSigned(['localhost']);
    const settings = TlsSettings.fromPem(cert, key);
    settings.enableH2();
    service.addTlsWithSettings('127.0.0.1:0', undefined, settings);
  } else service.addTcp('127.0.0.1:0');
  const { plain, tls: encrypted } = await serveInTest(service);
  return tls ? encrypted : plain;
}

const ended = 'connection takes no more requests after 3';

test('of HTTP/1: the last answer says so, and the connection is closed', async () => {
  const lines = captureLog('debug');
  const before = refusals().get('requests of one connection') ?? 0;
  const client = await clientOf(await start(false));
  for (let i = 1; i <= 3; i++) {
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until((got) => got.split('hello').length === i + 1);
  }
  expect((await client.end()).match(/Connection: [a-z-]+/g)).toEqual([
    'Connection: keep-alive',
    'Connection: keep-alive',
    'Connection: close',
  ]);
  expect(refusals().get('requests of one connection')).toBe(before + 1);
  expect(lines.filter(({ msg }) => msg === ended)).toHaveLength(1);
});

async function status(client: ClientHttp2Session): Promise<unknown> {
  const stream = client.request({ ':path': '/' });
  const [head] = (await once(stream, 'response')) as [{ ':status': number }];
  stream.resume();
  await once(stream, 'close');
  return head[':status'];
}

test('of HTTP/2: the client is told with GOAWAY, and what it has asked for is answered', async () => {
  const lines = captureLog('debug');
  const client = connect(`https://127.0.0.1:${await start(true)}`, { rejectUnauthorized: false });
  onTestFinished(() => client.destroy());
  const told = once(client, 'goaway');
  expect(await Promise.all([status(client), status(client), status(client)])).toEqual([200, 200, 200]);
  expect((await told)[0]).toBe(0);
  await once(client, 'close');
  expect(lines.filter(({ msg }) => msg === ended)).toHaveLength(1);
});

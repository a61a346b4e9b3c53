/** How many connections a service takes, and what those beyond get. */
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { ServeHttp } from '../../src/apps/http-app.ts';
import { ResponseHeader } from '../../src/http/lib.ts';
import { TlsSettings } from '../../src/listeners/tls.ts';
import { Admission, type ConnectionLimits } from '../../src/services/admission.ts';
import { Service } from '../../src/services/listening.ts';
import { refusals } from '../../src/utils/refusals.ts';
import { selfSigned } from '../../src/utils/self-signed.ts';
import { captureLog } from '../support/log.ts';
import { type Serving, serveInTest } from '../support/service.ts';

class Hello extends ServeHttp {
  response() {
    const head = ResponseHeader.build(200);
    head.insertHeader('Content-Length', 5);
    return { head, body: Buffer.from('hello') };
  }
}

/** A service with these limits, over plain TCP and over TLS with HTTP/2. */
async function start(limits: ConnectionLimits): Promise<Serving> {
  const service = Service.new('Hello', new Hello());
  service.limits = limits;
  const { cert, key } = await selfSigned(['localhost']);
  const settings = TlsSettings.fromPem(cert, key);
  settings.enableH2();
  service.addTcp('127.0.0.1:0');
  service.addTlsWithSettings('127.0.0.1:0', undefined, settings);
  return serveInTest(service, 2);
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

/** Ask on a connection that stays open, from this address. */
async function ask(port: number, localAddress = '127.0.0.1'): Promise<{ socket: Socket; answer: string }> {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  socket.on('error', () => {});
  onTestFinished(() => {
    socket.destroy();
  });
  let answer = '';
  socket.write(GET);
  await new Promise<void>((resolve) => {
    socket.on('data', (piece: Buffer) => {
      answer += piece.toString();
      if (answer.endsWith('hello')) resolve();
    });
    socket.on('close', () => resolve());
  });
  return { socket, answer };
}

/** What the next connection gets once one that was open has been let go: its end may take a moment to be seen. */
async function askUntilServed(port: number): Promise<void> {
  while (!(await ask(port)).answer.startsWith('HTTP/1.1 200')) await new Promise((resolve) => setImmediate(resolve));
}

const counted = (limit: string) => refusals().get(limit) ?? 0;

test('a connection beyond the limit gets 503 and is closed; when one has ended the next is served', async () => {
  const lines = captureLog('warn');
  const before = counted('connections');
  const { plain } = await start({ connections: 2 });
  const first = await ask(plain);
  expect(first.answer).toMatch(/^HTTP\/1\.1 200 /);
  expect((await ask(plain)).answer).toMatch(/^HTTP\/1\.1 200 /);
  expect((await ask(plain)).answer).toMatch(/^HTTP\/1\.1 503 .*\r\nConnection: close\r\n/s);
  expect(counted('connections')).toBe(before + 1);
  expect(lines.map(({ msg }) => msg)).toEqual(['too many connections: one of 127.0.0.1 is refused, 2 are open']);
  first.socket.destroy();
  await askUntilServed(plain);
});

test('one address can not have all of them', async () => {
  captureLog('error');
  const { plain } = await start({ connections: 10, perAddress: 1 });
  expect((await ask(plain)).answer).toMatch(/^HTTP\/1\.1 200 /);
  expect((await ask(plain)).answer).toMatch(/^HTTP\/1\.1 503 /);
  expect((await ask(plain, '127.0.0.2')).answer).toMatch(/^HTTP\/1\.1 200 /);
  expect(counted('connections of one address')).toBeGreaterThan(0);
});

test('over TLS it is closed before its handshake, and HTTP/2 counts as one connection', async () => {
  captureLog('error');
  const { plain, tls } = await start({ connections: 1 });
  const client = connectHttp2(`https://127.0.0.1:${tls}`, { rejectUnauthorized: false });
  onTestFinished(() => client.destroy());
  for (let i = 0; i < 2; i++) {
    const stream = client.request({ ':path': '/' });
    const [head] = (await once(stream, 'response')) as [{ ':status': number }];
    expect(head[':status']).toBe(200);
    stream.close();
  }
  const refused = connectTls({ port: tls, host: '127.0.0.1', rejectUnauthorized: false });
  const shaken = new Promise<boolean>((resolve) => {
    refused.once('secureConnect', () => resolve(true));
    refused.once('error', () => resolve(false));
    refused.once('close', () => resolve(false));
  });
  expect(await shaken).toBe(false);
  client.destroy();
  await askUntilServed(plain);
});

test('threads share the limits, and a flood of connections is one line', () => {
  const lines = captureLog('warn');
  const admission = new Admission({ connections: 5, perAddress: 3 }, 2);
  expect([1, 2, 3].map(() => admission.enter('a'))).toEqual([true, true, false]);
  expect(['b', 'c', 'd'].map((address) => admission.enter(address))).toEqual([true, false, false]);
  expect(lines).toHaveLength(1);
  admission.leave('a');
  expect([admission.enter('a'), admission.enter('b')]).toEqual([true, false]);
});

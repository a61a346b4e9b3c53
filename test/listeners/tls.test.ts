import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as dial, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect, createSecureContext, type TLSSocket } from 'node:tls';
import { generate } from 'selfsigned';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { PingoraError } from '../../src/error/lib.ts';
import { splitAddress } from '../../src/listeners/l4.ts';
import { ALPN, Listeners, type TlsAccept, TlsSettings, type TransportStack } from '../../src/listeners/mod.ts';
import type { Stream } from '../../src/protocols/l4/stream.ts';
import { settle } from '../../src/runtime/future.ts';
import { polled, promised, Task } from '../../src/runtime/task.ts';

interface Pem {
  cert: string;
  key: string;
}

async function pem(name: string): Promise<Pem> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
  });
  return { cert, key };
}

let dir: string;
let one: Pem;
let other: Pem;
const file = (name: string) => join(dir, name);
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'tls-test-'));
  [one, other] = await Promise.all([pem('one.test'), pem('other.test')]);
  writeFileSync(file('cert.pem'), one.cert);
  writeFileSync(file('key.pem'), one.key);
  writeFileSync(file('other-key.pem'), other.key);
  const locked = { type: 'pkcs8', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' } as const;
  writeFileSync(file('secret-key.pem'), createPrivateKey(one.key).export(locked));
  writeFileSync(file('text.pem'), 'hello');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const settings = () => TlsSettings.intermediate(file('cert.pem'), file('key.pem'));

/** An endpoint that listens; accept and handshake of one connection at a time are up to the test. */
async function endpoint(tls: TlsSettings): Promise<{ stack: TransportStack; port: number }> {
  const listeners = Listeners.new();
  listeners.addTlsWithSettings('127.0.0.1:0', undefined, tls);
  const [stack] = listeners.build(undefined);
  await stack!.listen();
  onTestFinished(() => stack!.cleanup());
  return { stack: stack!, port: splitAddress(stack!.localAddress())!.port };
}

interface Met {
  stream: Stream | undefined;
  client: TLSSocket | undefined;
  serverError: PingoraError | undefined;
  clientError: (Error & { code?: string }) | undefined;
}

/** Let a TLS client and the endpoint meet; whatever either side makes of it. */
async function meet(tls: TlsSettings, options: ConnectionOptions = {}): Promise<Met> {
  const { stack, port } = await endpoint(tls);
  const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  const met: Met = { stream: undefined, client: undefined, serverError: undefined, clientError: undefined };
  onTestFinished(() => {
    client.destroy();
    met.stream?.destroy();
  });
  const secure = new Promise<void>((resolve) => {
    client.once('secureConnect', () => {
      met.client = client;
      resolve();
    });
    client.on('error', (error) => {
      met.clientError = error;
      resolve();
    });
  });
  const io = await polled(() => stack.accept());
  try {
    met.stream = await io.handshake();
  } catch (error) {
    met.serverError = error as PingoraError;
  }
  await secure;
  return met;
}

/** Give the endpoint a connection that says what `say` says, and wait for the handshake to fail. */
async function spoil(say: (client: Socket) => void, tls = settings()): Promise<PingoraError> {
  const { stack, port } = await endpoint(tls);
  const client = dial(port, '127.0.0.1');
  client.on('error', () => {});
  onTestFinished(() => {
    client.destroy();
  });
  await once(client, 'connect');
  const io = await polled(() => stack.accept());
  const handshake = promised(settle(io.handshake()));
  say(client);
  const error = await handshake.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(PingoraError);
  client.resume();
  if (!client.closed) await once(client, 'close');
  return error as PingoraError;
}

describe('settings that are wrong are named', () => {
  test.each([
    ['a certificate that is not there', 'no.pem', 'key.pem', 'fail to read cert file DIR/no.pem: ENOENT'],
    ['a key that is not there', 'cert.pem', 'no.pem', 'fail to read key file DIR/no.pem: ENOENT'],
    ['a certificate that is none', 'text.pem', 'key.pem', 'the cert file DIR/text.pem holds no PEM cert'],
    ['a key that is none', 'cert.pem', 'text.pem', 'the key file DIR/text.pem holds no PEM key'],
    ['a key with a pass phrase', 'cert.pem', 'secret-key.pem', 'the key file DIR/secret-key.pem has a pass phrase'],
    [
      'a key of another certificate',
      'cert.pem',
      'other-key.pem',
      "the key DIR/other-key.pem doesn't belong to the certificate DIR/cert.pem",
    ],
  ])('%s', (_, cert, key, context) => {
    try {
      TlsSettings.intermediate(file(cert), file(key));
      expect.unreachable();
    } catch (error) {
      expect((error as PingoraError).etype().name).toBe('TLSConfigError');
      expect((error as PingoraError).context).toMatch(new RegExp(`^${context.replaceAll('DIR', dir)}`));
    }
  });
});

describe('ALPN', () => {
  const set = (alpn: ALPN | undefined) => {
    const tls = settings();
    if (alpn !== undefined) tls.setAlpn(alpn);
    return tls;
  };
  const h2 = 'h2';
  const h1 = 'http/1.1';
  const REFUSED = 'refused';

  test.each([
    ['nothing set', [h2, h1], false, undefined],
    ['nothing set', ['foo'], false, undefined],
    ['H1', [h2, h1], h1, ALPN.H1],
    ['H1', undefined, false, ALPN.H1],
    ['H1', [h2], REFUSED, ALPN.H1],
    ['H2H1', [h1, h2], h2, ALPN.H2H1],
    ['H2H1', [h1], h1, ALPN.H2H1],
    ['H2H1', undefined, false, ALPN.H2H1],
    ['H2H1', ['foo'], REFUSED, ALPN.H2H1],
    ['H2', [h1, h2], h2, ALPN.H2],
    ['H2', [h1], REFUSED, ALPN.H2],
  ])('%s, client offers %j: %s', async (_, offered, outcome, alpn) => {
    const met = await meet(set(alpn), offered === undefined ? {} : { ALPNProtocols: offered });
    if (outcome === REFUSED) {
      expect(met.clientError?.code).toBe('ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL');
      expect(met.serverError?.etype().name).toBe('TLSHandshakeFailure');
      return;
    }
    expect(met.client?.alpnProtocol).toBe(outcome);
    expect(met.stream?.selectedAlpnProto()).toBe(outcome === h2 ? ALPN.H2 : outcome === h1 ? ALPN.H1 : undefined);
  });

  test('enableH2 is H2H1', async () => {
    const tls = settings();
    tls.enableH2();
    expect((await meet(tls, { ALPNProtocols: [h1, h2] })).client?.alpnProtocol).toBe(h2);
  });
});

describe('the intermediate settings', () => {
  test.each(['TLSv1.2', 'TLSv1.3'] as const)('speak %s', async (version) => {
    const { stream, client } = await meet(settings(), { minVersion: version, maxVersion: version });
    expect(client?.getProtocol()).toBe(version);
    expect(stream?.getSslDigest()).toMatchObject({ version, organization: undefined, serialNumber: undefined });
  });

  test('refuse TLS 1.1', async () => {
    const met = await meet(settings(), {
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    expect(met.serverError?.etype().name).toBe('TLSHandshakeFailure');
    expect(met.stream).toBeUndefined();
  });

  test('refuse ciphers without forward secrecy', async () => {
    const met = await meet(settings(), { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' });
    expect(met.serverError?.etype().name).toBe('TLSHandshakeFailure');
  });

  test('refuse to renegotiate', async () => {
    const { stream, client } = await meet(settings(), { maxVersion: 'TLSv1.2' });
    const refused = once(client!, 'error');
    client!.renegotiate({}, () => {});
    expect(((await refused) as [{ code?: string }])[0].code).toBe('ERR_SSL_NO_RENEGOTIATION');
    // a client of OpenSSL gives up then
    await expect(stream!.read(100)).rejects.toThrow(/handshake failure/i);
  });

  test('take up a session again', async () => {
    const { stack, port } = await endpoint(settings());
    let session: Buffer | undefined;
    for (const reused of [false, true]) {
      const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...(session && { session }) });
      client.on('error', () => {});
      const ticket = new Promise<void>((resolve) =>
        client.once('session', (given) => {
          session = given;
          resolve();
        }),
      );
      const stream = await (await polled(() => stack.accept())).handshake();
      await stream.write(Buffer.from('x'));
      await stream.flush();
      await Promise.all([once(client, 'data'), reused || ticket]);
      expect(client.isSessionReused()).toBe(reused);
      client.destroy();
      stream.destroy();
    }
  });
});

test('bytes go both ways, and a client that ends its side gets its answer', async () => {
  const { stream, client } = await meet(settings());
  client!.end('question');
  expect((await stream!.read(100)).toString()).toBe('question');
  expect((await stream!.read(100)).length).toBe(0);
  await stream!.write('answer');
  await stream!.flush();
  const [answer] = (await once(client!, 'data')) as [Buffer];
  expect(answer.toString()).toBe('answer');
  expect(stream!.getTimingDigest()).toHaveLength(2);
  stream!.shutdown();
});

test('many handshakes at a time each get their own connection', async () => {
  const { stack, port } = await endpoint(settings());
  const clients = Array.from({ length: 20 }, (_, i) => {
    const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, servername: `n${i}.test` });
    client.on('error', () => {});
    client.write(`n${i}.test`);
    return client;
  });
  const handshakes: Promise<Stream>[] = [];
  for (const _ of clients) handshakes.push(Promise.resolve((await polled(() => stack.accept())).handshake()));
  const streams = await Promise.all(handshakes);
  for (const stream of streams) {
    const { servername } = stream.getSsl() as TLSSocket & { servername: string };
    expect((await stream.read(100)).toString()).toBe(servername);
    stream.destroy();
  }
  for (const client of clients) client.destroy();
});

describe('a certificate callback', () => {
  class BySni implements TlsAccept {
    readonly asked: string[] = [];
    certificateCallback(servername: string) {
      this.asked.push(servername);
      if (servername === 'broken.test') throw new Error('the store is down');
      return Promise.resolve(createSecureContext(servername === 'other.test' ? other : one));
    }
  }

  test.each([
    ['one.test', 'CN=one.test'],
    ['other.test', 'CN=other.test'],
  ])('gives %s its certificate', async (servername, subject) => {
    const callback = new BySni();
    const { client } = await meet(TlsSettings.withCallbacks(callback), { servername });
    expect(callback.asked).toEqual([servername]);
    expect(client?.getPeerX509Certificate()?.subject).toBe(subject);
  });

  test('that fails ends the handshake, and only that', async () => {
    const met = await meet(TlsSettings.withCallbacks(new BySni()), { servername: 'broken.test' });
    expect(met.serverError?.etype().name).toBe('TLSHandshakeFailure');
    expect(met.serverError?.context).toContain('the store is down');
  });

  test('is not asked without SNI: the handshake fails for want of a certificate', async () => {
    const callback = new BySni();
    const met = await meet(TlsSettings.withCallbacks(callback));
    expect(met.serverError?.etype().name).toBe('TLSHandshakeFailure');
    expect(callback.asked).toEqual([]);
  });
});

describe('a handshake that comes to nothing fails, and the connection is closed', () => {
  const hello = Buffer.from([22, 3, 1, 1, 0, 1, 0, 0, 0xfc, 3, 3]);

  test.each([
    ['HTTP instead of TLS', (client: Socket) => client.write('GET / HTTP/1.1\r\n\r\n')],
    ['noise instead of TLS', (client: Socket) => client.write(Buffer.alloc(4096, 0xa5))],
    ['a client that leaves before it said anything', (client: Socket) => client.end()],
    ['a client that leaves in the middle', (client: Socket) => client.end(hello)],
    ['a client that breaks off in the middle', (client: Socket) => client.write(hello, () => client.resetAndDestroy())],
  ])('%s', async (_, say) => {
    const error = await spoil(say);
    expect(error.etype().name).toBe('TLSHandshakeFailure');
    expect(error.context).toMatch(/^TLS accept\(\) failed: ./);
  });

  test('one that is dropped', async () => {
    const { stack, port } = await endpoint(settings());
    const client = dial(port, '127.0.0.1');
    client.on('error', () => {});
    onTestFinished(() => {
      client.destroy();
    });
    const io = await polled(() => stack.accept());
    const task = new Task(settle(io.handshake()), null, { resolve: expect.fail, reject: expect.fail });
    task.poll();
    task.drop();
    client.resume();
    await once(client, 'close');
  });

  test('a client that says nothing for a minute', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const error = await spoil(() => vi.advanceTimersByTime(60_010));
    expect(error.toString()).toBe(' TLSHandshakeFailure context: TLS accept() failed: the handshake took too long');
  });
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { ServerApp } from '../../src/apps/mod.ts';
import type { PingoraError } from '../../src/error/lib.ts';
import { Listeners, TlsSettings } from '../../src/listeners/mod.ts';
import type { Stream } from '../../src/protocols/l4/stream.ts';
import { runningTasks } from '../../src/runtime/lib.ts';
import { type ShutdownWatch, Watch } from '../../src/runtime/sync.ts';
import { Service } from '../../src/services/listening.ts';
import { selfSigned } from '../../src/utils/self-signed.ts';
import { captureLog } from '../support/log.ts';

const TARGET = 'pingora_core::services::listening';

/** Answers each byte with its upper case; `!` is the last of a connection, `?` fails. */
class Shout implements ServerApp {
  rounds = 0;
  cleanups = 0;
  readonly streams = new Set<Stream>();

  async processNew(stream: Stream, _shutdown: ShutdownWatch): Promise<Stream | undefined> {
    this.rounds++;
    this.streams.add(stream);
    const heard = (await stream.read(1)).toString();
    if (heard === '') return undefined;
    if (heard === '?') throw new Error('bad question');
    await stream.write(heard.toUpperCase());
    await stream.flush();
    return heard === '!' ? undefined : stream;
  }

  cleanup(): void {
    this.cleanups++;
  }
}

interface Running {
  app: Shout;
  bound: string[];
  /** Those of `bound` that are over TLS. */
  secure: string[];
  failed: PingoraError[];
  /** The n-th endpoint's connections. */
  dial(n?: number): Promise<Socket>;
  stop(): Promise<void>;
}

/** Start a service; resolves when each endpoint listens or has failed. */
async function start(add: (service: Service) => void, endpoints = 1): Promise<Running> {
  const app = new Shout();
  const service = Service.new('Shout', app);
  add(service);
  const bound: string[] = [];
  const secure: string[] = [];
  const failed: PingoraError[] = [];
  const settled = new Promise<void>((resolve) => {
    const one = () => {
      if (bound.length + failed.length === endpoints) resolve();
    };
    service.events = {
      onListening: (endpoint) => {
        bound.push(endpoint.bound);
        if (endpoint.tls) secure.push(endpoint.bound);
        one();
      },
      onListenFailed: (_, error) => {
        failed.push(error);
        one();
      },
    };
  });
  const shutdown = new Watch(false);
  const over = service.startService(undefined, shutdown.subscribe());
  const running: Running = {
    app,
    bound,
    secure,
    failed,
    async dial(n = 0) {
      const at = bound[n]!;
      const to = at.startsWith('/') ? { path: at } : { host: '127.0.0.1', port: Number(at.split(':').at(-1)) };
      const socket = connect(to);
      onTestFinished(() => {
        socket.destroy();
      });
      await once(socket, 'connect');
      socket.on('error', () => {});
      return socket;
    },
    async stop() {
      shutdown.send(true);
      await over;
    },
  };
  onTestFinished(async () => {
    await running.stop();
    for (const stream of app.streams) stream.destroy();
  });
  await settled;
  return running;
}

async function say(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  return answer.toString();
}

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'listening-test-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('a listening service', () => {
  test('serves a connection again and again while the application returns it', async () => {
    const { app, dial } = await start((service) => service.addTcp('127.0.0.1:0'));
    const socket = await dial();
    expect(await say(socket, 'a')).toBe('A');
    expect(await say(socket, 'b')).toBe('B');
    expect(await say(socket, '!')).toBe('!');
    await once(socket, 'close');
    expect(app.rounds).toBe(3);
  });

  test('serves connections beside each other', async () => {
    const { dial } = await start((service) => service.addTcp('127.0.0.1:0'));
    const silent = await dial();
    const other = await dial();
    expect(await say(other, 'x')).toBe('X');
    expect(await say(silent, 'y')).toBe('Y');
  });

  test('closes the connection of an application that fails, and goes on', async () => {
    const lines = captureLog('error');
    const { dial } = await start((service) => service.addTcp('127.0.0.1:0'));
    const socket = await dial();
    socket.write('?');
    socket.resume();
    await once(socket, 'close');
    expect(lines.map(({ msg }) => msg).join()).toContain('bad question');
    expect(await say(await dial(), 'z')).toBe('Z');
  });

  test('has as many endpoints as were added, of every kind', async () => {
    const { cert, key } = await selfSigned([]);
    writeFileSync(join(dir, 'cert.pem'), cert);
    writeFileSync(join(dir, 'key.pem'), key);
    const path = join(dir, 'shout.sock');
    const { bound, secure, dial } = await start((service) => {
      service.addTcp('127.0.0.1:0');
      service.addTcpWithSettings('localhost:0', {});
      service.addUds(path, 0o600);
      service.addAddress({ type: 'tcp', address: '127.0.0.1:0' });
      service.addTls('127.0.0.1:0', join(dir, 'cert.pem'), join(dir, 'key.pem'));
      service.addTlsWithSettings('127.0.0.1:0', undefined, TlsSettings.fromPem(cert, key));
    }, 6);
    expect(bound).toContain(path);
    expect(new Set(bound).size).toBe(6);
    expect(secure).toHaveLength(2);
    for (const [n, at] of bound.entries()) {
      const socket = await dial(n);
      if (!secure.includes(at)) {
        expect(await say(socket, 'p')).toBe('P');
        continue;
      }
      const tls = connectTls({ socket, ca: cert, servername: 'localhost' });
      await once(tls, 'secureConnect');
      expect(await say(tls, 't')).toBe('T');
      tls.destroy();
    }
  });

  test('takes endpoints that were put together before', async () => {
    const service = Service.withListeners('Shout', Listeners.tcp('127.0.0.1:0'), new Shout());
    expect(service.endpoints().build(undefined)).toHaveLength(1);
    expect(service.name()).toBe('Shout');
    expect(service.threads()).toBeUndefined();
    service.wantedThreads = 3;
    expect(service.threads()).toBe(3);
  });

  test('logs a handshake that fails and goes on', async () => {
    const lines = captureLog('error');
    const { cert, key } = await selfSigned([]);
    const { dial, app } = await start((service) =>
      service.addTlsWithSettings('127.0.0.1:0', undefined, TlsSettings.fromPem(cert, key)),
    );
    const plain = await dial();
    plain.write('GET / HTTP/1.1\r\n\r\n');
    plain.resume();
    await once(plain, 'close');
    const socket = await dial();
    const tls = connectTls({ socket, ca: cert, servername: 'localhost' });
    await once(tls, 'secureConnect');
    expect(await say(tls, 't')).toBe('T');
    expect(app.rounds).toBe(2);
    const [line] = lines.filter(({ target }) => target === TARGET);
    expect(line?.msg).toMatch(/^Downstream handshake error .*TLSHandshakeFailure context: TLS accept\(\) failed: /);
    tls.destroy();
  });

  test('goes on with its other endpoints when one cannot listen, and says so', async () => {
    const lines = captureLog('error');
    const { bound, failed, dial } = await start((service) => {
      service.addTcp('192.0.2.1:80');
      service.addTcp('127.0.0.1:0');
    }, 2);
    expect(bound).toHaveLength(1);
    expect(failed[0]?.etype().name).toBe('BindError');
    expect(lines[0]).toMatchObject({ target: TARGET, msg: expect.stringMatching(/^Listen\(\) failed: /) });
    expect(await say(await dial(), 'q')).toBe('Q');
  });

  test.each([
    ['EMFILE', -24, 'Too many open files (os error 24)'],
    ['ENFILE', -23, 'Too many open files in system (os error 23)'],
  ])('pauses when there are no file descriptors left (%s), and then goes on', async (code, errno, words) => {
    const lines = captureLog('error');
    const listen = vi.spyOn(Server.prototype, 'listen');
    const { dial } = await start((service) => service.addTcp('127.0.0.1:0'));
    const [server] = listen.mock.contexts as Server[];
    listen.mockRestore();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    server!.emit('error', Object.assign(new Error(`accept ${code}`), { code, errno }));
    while (lines.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const asked = dial().then((socket) => say(socket, 'm'));
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(1_020);
    expect(await asked).toBe('M');
    expect(lines[0]?.msg).toBe(`Accept() failed  AcceptError context: Fail to accept() cause: ${words}`);
  });
});

describe('when the server shuts down, a listening service', () => {
  test('stops listening, cleans up and ends, and leaves open connections alone', async () => {
    const lines = captureLog('info');
    const { app, dial, stop, bound } = await start((service) => service.addTcp('127.0.0.1:0'));
    const socket = await dial();
    expect(await say(socket, 'a')).toBe('A');
    await stop();
    expect(app.cleanups).toBe(1);
    await expect(dial()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(await say(socket, 'b')).toBe('B');
    expect(lines.filter(({ target }) => target === TARGET).map(({ msg }) => msg)).toEqual([
      'Shutting down 127.0.0.1:0',
    ]);
    // the port is free again
    const port = Number(bound[0]!.split(':')[1]);
    const next = createServer().listen(port, '127.0.0.1');
    await once(next, 'listening');
    next.close();
  });

  test.each(['TCP', 'a Unix socket'])(
    'serves those that were connected before over %s and not accepted yet',
    async (over) => {
      const path = join(dir, 'backlog.sock');
      const { bound, stop } = await start((service) => {
        if (over === 'TCP') service.addTcp('127.0.0.1:0');
        else service.addUds(path);
      });
      const to = over === 'TCP' ? { host: '127.0.0.1', port: Number(bound[0]!.split(':')[1]) } : { path };
      // another process connects while this one, which would have to accept, waits for it
      const clients = `
      const net = require('net');
      let connected = 0;
      for (let i = 0; i < 5; i++) {
        const socket = net.connect(${JSON.stringify(to)}, () => {
          socket.write('q');
          if (++connected === 5) process.stdout.write('all connected\\n');
        });
        socket.on('data', (data) => process.stdout.write(String(data)));
        socket.on('error', (error) => process.stdout.write(error.code));
      }`;
      const output = join(dir, 'clients.log');
      const file = openSync(output, 'w');
      const child = spawn(process.execPath, ['-e', clients], { stdio: ['ignore', file, 'inherit'] });
      onTestFinished(() => {
        child.kill('SIGKILL');
      });
      while (!readFileSync(output, 'utf8').includes('all connected'))
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      await stop();
      while (readFileSync(output, 'utf8').split('\n')[1]!.length < 5)
        await new Promise((resolve) => setImmediate(resolve));
      expect(readFileSync(output, 'utf8')).toBe('all connected\nQQQQQ');
    },
  );

  test('ends although an endpoint is still waiting for its address', async () => {
    const lines = captureLog('warn');
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    onTestFinished(() => {
      taken.close();
    });
    const service = Service.new('Shout', new Shout());
    service.addTcp(`127.0.0.1:${(taken.address() as AddressInfo).port}`);
    const shutdown = new Watch(false);
    const over = service.startService(undefined, shutdown.subscribe());
    while (lines.length === 0) await new Promise((resolve) => setImmediate(resolve));
    shutdown.send(true);
    await over;
  });

  test('does not serve at all if that has begun before it started', async () => {
    const app = new Shout();
    const service = Service.new('Shout', app);
    service.addTcp('127.0.0.1:0');
    const shutdown = new Watch(false);
    const receiver = shutdown.subscribe();
    shutdown.send(true);
    await service.startService(undefined, receiver);
    expect(app.cleanups).toBe(1);
  });

  test('leaves no task and no listener behind, however many connections there were', async () => {
    const before = runningTasks();
    const { dial, stop, app } = await start((service) => service.addTcp('127.0.0.1:0'));
    for (let i = 0; i < 50; i++) {
      const socket = await dial();
      expect(await say(socket, '!')).toBe('!');
      await once(socket, 'close');
    }
    for (const stream of app.streams) if (!stream.socket.closed) await once(stream.socket, 'close');
    await stop();
    while (runningTasks() > before) await new Promise((resolve) => setImmediate(resolve));
  });
});

import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { PingoraError } from '../../src/error/lib.ts';
import { ListenerEndpoint, type ServerAddress, splitAddress } from '../../src/listeners/l4.ts';
import { PENDING } from '../../src/runtime/poll.ts';
import { polled } from '../../src/runtime/task.ts';
import { Fds } from '../../src/server/transfer-fd/mod.ts';
import { captureLog } from '../support/log.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'l4-test-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));

async function listening(address: ServerAddress, fds?: Fds): Promise<ListenerEndpoint> {
  const endpoint = ListenerEndpoint.new(address);
  onTestFinished(() => endpoint.close());
  await endpoint.listen(fds);
  return endpoint;
}

const tcp = (address: string, ipv6Only?: boolean): ServerAddress =>
  ipv6Only === undefined ? { type: 'tcp', address } : { type: 'tcp', address, options: { ipv6Only } };
const uds = (address: string, permissions?: number): ServerAddress => ({ type: 'uds', address, permissions });
const portOf = (endpoint: ListenerEndpoint) => splitAddress(endpoint.localAddress())!.port;

async function dial(to: { port: number; host: string } | { path: string }): Promise<Socket> {
  const socket = connect(to);
  onTestFinished(() => {
    socket.destroy();
  });
  await once(socket, 'connect');
  socket.on('error', () => {});
  return socket;
}

async function failure(listen: Promise<unknown>): Promise<PingoraError> {
  try {
    await listen;
  } catch (error) {
    expect(error).toBeInstanceOf(PingoraError);
    expect((error as PingoraError).etype().name).toBe('BindError');
    return error as PingoraError;
  }
  throw new Error('it listens');
}

describe('addresses', () => {
  test.each([
    ['127.0.0.1:80', { host: '127.0.0.1', port: 80 }],
    ['[::1]:8080', { host: '::1', port: 8080 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    [':80', { host: '', port: 80 }],
    ['127.0.0.1', undefined],
    ['127.0.0.1:', undefined],
    ['127.0.0.1:65536', undefined],
    ['127.0.0.1:http', undefined],
    ['::1:80', undefined],
    ['', undefined],
  ])('%j', (address, parts) => {
    expect(splitAddress(address)).toEqual(parts);
  });
});

describe('a TCP endpoint', () => {
  test('is not bound before listen', async () => {
    const path = join(dir, 'lazy.sock');
    const endpoint = ListenerEndpoint.new(uds(path));
    expect(existsSync(path)).toBe(false);
    expect(endpoint.localAddress()).toBe(path);
    await expect(polled(() => endpoint.accept())).rejects.toThrow('Need to call listen() first');
  });

  test('gives connections in the order in which they came, bytes unread', async () => {
    const endpoint = await listening(tcp('127.0.0.1:0'));
    const to = { port: portOf(endpoint), host: '127.0.0.1' };
    const clients = [await dial(to), await dial(to)];
    clients[0]!.write('first');
    clients[1]!.write('second');
    for (const expected of ['first', 'second']) {
      const stream = await polled(() => endpoint.accept());
      expect(stream.socket.bytesRead).toBe(0);
      expect((await stream.read(100)).toString()).toBe(expected);
      stream.destroy();
    }
  });

  test('keeps a half-open connection open for the answer', async () => {
    const endpoint = await listening(tcp('127.0.0.1:0'));
    const client = await dial({ port: portOf(endpoint), host: '127.0.0.1' });
    client.end('question');
    const stream = await polled(() => endpoint.accept());
    expect((await stream.read(100)).toString()).toBe('question');
    expect((await stream.read(100)).length).toBe(0);
    await stream.write('answer');
    await stream.flush();
    const [answer] = (await once(client, 'data')) as [Buffer];
    expect(answer.toString()).toBe('answer');
    stream.shutdown();
  });

  test('takes no connection for an accept that nobody polls any more', async () => {
    const endpoint = await listening(tcp('127.0.0.1:0'));
    expect(endpoint.accept()).toBe(PENDING);
    await dial({ port: portOf(endpoint), host: '127.0.0.1' });
    (await polled(() => endpoint.accept())).destroy();
  });

  test('closes the connections that nobody accepted', async () => {
    const endpoint = await listening(tcp('127.0.0.1:0'));
    const client = await dial({ port: portOf(endpoint), host: '127.0.0.1' });
    const other = await dial({ port: portOf(endpoint), host: '127.0.0.1' });
    (await polled(() => endpoint.accept())).destroy();
    endpoint.close();
    await Promise.all([client, other].map((socket) => socket.closed || once(socket.resume(), 'close')));
  });

  test('takes a name for an address', async () => {
    const endpoint = await listening(tcp('localhost:0'));
    expect(endpoint.localAddress()).toMatch(/^(127\.0\.0\.1|\[::1\]):\d+$/);
    expect(endpoint.asStr()).toBe('localhost:0');
  });

  test.skipIf(!hasIpv6)('[::] takes IPv4 too, unless it is IPv6 only', async () => {
    const both = await listening(tcp('[::]:0'));
    await dial({ port: portOf(both), host: '127.0.0.1' });
    const only = await listening(tcp('[::]:0', true));
    await dial({ port: portOf(only), host: '::1' });
    await expect(dial({ port: portOf(only), host: '127.0.0.1' })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test.each([
    ['127.0.0.1', 'Invalid listen address 127.0.0.1'],
    ['no.such.host.invalid:80', 'Invalid listen address no.such.host.invalid:80'],
    ['192.0.2.1:0', 'bind() failed on 192.0.2.1:0'],
  ])('fails at once for %s', async (address, context) => {
    expect((await failure(listening(tcp(address)))).context).toBe(context);
  });

  test('waits for an address that is in use until it is free', async () => {
    const lines = captureLog('warn');
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const address = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
    const coming = listening(tcp(address));
    while (lines.length === 0) await new Promise((resolve) => setImmediate(resolve));
    taken.close();
    await coming;
    expect(lines[0]).toMatchObject({
      target: 'pingora_core::listeners',
      msg: `${address} is in use, will try again`,
    });
  });

  test('stops waiting for it when the server shuts down', async () => {
    const lines = captureLog('warn');
    const taken = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => {
      taken.close();
    });
    await once(taken, 'listening');
    const endpoint = ListenerEndpoint.new(tcp(`127.0.0.1:${(taken.address() as AddressInfo).port}`));
    const coming = failure(endpoint.listen(undefined));
    while (lines.length === 0) await new Promise((resolve) => setImmediate(resolve));
    endpoint.cancelListen();
    expect((await coming).context).toContain('shutting down');
  });
});

describe('a Unix socket', () => {
  test('can be used by everybody, and its file goes with it', async () => {
    const path = join(dir, 'plain.sock');
    const endpoint = await listening(uds(path));
    expect(statSync(path).mode & 0o777).toBe(0o666);
    expect(endpoint.localAddress()).toBe(path);
    await dial({ path });
    (await polled(() => endpoint.accept())).destroy();
    endpoint.close();
    expect(existsSync(path)).toBe(false);
  });

  test('has the permissions that were asked for', async () => {
    const path = join(dir, 'private.sock');
    await listening(uds(path, 0o600));
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('takes the place of another one, whose end leaves it alone', async () => {
    const path = join(dir, 'stale.sock');
    const before = await listening(uds(path));
    const endpoint = await listening(uds(path));
    before.close();
    await dial({ path });
    (await polled(() => endpoint.accept())).destroy();
    endpoint.close();
    expect(readdirSync(dir).filter((name) => name.includes('stale') || name.startsWith('.'))).toEqual([]);
  });

  test('keeps its file when another process has the socket', async () => {
    const path = join(dir, 'handed.sock');
    const fds = Fds.new();
    const endpoint = await listening(uds(path), fds);
    fds.handedOver = true;
    endpoint.close();
    expect(existsSync(path)).toBe(true);
  });

  test('has a path of at most 107 bytes', async () => {
    const path = join(dir, 'x'.repeat(108 - dir.length - 1));
    expect((await failure(listening(uds(path)))).toString()).toContain("a socket's path has at most 107 bytes");
    await listening(uds(path.slice(0, -1)));
  });

  test('never removes a file that is not a socket', async () => {
    const path = join(dir, 'precious.txt');
    writeFileSync(path, 'precious');
    chmodSync(path, 0o600);
    expect((await failure(listening(uds(path)))).context).toBe(`Bind() failed on ${path}`);
    expect(statSync(path).size).toBe(8);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('fails in a folder that is not there', async () => {
    const path = join(dir, 'no', 'such.sock');
    expect((await failure(listening(uds(path)))).context).toBe(`Bind() failed on ${path}`);
  });
});

describe('the table of sockets', () => {
  test('gets each socket under its address', async () => {
    const fds = Fds.new();
    const path = join(dir, 'table.sock');
    await listening(tcp('127.0.0.1:0'), fds);
    await listening(uds(path), fds);
    const { addresses, fds: numbers } = fds.serialize();
    expect(addresses).toEqual(['127.0.0.1:0', path]);
    for (const fd of numbers) expect(fd).toBeGreaterThan(2);
    const copy = Fds.new();
    copy.deserialize(addresses, numbers);
    expect(copy.get(path)).toBe(fds.get(path));
    expect(copy.get('127.0.0.1:1')).toBeUndefined();
  });
});

describe('a socket that is held for threads', () => {
  const held = async (address: ServerAddress): Promise<ListenerEndpoint> => {
    const endpoint = ListenerEndpoint.new(address);
    onTestFinished(() => endpoint.close());
    await endpoint.listen(undefined, { hold: true });
    return endpoint;
  };

  test('is bound, and accepts where its handle is inherited', async () => {
    const owner = await held(tcp('127.0.0.1:0'));
    const port = portOf(owner);
    const refused = connect({ port, host: '127.0.0.1' });
    const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNREFUSED');
    const thread = ListenerEndpoint.new(tcp('127.0.0.1:0'));
    onTestFinished(() => thread.close());
    await thread.listen(undefined, { inherited: owner.handle() });
    const client = await dial({ port, host: '127.0.0.1' });
    const stream = await polled(() => thread.accept());
    client.write('hello');
    expect(String(await stream.read(5))).toBe('hello');
    stream.destroy();
  });

  test('waits for its address as any other does', async () => {
    const lines = captureLog('warn');
    const taken = await listening(tcp('127.0.0.1:0'));
    const address = `127.0.0.1:${portOf(taken)}`;
    const waiting = held(tcp(address));
    while (lines.length === 0) await new Promise((resolve) => setImmediate(resolve));
    taken.close();
    const endpoint = await waiting;
    expect(endpoint.localAddress()).toBe(address);
  });

  test('says what is wrong as any other does', async () => {
    const error = await failure(held(tcp('192.0.2.1:0')));
    expect(error.rootCause()).toMatchObject({ code: 'EADDRNOTAVAIL' });
    expect((await failure(held(uds(join(dir, 'no/such/folder.sock'))))).context).toContain('folder.sock');
  });

  test('that is a Unix socket has its file, and removes it', async () => {
    const path = join(dir, 'held.sock');
    const endpoint = await held(uds(path, 0o600));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    endpoint.close();
    expect(existsSync(path)).toBe(false);
  });
});

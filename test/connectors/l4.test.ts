import { once } from 'node:events';
import { Socket } from 'node:net';
import { describe, expect, it, vi } from 'vitest';
import { bindToRandom, connect as connecting } from '../../src/connectors/l4.ts';
import { ErrorType, PingoraError } from '../../src/error/lib.ts';
import { wrapOsConnectError } from '../../src/protocols/l4/ext.ts';
import { SocketAddr } from '../../src/protocols/l4/socket.ts';
import type { Stream } from '../../src/protocols/l4/stream.ts';
import { ConnectProxyError } from '../../src/protocols/raw-connect.ts';
import { promised, Task } from '../../src/runtime/task.ts';
import { Proxy as ConnectProxy, HttpPeer, type Peer } from '../../src/upstreams/peer.ts';
import { atEnd, blackhole, clientSockets, closedPort, closeOf, socketPath, tcpOrigin } from './origins.ts';

const connect = (peer: Peer, bindTo?: SocketAddr) => promised(connecting(peer, bindTo));

async function failure(attempt: Promise<unknown>): Promise<PingoraError> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(PingoraError);
  return error as PingoraError;
}

async function open(peer: Peer, bindTo?: SocketAddr): Promise<Stream> {
  const stream = await connect(peer, bindTo);
  atEnd(() => stream.destroy());
  return stream;
}

describe('l4.connect', () => {
  it('connects over TCP', async () => {
    const origin = await tcpOrigin();
    const stream = await open(HttpPeer.new(origin.address, false, ''));
    const socket = await origin.accepted();
    socket.end('hello');
    expect(String(await stream.read(100))).toBe('hello');
    expect(await stream.read(100)).toHaveLength(0);
    // the server sends no more, but it still reads
    await stream.write('bye');
    await stream.flush();
    expect(String((await once(socket, 'data'))[0])).toBe('bye');
  });

  it('connects to a Unix socket', async () => {
    const origin = await tcpOrigin(socketPath());
    const stream = await open(HttpPeer.newUds(origin.address, false, ''));
    (await origin.accepted()).write('hello');
    expect(String(await stream.read(100))).toBe('hello');
  });

  it('connects from the address that it is told', async () => {
    const origin = await tcpOrigin();
    await open(HttpPeer.new(origin.address, false, ''), SocketAddr.parse('127.0.0.2:0'));
    expect((await origin.accepted()).remoteAddress).toBe('127.0.0.2');
  });

  it('tells a refused connection', async () => {
    const error = await failure(connect(HttpPeer.new(`127.0.0.1:${await closedPort()}`, false, ''), undefined));
    expect(error.etype()).toBe(ErrorType.ConnectRefused);
    expect(error.context).toMatch(/^Fail to connect to addr: 127\.0\.0\.1:\d+, scheme: HTTP,$/);
    expect(error.retry()).toBe(false);
  });

  it('takes an address that it cannot bind to for an error of its own', async () => {
    const origin = await tcpOrigin();
    // RFC 1112 4: reserved, nobody's address
    const peer = HttpPeer.new(origin.address, false, '');
    const error = await failure(connect(peer, SocketAddr.parse('240.0.0.1:0')));
    expect(error.etype()).toBe(ErrorType.InternalError);
    expect(error.rootEtype()).toBe(ErrorType.BindError);
  });

  it('takes a Unix socket that is not there for a failure to connect', async () => {
    const error = await failure(connect(HttpPeer.newUds(socketPath(), false, ''), undefined));
    expect(error.etype()).toBe(ErrorType.ConnectError);
  });

  it('gives up after the connection timeout', async () => {
    const peer = HttpPeer.new(`127.0.0.1:${await blackhole()}`, false, '');
    peer.options.connectionTimeout = 1;
    const opened = clientSockets();
    const error = await failure(connect(peer, undefined));
    expect(opened.map((socket) => socket.destroyed)).toEqual([true]);
    expect(error.etype()).toBe(ErrorType.ConnectTimedout);
    expect(error.context).toBe(`timeout 1ms connecting to server ${peer}`);
  });

  it('closes the socket of an attempt that is dropped', async () => {
    const peer = HttpPeer.new(`127.0.0.1:${await blackhole()}`, false, '');
    const opened = clientSockets();
    const task = new Task(connecting(peer, undefined), null, { resolve: expect.fail, reject: expect.fail });
    task.poll();
    expect(opened.map((socket) => socket.destroyed)).toEqual([false]);
    task.drop();
    expect(opened.map((socket) => socket.destroyed)).toEqual([true]);
    expect(opened.map((socket) => socket.listenerCount('connect'))).toEqual([0]);
  });

  it("turns the kernel's probes on if the peer asks for them", async () => {
    const origin = await tcpOrigin();
    const probes = vi.spyOn(Socket.prototype, 'setKeepAlive');
    atEnd(() => probes.mockRestore());
    const peer = HttpPeer.new(origin.address, false, '');
    await open(peer);
    expect(probes).not.toHaveBeenCalled();
    peer.options.tcpKeepalive = { idle: 60_000, interval: 5000, count: 3 };
    await open(peer);
    expect(probes).toHaveBeenCalledExactlyOnceWith(true, 60_000);
  });

  it('tells the tracer of the connection and of its end', async () => {
    const origin = await tcpOrigin();
    const peer = HttpPeer.new(origin.address, false, '');
    const told: string[] = [];
    const gone = new Promise<void>((resolve) => {
      peer.options.tracer = {
        onConnected: () => told.push('connected'),
        onDisconnected: () => {
          told.push('disconnected');
          resolve();
        },
      };
    });
    const stream = await open(peer);
    expect(told).toEqual(['connected']);
    stream.destroy();
    await gone;
    expect(told).toEqual(['connected', 'disconnected']);
  });
});

describe('wrapOsConnectError', () => {
  it.each([
    ['ECONNREFUSED', ErrorType.ConnectRefused],
    ['ETIMEDOUT', ErrorType.ConnectTimedout],
    ['ENETUNREACH', ErrorType.ConnectNoRoute],
    ['EHOSTUNREACH', ErrorType.ConnectNoRoute],
    ['EACCES', ErrorType.InternalError],
    ['EADDRINUSE', ErrorType.InternalError],
    ['EADDRNOTAVAIL', ErrorType.InternalError],
    ['ECONNRESET', ErrorType.ConnectError],
  ])('takes %s for %s', (code, etype) => {
    expect(wrapOsConnectError(Object.assign(new Error(code), { code }), 'why').etype()).toBe(etype);
  });
});

describe('bindToRandom', () => {
  const v4 = [SocketAddr.parse('127.0.0.2:0')];
  const v6 = [SocketAddr.parse('[::1]:0')];

  it.each([
    ['127.0.0.1:80', v4[0]],
    ['[::1]:80', v6[0]],
  ])('chooses for %s from the list of its family', (address, chosen) => {
    expect(bindToRandom(HttpPeer.new(address, false, ''), v4, v6)).toBe(chosen);
    expect(bindToRandom(HttpPeer.new(address, false, ''), [], [])).toBeUndefined();
  });

  it('chooses nothing for a Unix socket', () => {
    expect(bindToRandom(HttpPeer.newUds('/a', false, ''), v4, v6)).toBeUndefined();
  });

  it("prefers the peer's own choice", () => {
    const peer = HttpPeer.new('127.0.0.1:80', false, '');
    peer.options.bindTo = SocketAddr.parse('127.0.0.9:0');
    expect(bindToRandom(peer, v4, v6)).toBe(peer.options.bindTo);
  });

  it('chooses any of several', () => {
    const list = [...v4, SocketAddr.parse('127.0.0.3:0')];
    const peer = HttpPeer.new('127.0.0.1:80', false, '');
    const chosen = new Set(Array.from({ length: 200 }, () => bindToRandom(peer, list, [])));
    expect(chosen.size).toBe(2);
  });
});

describe('a CONNECT proxy', () => {
  async function proxy(answer: (socket: Socket) => void) {
    const origin = await tcpOrigin(socketPath());
    origin.server.on('connection', answer);
    const peer = HttpPeer.new('192.0.2.1:80', false, '');
    peer.proxy = new ConnectProxy(origin.address, '192.0.2.1', 80, { 'X-One': '1' });
    peer.options.extraProxyHeaders = { 'X-Two': '2' };
    return { origin, peer };
  }

  it('opens a tunnel', async () => {
    let asked = '';
    const { peer, origin } = await proxy((socket) =>
      socket.once('data', (data) => {
        asked = String(data);
        // the first bytes of the tunnel right behind the answer belong to whoever uses it
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nhello');
      }),
    );
    const stream = await open(peer);
    expect(asked).toBe('CONNECT 192.0.2.1:80 HTTP/1.1\r\nHost: 192.0.2.1:80\r\nX-One: 1\r\nX-Two: 2\r\n\r\n');
    expect(stream.getProxyDigest()?.response.status).toBe(200);
    expect(String(await stream.read(100))).toBe('hello');
    await stream.write('bye');
    await stream.flush();
    expect(String((await once(await origin.accepted(), 'data'))[0])).toBe('bye');
  });

  it('that refuses is an error, and its connection is closed', async () => {
    const closed: Promise<unknown>[] = [];
    const { peer } = await proxy((socket) => {
      closed.push(closeOf(socket));
      socket.once('data', () => socket.write('HTTP/1.1 403 Forbidden\r\nProxy-Status: nope\r\n\r\n'));
    });
    const error = await failure(connect(peer, undefined));
    expect(error.etype()).toBe(ErrorType.ConnectProxyFailure);
    const cause = error.rootCause();
    expect(cause).toBeInstanceOf(ConnectProxyError);
    expect(cause.message).toBe('Failed CONNECT Response: status 403, proxy-status nope');
    await Promise.all(closed);
  });

  it('that frames its answer in chunks is an error', async () => {
    const { peer } = await proxy((socket) =>
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')),
    );
    expect((await failure(connect(peer, undefined))).etype()).toBe(ErrorType.ConnectProxyFailure);
  });

  it('that closes is an error not to be retried', async () => {
    const { peer } = await proxy((socket) => socket.once('data', () => socket.end()));
    const error = await failure(connect(peer, undefined));
    expect(error.etype()).toBe(ErrorType.ConnectionClosed);
    expect(error.retry()).toBe(false);
  });

  it('that is not there is an error', async () => {
    const peer = HttpPeer.newProxy(socketPath(), '192.0.2.1', 80, false, '');
    const error = await failure(connect(peer, undefined));
    expect(error.etype()).toBe(ErrorType.ConnectError);
    expect(error.retry()).toBe(false);
  });

  it('that is silent is given up after the connection timeout, and its connection is closed', async () => {
    const closed: Promise<unknown>[] = [];
    const { peer } = await proxy((socket) => {
      socket.resume();
      closed.push(closeOf(socket));
    });
    peer.options.connectionTimeout = 50;
    const error = await failure(connect(peer, undefined));
    expect(error.etype()).toBe(ErrorType.ConnectTimedout);
    expect(closed).toHaveLength(1);
    await closed[0];
  });
});

import { once } from 'node:events';
import { beforeAll, describe, expect, it } from 'vitest';
import { ConnectorOptions, PreferredHttpVersion, TransportConnector } from '../../src/connectors/mod.ts';
import { ErrorType, PingoraError } from '../../src/error/lib.ts';
import { SocketAddr } from '../../src/protocols/l4/socket.ts';
import type { Stream } from '../../src/protocols/l4/stream.ts';
import { ALPN } from '../../src/protocols/mod.ts';
import { runningTasks } from '../../src/runtime/lib.ts';
import { polled } from '../../src/runtime/task.ts';
import { Recorder } from '../../src/tracing/recorder.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { parseCertificates } from '../../src/utils/mod.ts';
import {
  atEnd,
  blackhole,
  clientSockets,
  closedPort,
  closeOf,
  makeCa,
  makeCert,
  type Origin,
  type Pem,
  socketPath,
  tcpOrigin,
  tlsOrigin,
} from './origins.ts';

let ca: Pem;
let cert: Pem;

beforeAll(async () => {
  ca = await makeCa('Test CA');
  cert = await makeCert(ca, 'origin.test');
});

function connector(options?: ConnectorOptions): TransportConnector {
  const made = TransportConnector.new(options);
  atEnd(() => made.close());
  return made;
}

/** Wait for the end of a connection that this side may still hold. */
function endOf(stream: Stream): Promise<unknown> {
  return stream.socket.closed ? Promise.resolve() : once(stream.socket, 'close');
}

const kinds: [string, () => Promise<[Origin, HttpPeer]>][] = [
  [
    'TCP',
    async () => {
      const origin = await tcpOrigin();
      return [origin, HttpPeer.new(origin.address, false, '')];
    },
  ],
  [
    'a Unix socket',
    async () => {
      const origin = await tcpOrigin(socketPath());
      return [origin, HttpPeer.newUds(origin.address, false, '')];
    },
  ],
  [
    'TLS',
    async () => {
      const origin = await tlsOrigin({ cert: cert.cert, key: cert.key });
      const peer = HttpPeer.new(origin.address, true, 'origin.test');
      peer.options.ca = parseCertificates(ca.cert);
      return [origin, peer];
    },
  ],
];

describe.each(kinds)('TransportConnector over %s', (_kind, make) => {
  it('uses a released connection again, at once', async () => {
    const [origin, peer] = await make();
    const by = connector();
    const [stream, reused] = await by.getStream(peer);
    expect(reused).toBe(false);
    const socket = await origin.accepted();
    for (let i = 0; i < 3; i++) {
      by.releaseStream(stream, peer.reuseHash(), 60_000);
      // no promise: there is nothing to wait for
      expect(by.getStream(peer)).toEqual([stream, true]);
    }
    by.releaseStream(stream, peer.reuseHash(), undefined);
    // the watch has begun by now, and must take nothing of what comes next
    await new Promise((resolve) => setImmediate(resolve));
    expect(by.reusedStream(peer)).toBe(stream);
    socket.write('hello');
    expect(String(await stream.read(100))).toBe('hello');
    stream.destroy();
  });

  it('drops an idle connection that the peer closes', async () => {
    const [origin, peer] = await make();
    const by = connector();
    const [stream] = await by.getStream(peer);
    const socket = await origin.accepted();
    by.releaseStream(stream, peer.reuseHash(), undefined);
    socket.end();
    await endOf(stream);
    expect(by.idle).toBe(0);
    const [fresh, reused] = await by.getStream(peer);
    expect(reused).toBe(false);
    fresh.destroy();
  });

  it('drops an idle connection on which something arrives', async () => {
    const [origin, peer] = await make();
    const by = connector();
    const [stream] = await by.getStream(peer);
    const socket = await origin.accepted();
    by.releaseStream(stream, peer.reuseHash(), undefined);
    const closed = closeOf(socket.resume());
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    await closed;
    expect(by.idle).toBe(0);
    expect(by.reusedStream(peer)).toBeUndefined();
  });

  it('closes an idle connection after the idle timeout', async () => {
    const [origin, peer] = await make();
    const by = connector();
    const [stream] = await by.getStream(peer);
    const closed = closeOf((await origin.accepted()).resume());
    by.releaseStream(stream, peer.reuseHash(), 1);
    await closed;
    expect(by.idle).toBe(0);
  });

  it('does not keep a connection on which something waits unread', async () => {
    const [origin, peer] = await make();
    const by = connector();
    const [stream] = await by.getStream(peer);
    const socket = await origin.accepted();
    const closed = closeOf(socket);
    socket.write('late');
    await polled(() => stream.pollFill(0));
    by.releaseStream(stream, peer.reuseHash(), undefined);
    expect(by.idle).toBe(0);
    await closed;
  });
});

describe('TransportConnector', () => {
  it('closes the connection that it evicts', async () => {
    const origin = await tcpOrigin();
    const peer = HttpPeer.new(origin.address, false, '');
    const by = connector(ConnectorOptions.new(1));
    const first = await by.newStream(peer);
    const closed = closeOf((await origin.accepted()).resume());
    const second = await by.newStream(peer);
    by.releaseStream(first, peer.reuseHash(), undefined);
    by.releaseStream(second, peer.reuseHash(), undefined);
    await closed;
    expect(by.idle).toBe(1);
    expect(by.reusedStream(peer)).toBe(second);
    second.destroy();
  });

  it('hands out a broken connection to nobody', async () => {
    const origin = await tcpOrigin();
    const peer = HttpPeer.new(origin.address, false, '');
    const by = connector();
    const stream = await by.newStream(peer);
    by.releaseStream(stream, peer.reuseHash(), undefined);
    stream.socket.destroy();
    expect(by.reusedStream(peer)).toBeUndefined();
  });

  it('gives a connection to no peer that it does not lead to', async () => {
    const [one, other] = await Promise.all([tcpOrigin(), tcpOrigin()]);
    const peer = HttpPeer.new(one.address, false, '');
    const by = connector();
    const stream = await by.newStream(HttpPeer.new(other.address, false, ''));
    // released under the wrong key
    by.releaseStream(stream, peer.reuseHash(), undefined);
    expect(by.reusedStream(peer)).toBeUndefined();
    expect(stream.socket.destroyed).toBe(true);
  });

  it('closes what waits when it is closed, and what is released after', async () => {
    const origin = await tcpOrigin();
    const peer = HttpPeer.new(origin.address, false, '');
    const by = TransportConnector.new();
    const streams = [await by.newStream(peer), await by.newStream(peer)] as const;
    by.releaseStream(streams[0], peer.reuseHash(), 60_000);
    by.close();
    by.releaseStream(streams[1], peer.reuseHash(), 60_000);
    await Promise.all(streams.map(endOf));
    expect(by.idle).toBe(0);
  });

  it('leaves no task behind', async () => {
    const origin = await tcpOrigin();
    const peer = HttpPeer.new(origin.address, false, '');
    const by = connector();
    // those of the connections before
    while (runningTasks() > 0) await new Promise((resolve) => setImmediate(resolve));
    const [stream] = await by.getStream(peer);
    for (let i = 0; i < 50; i++) {
      by.releaseStream(stream, peer.reuseHash(), 60_000);
      if (i % 2 === 0) await null;
      by.reusedStream(peer);
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(runningTasks()).toBe(0);
    expect(stream.socket.listenerCount('data')).toBeLessThanOrEqual(1);
    stream.destroy();
  });

  it('connects from an address of the configuration', async () => {
    const origin = await tcpOrigin();
    const by = connector(
      ConnectorOptions.fromServerConf({
        upstreamKeepalivePoolSize: 1,
        clientBindToIpv4: ['127.0.0.3'],
        clientBindToIpv6: [],
      }),
    );
    const peer = HttpPeer.new(origin.address, false, '');
    const stream = await by.newStream(peer);
    expect((await origin.accepted()).remoteAddress).toBe('127.0.0.3');
    stream.destroy();
    peer.options.bindTo = SocketAddr.parse('127.0.0.4:0');
    const other = await by.newStream(peer);
    expect((await origin.accepted()).remoteAddress).toBe('127.0.0.4');
    other.destroy();
  });

  it('refuses a configuration with an address that is none', () => {
    expect(() =>
      ConnectorOptions.fromServerConf({
        upstreamKeepalivePoolSize: 1,
        clientBindToIpv4: ['nowhere'],
        clientBindToIpv6: [],
      }),
    ).toThrow(PingoraError);
  });

  it.each([
    ['the total connection timeout', { totalConnectionTimeout: 1 }, true],
    ['the shorter connection timeout', { totalConnectionTimeout: 60_000, connectionTimeout: 1 }, false],
  ])('gives up after %s, and its socket is closed', async (_which, options, total) => {
    const peer = HttpPeer.new(`127.0.0.1:${await blackhole()}`, false, '');
    Object.assign(peer.options, options);
    const opened = clientSockets();
    const error = await Promise.resolve(connector().newStream(peer)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(PingoraError);
    expect((error as PingoraError).etype()).toBe(ErrorType.ConnectTimedout);
    expect((error as PingoraError).context?.includes('total-connection timeout')).toBe(total);
    expect(opened.map((socket) => socket.destroyed)).toEqual([true]);
  });

  it('reports a refused connection', async () => {
    const peer = HttpPeer.new(`127.0.0.1:${await closedPort()}`, false, '');
    peer.options.totalConnectionTimeout = 60_000;
    peer.options.connectionTimeout = 60_000;
    await expect(connector().newStream(peer)).rejects.toSatisfy(
      (error: PingoraError) => error.etype() === ErrorType.ConnectRefused,
    );
  });
});

describe('PreferredHttpVersion', () => {
  it('remembers a peer, whichever way it was made', () => {
    const versions = PreferredHttpVersion.new();
    versions.add(HttpPeer.new('127.0.0.1:80', true, 'a.test'), 1);
    versions.add(HttpPeer.new('127.0.0.1:81', true, 'a.test'), 2);
    expect(versions.get(HttpPeer.new('127.0.0.1:80', true, 'a.test'))).toBe(ALPN.H1);
    expect(versions.get(HttpPeer.new('127.0.0.1:81', true, 'a.test'))).toBe(ALPN.H2H1);
    expect(versions.get(HttpPeer.new('127.0.0.1:80', true, 'b.test'))).toBeUndefined();
  });

  it('forgets the oldest of very many peers', () => {
    const versions = PreferredHttpVersion.new();
    const peer = (i: number) => HttpPeer.new('127.0.0.1:80', true, `${i}.test`);
    for (let i = 0; i <= 4096; i++) versions.add(peer(i), 1);
    expect([0, 1, 4096].map((i) => versions.get(peer(i)))).toEqual([undefined, ALPN.H1, ALPN.H1]);
  });
});

describe('the trace of a connection', () => {
  it('has a task that watches while it waits, and ends when it is picked up', async () => {
    const origin = await tcpOrigin();
    const peer = HttpPeer.new(origin.address, false, '');
    const by = connector();
    const recorder = new Recorder().attach();
    try {
      await recorder.root('main', async () => {
        const [stream] = await by.getStream(peer);
        by.releaseStream(stream, peer.reuseHash(), undefined);
        await new Promise((resolve) => setImmediate(resolve));
        by.reusedStream(peer)?.destroy();
        await new Promise((resolve) => setImmediate(resolve));
      });
    } finally {
      recorder.detach();
    }
    const main = recorder.tasks[0]!;
    const watching = recorder.spans.filter((span) => span.task !== main);
    expect(watching.map((span) => [span.site.fn, span.parent?.site.fn, span.status])).toEqual([
      ['ConnectionPool::idle_poll', 'TransportConnector::release_stream', 'ok'],
      ['connection::read_with_timeout', 'ConnectionPool::idle_poll', 'cancelled'],
    ]);
    expect(recorder.spans.filter((span) => span.end === null)).toEqual([]);
  });

  it('says what was taken back when the time was up', async () => {
    const peer = HttpPeer.new(`127.0.0.1:${await blackhole()}`, false, '');
    peer.options.totalConnectionTimeout = 1;
    const by = connector();
    const recorder = new Recorder().attach();
    try {
      await recorder.root('main', () => Promise.resolve(by.newStream(peer)).catch(() => undefined));
    } finally {
      recorder.detach();
    }
    const status = new Map(recorder.spans.map((span) => [span.site.fn, span.status]));
    expect(status.get('ext::connect')).toBe('cancelled');
    expect(status.get('connectors::do_connect_inner')).toBe('cancelled');
    expect(status.get('connectors::do_connect')).toBe('error');
  });
});

/** Clients that send the body of a request too slowly, or take that of a response too slowly. */
import { once } from 'node:events';
import { connect as tlsConnect } from 'node:tls';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { PREFACE } from '../../src/h2/frame.ts';
import { TlsSettings } from '../../src/listeners/tls.ts';
import { wasReset } from '../../src/node/reset.ts';
import type { BodyRates } from '../../src/protocols/http/pace.ts';
import { httpProxyService, type ProxyHttp } from '../../src/proxy/lib.ts';
import { ServerConf } from '../../src/server/configuration/mod.ts';
import { armedTimers } from '../../src/timeout/lib.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { refusals } from '../../src/utils/refusals.ts';
import { selfSigned } from '../../src/utils/self-signed.ts';
import { type Frame, frame, frames, GET, headers, POST, settings, u32 } from '../h2/raw.ts';
import { fakeClock } from '../support/clock.ts';
import { h2Origin } from '../support/h2-origin.ts';
import { ToPeer } from '../support/h2-proxy.ts';
import { captureLog, type Logged } from '../support/log.ts';
import { HELLO, Origin } from '../support/origin.ts';
import { type RunningProxy, startProxy, ToOrigin } from '../support/proxy.ts';
import { serveInTest } from '../support/service.ts';
import { Peer, turn } from '../support/streams.ts';

/** Looked at once a second. */
const RATES: BodyRates = {
  request: { bytesPerSecond: 100, graceMs: 4000 },
  response: { bytesPerSecond: 1000, graceMs: 4000 },
};
const [DATA, RST_STREAM, WINDOW_UPDATE] = [0, 3, 8];
const LARGE = 32 * 1024 * 1024;

beforeEach(fakeClock);

// before what ends with the test, which needs time
afterEach(() => {
  vi.useRealTimers();
});

/** Let everything happen that goes through a socket or two. */
async function settled(): Promise<void> {
  for (let i = 0; i < 30; i++) await turn();
}

/** Let so many seconds pass, with `each` before each. */
async function pass(seconds: number, each: () => unknown = () => {}): Promise<void> {
  for (let i = 0; i < seconds; i++) {
    await each();
    await settled();
    vi.advanceTimersByTime(1000);
    await settled();
  }
}

/** Let seconds pass until this client is let go. */
async function untilEnded(client: Peer, each?: () => unknown): Promise<string> {
  while (!client.ended) await pass(1, each);
  return client.received;
}

const start = (app: ProxyHttp<undefined>): Promise<RunningProxy> =>
  startProxy(app, { bodyRates: RATES, h2: { h2c: true } });

const to = (origin: Origin): ProxyHttp<undefined> => new ToOrigin(`127.0.0.1:${origin.port}`);

const refused = (limit: string): number => refusals().get(limit) ?? 0;

const messages = (lines: Logged[]): string[] => lines.map(({ msg }) => msg);

const POST_H1 = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n';

function arrived(peer: Peer): Frame[] {
  const bytes = Buffer.from(peer.received, 'latin1');
  let end = 0;
  while (end + 9 <= bytes.length && end + 9 + bytes.readUIntBE(end, 3) <= bytes.length) {
    end += 9 + bytes.readUIntBE(end, 3);
  }
  return frames(bytes.subarray(0, end));
}

/** A client of HTTP/2 with these settings, and what it sends to stream 1. */
async function h2Client(proxy: RunningProxy, given: [number, number][] = []): Promise<Peer> {
  const client = await proxy.client();
  client.send(Buffer.concat([Buffer.from(PREFACE), settings(...given), frame(4, 1, 0)]));
  return client;
}

const of = (client: Peer, kind: number): Frame[] => arrived(client).filter(({ type }) => type === kind);

describe.each(['HTTP/1', 'HTTP/2'])('a request body that comes too slowly, to an origin of %s', (version) => {
  /** The application, and whether the origin's side of the request was ended. */
  async function app(): Promise<{ app: ProxyHttp<undefined>; letGo(): Promise<unknown> }> {
    if (version === 'HTTP/1') {
      const origin = await Origin.start(() => {});
      return { app: to(origin), letGo: () => origin.connections[0]!.end() };
    }
    let gone: Promise<unknown> | undefined;
    const origin = await h2Origin((stream) => {
      gone = once(stream, 'close');
      stream.resume();
    });
    return { app: new ToPeer(origin.peer()), letGo: async () => gone };
  }

  test('gets 408 over HTTP/1, one line in the log, and the connection closes', async () => {
    const lines = captureLog('info');
    const before = { refused: refused('request rate'), timers: armedTimers() };
    const { app: application, letGo } = await app();
    const client = await (await start(application)).client();
    client.send(POST_H1);
    const answer = await untilEnded(client, () => client.send('x'));
    expect(answer).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
    expect(answer).toContain('\r\nConnection: close\r\n');
    await letGo();
    expect(messages(lines)).toEqual([
      expect.stringMatching(/HTTPStatus.*slower than 100 bytes a second.*status: 408/s),
    ]);
    expect(refused('request rate')).toBe(before.refused + 1);
    client.socket.destroy();
    // a connection of HTTP/2 is kept, and looked at now and then
    const kept = version === 'HTTP/2' ? 1 : 0;
    await vi.waitFor(() => expect(armedTimers()).toBe(before.timers + kept));
  });

  test('gets 408 over HTTP/2, and the connection goes on', async () => {
    captureLog('silent');
    const { app: application, letGo } = await app();
    const client = await h2Client(await start(application));
    client.send(headers(1, POST, false));
    while (of(client, RST_STREAM).length === 0) await pass(1, () => client.send(frame(DATA, 0, 1, Buffer.from('x'))));
    expect(of(client, RST_STREAM)).toMatchObject([{ stream: 1, payload: u32(0) }]);
    expect(of(client, 1)).toMatchObject([{ stream: 1, flags: 5 }]);
    await letGo();
    client.send(frame(6, 0, 0, '0102030405060708'));
    await client.until(() => of(client, 6).length === 1);
  });
});

describe('a request body that is not too slow', () => {
  test('comes as fast as it has to', async () => {
    const origin = await Origin.start();
    const client = await (await start(to(origin))).client();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n');
    await pass(20, () => client.send('x'.repeat(100)));
    expect(client.received).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('waits for an origin that does not read it', async () => {
    const origin = await Origin.start((connection) => connection.socket.pause());
    const client = await (await start(to(origin))).client();
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${LARGE}\r\n\r\n`);
    client.socket.write(Buffer.alloc(LARGE));
    await vi.waitFor(() => expect(origin.connections).toHaveLength(1));
    await pass(20);
    const [connection] = origin.connections;
    connection!.socket.resume();
    await connection!.until((got) => got.length > LARGE);
    connection!.send(HELLO);
    expect(await client.until((got) => got.endsWith('hello'))).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('waits until the origin wants it (100-continue), and not for ever after that', async () => {
    captureLog('silent');
    const origin = await Origin.start(() => {});
    const client = await (await start(to(origin))).client();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
    await vi.waitFor(() => expect(origin.received).toContain('\r\n\r\n'));
    await pass(20);
    expect(client.received).toBe('');
    origin.connections[0]!.send('HTTP/1.1 100 Continue\r\n\r\n');
    expect(await untilEnded(client)).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 408 /);
  });

  test('belongs to an origin that has begun to answer: both talk as they like', async () => {
    const origin = await Origin.start(() => {});
    const client = await (await start(to(origin))).client();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n');
    await vi.waitFor(() => expect(origin.received).toContain('\r\n\r\n1\r\nx\r\n'));
    origin.connections[0]!.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
    await client.until((got) => got.includes('hello'));
    await pass(20);
    client.send('0\r\n\r\n');
    await origin.connections[0]!.until((got) => got.endsWith('0\r\n\r\n'));
    origin.connections[0]!.send('0\r\n\r\n');
    await client.until((got) => got.endsWith('0\r\n\r\n'));
  });

  test('belongs to a call of gRPC', async () => {
    const origin = await h2Origin((stream) =>
      stream.on('data', () => {}).on('end', () => stream.respond({}, { endStream: true })),
    );
    const client = await h2Client(await start(new ToPeer(origin.peer())));
    client.send(headers(1, [...POST, ['content-type', 'application/grpc+proto']], false));
    await pass(20);
    client.send(frame(DATA, 1, 1));
    await client.until(() => of(client, 1).length === 1);
  });

  test('is none: what goes through an upgraded connection', async () => {
    const origin = await Origin.start(() => {});
    const client = await (await start(to(origin))).client();
    client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n');
    await vi.waitFor(() => expect(origin.received).toContain('\r\n\r\n'));
    await pass(20);
    origin.connections[0]!.send('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n');
    await client.until((got) => got.includes(' 101 '));
    await pass(20);
    client.send('ping');
    await origin.connections[0]!.until((got) => got.endsWith('ping'));
    const { length } = client.received;
    client.socket.pause();
    origin.connections[0]!.socket.write(Buffer.alloc(LARGE));
    await pass(20);
    client.socket.resume();
    await client.bytes(length + LARGE);
  });
});

test.each(['h1', 'h2'])(
  'a request body is not waited for while another origin than this (%s) is looked for',
  async (kind) => {
    captureLog('silent');
    const [h1, second] = [await Origin.start(() => {}), await Origin.start()];
    let begun = '';
    const h2 = await h2Origin((stream) => {
      stream.on('data', (piece: Buffer) => {
        begun += piece.toString();
      });
    });
    const application = kind === 'h1' ? to(h1) : new ToPeer(h2.peer());
    application.errorWhileProxy = (_peer, _session, error) => {
      error.setRetry(true);
      return error;
    };
    const client = await (await start(application)).client();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345');
    await vi.waitFor(() => expect(kind === 'h1' ? h1.received : begun).toContain('12345'));
    let choose = (_peer: HttpPeer) => {};
    application.upstreamPeer = () => new Promise<HttpPeer>((resolve) => (choose = resolve));
    if (kind === 'h1') h1.connections[0]!.reset();
    else h2.sockets[0]!.resetAndDestroy();
    await pass(20);
    choose(HttpPeer.new(`127.0.0.1:${second.port}`, false, ''));
    await vi.waitFor(() => expect(second.received).toContain('12345'));
    await settled();
    client.send('67890');
    expect(await client.until((got) => got.endsWith('hello'))).toMatch(/^HTTP\/1\.1 200 /);
  },
);

test('a request body that an application reads by itself is answered 408 as well', async () => {
  captureLog('silent');
  const origin = await Origin.start();
  const application = to(origin);
  application.requestFilter = async (session) => {
    while ((await session.readRequestBody()) !== undefined);
    return false;
  };
  const client = await (await start(application)).client();
  client.send(POST_H1);
  expect(await untilEnded(client)).toMatch(/^HTTP\/1\.1 408 /);
  expect(origin.connections).toHaveLength(0);
});

const ANSWER = Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${LARGE}\r\n\r\n`), Buffer.alloc(LARGE)]);

async function largeOrigin(): Promise<Origin> {
  return Origin.start(async (connection) => {
    await connection.until((got) => got.includes('\r\n\r\n'));
    connection.socket.write(ANSWER);
  });
}

/** How this client's connection ends: Node may take a reset that comes with bytes for an end. */
function endingOf({ socket }: Peer): Promise<string> {
  return new Promise((resolve) => {
    socket.once('error', () => resolve('reset'));
    socket.once('end', () => resolve(wasReset(socket) ? 'reset' : 'end'));
  });
}

/** A client that reads nothing of an answer to its GET, over TLS or not. */
async function readsNothing(tls: boolean, origin: Origin): Promise<Peer> {
  if (!tls) {
    const client = await (await start(to(origin))).client();
    client.socket.pause();
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    return client;
  }
  const { cert, key } = await selfSigned(['localhost']);
  const service = httpProxyService(ServerConf.new(), to(origin), { bodyRates: RATES });
  service.addTlsWithSettings('127.0.0.1:0', undefined, TlsSettings.fromPem(cert, key));
  const { tls: port } = await serveInTest(service);
  const socket = tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  onTestFinished(() => {
    socket.destroy();
  });
  await once(socket, 'secureConnect');
  const client = new Peer(socket);
  socket.pause();
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  return client;
}

describe('a client that takes its response too slowly', () => {
  test.each([false, true])('is reset (TLS: %s), and its origin is let go', async (tls) => {
    const lines = captureLog('info');
    const before = refused('response rate');
    const origin = await largeOrigin();
    const client = await readsNothing(tls, origin);
    await vi.waitFor(() => expect(origin.connections).toHaveLength(1));
    await untilEnded(origin.connections[0]!);
    const how = endingOf(client);
    client.socket.resume();
    expect(await how).toBe('reset');
    expect(client.received.length).toBeLessThan(LARGE);
    expect(messages(lines)).toEqual([expect.stringContaining('reading is slower than 1000 bytes a second')]);
    expect(refused('response rate')).toBe(before + 1);
  });

  test('loses its stream of HTTP/2, however often it opens the window by a little', async () => {
    const lines = captureLog('info');
    const before = refused('response rate');
    const origin = await largeOrigin();
    const client = await h2Client(await start(to(origin)), [[4, 100]]);
    client.send(headers(1, GET));
    while (of(client, RST_STREAM).length === 0) {
      await pass(1, () => client.send(frame(WINDOW_UPDATE, 0, 1, u32(10))));
    }
    expect(of(client, RST_STREAM)).toMatchObject([{ stream: 1, payload: u32(11) }]);
    await origin.connections[0]!.end();
    expect(messages(lines)[0]).toContain('a window that opens too slowly');
    expect(refused('response rate')).toBe(before + 1);
  });

  test('is none that takes enough of it', async () => {
    captureLog('silent');
    const origin = await largeOrigin();
    const client = await readsNothing(false, origin);
    // a connection’s buffers are large: the system says that it has room for more when a third of them is free
    for (let wanted = 0; wanted < LARGE; wanted += LARGE / 16) {
      await pass(1, async () => {
        client.socket.resume();
        await client.bytes(wanted);
        client.socket.pause();
      });
    }
    client.socket.resume();
    await client.bytes(ANSWER.length);
  });

  test('is none that waits for its origin', async () => {
    const origin = await Origin.start(() => {});
    const client = await (await start(to(origin))).client();
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await vi.waitFor(() => expect(origin.received).toContain('\r\n\r\n'));
    origin.connections[0]!.send('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nh');
    await pass(20);
    origin.connections[0]!.send('ello');
    await client.until((text) => text.endsWith('hello'));
  });
});

/** What clients do that they shouldn't. After each, the server serves others and holds no more than before. */
import { randomBytes } from 'node:crypto';
import { connect as h2Connect } from 'node:http2';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { answering, Origin } from '../support/origin.ts';
import type { Peer } from '../support/streams.ts';
import { Victim } from './harness.ts';

let victim: Victim;

beforeAll(async () => {
  victim = await Victim.start();
});

// registered first, so that it is called last, when the test's own connections are closed
beforeEach(() => onTestFinished(() => victim.isWell()));

afterAll(() => victim.stop());

const PORTS = ['plain', 'tls', 'h2'] as const;
const TLS = ['tls', 'h2'] as const;
const HTTP1 = ['plain', 'tls'] as const;

/** The beginning of a ClientHello, as OpenSSL sends it. */
const CLIENT_HELLO = Buffer.from(`16030100a5010000a10303${'00'.repeat(32)}20${'00'.repeat(32)}0004130113020100`, 'hex');
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const LEAVING: [string, (peer: Peer) => unknown][] = [
  ['closes', (peer) => peer.socket.end()],
  ['vanishes', (peer) => peer.socket.destroy()],
  ['resets', (peer) => peer.reset()],
];

describe('a client that speaks something else', () => {
  it.each(TLS)('on the %s port sends HTTP without TLS', async (port) => {
    const peer = await victim.raw(port);
    peer.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await peer.end();
  });

  it.each(PORTS)('on the %s port sends noise', async (port) => {
    for (let i = 0; i < 10; i++) {
      const peer = await victim.raw(port);
      peer.send(Buffer.concat([Buffer.from([0x00]), randomBytes(40_000)]));
      await peer.end();
    }
  });

  it('begins TLS on the plain port', async () => {
    const peer = await victim.raw('plain');
    peer.send(CLIENT_HELLO);
    expect(await peer.end()).toMatch(/^(HTTP\/1\.1 400 |$)/);
  });

  it('begins HTTP/2 on the plain port', async () => {
    const peer = await victim.raw('plain');
    peer.send(PREFACE);
    expect(await peer.end()).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('agrees on HTTP/2 and speaks HTTP/1', async () => {
    const peer = await victim.spoken('h2');
    peer.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await peer.end();
  });

  it.each([
    ['data of no stream', frame(0, 1, 1, Buffer.from('data'))],
    ['a head of no stream', frame(1, 4, 0, Buffer.from([0x82]))],
    ['a head of a stream of the server', frame(1, 4, 2, Buffer.from([0x82]))],
    ['a head that cannot be decompressed', frame(1, 4, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]))],
    ['settings of an odd size', frame(4, 0, 0, Buffer.alloc(5))],
    ['a ping of an odd size', frame(6, 0, 0, Buffer.alloc(3))],
    ['the continuation of nothing', frame(9, 4, 1, Buffer.alloc(0))],
    ['a frame larger than allowed', frame(0, 0, 1, Buffer.alloc(20_000))],
  ])('sends %s over HTTP/2', async (_what, nonsense) => {
    const peer = await victim.spoken('h2');
    peer.send(Buffer.concat([Buffer.from(PREFACE), frame(4, 0, 0, Buffer.alloc(0)), nonsense]));
    await peer.until(saysGoaway);
    peer.socket.destroy();
  });
});

/** Whether a GOAWAY is among the frames that have come. */
function saysGoaway(got: string): boolean {
  const bytes = Buffer.from(got, 'latin1');
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) if (bytes[at + 3] === 7) return true;
  return false;
}

describe.each(LEAVING)('a client that %s', (_how, leave) => {
  it.each(PORTS)('before its first byte, on the %s port', async (port) => {
    leave(await victim.raw(port));
  });

  it.each(TLS)('in the middle of the handshake, on the %s port', async (port) => {
    const peer = await victim.raw(port);
    peer.socket.write(CLIENT_HELLO, () => leave(peer));
    await peer.end();
  });

  it.each(HTTP1)('in the middle of a head, on the %s port', async (port) => {
    const peer = await victim.spoken(port);
    peer.socket.write('GET / HTTP/1.1\r\nHost: a\r\nX-', () => leave(peer));
    await peer.end();
  });

  it('in the middle of a head, over HTTP/2', async () => {
    const peer = await victim.spoken('h2');
    // HEADERS without END_HEADERS: CONTINUATION is to follow
    const bytes = Buffer.concat([
      Buffer.from(PREFACE),
      frame(4, 0, 0, Buffer.alloc(0)),
      frame(1, 0, 1, Buffer.from([0x82])),
    ]);
    peer.socket.write(bytes, () => leave(peer));
    await peer.end();
  });

  it.each(HTTP1)('in the middle of its body, on the %s port', async (port) => {
    const origin = await Origin.start();
    const peer = await victim.spoken(port);
    peer.send(`POST /${origin.port} HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n${'x'.repeat(3000)}`);
    await atOrigin(origin);
    leave(peer);
    await origin.connections[0]!.end();
  });

  it.each(HTTP1)('while it waits for the answer, on the %s port', async (port) => {
    const origin = await Origin.start(answering(() => undefined));
    const peer = await victim.spoken(port);
    peer.send(`GET /${origin.port} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await atOrigin(origin);
    leave(peer);
    await origin.connections[0]!.end();
  });

  it.each(HTTP1)('in the middle of the answer, on the %s port', async (port) => {
    const origin = await Origin.start(endless);
    const peer = await victim.spoken(port);
    peer.send(`GET /${origin.port} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await peer.bytes(100_000);
    leave(peer);
    peer.socket.resume();
    await origin.connections[0]!.end();
  });
});

/** Wait until a request has come to the origin. */
async function atOrigin(origin: Origin): Promise<void> {
  while (origin.connections.length === 0) await new Promise((resolve) => setImmediate(resolve));
  await origin.connections[0]!.until((got) => got.includes('\r\n\r\n'));
}

/** An answer that goes on as long as somebody takes it. */
async function endless(connection: Peer): Promise<void> {
  const { socket } = connection;
  await connection.until((got) => got.includes('\r\n\r\n'));
  connection.send('HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n');
  const piece = Buffer.alloc(64 * 1024, 'x');
  const more = () => {
    while (!socket.destroyed && socket.write(piece));
  };
  socket.on('drain', more);
  socket.on('end', () => socket.destroy());
  more();
}

describe('a client that leaves a stream of HTTP/2', () => {
  const ends = {
    'by a reset': (
      client: ReturnType<typeof h2Connect>,
      stream: ReturnType<ReturnType<typeof h2Connect>['request']>,
    ) => {
      stream.close(8);
      return client;
    },
    'with the connection': (client: ReturnType<typeof h2Connect>) => {
      client.destroy();
      return client;
    },
  };

  it.each(Object.entries(ends))('%s, in the middle of its body', async (_how, leave) => {
    const origin = await Origin.start();
    const client = open();
    const stream = client.request({ ':path': `/${origin.port}`, ':method': 'POST', 'content-length': '5000' });
    stream.on('error', () => {});
    stream.write('x'.repeat(3000));
    await atOrigin(origin);
    leave(client, stream);
    await origin.connections[0]!.end();
    client.destroy();
  });

  it.each(Object.entries(ends))('%s, while it waits for the answer', async (_how, leave) => {
    const origin = await Origin.start(answering(() => undefined));
    const client = open();
    const stream = client.request({ ':path': `/${origin.port}` });
    stream.on('error', () => {});
    await atOrigin(origin);
    leave(client, stream);
    await origin.connections[0]!.end();
    client.destroy();
  });

  it.each(Object.entries(ends))('%s, in the middle of the answer', async (_how, leave) => {
    const origin = await Origin.start(endless);
    const client = open();
    const stream = client.request({ ':path': `/${origin.port}` });
    stream.on('error', () => {});
    await new Promise<void>((resolve) => stream.once('data', () => resolve()));
    leave(client, stream);
    await origin.connections[0]!.end();
    client.destroy();
  });

  function open() {
    const client = h2Connect(`https://127.0.0.1:${victim.ports.h2}`, { rejectUnauthorized: false });
    client.on('error', () => {});
    return client;
  }
});

describe('a client that takes its time', () => {
  // The origin's answer must not be collected here: the client's slowness has to reach the origin.
  it.each(HTTP1)('reading stops the origin, on the %s port', async (port) => {
    const origin = await Origin.start(endless);
    const peer = await victim.spoken(port);
    peer.send(`GET /${origin.port} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await peer.bytes(1);
    peer.socket.pause();
    await stopped(origin);
    expect((await victim.held()).buffers - victim.rest.buffers).toBeLessThan(4_000_000);
    peer.socket.destroy();
    await origin.connections[0]!.end();
  });

  it('reading stops the origin, over HTTP/2', async () => {
    const origin = await Origin.start(endless);
    const client = h2Connect(`https://127.0.0.1:${victim.ports.h2}`, { rejectUnauthorized: false });
    client.on('error', () => {});
    const stream = client.request({ ':path': `/${origin.port}` });
    stream.on('error', () => {});
    await new Promise<void>((resolve) => stream.once('response', () => resolve()));
    await stopped(origin);
    expect((await victim.held()).buffers - victim.rest.buffers).toBeLessThan(4_000_000);
    client.destroy();
    await origin.connections[0]!.end();
  });

  it.each(HTTP1)('is stopped in its body by an origin that does not read, on the %s port', async (port) => {
    const origin = await Origin.start((connection) => connection.socket.pause());
    const peer = await victim.spoken(port);
    peer.send(`POST /${origin.port} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n`);
    const piece = Buffer.alloc(64 * 1024, 'x');
    while (origin.connections.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const more = () => {
      while (!peer.socket.destroyed && peer.socket.write(piece));
    };
    peer.socket.on('drain', more);
    more();
    for (let written = -1; written !== peer.socket.bytesWritten; ) {
      written = peer.socket.bytesWritten;
      for (let i = 0; i < 20; i++) await victim.held();
    }
    expect((await victim.held()).buffers - victim.rest.buffers).toBeLessThan(4_000_000);
    peer.socket.destroy();
    origin.connections[0]!.socket.destroy();
  });

  it.each(HTTP1)('sending a head byte by byte is served, on the %s port', async (port) => {
    const origin = await Origin.start();
    const peer = await victim.spoken(port);
    for (const byte of `GET /${origin.port} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`) {
      await new Promise<void>((resolve) => peer.socket.write(byte, () => resolve()));
    }
    expect(await peer.end()).toMatch(/^HTTP\/1\.1 200 OK.*hello$/s);
  });

  it.each(HTTP1)('says that it sends no more, and is taken for gone, on the %s port', async (port) => {
    const origin = await Origin.start(answering(() => undefined));
    const peer = await victim.spoken(port);
    peer.socket.end(`GET /${origin.port} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await peer.end();
  });
});

/** Wait until the origin can't send any more. */
async function stopped(origin: Origin): Promise<void> {
  const { socket } = origin.connections[0]!;
  for (let written = -1; written !== socket.bytesWritten; ) {
    written = socket.bytesWritten;
    for (let i = 0; i < 20; i++) await victim.held();
  }
}

describe('a client that asks for too much', () => {
  it.each(HTTP1)('of a head, on the %s port', async (port) => {
    const peer = await victim.spoken(port);
    peer.send('GET / HTTP/1.1\r\nHost: a\r\n');
    const line = Buffer.from(`X: ${'y'.repeat(8000)}\r\n`);
    for (let i = 0; i < 200; i++) peer.socket.write(line);
    expect(await peer.end()).toMatch(/^HTTP\/1\.1 431 /);
  });

  it('of a head, over HTTP/2', async () => {
    const way = victim.ways()[2]!;
    const headers = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`x-${i}`, 'y'.repeat(12_000)]));
    const { status } = await way.send('/1', { headers });
    expect([undefined, 400, 431]).toContain(status);
  });

  it.each(PORTS)('of connections: a hundred that say nothing, on the %s port', async (port) => {
    const peers = await Promise.all(Array.from({ length: 100 }, () => victim.raw(port)));
    for (const way of victim.ways()) expect((await way.send('/1')).status).toBe(502);
    for (const peer of peers) peer.socket.destroy();
  });

  it('of requests, sent ahead of the answers', async () => {
    const origin = await Origin.start();
    const peer = await victim.raw('plain');
    peer.send(`GET /${origin.port} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(200));
    await peer.until((got) => got.split('hello').length === 201);
    peer.socket.end();
  });

  it('of streams that it resets at once', async () => {
    const origin = await Origin.start(answering(() => undefined));
    const client = h2Connect(`https://127.0.0.1:${victim.ports.h2}`, { rejectUnauthorized: false });
    client.on('error', () => {});
    await new Promise<void>((resolve) => client.once('remoteSettings', () => resolve()));
    const closed: Promise<void>[] = [];
    for (let i = 0; i < 500 && !client.destroyed; i++) {
      const stream = client.request({ ':path': `/${origin.port}` });
      stream.on('error', () => {});
      closed.push(new Promise((resolve) => stream.on('close', () => resolve())));
      stream.close(8);
    }
    await Promise.all(closed);
    client.destroy();
  });
});

describe('memory', () => {
  it('does not grow with the number of bad requests', async () => {
    const origin = await Origin.start();
    const bad = [
      'GET / HTTP/1.1\r\n\r\n',
      'NONSENSE\r\n\r\n',
      `POST /${origin.port} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n`,
      `GET /${origin.port} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    ];
    const round = async () => {
      for (let i = 0; i < 300; i++) {
        const peer = await victim.raw('plain');
        peer.send(bad[i % bad.length]!);
        await peer.end();
        peer.socket.destroy();
      }
      const { heap, buffers } = await victim.held();
      return heap + buffers;
    };
    await round();
    const before = await round();
    await round();
    expect((await round()) - before).toBeLessThan(1_500_000);
  });
});

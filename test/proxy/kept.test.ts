/** What connections that are kept carry along from one request to the next: nothing. */
import { createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { runningTasks } from '../../src/runtime/lib.ts';
import { armedTimers } from '../../src/timeout/lib.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { h2Origin } from '../support/h2-origin.ts';
import { startH2Proxy, ToPeer } from '../support/h2-proxy.ts';
import { captureLog } from '../support/log.ts';
import { startProxy } from '../support/proxy.ts';

/** How often each connection is used. */
const TIMES = 40;

/** The open sockets of this process, and who listens to them. */
function listeners(): number {
  const handles = (process as unknown as { _getActiveHandles(): object[] })._getActiveHandles();
  let count = 0;
  for (const handle of handles) {
    if (!('remotePort' in handle) || !('eventNames' in handle)) continue;
    const socket = handle as Socket;
    for (const name of socket.eventNames()) count += socket.listenerCount(name);
  }
  return count;
}

const held = () => ({ tasks: runningTasks(), timers: armedTimers(), listeners: listeners() });

/** An origin that answers each request on the connections that it is given, or so many, and how many those were. */
async function origin(answers = Number.POSITIVE_INFINITY): Promise<{ port: number; connections: Socket[] }> {
  const connections: Socket[] = [];
  const server = createServer((socket) => {
    connections.push(socket);
    let heard = '';
    let answered = 0;
    socket.on('error', () => {});
    socket.on('data', (piece) => {
      heard += piece.toString('latin1');
      for (let end = heard.indexOf('\r\n\r\n'); end >= 0; end = heard.indexOf('\r\n\r\n')) {
        heard = heard.slice(end + 4);
        if (++answered <= answers) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello');
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of connections) socket.destroy();
    server.close();
  });
  return { port: (server.address() as { port: number }).port, connections };
}

function limited(peer: HttpPeer): HttpPeer {
  peer.options.readTimeout = 60_000;
  peer.options.writeTimeout = 60_000;
  peer.options.idleTimeout = 60_000;
  return peer;
}

/** What is held once nothing moves any more. */
async function settled(): Promise<ReturnType<typeof held>> {
  for (;;) {
    const before = JSON.stringify(held());
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    const now = held();
    if (JSON.stringify(now) === before) return now;
  }
}

test('a kept connection of HTTP/1 to either side carries no task, timer or listener along', async () => {
  const { port, connections } = await origin();
  const proxy = await startProxy(new ToPeer(limited(HttpPeer.new(`127.0.0.1:${port}`, false, ''))));
  const client = await proxy.client();
  let bytes = 0;
  const ask = async () => {
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const seen = client.received.split('hello').length + 1;
    bytes = (await client.until((received) => received.split('hello').length === seen)).length;
  };
  for (let i = 0; i < 3; i++) await ask();
  const before = await settled();
  for (let i = 0; i < TIMES; i++) await ask();
  expect(await settled()).toEqual(before);
  expect(bytes).toBeGreaterThan(0);
  expect(connections).toHaveLength(1);
});

test('a kept connection of HTTP/2 to either side carries no task, timer or listener along', async () => {
  const upstream = await h2Origin();
  const proxy = await startH2Proxy(new ToPeer(limited(upstream.peer())));
  const client = proxy.client();
  const ask = () =>
    new Promise<void>((resolve, reject) => {
      const stream = client.request({ ':path': '/' });
      stream.on('error', reject);
      stream.on('close', resolve);
      stream.resume();
      stream.end();
    });
  for (let i = 0; i < 3; i++) await ask();
  const before = await settled();
  for (let i = 0; i < TIMES; i++) await ask();
  expect(await settled()).toEqual(before);
  expect(upstream.sessions).toHaveLength(1);
});

test.each(['h1', 'h2'])(
  'a connection (%s) that is used again has the time of its next read, not of its wait',
  async (kind) => {
    captureLog();
    const { port, connections } = await origin(1);
    const upstream = await h2Origin((stream) => {
      if (upstream.requests.length > 1) return;
      stream.respond({ ':status': 200, 'content-length': '5' });
      stream.end('hello');
    });
    const peer = limited(kind === 'h1' ? HttpPeer.new(`127.0.0.1:${port}`, false, '') : upstream.peer());
    const client = await (await startProxy(new ToPeer(peer))).client();
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until((received) => received.endsWith('hello'));
    await settled();
    client.received = '';
    // the time that is waited for: that of the wait is a minute
    peer.options.readTimeout = 20;
    // each piece of the body would begin that time anew
    client.send('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n');
    expect(await client.end()).toMatch(/^HTTP\/1\.1 502 /);
    expect([connections.length, upstream.sessions.length]).toEqual(kind === 'h1' ? [1, 0] : [0, 1]);
  },
);

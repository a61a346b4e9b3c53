/** Answers over TLS that end with the connection: whole only if TLS says so. */
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { selfSigned } from '../../src/utils/self-signed.ts';
import { startH2Proxy, ToPeer } from '../support/h2-proxy.ts';
import { captureLog } from '../support/log.ts';
import { startProxy } from '../support/proxy.ts';

const certificate = selfSigned(['localhost']);
const ANSWER = 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nten bytes.';

/** An origin that does with each connection what `serve` says. */
async function serving(serve: (ssl: TLSSocket, tcp: Socket, index: number) => void): Promise<HttpPeer> {
  const { key, cert } = await certificate;
  const below: Socket[] = [];
  const server = createServer({ key, cert }, (ssl) => {
    ssl.on('error', () => {});
    serve(ssl, below.at(-1)!, below.length - 1);
  });
  server.on('connection', (socket) => below.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of below) socket.destroy();
    server.close();
  });
  const peer = HttpPeer.new(`127.0.0.1:${(server.address() as AddressInfo).port}`, true, 'localhost');
  peer.options.verifyCert = false;
  return peer;
}

/** An origin whose answer ends with its connection, by `end`. */
const origin = (end: (ssl: TLSSocket, tcp: Socket) => void): Promise<HttpPeer> =>
  serving((ssl, tcp) => ssl.once('data', () => ssl.write(ANSWER, () => end(ssl, tcp))));

describe.each([
  ['is whole if the origin ends TLS', true, (ssl: TLSSocket) => ssl.end()],
  ['is not whole if the connection below TLS is all that ends', false, (_: TLSSocket, tcp: Socket) => tcp.end()],
] as const)('an answer that ends with its connection %s', (_, isWhole, end) => {
  test('for a client of HTTP/1', async () => {
    const lines = captureLog('error');
    const client = await (await startProxy(new ToPeer(await origin(end)))).client();
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until((got) => got.includes('ten bytes.'));
    if (isWhole) await client.until((got) => got.endsWith('\r\n0\r\n\r\n'));
    else {
      expect(await client.end()).not.toContain('\r\n0\r\n\r\n');
      expect(lines.map(({ msg }) => msg)).toEqual([expect.stringContaining('unexpected end of file: no close_notify')]);
    }
  });

  test('for a client of HTTP/2', async () => {
    captureLog('silent');
    const client = (await startH2Proxy(new ToPeer(await origin(end)))).client();
    const stream = client.request({ ':path': '/' });
    stream.on('error', () => {});
    let body = '';
    stream.on('data', (piece: Buffer) => {
      body += piece.toString();
    });
    await new Promise((resolve) => stream.once('close', resolve));
    expect(body).toBe('ten bytes.');
    expect(stream.rstCode === 0).toBe(isWhole);
  });
});

test('a kept connection that is gone so when the next request comes costs no request', async () => {
  const connections: number[] = [];
  const peer = await serving((ssl, tcp, index) => {
    let requests = 0;
    ssl.on('data', () => {
      connections.push(index);
      if (index === 0 && ++requests === 2) tcp.end();
      else ssl.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello');
    });
  });
  captureLog('silent');
  const client = await (await startProxy(new ToPeer(peer))).client();
  for (let i = 1; i <= 2; i++) {
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until((got) => got.split('hello').length === i + 1);
  }
  expect(connections).toEqual([0, 0, 1]);
});

test('a tunnel over TLS may end so', async () => {
  const lines = captureLog('error');
  const peer = await serving((ssl, tcp) =>
    ssl.once('data', () => {
      const head = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n';
      ssl.write(`${head}through the tunnel`, () => tcp.end());
    }),
  );
  const client = await (await startProxy(new ToPeer(peer))).client();
  client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  expect(await client.end()).toMatch(/through the tunnel$/);
  expect(lines).toEqual([]);
});

import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer, type SecureVersion, type TLSSocket } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { watchTlsEnd } from '../../src/node/tls-end.ts';
import { selfSigned } from '../../src/utils/self-signed.ts';
import { inThisNode } from './support.ts';

const certificate = selfSigned(['localhost']);

/** A client that has sent a byte, and what the server does with the connection, over TLS and below. */
async function client(version: SecureVersion, serve: (ssl: TLSSocket, tcp: Socket) => void): Promise<TLSSocket> {
  const { key, cert } = await certificate;
  const below: Socket[] = [];
  const server = createServer({ key, cert, maxVersion: version }, (ssl) => {
    ssl.on('error', () => {});
    ssl.once('data', () => serve(ssl, below[0]!));
  });
  server.on('connection', (socket) => below.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect({ port: (server.address() as AddressInfo).port, rejectUnauthorized: false });
  socket.on('error', () => {});
  onTestFinished(() => {
    socket.destroy();
    for (const one of below) one.destroy();
    server.close();
  });
  await once(socket, 'secureConnect');
  return socket;
}

const LONG = Buffer.alloc(1_000_000, 'x');

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('the end of a connection of %s', (version) => {
  test.each<[string, boolean, (ssl: TLSSocket, tcp: Socket) => void]>([
    ['that its peer ends', false, (ssl) => ssl.end('bytes')],
    [
      'that its peer ends long after the last bytes',
      false,
      (ssl) => ssl.write('bytes', () => setTimeout(() => ssl.end(), 20)),
    ],
    ['that its peer ends with much that is read slowly', false, (ssl) => ssl.end(LONG)],
    ['that is cut after the last bytes', true, (ssl, tcp) => ssl.write('bytes', () => tcp.end())],
    ['that is cut long after them', true, (ssl, tcp) => ssl.write('bytes', () => setTimeout(() => tcp.end(), 20))],
    ['that is cut after much that is read slowly', true, (ssl, tcp) => ssl.write(LONG, () => tcp.end())],
  ])(inThisNode('%s'), async (how, isCut, serve) => {
    const socket = await client(version, serve);
    const wasCut = watchTlsEnd(socket);
    socket.write('?');
    if (how.includes('slowly')) {
      socket.pause();
      await once(socket, 'readable');
    }
    for await (const _ of socket);
    expect(wasCut()).toBe(isCut);
  });
});

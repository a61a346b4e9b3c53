import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTls, type TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { parentOf } from '../../src/node/tls-parent.ts';
import { makeCertificate } from '../../src/scenarios/certificate.ts';
import { inThisNode } from './support.ts';

test(
  inThisNode('the connection below a TLS socket of a server is in _parent, of a good handshake and a bad one'),
  async () => {
    const tls = createTls(await makeCertificate());
    const raw: Socket[] = [];
    const server = createServer((socket) => {
      raw.push(socket);
      tls.emit('connection', socket);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;

    const secured = once(tls, 'secureConnection') as Promise<[TLSSocket]>;
    const client = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
    const [good] = await secured;
    expect(parentOf(good)).toBe(raw[0]);

    const failed = once(tls, 'tlsClientError') as Promise<[Error, TLSSocket]>;
    const wrong = connectTls({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    wrong.on('error', () => {});
    const [, bad] = await failed;
    expect(parentOf(bad)).toBe(raw[1]);

    for (const each of [client, wrong, good, bad, ...raw]) each.destroy();
    server.close();
    await once(server, 'close');
  },
);

import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { beforeAll, describe, expect, it } from 'vitest';
import { Connector } from '../../../src/connectors/http/mod.ts';
import type { ConnectorOptions } from '../../../src/connectors/mod.ts';
import { RequestHeader } from '../../../src/http/lib.ts';
import type { HttpSession } from '../../../src/protocols/http/client.ts';
import { HttpPeer } from '../../../src/upstreams/peer.ts';
import { parseCertificates } from '../../../src/utils/mod.ts';
import { atEnd, makeCa, makeCert, type Pem, tcpOrigin, tlsOrigin } from '../origins.ts';

let ca: Pem;
let cert: Pem;

beforeAll(async () => {
  ca = await makeCa('Test CA');
  cert = await makeCert(ca, 'origin.test');
});

const answer = (socket: Socket) =>
  socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi'));

function connector(options?: ConnectorOptions): Connector {
  const made = Connector.new(options);
  atEnd(() => made.close());
  return made;
}

async function plain() {
  const origin = await tcpOrigin();
  origin.server.on('connection', answer);
  return HttpPeer.new(origin.address, false, '');
}

/** A TLS server that speaks HTTP/1.1 only, or agrees to HTTP/2 too and says nothing over it. */
async function secure(protocols = ['http/1.1']) {
  const origin = await tlsOrigin({ cert: cert.cert, key: cert.key, ALPNProtocols: protocols });
  origin.server.on('secureConnection', (socket: TLSSocket) => {
    if (socket.alpnProtocol !== 'h2') answer(socket);
  });
  const peer = HttpPeer.new(origin.address, true, 'origin.test');
  peer.options.ca = parseCertificates(ca.cert);
  return peer;
}

/** A whole request and its answer. */
async function get(session: HttpSession): Promise<void> {
  const request = RequestHeader.build('GET', '/');
  request.insertHeader('Host', 'origin.test');
  await session.writeRequestHeader(request);
  await session.finishRequestBody();
  await session.readResponseHeader();
  expect(session.responseHeader()?.status).toBe(200);
  let body = '';
  for (;;) {
    const piece = await session.readResponseBody();
    if (piece === undefined) break;
    body += piece;
  }
  expect(body).toBe('hi');
  expect(session.responseDone()).toBe(true);
  session.asHttp1()?.respectKeepalive();
}

describe.each([
  ['plain', plain],
  ['TLS', () => secure()],
])('the HTTP connector, with a %s HTTP/1.1 server', (_kind, server) => {
  it('uses the connection of a finished session again', async () => {
    const peer = await server();
    const by = connector();
    for (const expected of [false, true, true]) {
      const [session, reused] = await by.getHttpSession(peer);
      expect(reused).toBe(expected);
      await get(session);
      by.releaseHttpSession(session, peer, undefined);
    }
  });

  it('closes the connection of a session that was not finished', async () => {
    const peer = await server();
    const by = connector();
    const [session] = await by.getHttpSession(peer);
    const { socket } = session.asHttp1()!.stream;
    by.releaseHttpSession(session, peer, undefined);
    expect(socket.destroyed).toBe(true);
    const [other, reused] = await by.getHttpSession(peer);
    expect(reused).toBe(false);
    other.shutdown();
  });
});

describe('the HTTP connector, with a peer that allows HTTP/2', () => {
  it('has a session on a connection that is open at once, without anything to wait for', async () => {
    const peer = await secure(['h2']);
    peer.options.setHttpVersion(2, 2);
    const by = connector();
    const [session] = await by.getHttpSession(peer);
    by.releaseHttpSession(session, peer, undefined);
    const [again, reused] = by.getHttpSession(peer) as [HttpSession, boolean];
    expect([again.asHttp2()?.id(), reused]).toEqual([session.asHttp2()!.id(), true]);
    again.asHttp2()!.close();
  });

  it('falls back to HTTP/1.1 where the server has no HTTP/2', async () => {
    const peer = await secure();
    peer.options.setHttpVersion(2, 1);
    const by = connector();
    const [session, reused] = await by.getHttpSession(peer);
    expect([session.asHttp1() === undefined, session.asHttp2(), reused]).toEqual([false, undefined, false]);
    await get(session);
    by.releaseHttpSession(session, peer, undefined);
    // the server turned out to speak HTTP/1.1: its connection is better than a new one
    const [again, reusedAgain] = await by.getHttpSession(peer);
    expect(reusedAgain).toBe(true);
    again.shutdown();
  });

  it('uses an HTTP/1.1 connection that waits, unless it allows HTTP/2 only', async () => {
    const peer = await secure(['h2', 'http/1.1']);
    const by = connector();
    const [session] = await by.getHttpSession(peer);
    await get(session);
    by.releaseHttpSession(session, peer, undefined);
    peer.options.setHttpVersion(2, 2);
    const [other, otherReused] = await by.getHttpSession(peer);
    expect([other.asHttp2() !== undefined, otherReused]).toEqual([true, false]);
    other.asHttp2()!.close();
    by.preferH1(peer);
    // ... or HTTP/1.1 was found to be what works
    const [again, reused] = await by.getHttpSession(peer);
    expect([again.asHttp1() !== undefined, reused]).toEqual([true, true]);
    again.shutdown();
  });
});

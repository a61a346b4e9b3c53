import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TlsOptions } from 'node:tls';
import { beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../src/connectors/l4.ts';
import { ConnectorOptions, TransportConnector } from '../../src/connectors/mod.ts';
import { replaceLeftmostUnderscore } from '../../src/connectors/tls.ts';
import { ErrorType, PingoraError } from '../../src/error/lib.ts';
import type { Stream } from '../../src/protocols/l4/stream.ts';
import { ALPN } from '../../src/protocols/mod.ts';
import { handshake } from '../../src/protocols/tls/client.ts';
import { promised, Task } from '../../src/runtime/task.ts';
import { Proxy as ConnectProxy, HttpPeer } from '../../src/upstreams/peer.ts';
import { CertKey, parseCertificates } from '../../src/utils/mod.ts';
import { asTls, atEnd, closeOf, makeCa, makeCert, type Pem, socketPath, tcpOrigin, tlsOrigin } from './origins.ts';

let ca: Pem;
let otherCa: Pem;
let cert: Pem;

beforeAll(async () => {
  [ca, otherCa] = await Promise.all([makeCa('Test CA'), makeCa('Other CA')]);
  cert = await makeCert(ca, 'origin.test', '*.wild.test');
});

function connector(options?: ConnectorOptions): TransportConnector {
  const made = TransportConnector.new(options);
  atEnd(() => made.close());
  return made;
}

/** A peer that trusts the test's CA. */
function peerOf(address: string, sni: string): HttpPeer {
  const peer = HttpPeer.new(address, true, sni);
  peer.options.ca = parseCertificates(ca.cert);
  return peer;
}

async function open(peer: HttpPeer, by = connector()): Promise<Stream> {
  const stream = await by.newStream(peer);
  atEnd(() => stream.destroy());
  return stream;
}

async function failure(peer: HttpPeer, by = connector()): Promise<PingoraError> {
  const error = await open(peer, by).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(PingoraError);
  return error as PingoraError;
}

const origin = (options: TlsOptions = {}) => tlsOrigin({ cert: cert.cert, key: cert.key, ...options });

describe('a TLS connection', () => {
  it('carries bytes both ways and knows what it is', async () => {
    const server = await origin({ ALPNProtocols: ['http/1.1'] });
    const stream = await open(peerOf(server.address, 'origin.test'));
    const socket = await server.accepted();
    socket.write('hello');
    expect(String(await stream.read(100))).toBe('hello');
    await stream.write('bye');
    await stream.flush();
    expect(String((await once(socket, 'data'))[0])).toBe('bye');

    expect(stream.selectedAlpnProto()).toBe(ALPN.H1);
    expect(asTls(socket).servername).toBe('origin.test');
    const digest = stream.getSslDigest()!;
    const [leaf] = parseCertificates(cert.cert);
    expect(digest).toMatchObject({
      version: 'TLSv1.3',
      cipher: asTls(socket).getCipher().name,
      organization: 'Origins',
      serialNumber: leaf!.serialNumber,
    });
    expect(digest.certDigest.toString('hex')).toBe(leaf!.fingerprint256.replaceAll(':', '').toLowerCase());
    const [tcp, tls] = stream.getTimingDigest();
    expect(tls!.establishedTs).toBeGreaterThanOrEqual(tcp!.establishedTs);
  });

  it('ends for both when either closes it', async () => {
    const server = await origin();
    const stream = await open(peerOf(server.address, 'origin.test'));
    const socket = await server.accepted();
    const closed = closeOf(socket.resume());
    stream.destroy();
    await closed;
  });

  it('goes through a CONNECT proxy', async () => {
    const server = await origin();
    const proxy = await tcpOrigin(socketPath());
    proxy.server.on('connection', (socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        // what comes next belongs to the tunnel: hand it to the TLS server
        server.server.emit('connection', socket);
      });
    });
    const peer = peerOf(server.address, 'origin.test');
    peer.proxy = new ConnectProxy(proxy.address, 'origin.test', 443);
    const stream = await open(peer);
    (await server.accepted()).write('hello');
    expect(String(await stream.read(100))).toBe('hello');
    expect(stream.getProxyDigest()?.response.status).toBe(200);
  });

  it('tells the tracer of its end', async () => {
    const server = await origin();
    const peer = peerOf(server.address, 'origin.test');
    const gone = new Promise<void>((resolve) => {
      peer.options.tracer = { onConnected() {}, onDisconnected: resolve };
    });
    (await open(peer)).destroy();
    await gone;
  });
});

describe('the certificate of a server', () => {
  it('of a CA that nobody knows is refused', async () => {
    const server = await origin();
    const error = await failure(HttpPeer.new(server.address, true, 'origin.test'));
    expect(error.etype()).toBe(ErrorType.InvalidCert);
    expect(error.context).toContain('SNI: origin.test');
  });

  it('of another CA than the one asked for is refused', async () => {
    const server = await origin();
    const peer = peerOf(server.address, 'origin.test');
    peer.options.ca = parseCertificates(otherCa.cert);
    expect((await failure(peer)).etype()).toBe(ErrorType.InvalidCert);
  });

  it('of a CA in the configured file is accepted', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'pingora-'));
    atEnd(() => rmSync(dir, { recursive: true }));
    const options = ConnectorOptions.new(8);
    options.caFile = join(dir, 'ca.pem');
    writeFileSync(options.caFile, ca.cert);
    const server = await origin();
    await open(HttpPeer.new(server.address, true, 'origin.test'), connector(options));
  });

  it('is not looked at if the peer says so', async () => {
    const server = await origin();
    const peer = HttpPeer.new(server.address, true, 'other.test');
    peer.options.verifyCert = false;
    await open(peer);
  });

  it('is not looked at without a server name', async () => {
    const server = await origin();
    await open(HttpPeer.new(server.address, true, ''));
    expect(asTls(await server.accepted()).servername).toBeFalsy();
  });

  it('with another name is refused', async () => {
    const server = await origin();
    expect((await failure(peerOf(server.address, 'other.test'))).etype()).toBe(ErrorType.InvalidCert);
  });

  it('with another name is accepted if names are not to be verified', async () => {
    const server = await origin();
    const peer = peerOf(server.address, 'other.test');
    peer.options.verifyHostname = false;
    await open(peer);
  });

  it('with the alternative name is accepted', async () => {
    const server = await origin();
    const peer = peerOf(server.address, 'other.test');
    peer.options.alternativeCn = 'origin.test';
    await open(peer);
    expect(asTls(await server.accepted()).servername).toBe('other.test');
  });

  it('with neither name is refused', async () => {
    const server = await origin();
    const peer = peerOf(server.address, 'other.test');
    peer.options.alternativeCn = 'third.test';
    expect((await failure(peer)).etype()).toBe(ErrorType.InvalidCert);
  });

  it('with a wildcard covers a name with an underscore', async () => {
    const server = await origin();
    await open(peerOf(server.address, 'a_b.wild.test'));
    expect((await failure(peerOf(server.address, 'a_b.c.wild.test'))).etype()).toBe(ErrorType.InvalidCert);
  });

  it('is not trusted for a peer because another peer did not ask', async () => {
    const server = await origin();
    const by = connector();
    const careless = HttpPeer.new(server.address, true, 'origin.test');
    careless.options.verifyCert = false;
    by.releaseStream(await by.newStream(careless), careless.reuseHash(), undefined);
    expect(by.idle).toBe(1);
    const careful = HttpPeer.new(server.address, true, 'origin.test');
    expect(by.reusedStream(careful)).toBeUndefined();
    expect(by.reusedStream(careless)).toBeDefined();
  });
});

describe('the certificate of the client', () => {
  const server = () => origin({ requestCert: true, rejectUnauthorized: true, ca: ca.cert });

  it("is the peer's", async () => {
    const client = await makeCert(ca, 'client.test');
    const asked = await server();
    const peer = peerOf(asked.address, 'origin.test');
    peer.clientCertKey = CertKey.fromPem(client.cert, client.key);
    await open(peer);
    expect(asTls(await asked.accepted()).getPeerCertificate().subject.CN).toBe('client.test');
  });

  it("is the connector's if the peer has none", async () => {
    const client = await makeCert(ca, 'connector.test');
    const dir = mkdtempSync(join(tmpdir(), 'pingora-'));
    atEnd(() => rmSync(dir, { recursive: true }));
    const options = ConnectorOptions.new(8);
    options.certKeyFile = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
    writeFileSync(options.certKeyFile[0], client.cert);
    writeFileSync(options.certKeyFile[1], client.key);
    const asked = await server();
    await open(peerOf(asked.address, 'origin.test'), connector(options));
    expect(asTls(await asked.accepted()).getPeerCertificate().subject.CN).toBe('connector.test');
  });

  it('is missed by a TLS 1.2 server during the handshake', async () => {
    const asked = await origin({ requestCert: true, rejectUnauthorized: true, ca: ca.cert, maxVersion: 'TLSv1.2' });
    // the server's own certificate is fine: this is no InvalidCert
    const error = await failure(peerOf(asked.address, 'origin.test'));
    expect(error.etype()).toBe(ErrorType.TLSHandshakeFailure);
  });
});

describe('a TLS handshake', () => {
  it('with a server that speaks something else fails', async () => {
    const plain = await tcpOrigin();
    plain.server.on('connection', (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    const error = await failure(peerOf(plain.address, 'origin.test'));
    expect(error.etype()).toBe(ErrorType.TLSHandshakeFailure);
  });

  it('with a server that closes fails', async () => {
    const plain = await tcpOrigin();
    plain.server.on('connection', (socket) => socket.destroy());
    const error = await failure(peerOf(plain.address, 'origin.test'));
    expect(error.etype()).toBe(ErrorType.TLSHandshakeFailure);
  });

  it('on a connection that has gone fails', async () => {
    const silent = await tcpOrigin();
    const peer = peerOf(silent.address, 'origin.test');
    const stream = await promised(connect(peer, undefined));
    stream.destroy();
    await expect(promised(handshake({}, 'origin.test', stream))).rejects.toThrow('closed');
  });

  it('that is dropped closes the connection', async () => {
    const silent = await tcpOrigin();
    const peer = peerOf(silent.address, 'origin.test');
    const stream = await promised(connect(peer, undefined));
    const closed = closeOf((await silent.accepted()).resume());
    const task = new Task(handshake({}, 'origin.test', stream), null, { resolve: expect.fail, reject: expect.fail });
    task.poll();
    expect(stream.socket.destroyed).toBe(false);
    task.drop();
    await closed;
  });

  it('offers the versions that the peer allows', async () => {
    const server = await origin({ ALPNProtocols: ['h2', 'http/1.1'] });
    const peer = peerOf(server.address, 'origin.test');
    expect((await open(peer)).selectedAlpnProto()).toBe(ALPN.H1);
    peer.options.setHttpVersion(2, 1);
    expect((await open(peer)).selectedAlpnProto()).toBe(ALPN.H2);
  });

  it('offers HTTP/1.1 only once that is preferred', async () => {
    const server = await origin({ ALPNProtocols: ['h2', 'http/1.1'] });
    const peer = peerOf(server.address, 'origin.test');
    peer.options.setHttpVersion(2, 1);
    const by = connector();
    by.preferH1(peer);
    expect((await open(peer, by)).selectedAlpnProto()).toBe(ALPN.H1);
  });

  it('uses the curves that the peer asks for', async () => {
    const server = await origin({ ecdhCurve: 'P-384' });
    const peer = peerOf(server.address, 'origin.test');
    peer.options.curves = 'X25519';
    expect((await failure(peer)).etype()).toBe(ErrorType.TLSHandshakeFailure);
    peer.options.curves = 'X25519:P-384';
    await open(peer);
    peer.options.curves = 'no such curve';
    expect((await failure(peer)).etype()).toBe(ErrorType.InternalError);
  });

  it('does without TLS 1.1', async () => {
    const server = await origin({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
    expect((await failure(peerOf(server.address, 'origin.test'))).etype()).toBe(ErrorType.TLSHandshakeFailure);
  });

  it('sends no server name that is an IP address', async () => {
    const server = await origin();
    const peer = peerOf(server.address, '127.0.0.1');
    peer.options.verifyHostname = false;
    await open(peer);
    expect(asTls(await server.accepted()).servername).toBeFalsy();
  });

  it('that stalls is given up after the connection timeout, and its connection is closed', async () => {
    const silent = await tcpOrigin();
    const peer = peerOf(silent.address, 'origin.test');
    peer.options.connectionTimeout = 200;
    const failed = failure(peer);
    const closed = closeOf((await silent.accepted()).resume());
    const error = await failed;
    expect(error.etype()).toBe(ErrorType.ConnectTimedout);
    expect(error.context).toBe(`connecting to server ${peer}, timeout 200ms`);
    await closed;
  });

  it('that stalls is given up after the total connection timeout, and its connection is closed', async () => {
    const silent = await tcpOrigin();
    const peer = peerOf(silent.address, 'origin.test');
    peer.options.connectionTimeout = 60_000;
    peer.options.totalConnectionTimeout = 200;
    const failed = failure(peer);
    const closed = closeOf((await silent.accepted()).resume());
    const error = await failed;
    expect(error.etype()).toBe(ErrorType.ConnectTimedout);
    expect(error.context).toBe(`connecting to server ${peer}, total-connection timeout 200ms`);
    await closed;
  });
});

describe('replaceLeftmostUnderscore', () => {
  it.each([
    '',
    'some',
    'some.com',
    '1.1.1.1:5050',
    'dog.dot.com',
    'dog.d_t.com',
    'dog.dot.c_m',
    'd_g.com',
    '_',
    'dog.c_m',
  ])('leaves %j alone', (name) => {
    expect(replaceLeftmostUnderscore(name)).toBeUndefined();
  });

  it.each([
    ['bb_b.some.com', 'bb-b.some.com'],
    ['a_a_a.some.com', 'a-a-a.some.com'],
    ['_.some.com', '-.some.com'],
  ])('makes %s %s', (name, replaced) => {
    expect(replaceLeftmostUnderscore(name)).toBe(replaced);
  });
});

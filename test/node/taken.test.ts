/** Nothing of this is documented: a Node that does it in another way shows here. */
import { once } from 'node:events';
import { connect as tlsConnect } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { bytesTaken } from '../../src/node/taken.ts';
import { SslAcceptor } from '../../src/protocols/tls/server.ts';
import { promised } from '../../src/runtime/task.ts';
import { selfSigned } from '../../src/utils/self-signed.ts';
import { pair, turn } from '../support/streams.ts';

const LARGE = 32 * 1024 * 1024;

describe('bytes that the system has taken', () => {
  test('are a part of a large write as long as the peer does not read, and grow while it does', async () => {
    const { stream, peer } = await pair();
    const { socket } = stream;
    peer.socket.pause();
    socket.write(Buffer.alloc(LARGE));
    for (let i = 0; i < 10; i++) await turn();
    const taken = bytesTaken(socket);
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(LARGE);
    expect(socket.writableLength).toBe(LARGE);
    peer.socket.resume();
    await peer.bytes(LARGE / 2);
    peer.socket.pause();
    expect(bytesTaken(socket)).toBeGreaterThan(taken);
    peer.socket.resume();
    await peer.bytes(LARGE);
    await turn();
    expect(bytesTaken(socket)).toBe(LARGE);
  });

  test('under TLS are those that were handed on below it', async () => {
    const { stream, peer } = await pair();
    const { cert, key } = await selfSigned(['localhost']);
    const raw = stream.intoSocket();
    const client = tlsConnect({ socket: peer.socket, rejectUnauthorized: false });
    onTestFinished(() => {
      client.destroy();
    });
    client.on('error', () => {});
    const secure = once(client, 'secureConnect');
    const socket = await promised(new SslAcceptor({ cert, key }).accept(raw));
    await secure;
    client.pause();
    socket.write(Buffer.alloc(LARGE));
    for (let i = 0; i < 10; i++) await turn();
    const taken = bytesTaken(socket);
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(LARGE);
    let got = 0;
    client.on('data', (bytes: Buffer) => {
      got += bytes.length;
    });
    client.resume();
    while (got < LARGE) await turn();
    expect(bytesTaken(socket)).toBeGreaterThan(LARGE);
  });
});

/** Node's sockets take over a handle and read into a buffer of one's own: not documented for accepted ones. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer, type SecureVersion, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { readDirectly } from '../../src/node/direct-socket.ts';
import { selfSigned } from '../../src/utils/self-signed.ts';
import { inThisNode } from './support.ts';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

async function pair(): Promise<{ accepted: Socket; client: Socket; server: Server }> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const arrived = once(server, 'connection') as Promise<[Socket]>;
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [accepted] = await arrived;
  return { accepted, client, server };
}

describe(inThisNode('a socket takes over a handle, and reads into a buffer that is not its own'), () => {
  it('gives the bytes of an accepted connection, and its end', async () => {
    const { accepted, client } = await pair();
    const pieces: Buffer[] = [];
    const direct = readDirectly(accepted, (bytes) => pieces.push(bytes))!;
    const ended = once(direct, 'end');
    direct.resume();
    client.end('hello');
    await ended;
    expect(Buffer.concat(pieces).toString()).toBe('hello');
    const answer = once(client, 'data') as Promise<[Buffer]>;
    direct.end('still open the other way');
    expect((await answer)[0].toString()).toBe('still open the other way');
  });

  it('keeps what it gave when more arrives, on this connection or another', async () => {
    const one = await pair();
    const other = await pair();
    const pieces: Buffer[] = [];
    const next = () => new Promise<void>((resolve) => (arrived = resolve));
    let arrived = () => {};
    const take = (bytes: Buffer) => {
      pieces.push(bytes);
      arrived();
    };
    const sockets = [readDirectly(one.accepted, take)!, readDirectly(other.accepted, take)!];
    for (const socket of sockets) socket.resume();
    for (const [client, text] of [
      [one.client, 'aaaa'],
      [other.client, 'bbbb'],
      [one.client, 'cccc'],
    ] as const) {
      const got = next();
      client.write(text);
      await got;
    }
    expect(pieces.map(String)).toEqual(['aaaa', 'bbbb', 'cccc']);
    for (const socket of [...sockets, one.client, other.client]) socket.destroy();
  });

  it('reads nothing before it is resumed, and nothing while it is paused', async () => {
    const { accepted, client } = await pair();
    const pieces: string[] = [];
    let arrived = () => {};
    const direct = readDirectly(accepted, (bytes) => {
      pieces.push(bytes.toString());
      direct.pause();
      arrived();
    })!;
    await new Promise<void>((resolve) => client.write('one', () => resolve()));
    expect(pieces).toEqual([]);
    const first = new Promise<void>((resolve) => (arrived = resolve));
    direct.resume();
    await first;
    await new Promise<void>((resolve) => client.write('two', () => resolve()));
    expect(pieces).toEqual(['one']);
    const second = new Promise<void>((resolve) => (arrived = resolve));
    direct.resume();
    await second;
    expect(pieces).toEqual(['one', 'two']);
    direct.destroy();
    client.destroy();
  });

  it('is counted among the connections of the server that accepted it, until it is closed', async () => {
    const { accepted, client, server } = await pair();
    const connections = () => new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count)));
    const direct = readDirectly(accepted, () => {})!;
    expect(await connections()).toBe(1);
    const closed = once(direct, 'close');
    direct.destroy();
    await closed;
    expect(await connections()).toBe(0);
    client.destroy();
  });

  it('leaves a socket alone that something was read from', async () => {
    const { accepted, client } = await pair();
    client.write('early');
    accepted.resume();
    const [bytes] = (await once(accepted, 'data')) as [Buffer];
    accepted.pause();
    accepted.unshift(bytes);
    expect(readDirectly(accepted, () => {})).toBeUndefined();
    expect(accepted.destroyed).toBe(false);
    accepted.destroy();
    client.destroy();
  });
});

const certificate = selfSigned(['localhost']);

/** A server's socket whose handshake is done, and its client's. */
async function tlsPair(version: SecureVersion): Promise<{ accepted: TLSSocket; client: TLSSocket }> {
  const server = createTlsServer({ ...(await certificate), maxVersion: version }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const arrived = once(server, 'secureConnection') as Promise<[TLSSocket]>;
  const { port } = server.address() as AddressInfo;
  const client = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
  // in one flight with the end of the handshake
  client.write('early ');
  const [accepted] = await arrived;
  onTestFinished(() => {
    client.destroy();
    accepted.destroy();
  });
  return { accepted, client };
}

describe.each(['TLSv1.2', 'TLSv1.3'] as const)(inThisNode('a socket of %s is told late where to read'), (version) => {
  it('gives the bytes that came with the handshake, those that came later, and the end', async () => {
    const { accepted, client } = await tlsPair(version);
    const pieces: Buffer[] = [];
    expect(readDirectly(accepted, (bytes) => pieces.push(bytes))).toBe(accepted);
    const ended = once(accepted, 'end');
    accepted.resume();
    client.write(Buffer.alloc(100_000, 'x'));
    client.end('late');
    await ended;
    expect(Buffer.concat(pieces).toString()).toBe(`early ${'x'.repeat(100_000)}late`);
  });

  it('gives nothing while it is paused', async () => {
    const { accepted, client } = await tlsPair(version);
    const pieces: Buffer[] = [];
    const text = () => Buffer.concat(pieces).toString();
    let arrived = () => {};
    const until = async (all: string) => {
      while (text() !== all) await new Promise<void>((resolve) => (arrived = resolve));
    };
    readDirectly(accepted, (bytes) => {
      pieces.push(bytes);
      if (text() === 'early ') accepted.pause();
      arrived();
    });
    accepted.resume();
    await until('early ');
    // two turns there and back: an answer can only come after what was written
    client.write('later');
    accepted.write('answer');
    await once(client, 'data');
    expect(text()).toBe('early ');
    accepted.resume();
    await until('early later');
  });
});

/** Clients of HTTP/2 that leave, one after the other, in every way: what was done for them at the origin is let go. */
import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { h2Origin } from '../support/h2-origin.ts';
import { Origin } from '../support/origin.ts';
import type { Peer } from '../support/streams.ts';
import { Victim } from './harness.ts';

const TIMES = 20;

let victim: Victim;
beforeAll(async () => {
  victim = await Victim.start();
});
afterAll(() => victim.stop());

interface Client {
  below: Socket;
  session: ClientHttp2Session;
  stream: ClientHttp2Stream;
}

/** How a client leaves. */
const WAYS: Record<string, (client: Client) => void> = {
  'by RST_STREAM': ({ stream }) => stream.close(8),
  'by GOAWAY and the end of the connection': ({ session }) => session.destroy(),
  'by the end of TCP alone': ({ below }) => below.destroy(),
  'by a reset of TCP': ({ below }) => below.resetAndDestroy(),
};

async function open(path: string, headers: Record<string, string>, body: boolean): Promise<Client> {
  // Node 22 crashes where a session loses a socket that it was given: its connection is relayed, and the relay's is lost
  const relay = createServer().listen(0, '127.0.0.1');
  await once(relay, 'listening');
  const accepted = once(relay, 'connection') as Promise<[Socket]>;
  const { port } = relay.address() as AddressInfo;
  const session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  session.on('error', () => {});
  const [near] = await accepted;
  relay.close();
  const below = connectTcp({ port: victim.ports.h2, host: '127.0.0.1' });
  for (const socket of [near, below]) socket.on('error', () => {});
  near.pipe(below).pipe(near);
  below.on('close', () => near.destroy());
  await once(session, 'connect');
  const method = body ? 'POST' : 'GET';
  const stream = session.request(
    { ':path': path, ':method': method, 'x-keep': 'no', ...headers },
    { endStream: !body },
  );
  stream.on('error', () => {});
  return { below, session, stream };
}

/** Write as long as somebody takes it, until the function that is returned is called. */
function pour(to: Writable): () => void {
  let stopped = false;
  const piece = Buffer.alloc(16 * 1024, 'x');
  const more = () => {
    // one piece a turn of the loop, and none once it is over: a write to what is destroyed says yes for ever
    if (stopped || !to.writable || to.destroyed) return;
    if (to.write(piece)) setImmediate(more);
  };
  to.on('drain', more);
  more();
  return () => {
    stopped = true;
  };
}

/** Whatever went wrong before. */
function closed(what: Writable): Promise<void> {
  return new Promise((resolve) => what.once('close', () => resolve()));
}

/** One request at an origin: it has begun, and it is let go. */
interface Asked {
  begun: Promise<unknown>;
  over: Promise<unknown>;
}

/** Origins that answer without end, or never. */
const ORIGINS: Record<string, (answers: boolean) => Promise<{ port: number; asked(): Promise<Asked> }>> = {
  h1: async (answers) => {
    const waiting: ((peer: Peer) => void)[] = [];
    const origin = await Origin.start(async (connection) => {
      const over = closed(connection.socket);
      connection.socket.on('error', () => {});
      connection.socket.on('end', () => connection.socket.destroy());
      waiting.shift()?.(connection);
      await connection.until((got) => got.includes('\r\n\r\n'));
      if (answers) {
        connection.send('HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n');
        pour(connection.socket);
      }
      await over;
    });
    return {
      port: origin.port,
      async asked() {
        const connection = await new Promise<Peer>((resolve) => waiting.push(resolve));
        return {
          begun: connection.until((got) => got.includes('\r\n\r\n')),
          over: closed(connection.socket),
        };
      },
    };
  },
  h2: async (answers) => {
    const waiting: ((stream: ServerHttp2Stream) => void)[] = [];
    const origin = await h2Origin((stream) => {
      stream.resume();
      waiting.shift()?.(stream);
      if (!answers) return;
      stream.respond({ ':status': 200 });
      pour(stream);
    });
    return {
      port: origin.port,
      async asked() {
        const stream = await new Promise<ServerHttp2Stream>((resolve) => waiting.push(resolve));
        return { begun: Promise.resolve(), over: closed(stream) };
      },
    };
  },
};

describe.each(Object.keys(WAYS))('twenty clients of HTTP/2 that leave %s', (way) => {
  test.each([
    ['in the middle of an answer without end', 'h1', true, false],
    ['in the middle of an answer without end', 'h2', true, false],
    ['in the middle of a POST', 'h1', false, true],
    ['in the middle of a POST', 'h2', false, true],
    ['in the middle of a POST that is being answered', 'h1', true, true],
    ['in the middle of a POST that is being answered', 'h2', true, true],
  ] as const)('%s leave nothing at an origin of %s', async (_, kind, answers, body) => {
    const origin = await ORIGINS[kind]!(answers);
    let over = 0;
    for (let n = 0; n < TIMES; n++) {
      const asked = origin.asked();
      const client = await open(`/${origin.port}`, kind === 'h2' ? { 'x-origin': 'h2' } : {}, body);
      const stop = body ? pour(client.stream) : undefined;
      const { begun, over: gone } = await asked;
      await begun;
      if (answers) await once(client.stream, 'data');
      stop?.();
      WAYS[way]!(client);
      await gone;
      over++;
      client.session.destroy();
    }
    expect(over).toBe(TIMES);
    await victim.isWell();
  });
});

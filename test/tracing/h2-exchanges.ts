/** What HTTP/2 clients without TLS exchange with a proxy, frame by frame. */
import { PREFACE } from '../../src/h2/frame.ts';
import { type Frame, frame, frames, GET, headers, POST, settings, u32 } from '../h2/raw.ts';
import type { Peer } from '../support/streams.ts';
import { turn } from '../support/streams.ts';
import { type Exchange, LONG, type Ran, says } from './exchanges.ts';

const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE] = [0, 1, 3, 4, 6, 7, 8];
const ACK = 1;
const END_STREAM = 1;

/** The whole frames that have arrived. */
function arrived(received: string): Frame[] {
  const bytes = Buffer.from(received, 'latin1');
  let end = 0;
  while (end + 9 <= bytes.length && end + 9 + bytes.readUIntBE(end, 3) <= bytes.length) {
    end += 9 + bytes.readUIntBE(end, 3);
  }
  return frames(bytes.subarray(0, end));
}

class Client {
  readonly #peer: Peer;

  private constructor(peer: Peer) {
    this.#peer = peer;
  }

  /** Connect, and exchange settings. */
  static async of({ proxy }: Ran): Promise<Client> {
    const client = new Client(await proxy.client());
    client.send(Buffer.from(PREFACE), settings());
    await client.until(({ type, flags }) => type === SETTINGS && flags === ACK);
    client.send(frame(SETTINGS, ACK, 0));
    return client;
  }

  send(...pieces: Buffer[]): void {
    this.#peer.send(Buffer.concat(pieces));
  }

  until(seen: (frame: Frame) => boolean, times = 1): Promise<string> {
    return this.#peer.until((received) => arrived(received).filter(seen).length >= times);
  }

  /** Wait until so many responses are whole. */
  answered(times = 1): Promise<string> {
    return this.until(({ type, flags }) => (type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0, times);
  }

  /** Wait until so many bytes of bodies have come. */
  body(length: number): Promise<string> {
    const sizes = (received: string) =>
      arrived(received).map(({ type, payload }) => (type === DATA ? payload.length : 0));
    return this.#peer.until((received) => sizes(received).reduce((sum, size) => sum + size, 0) >= length);
  }

  async leave(): Promise<void> {
    this.#peer.socket.end();
    await this.#peer.end();
  }

  reset(): void {
    this.#peer.reset();
  }

  ended(): Promise<string> {
    return this.#peer.end();
  }
}

const originsClosed = async ({ origin }: Ran) => {
  while (origin.connections.some(({ closed }) => !closed)) await turn();
};

/** The origin reads, answers nothing and closes when the proxy does. */
async function silent(connection: Peer): Promise<void> {
  await connection.end();
  connection.socket.end();
}

export const http2: readonly Exchange[] = [
  {
    name: 'a GET over HTTP/2',
    async run(ran) {
      const client = await Client.of(ran);
      client.send(headers(1, GET));
      await client.answered();
      await client.leave();
    },
  },
  {
    name: 'two streams of HTTP/2, one after the other',
    async run(ran) {
      const client = await Client.of(ran);
      for (const stream of [1, 3]) {
        client.send(headers(stream, GET));
        await client.answered((stream + 1) / 2);
      }
      await client.leave();
    },
  },
  {
    name: 'a body in two frames of HTTP/2',
    async run(ran) {
      const client = await Client.of(ran);
      client.send(headers(1, POST, false), frame(DATA, 0, 1, Buffer.from('12')));
      while (!ran.origin.received.includes('12')) await turn();
      client.send(frame(DATA, END_STREAM, 1, Buffer.from('345')));
      await client.answered();
      await client.leave();
    },
  },
  {
    name: 'an answer over HTTP/2 that is larger than the windows',
    answer: says(`HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n${LONG.slice(0, 100_000)}`),
    async run(ran) {
      const client = await Client.of(ran);
      client.send(headers(1, GET));
      // until both windows are used up
      await client.body(65_535);
      client.send(frame(WINDOW_UPDATE, 0, 0, u32(100_000)), frame(WINDOW_UPDATE, 0, 1, u32(100_000)));
      await client.answered();
      await client.leave();
    },
  },
  {
    name: 'a stream of HTTP/2 that its client gives up',
    answer: silent,
    async run(ran) {
      const client = await Client.of(ran);
      client.send(headers(1, GET));
      while (!ran.origin.received.includes('\r\n\r\n')) await turn();
      client.send(frame(RST_STREAM, 0, 1, u32(8)));
      await originsClosed(ran);
      client.send(frame(PING, 0, 0, '0102030405060708'));
      await client.until(({ type, flags }) => type === PING && flags === ACK);
      await client.leave();
    },
  },
  {
    name: 'a stream of HTTP/2 that makes no sense',
    async run(ran) {
      const client = await Client.of(ran);
      client.send(headers(1, [...GET, ['Upper', 'case']]));
      await client.until(({ type }) => type === RST_STREAM);
      await client.leave();
    },
  },
  {
    name: 'a connection of HTTP/2 that makes no sense',
    async run(ran) {
      const client = await Client.of(ran);
      client.send(frame(DATA, 0, 0, Buffer.from('x')));
      await client.until(({ type }) => type === GOAWAY);
      await client.ended();
    },
  },
  {
    name: 'an HTTP/2 client that is gone before the answer',
    answer: silent,
    async run(ran) {
      const client = await Client.of(ran);
      client.send(headers(1, GET));
      while (!ran.origin.received.includes('\r\n\r\n')) await turn();
      client.reset();
      await originsClosed(ran);
    },
  },
];

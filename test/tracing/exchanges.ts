/** What clients and origins exchange with a proxy, of this process and without TLS, so that all bytes can be compared. */
import { type Origin, requestEnd } from '../support/origin.ts';
import type { RunningProxy } from '../support/proxy.ts';
import { type Peer, turn } from '../support/streams.ts';

export interface Ran {
  readonly proxy: RunningProxy;
  readonly origin: Origin;
}

export interface Exchange {
  readonly name: string;
  /** What the origin does with a connection. Default: it answers each request with five bytes. */
  readonly answer?: (connection: Peer) => Promise<void>;
  run(ran: Ran): Promise<void>;
}

const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: a.test\r\n${more}\r\n`;

export const says = (text: string) => async (connection: Peer) => {
  await connection.until((got) => requestEnd(got) >= 0);
  connection.send(text);
};

const asks =
  (request: string, ends: string) =>
  async ({ proxy }: Ran): Promise<void> => {
    const client = await proxy.client();
    client.send(request);
    await client.until((got) => got.endsWith(ends));
    client.socket.end();
    await client.end();
  };

export const LONG = 'x'.repeat(300_000);

export const http1: readonly Exchange[] = [
  { name: 'a GET', run: asks(get('/'), 'hello') },
  {
    name: 'two requests on one connection',
    async run({ proxy }) {
      const client = await proxy.client();
      client.send(get('/1'));
      await client.until((got) => got.endsWith('hello'));
      client.send(get('/2'));
      await client.until((got) => got.split('hello').length === 3);
      client.socket.end();
      await client.end();
    },
  },
  {
    name: 'a request that asks for the connection to be closed',
    async run({ proxy }) {
      const client = await proxy.client();
      client.send(get('/', 'Connection: close\r\n'));
      await client.end();
    },
  },
  {
    name: 'a body with a length',
    run: asks('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\n12345', 'hello'),
  },
  {
    name: 'a body in chunks',
    run: asks('POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n', 'hello'),
  },
  {
    name: 'a long body',
    run: asks(`POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 300000\r\n\r\n${LONG}`, 'hello'),
  },
  {
    name: 'a long answer',
    answer: says(`HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n${LONG}`),
    run: asks(get('/'), 'xxx'),
  },
  {
    name: 'an answer that ends with the connection',
    async answer(connection) {
      await connection.until((got) => requestEnd(got) >= 0);
      connection.send('HTTP/1.1 200 OK\r\n\r\nhello');
      connection.socket.end();
    },
    run: asks(get('/'), '0\r\n\r\n'),
  },
  {
    name: 'an answer that is cut short',
    async answer(connection) {
      await connection.until((got) => requestEnd(got) >= 0);
      connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello');
      connection.socket.end();
    },
    async run({ proxy }) {
      const client = await proxy.client();
      client.send(get('/'));
      await client.end();
    },
  },
  {
    name: 'an origin that closes without an answer',
    async answer(connection) {
      await connection.until((got) => requestEnd(got) >= 0);
      connection.socket.end();
    },
    async run({ proxy }) {
      const client = await proxy.client();
      client.send(get('/'));
      await client.end();
    },
  },
  {
    name: 'a switch of protocols',
    async answer(connection) {
      await connection.until((got) => requestEnd(got) >= 0);
      connection.send('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n');
      await connection.until((got) => got.endsWith('ping'));
      connection.send('pong');
      await connection.end();
      connection.socket.end();
    },
    async run({ proxy }) {
      const client = await proxy.client();
      client.send(get('/', 'Connection: upgrade\r\nUpgrade: x\r\n'));
      await client.until((got) => got.includes(' 101 '));
      client.send('ping');
      await client.until((got) => got.endsWith('pong'));
      client.socket.end();
      await client.end();
    },
  },
  {
    name: 'a request that makes no sense',
    async run({ proxy }) {
      const client = await proxy.client();
      client.send('GET / HTTP/1.1\r\nno colon\r\n\r\n');
      await client.end();
    },
  },
  {
    name: 'a client that leaves before the answer',
    async answer(connection) {
      await connection.end();
      connection.socket.end();
    },
    async run({ proxy, origin }) {
      const client = await proxy.client();
      client.send(get('/'));
      while (!origin.received.includes('\r\n\r\n')) await turn();
      client.reset();
      while (origin.connections.some(({ closed }) => !closed)) await turn();
    },
  },
];

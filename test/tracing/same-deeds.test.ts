/**
 * What a trace shows is what runs: each exchange is run without a recorder and with one, and what was done to the
 * proxy's sockets, the deadlines that were set and the tasks that were polled are the same.
 */
import { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Task } from '../../src/runtime/task.ts';
import { Deadline } from '../../src/timeout/lib.ts';
import { Recorder } from '../../src/tracing/recorder.ts';
import { values } from '../../src/values/mod.ts';
import { captureLog } from '../support/log.ts';
import { Origin, requestEnd } from '../support/origin.ts';
import { type RunningProxy, startProxy, ToOrigin } from '../support/proxy.ts';
import { type Peer, turn } from '../support/streams.ts';

interface Ran {
  readonly proxy: RunningProxy;
  readonly origin: Origin;
}

interface Exchange {
  readonly name: string;
  /** What the origin does with a connection. Default: it answers each request with five bytes. */
  readonly answer?: (connection: Peer) => Promise<void>;
  run(ran: Ran): Promise<void>;
}

const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: a.test\r\n${more}\r\n`;

const says = (text: string) => async (connection: Peer) => {
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

const LONG = 'x'.repeat(300_000);

const exchanges: readonly Exchange[] = [
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

/** What was done, in order, to each of the proxy's sockets, and beside them. */
interface Deeds {
  readonly sockets: ReadonlyMap<Socket, string[]>;
  deadlines: number;
  readonly tasks: Set<unknown>;
}

const originals = { write: Socket.prototype.write, end: Socket.prototype.end, destroy: Socket.prototype.destroy };
const { set } = Deadline.prototype;
const { poll } = Task.prototype;
let deeds: Deeds;

/** Which side of the proxy a socket is on; undefined: it is the client's or the origin's own. */
let sideOf: (socket: Socket) => string | undefined;
let sides = new WeakMap<Socket, string | undefined>();

function log(socket: Socket, deed: string): void {
  // another one has taken its connection over
  if ((socket as { _handle?: object | null })._handle == null) return;
  // once closed it doesn't know where it was
  const side = sides.get(socket) ?? sideOf(socket);
  if (side === undefined) return;
  sides.set(socket, side);
  const sockets = deeds.sockets as Map<Socket, string[]>;
  const list = sockets.get(socket) ?? [side];
  sockets.set(socket, list);
  list.push(deed);
}

beforeEach(() => {
  captureLog('silent');
  Object.assign(Socket.prototype, {
    write(this: Socket, ...args: Parameters<Socket['write']>) {
      log(this, `write ${Buffer.from(args[0] as string | Buffer).toString('latin1')}`);
      return originals.write.apply(this, args);
    },
    end(this: Socket, ...args: Parameters<Socket['end']>) {
      log(this, 'end');
      return originals.end.apply(this, args);
    },
    destroy(this: Socket, ...args: Parameters<Socket['destroy']>) {
      if (!this.destroyed) log(this, 'destroy');
      return originals.destroy.apply(this, args);
    },
  });
  Deadline.prototype.set = function (ms: number) {
    deeds.deadlines++;
    set.call(this, ms);
  };
  Task.prototype.poll = function (this: Task<unknown>) {
    deeds.tasks.add(this);
    poll.call(this);
  };
});

afterEach(() => {
  Object.assign(Socket.prototype, originals);
  Deadline.prototype.set = set;
  Task.prototype.poll = poll;
});

async function deedsOf({ answer, run }: Exchange, recorder?: Recorder) {
  deeds = { sockets: new Map(), deadlines: 0, tasks: new Set() };
  sides = new WeakMap();
  const origin = await Origin.start(answer);
  const start = () => startProxy(new ToOrigin(`127.0.0.1:${origin.port}`));
  recorder?.attach();
  const proxy = await (recorder === undefined ? start() : recorder.root('main', start));
  sideOf = ({ localPort, remotePort }) =>
    localPort === proxy.port ? 'client' : remotePort === origin.port ? 'origin' : undefined;
  await run({ proxy, origin });
  for (let i = 0; i < 20; i++) await turn();
  // connections that are kept for the next request end here, and the tasks that watch them
  for (const { socket } of origin.connections) socket.destroy();
  for (let i = 0; i < 20; i++) await turn();
  recorder?.detach();
  const masked = (deed: string) =>
    deed
      .replace(/(?<=\r\nDate: )[^\r]*/g, '*')
      .replaceAll(String(proxy.port), 'P')
      .replaceAll(String(origin.port), 'O');
  return {
    sockets: [...deeds.sockets.values()].map((list) => list.map(masked)),
    deadlines: deeds.deadlines,
    tasks: deeds.tasks.size,
  };
}

describe('a recorder changes nothing of what is done', () => {
  test.each(exchanges)('in $name', async (exchange) => {
    const untraced = await deedsOf(exchange);
    const recorder = new Recorder({ runs: true, values: values(), events: {} });
    const traced = await deedsOf(exchange, recorder);
    expect(traced).toEqual(untraced);
    expect(untraced.sockets.length).toBeGreaterThan(0);
    expect(untraced.tasks).toBeGreaterThan(0);
    expect(recorder.spans.length).toBeGreaterThan(10);
  });
});

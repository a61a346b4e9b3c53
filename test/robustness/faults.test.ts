/**
 * The connection breaks: at every byte of an origin's answer and of a client's request, by a reset, an end or silence,
 * in every pair of versions, traced and untraced. Nothing that was cut short may look whole, nothing may be left, and
 * the next request is served. A table of what came of it is printed.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer as createTls, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { selfSigned } from '../../src/utils/self-signed.ts';
import { Origin } from '../support/origin.ts';
import { Peer } from '../support/streams.ts';
import { type Answer, Victim } from './harness.ts';

/** Where tracing or TLS is all that differs, every fifth byte does, unless all are asked for: `FAULTS=all`. */
const OFTEN = process.env.FAULTS === 'all' ? 1 : 5;

/** How a connection breaks. */
type Fault = 'reset' | 'end' | 'silence';

const frame = (type: number, flags: number, stream: number, payload: Buffer): Buffer => {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
};

/** An answer as the bytes of one version, and from which byte on it is whole. */
interface Script {
  readonly name: string;
  readonly bytes: Buffer;
  /** The end of the connection ends it, and nothing else: a cut by FIN can't be told from its end. */
  readonly untilEnd?: boolean;
}

const H1: Script[] = [
  { name: 'a length', bytes: Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789') },
  {
    name: 'chunks',
    bytes: Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n'),
  },
  {
    name: 'the connection’s end',
    bytes: Buffer.from('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n0123456789'),
    untilEnd: true,
  },
];

const H2: Script[] = [
  {
    name: 'frames',
    bytes: Buffer.concat([
      frame(4, 0, 0, Buffer.alloc(0)),
      frame(4, 1, 0, Buffer.alloc(0)),
      // :status 200
      frame(1, 4, 1, Buffer.from([0x88])),
      frame(0, 0, 1, Buffer.from('01234')),
      frame(0, 1, 1, Buffer.from('56789')),
    ]),
  },
];

let victims: Victim[] = [];
const rows: string[] = [];
let certificate: { cert: string; key: string };

beforeAll(async () => {
  certificate = await selfSigned(['localhost']);
  victims = [await Victim.start(), await Victim.start(true)];
});
afterAll(async () => {
  await Promise.all(victims.map((victim) => victim.stop()));
  console.log(`who, how, client, origin, traced: outcomes\n${rows.join('\n')}`);
});

/** Send the first `count` bytes, and break. */
function breakAfter(connection: Peer, bytes: Buffer, count: number, fault: Fault): void {
  const { socket } = connection;
  const broken = () => {
    if (fault === 'reset') connection.reset();
    else if (fault === 'end') socket.end();
  };
  if (count === 0) broken();
  // not in the callback itself: Node crashes when the connection below TLS is reset in it
  else socket.write(bytes.subarray(0, count), () => setImmediate(broken));
}

interface Cutting {
  readonly port: number;
  count: number;
}

async function h1Origin(script: Script, fault: Fault): Promise<Cutting> {
  const cutting = { port: 0, count: 0 };
  const origin = await Origin.start((connection) => {
    const { count } = cutting;
    connection.socket.once('data', () => breakAfter(connection, script.bytes, count, fault));
    connection.socket.on('end', () => connection.socket.end());
  });
  return Object.assign(cutting, { port: origin.port });
}

async function h2Origin(script: Script, fault: Fault): Promise<Cutting> {
  const cutting = { port: 0, count: 0 };
  const server = createTls({ ...certificate, ALPNProtocols: ['h2'] });
  const below: Peer[] = [];
  server.on('secureConnection', (socket: TLSSocket) => {
    const { count } = cutting;
    const connection = new Peer(socket, (socket as unknown as { _parent?: Peer['socket'] })._parent ?? socket);
    below.push(connection);
    // once its request has come: preface, SETTINGS and HEADERS
    connection
      .until(
        (received) =>
          received.slice(24).includes('\x01\x05\x00\x00\x00\x01') ||
          received.slice(24).includes('\x01\x04\x00\x00\x00\x01'),
      )
      .then(
        () => breakAfter(connection, script.bytes, count, fault),
        () => {},
      );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const { socket } of below) socket.destroy();
    server.close();
  });
  return Object.assign(cutting, { port: (server.address() as AddressInfo).port });
}

/** What a client may see of an answer of which only `count` bytes came. */
function verdict(script: Script, count: number, fault: Fault, { status, body, whole }: Answer): string {
  const complete = script.untilEnd
    ? fault === 'end' && count >= script.bytes.indexOf('\r\n\r\n') + 4
    : count === script.bytes.length;
  if (whole && status === 200) {
    if (!complete) return `WRONG: whole after ${count} bytes`;
    if (!script.untilEnd && body !== '0123456789') return `WRONG: ${JSON.stringify(body)} after ${count} bytes`;
    return 'whole';
  }
  if (complete && fault === 'end') return `WRONG: ${status} after all ${count} bytes`;
  if (whole && status !== 502) return `WRONG: ${status} after ${count} bytes`;
  if (!'0123456789'.startsWith(body)) return `WRONG: ${JSON.stringify(body)} after ${count} bytes`;
  return whole ? '502' : status === undefined ? 'closed' : 'cut short';
}

/** Every byte, or every few. */
function stepOf(which: number, way: string): number {
  return which === 0 && way !== 'tls' ? 1 : OFTEN;
}

function tally(verdicts: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const one of verdicts) counts.set(one, (counts.get(one) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} ${name}`).join(', ');
}

describe.each([
  ['untraced', 0],
  ['traced', 1],
] as const)('%s', (traced, which) => {
  const scripts = [
    ...H1.map((script) => ['HTTP/1', script] as const),
    ...H2.map((script) => ['HTTP/2', script] as const),
  ];
  const faults: Fault[] = ['reset', 'end'];
  const cases = scripts.flatMap(([version, script]) =>
    faults.map((fault) => [version, script.name, fault, script] as const),
  );

  test.each(cases)(
    'an origin over %s whose answer, of %s, is cut at every byte by a %s',
    async (version, _name, fault, script) => {
      const victim = victims[which]!;
      const origin = await (version === 'HTTP/1' ? h1Origin(script, fault) : h2Origin(script, fault));
      const wrong: string[] = [];
      for (const way of victim.ways()) {
        const verdicts: string[] = [];
        const last = script.bytes.length;
        for (let count = 0; count <= last; count += stepOf(which, way.name)) {
          origin.count = count;
          const headers = { 'x-keep': 'no', ...(version === 'HTTP/2' ? { 'x-origin': 'h2' } : {}) };
          verdicts.push(verdict(script, count, fault, await way.send(`/${origin.port}`, { headers })));
        }
        rows.push(
          `origin, ${fault}, ${way.name}, ${version} (${script.name}), ${traced}: ${tally(verdicts.map((one) => (one.startsWith('WRONG') ? 'WRONG' : one)))}`,
        );
        wrong.push(...verdicts.filter((one) => one.startsWith('WRONG')).map((one) => `${way.name}: ${one}`));
      }
      expect(wrong).toEqual([]);
      await victim.isWell();
    },
  );

  test.each(H1)('an HTTP/1 origin that falls silent at some byte of its answer, of $name', async (script) => {
    const victim = victims[which]!;
    const origin = await h1Origin(script, 'silence');
    for (const way of victim.ways()) {
      const verdicts: string[] = [];
      for (let count = 0; count < script.bytes.length; count += which === 0 ? 7 : 21) {
        origin.count = count;
        const headers = { 'x-keep': 'no', 'x-read-timeout': '30' };
        verdicts.push(verdict(script, count, 'silence', await way.send(`/${origin.port}`, { headers })));
      }
      rows.push(`origin, silence, ${way.name}, HTTP/1 (${script.name}), ${traced}: ${tally(verdicts)}`);
      expect(verdicts.filter((one) => one.startsWith('WRONG'))).toEqual([]);
    }
    await victim.isWell();
  });

  const REQUEST = 'POST /PORT HTTP/1.1\r\nHost: a\r\nX-Keep: no\r\nContent-Length: 10\r\n\r\n0123456789';
  const CHUNKED =
    'POST /PORT HTTP/1.1\r\nHost: a\r\nX-Keep: no\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n';

  test.each([
    ['a length', REQUEST, 'plain'],
    ['a length', REQUEST, 'tls'],
    ['chunks', CHUNKED, 'plain'],
  ] as const)(
    'a client whose request, with a body of %s, is cut at every byte, by a reset and by an end',
    async (name, model, way) => {
      const victim = victims[which]!;
      const whole: string[] = [];
      const origin = await Origin.start((connection) => {
        connection.socket.on('data', () => {
          if (!connection.received.includes('0123456789')) return;
          if (name === 'chunks' && !connection.received.endsWith('0\r\n\r\n')) return;
          whole.push(connection.received);
          connection.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
        });
        connection.socket.on('end', () => connection.socket.end());
      });
      const request = Buffer.from(model.replace('PORT', String(origin.port)));
      for (const fault of ['reset', 'end'] as const) {
        whole.length = 0;
        for (let count = 0; count < request.length; count += stepOf(which, way)) {
          const client = await victim.spoken(way);
          breakAfter(client, request, count, fault);
          // at the latest when what is needed hasn't come it is let go
          await client.end();
          client.socket.destroy();
        }
        expect(whole, 'a request that was cut short reached the origin whole').toEqual([]);
        rows.push(`client, ${fault}, ${way}, HTTP/1 (${name}), ${traced}: all let go`);
      }
      await victim.isWell();
    },
  );

  test('a client over HTTP/2 whose request is cut at every byte, by a reset and by an end', async () => {
    const victim = victims[which]!;
    const whole: string[] = [];
    const origin = await Origin.start((connection) => {
      connection.socket.on('data', () => {
        if (!connection.received.endsWith('0\r\n\r\n')) return;
        whole.push(connection.received);
        connection.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      });
      connection.socket.on('end', () => connection.socket.end());
    });
    const path = `/${origin.port}`;
    const literal = (index: number, value: string) =>
      Buffer.concat([Buffer.from([index, value.length]), Buffer.from(value)]);
    const head = Buffer.concat([Buffer.from([0x83, 0x87]), literal(0x04, path), literal(0x01, 'a')]);
    const request = Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      frame(4, 0, 0, Buffer.alloc(0)),
      frame(1, 4, 1, head),
      frame(0, 0, 1, Buffer.from('01234')),
      frame(0, 1, 1, Buffer.from('56789')),
    ]);
    for (const fault of ['reset', 'end'] as const) {
      for (let count = 0; count < request.length; count += stepOf(which, 'h2')) {
        const client = await victim.spoken('h2');
        breakAfter(client, request, count, fault);
        await client.end();
        client.socket.destroy();
      }
      rows.push(`client, ${fault}, h2, HTTP/2, ${traced}: all let go`);
    }
    expect(whole).toEqual([]);
    await victim.isWell();
  });
});

/** What is sent again when a kept connection breaks, and what isn't: RFC 9110 9.2.2. */
import type { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { HttpPeer } from '../../src/upstreams/peer.ts';
import { HttpPeer as Peer } from '../../src/upstreams/peer.ts';
import { request } from '../protocols/h2/harness.ts';
import { h2Origin, rawH2Origin } from '../support/h2-origin.ts';
import { startH2Proxy, ToPeer } from '../support/h2-proxy.ts';
import { captureLog } from '../support/log.ts';
import { answering, HELLO, Origin } from '../support/origin.ts';
import { startProxy } from '../support/proxy.ts';
import type { Peer as RawPeer } from '../support/streams.ts';

/** An origin, and what it was asked. */
interface Breaking {
  peer: HttpPeer;
  asked: string[];
}

async function breakingH1(breaks: (connection: RawPeer) => void): Promise<Breaking> {
  const asked: string[] = [];
  const origin = await Origin.start((connection, index) =>
    answering((text, nth) => {
      asked.push(text.slice(0, text.indexOf(' ')));
      if (index > 0 || nth === 0) return text.startsWith('HEAD') ? HELLO.slice(0, -5) : HELLO;
      breaks(connection);
      return undefined;
    })(connection, index),
  );
  return { peer: Peer.new(`127.0.0.1:${origin.port}`, false, ''), asked };
}

/** It answers the first request of its first connection; at the second one that breaks. All others are answered. */
const ORIGINS: Record<string, () => Promise<Breaking>> = {
  'an HTTP/1 origin that closes': () => breakingH1((connection) => connection.socket.end()),
  'an HTTP/1 origin that resets': () => breakingH1((connection) => connection.reset()),
  'an HTTP/2 origin that closes': () => breakingH2((socket) => socket.end()),
  'an HTTP/2 origin that resets': () => breakingH2((socket) => socket.resetAndDestroy()),
};

async function breakingH2(breaks: (below: Socket) => void): Promise<Breaking> {
  const asked: string[] = [];
  const origin = await h2Origin((stream, headers) => {
    asked.push(headers[':method']!);
    if (asked.length === 2) {
      breaks(origin.sockets[0]!);
      return;
    }
    stream.respond({ ':status': 200 });
    stream.end('hello');
  });
  return { peer: origin.peer(), asked };
}

/** A client of either version: sends a request and gives its status. */
const CLIENTS: Record<string, (app: ToPeer) => Promise<(method: string, body?: string) => Promise<number>>> = {
  h1: async (app) => {
    const client = await (await startProxy(app)).client();
    return async (method, body) => {
      client.received = '';
      const length = body === undefined ? '' : `Content-Length: ${body.length}\r\n`;
      client.send(`${method} / HTTP/1.1\r\nHost: a.test\r\n${length}\r\n${body ?? ''}`);
      const got = await client.until((text) => /\r\n\r\n/.test(text) && (method === 'HEAD' || isWhole(text)));
      return Number(got.slice(9, 12));
    };
  },
  h2: async (app) => {
    const client = (await startH2Proxy(app)).client();
    return async (method, body) => (await request(client, { ':method': method }, body)).status!;
  },
};

function isWhole(text: string): boolean {
  return text.endsWith('hello') || text.endsWith('0\r\n\r\n') || /content-length: 0\r\n/i.test(text);
}

const pairs = Object.keys(CLIENTS).flatMap((client) => Object.keys(ORIGINS).map((origin) => [client, origin] as const));

describe.each(pairs)('a kept connection that breaks (%s client, %s)', (client, origin) => {
  test.each<[string, string | undefined]>([
    ['GET', undefined],
    ['HEAD', undefined],
    ['OPTIONS', undefined],
    ['DELETE', undefined],
    ['PUT', 'body'],
  ])('under %s is replaced, the request is sent again', async (method, body) => {
    captureLog();
    const { peer, asked } = await ORIGINS[origin]!();
    const ask = await CLIENTS[client]!(new ToPeer(peer));
    expect(await ask('GET')).toBe(200);
    expect(await ask(method, body)).toBe(200);
    expect(asked).toEqual(['GET', method, method]);
  });

  // An order that was placed would be placed twice.
  test.each<[string, string | undefined]>([
    ['POST', 'body'],
    ['POST', undefined],
    ['PATCH', 'body'],
    ['LOCK', undefined],
  ])('under %s is the end of the request', async (method, body) => {
    captureLog();
    const { peer, asked } = await ORIGINS[origin]!();
    const ask = await CLIENTS[client]!(new ToPeer(peer));
    expect(await ask('GET')).toBe(200);
    expect(await ask(method, body)).toBe(502);
    expect(asked).toEqual(['GET', method]);
  });
});

test('a POST of which surely nothing was sent goes to another connection', async () => {
  captureLog();
  const asked: string[] = [];
  const origin = await h2Origin((stream, headers) => {
    asked.push(headers[':method']!);
    stream.respond({ ':status': 200 }, { endStream: true });
  });
  let tries = 0;
  class App extends ToPeer {
    override async upstreamRequestFilter(): Promise<void> {
      // the connection has been taken from the pool, and breaks before the request is written
      if (++tries !== 2) return;
      origin.sessions[0]!.destroy();
      // all of it is in this process: some turns later the proxy has read the end
      for (let turn = 0; turn < 50; turn++) await setImmediate();
    }
  }
  const ask = await CLIENTS.h2!(new App(origin.peer()));
  expect([await ask('GET'), await ask('POST', 'body')]).toEqual([200, 200]);
  expect([tries, asked]).toEqual([3, ['GET', 'POST']]);
});

test.each([
  ['GET', [200, 2]],
  ['POST', [502, 1]],
] as const)('%s to an origin whose HTTP/2 is none ends with status and tries %j', async (method, [status, tries]) => {
  captureLog();
  const peer = await rawH2Origin((socket) => {
    if (socket.alpnProtocol === 'http/1.1') socket.on('data', () => socket.write(HELLO));
    // a frame on stream 0 that can't be there
    else socket.once('data', () => socket.write(Buffer.from('000000040000000000' + '000001000000000000aa', 'hex')));
  }, 'h2,http/1.1');
  peer.options.setHttpVersion(2, 1);
  let tried = 0;
  class App extends ToPeer {
    override upstreamPeer(): HttpPeer {
      tried++;
      return super.upstreamPeer();
    }
  }
  const ask = await CLIENTS.h1!(new App(peer));
  expect([await ask(method), tried]).toEqual([status, tries]);
});

/** What Pingora 0.1.0 logs of messages that it refuses, recorded from it: its words, its level, its module. */
import { describe, expect, it } from 'vitest';
import { recordedLogs } from '../../scripts/book/directives.ts';
import { ProxyHttp } from '../../src/proxy/lib.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { captureLog } from '../support/log.ts';
import { HELLO, Origin, requestEnd } from '../support/origin.ts';
import { startProxy, ToOrigin } from '../support/proxy.ts';

const bad = (buf: string, cause: string) =>
  `Fail to proxy: Downstream InvalidHTTPHeader context: buf: "${buf}" cause: ${cause}`;

describe('a request that is refused is logged as there', () => {
  it.each([
    ['GET /\r\n\r\n', bad('GET /\\r\\n\\r\\n', 'invalid token')],
    [' GET / HTTP/1.1\r\n\r\n', bad(' GET / HTTP/1.1\\r\\n\\r\\n', 'invalid token')],
    ['GET\t/\tHTTP/1.1\r\n\r\n', bad('GET\\t/\\tHTTP/1.1\\r\\n\\r\\n', 'invalid token')],
    ['GET / HTTP/1.1 \r\n\r\n', bad('GET / HTTP/1.1 \\r\\n\\r\\n', 'invalid new line')],
    ['GET / \r\n\r\n', bad('GET / \\r\\n\\r\\n', 'invalid HTTP version')],
    ['GET / HTTP/2.0\r\n\r\n', bad('GET / HTTP/2.0\\r\\n\\r\\n', 'invalid HTTP version')],
    ['GET /\xff HTTP/1.1\r\n\r\n', bad('GET /\ufffd HTTP/1.1\\r\\n\\r\\n', 'invalid token')],
    [
      'GET / HTTP/1.1\r\nA: "\x01\x7f\r\n\r\n',
      bad('GET / HTTP/1.1\\r\\nA: \\"\\u{1}\\u{7f}\\r\\n\\r\\n', 'invalid header value'),
    ],
    ['GET / HTTP/1.1\r\nA B: 1\r\n\r\n', bad('GET / HTTP/1.1\\r\\nA B: 1\\r\\n\\r\\n', 'invalid header name')],
    [
      'GET a.test:80 HTTP/1.1\r\nHost: a\r\n\r\n',
      'Fail to proxy: Downstream InvalidHTTPHeader context: invalid uri a.test:80',
    ],
    ['GET /a`b HTTP/1.1\r\nHost: a\r\n\r\n', 'Fail to proxy: Downstream InvalidHTTPHeader context: invalid uri /a`b'],
  ])('%j', async (request, expected) => {
    const lines = captureLog('warn');
    const client = await (await startProxy(new ToOrigin('127.0.0.1:1'))).client();
    client.send(request);
    expect(await client.end()).toMatch(/^HTTP\/1\.1 400 /);
    expect(lines.map(({ level, target, msg }) => [level, target, msg])).toEqual([[50, 'pingora_proxy', expected]]);
  });

  it('no more than its first 256 bytes', async () => {
    const lines = captureLog('warn');
    const client = await (await startProxy(new ToOrigin('127.0.0.1:1'))).client();
    client.send(`GET / HTTP/1.1\r\nA: ${'a'.repeat(1000)}\r\nB : 1\r\n\r\n`);
    await client.end();
    expect(lines[0]!.msg).toBe(bad(`GET / HTTP/1.1\\r\\nA: ${'a'.repeat(256 - 19)}`, 'invalid header name'));
  });
});

describe('a response that is refused is logged as there', () => {
  const GET = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';

  async function lines(answer: string): Promise<string[][]> {
    const origin = await Origin.start(async (connection) => {
      await connection.until((got) => requestEnd(got) >= 0);
      connection.send(answer);
    });
    const logged = captureLog('warn');
    const client = await (await startProxy(new ToOrigin(`127.0.0.1:${origin.port}`))).client();
    client.send(GET);
    await client.until((got) => got.includes('\r\n\r\n'));
    await origin.connections[0]!.end();
    return logged.map(({ target, msg }) => [target, msg.replace(/127\.0\.0\.1:\d+/, 'ADDR')]);
  }

  it.each([
    ['HTTP/1.1 99 X\r\n\r\n', 'HTTP/1.1 99 X\\r\\n\\r\\n', 'invalid response status'],
    ['HTTP/1.1  200 OK\r\n\r\n', 'HTTP/1.1  200 OK\\r\\n\\r\\n', 'invalid response status'],
    ['HTTP/1.1 200 OK\r\nA: \0\r\n\r\n', 'HTTP/1.1 200 OK\\r\\nA: \\0\\r\\n\\r\\n', 'invalid header value'],
    ['HTTP/2.0 200 OK\r\n\r\n', 'HTTP/2.0 200 OK\\r\\n\\r\\n', 'invalid HTTP version'],
  ])('%j', async (answer, buf, cause) => {
    const message =
      'Fail to proxy: Upstream InvalidHTTPHeader context: Peer: addr: ADDR, scheme: HTTP, cause:  context: ' +
      `buf: "${buf}" cause: ${cause}, status: 502, tries: 1, retry: false, GET /, Host: a.test`;
    expect(await lines(answer)).toEqual([['pingora_proxy', message]]);
  });

  it('what follows a response, with its length', async () => {
    expect(await lines(`${HELLO}extra`)).toEqual([
      ['pingora_core::protocols::http::v1::body', 'Peer sent more data then expected: extra 5bytes, discarding them'],
    ]);
  });
});

describe('an exchange that fails is logged as there', () => {
  const recorded = (name: string) =>
    recordedLogs()
      .find((one) => one.name === name)!
      .log.map((line) => line.replace(/^(\w+) /, ''));
  const said = (lines: { target: string; msg: string }[]) =>
    lines.map(({ target, msg }) => `${target}: ${msg.replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT')}`);
  const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
  class ToLocalhost extends ProxyHttp<undefined> {
    readonly #port: number;

    constructor(port: number) {
      super();
      this.#port = port;
    }

    newCtx(): undefined {
      return undefined;
    }

    upstreamPeer(): HttpPeer {
      return HttpPeer.new(`127.0.0.1:${this.#port}`, false, 'localhost');
    }
  }

  it('short-body', async () => {
    const origin = await Origin.start(async (connection) => {
      await connection.until((got) => requestEnd(got) >= 0);
      connection.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello');
    });
    const logged = captureLog('warn');
    const client = await (await startProxy(new ToLocalhost(origin.port))).client();
    client.send(get);
    await client.end();
    expect(said(logged)).toEqual(recorded('short-body'));
  });

  it('reused-broken', async () => {
    const origin = await Origin.start(async (connection, index) => {
      await connection.until((got) => requestEnd(got) >= 0);
      connection.send(HELLO);
      if (index > 0) return;
      const first = requestEnd(connection.received);
      await connection.until((got) => requestEnd(got.slice(first)) >= 0);
      connection.socket.end();
    });
    const logged = captureLog('warn');
    const client = await (await startProxy(new ToLocalhost(origin.port))).client();
    for (const n of [1, 2]) {
      client.send(get);
      await client.until((text) => text.split('hello').length - 1 === n);
    }
    expect(said(logged)).toEqual(recorded('reused-broken'));
  });
});

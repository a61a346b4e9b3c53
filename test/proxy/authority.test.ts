/** What an HTTP/2 origin is told of the host that a request is for, where the client or a filter says nothing usable. */
import { describe, expect, test } from 'vitest';
import type { RequestHeader } from '../../src/http/lib.ts';
import type { Session } from '../../src/proxy/lib.ts';
import { h2Origin } from '../support/h2-origin.ts';
import { ToPeer } from '../support/h2-proxy.ts';
import { captureLog } from '../support/log.ts';
import { startProxy } from '../support/proxy.ts';

/** The status that an HTTP/1 client gets whose head is `head`, and how its connection goes on. */
async function asked(app: ToPeer, head: string): Promise<string> {
  const client = await (await startProxy(app)).client();
  client.send(head);
  return client.until((got) => got.includes('\r\n\r\n'));
}

describe('a request that names no host', () => {
  test.each([
    ['of HTTP/1.0, without Host', 'GET / HTTP/1.0\r\n\r\n'],
    ['of HTTP/1.1, whose Host is empty', 'GET / HTTP/1.1\r\nHost:\r\n\r\n'],
  ])('%s, is for the name and port of the HTTP/2 origin', async (_, head) => {
    const origin = await h2Origin();
    expect(await asked(new ToPeer(origin.peer()), head)).toMatch(/^HTTP\/1\.1 200 /);
    const [seen] = origin.requests;
    expect([seen![':authority'], seen!.host]).toEqual([`origin.test:${origin.port}`, undefined]);
  });

  test('is for the address of an origin that has no name', async () => {
    const origin = await h2Origin();
    const peer = origin.peer();
    peer.serverName = '';
    expect(await asked(new ToPeer(peer), 'GET / HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /);
    expect(origin.requests[0]![':authority']).toBe(`127.0.0.1:${origin.port}`);
  });

  test('is for the host that a filter sets', async () => {
    const origin = await h2Origin();
    expect(await asked(new Naming(origin.peer(), 'filter.test'), 'GET / HTTP/1.0\r\n\r\n')).toMatch(/ 200 /);
    expect(origin.requests[0]![':authority']).toBe('filter.test');
  });
});

/** Sets Host on its way to the origin; undefined takes it out. */
class Naming extends ToPeer {
  readonly #host: string | undefined;

  constructor(peer: ConstructorParameters<typeof ToPeer>[0], host: string | undefined) {
    super(peer);
    this.#host = host;
  }

  override upstreamRequestFilter(_session: Session, request: RequestHeader): void {
    if (this.#host === undefined) request.removeHeader('Host');
    else request.insertHeader('Host', this.#host);
  }
}

describe('a Host that is none', () => {
  test.each(['b\xfccher.test', 'a"b', 'a{b}'])('%j, sent by the client, is its mistake: 400', async (host) => {
    const log = captureLog();
    const origin = await h2Origin();
    const got = await asked(new ToPeer(origin.peer()), `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    expect(got).toMatch(/^HTTP\/1\.1 400 /);
    expect(got).toContain('Connection: close\r\n');
    expect(log.map(({ msg }) => msg).join('\n')).toContain('Downstream InvalidHTTPHeader');
    expect(origin.requests).toEqual([]);
  });

  test.each(['b\xfccher.test', ''])('%j, set by a filter, is not: 500', async (host) => {
    captureLog();
    const origin = await h2Origin();
    const app = new Naming(origin.peer(), host);
    expect(await asked(app, 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n')).toMatch(/^HTTP\/1\.1 500 /);
    expect(origin.requests).toEqual([]);
  });

  // RFC 9112 3.2: it is refused for being no host, whatever would be made of it
  test('is refused where a filter puts another one in its place, too', async () => {
    captureLog();
    const origin = await h2Origin();
    const app = new Naming(origin.peer(), 'filter.test');
    expect(await asked(app, 'GET / HTTP/1.1\r\nHost: b\xfccher.test\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    expect(origin.requests).toEqual([]);
  });

  test('leaves the connection to the origin as good as before', async () => {
    captureLog();
    const origin = await h2Origin();
    const proxy = await startProxy(new ToPeer(origin.peer()));
    for (const [host, status] of [
      ['a.test', 200],
      ['\xfc', 400],
      ['a.test', 200],
    ] as const) {
      const client = await proxy.client();
      client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      expect(await client.until((got) => got.includes('\r\n\r\n'))).toContain(` ${status} `);
    }
    expect(origin.sessions).toHaveLength(1);
  });
});

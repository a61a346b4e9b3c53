/** What `walkthrough/ANSWERS.md` says, tried out. Its excerpts are cut from here. */
import { describe, expect, test } from 'vitest';
import type { PingoraError } from '../../src/error/lib.ts';
import { type RequestHeader, ResponseHeader } from '../../src/http/lib.ts';
import type { Session } from '../../src/proxy/lib.ts';
import { ProxyHttp } from '../../src/proxy/lib.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { answering, HELLO, Origin } from '../support/origin.ts';
import { startProxy, ToOrigin } from '../support/proxy.ts';

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a.test\r\n\r\n`;
const post = (path: string, body: string) =>
  `POST ${path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const to = (origin: Origin) => `127.0.0.1:${origin.port}`;
const answers = (text: string) => text.split('HTTP/1.1 ').length - 1;
const saying = (text: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`;

/** Chooses the origin by what the request's body says. */
class ByBody extends ProxyHttp<{ body: string }> {
  private readonly origins: Record<string, string>;

  constructor(origins: Record<string, string>) {
    super();
    this.origins = origins;
  }

  newCtx(): { body: string } {
    return { body: '' };
  }

  override async requestFilter(session: Session, ctx: { body: string }): Promise<boolean> {
    // what is read from here on is kept, up to 64 KiB, and sent to the origin in the end
    session.downstreamSession.enableRetryBuffering();
    for (;;) {
      const piece = await session.readRequestBody();
      if (piece === undefined) return false;
      ctx.body += piece;
    }
  }

  upstreamPeer(_session: Session, ctx: { body: string }): HttpPeer {
    return HttpPeer.new(this.origins[ctx.body]!, false, '');
  }
}

test('the body can be read before the origin is chosen, and the origin gets it all the same', async () => {
  const [a, b] = [await Origin.start(answering(() => saying('a'))), await Origin.start(answering(() => saying('b')))];
  const client = await (await startProxy(new ByBody({ 'to a': to(a), 'to b': to(b) }))).client();
  client.send(post('/', 'to b'));
  await client.until((text) => text.endsWith('\r\n\r\nb'));
  expect(b.received).toMatch(/\r\n\r\nto b$/);
  expect(a.received).toBe('');
});

/** Answers itself. */
class Hello extends ToOrigin {
  override async requestFilter(session: Session): Promise<boolean> {
    const body = Buffer.from('hello\n');
    const head = ResponseHeader.build(200);
    head.insertHeader('Content-Length', body.length);
    await session.writeResponseHeader(head);
    await session.writeResponseBody(body);
    return true;
  }
}

test('request_filter can answer itself, and the connection is kept', async () => {
  const client = await (await startProxy(new Hello('127.0.0.1:1'))).client();
  for (const n of [1, 2]) {
    client.send(get('/'));
    await client.until((text) => answers(text) === n && text.endsWith('hello\n'));
  }
});

/** Asks the origin by its own name. */
class ByItsName extends ToOrigin {
  override upstreamRequestFilter(_session: Session, upstreamRequest: RequestHeader): void {
    upstreamRequest.insertHeader('Host', 'origin.test');
  }
}

test('the origin gets the client’s Host, unless upstream_request_filter gives it another one', async () => {
  for (const [App, host] of [
    [ToOrigin, 'a.test'],
    [ByItsName, 'origin.test'],
  ] as const) {
    const origin = await Origin.start(answering(() => HELLO));
    const client = await (await startProxy(new App(to(origin)))).client();
    client.send(get('/'));
    await client.until((text) => text.endsWith('hello'));
    expect(origin.received.match(/^Host: .*$/gim)).toEqual([`Host: ${host}`]);
  }
});

test('requests that were sent ahead are answered in their order', async () => {
  const origin = await Origin.start(answering((request) => saying(request.split(' ')[1]!)));
  const client = await (await startProxy(new ToOrigin(to(origin)))).client();
  client.send(get('/1') + get('/2'));
  const got = await client.until((text) => text.endsWith('/2'));
  expect(answers(got)).toBe(2);
  expect(got.indexOf('/1')).toBeLessThan(got.indexOf('/2'));
});

describe('a POST whose connection breaks', () => {
  /** Breaks connections at their second request, without an answer. */
  const breaking = () =>
    Origin.start((connection, index) =>
      answering((_request, n) => {
        if (index > 0 || n === 0) return HELLO;
        connection.socket.destroy();
        return undefined;
      })(connection, index),
    );

  test('is not sent again, even if the broken one was from the pool', async () => {
    const origin = await breaking();
    const client = await (await startProxy(new ToOrigin(to(origin)))).client();
    client.send(get('/'));
    await client.until((text) => text.endsWith('hello'));
    client.send(post('/', 'once'));
    await client.until((text) => text.includes('HTTP/1.1 502 '));
    expect(origin.received.split('once').length - 1).toBe(1);
  });

  /** Sends again what the origin knows by its key. */
  class Keyed extends ToOrigin {
    override errorWhileProxy(
      peer: HttpPeer,
      session: Session,
      error: PingoraError,
      ctx: undefined,
      clientReused: boolean,
    ): PingoraError {
      if (session.getHeader('idempotency-key') !== undefined) {
        error.decideReuse(clientReused && !session.retryBufferTruncated());
      }
      return super.errorWhileProxy(peer, session, error, ctx, clientReused);
    }
  }

  test('is if error_while_proxy says yes', async () => {
    const origin = await breaking();
    const client = await (await startProxy(new Keyed(to(origin)))).client();
    client.send(get('/'));
    await client.until((text) => text.endsWith('hello'));
    client.send(post('/', 'twice').replace('\r\n', '\r\nIdempotency-Key: 1\r\n'));
    await client.until((text) => answers(text) === 2);
    expect(origin.received.split('twice').length - 1).toBe(2);
  });
});

describe('after an error of a filter', () => {
  class Failing extends ToOrigin {
    override upstreamRequestFilter(session: Session, _request: RequestHeader): void {
      if (session.reqHeader().path === '/before') throw new Error('before anything was sent');
    }
    override responseFilter(session: Session, _response: ResponseHeader): void {
      if (session.reqHeader().path === '/after') throw new Error('after the head was read');
    }
  }

  // keepalive is decided when an exchange has ended well, and is off until then
  test.each([
    ['though nothing was sent on it', '/before'],
    ['with a response under way on it', '/after'],
  ])('the connection to the origin is closed, %s', async (_, path) => {
    const origin = await Origin.start();
    const proxy = await startProxy(new Failing(to(origin)));
    for (const [next, status] of [
      ['/', 200],
      [path, 500],
      ['/', 200],
    ] as const) {
      const client = await proxy.client();
      client.send(get(next));
      await client.until((text) => text.includes(`HTTP/1.1 ${status} `) && (status === 500 || text.endsWith('hello')));
    }
    expect(origin.connections).toHaveLength(2);
  });
});

describe('the context', () => {
  class Counting extends ProxyHttp<{ tries: number }> {
    readonly logged: { tries: number }[] = [];
    private readonly ports: number[];

    constructor(ports: number[]) {
      super();
      this.ports = ports;
    }

    newCtx(): { tries: number } {
      return { tries: 0 };
    }

    upstreamPeer(_session: Session, ctx: { tries: number }): HttpPeer {
      return HttpPeer.new(`127.0.0.1:${this.ports[ctx.tries++]}`, false, '');
    }

    override failToConnect(_session: Session, _peer: HttpPeer, _ctx: { tries: number }, error: PingoraError) {
      error.setRetry(true);
      return error;
    }

    override logging(_session: Session, _error: PingoraError | undefined, ctx: { tries: number }): void {
      this.logged.push(ctx);
    }
  }

  test('is new for each request of a connection, and the same in each try', async () => {
    const origin = await Origin.start();
    const closed = await Origin.start();
    const nobody = closed.port;
    const app = new Counting([nobody, origin.port]);
    // its port is refused from now on; onTestFinished closes it once more, which does nothing
    await closed.close();
    closed.close = async () => {};
    const client = await (await startProxy(app)).client();
    for (const n of [1, 2]) {
      client.send(get('/'));
      await client.until((text) => answers(text) === n && text.endsWith('hello'));
    }
    await expect.poll(() => app.logged).toEqual([{ tries: 2 }, { tries: 2 }]);
    expect(app.logged[0]).not.toBe(app.logged[1]);
  });

  test('isn’t made for what isn’t HTTP: no hook is called', async () => {
    const app = new Counting([]);
    const client = await (await startProxy(app)).client();
    client.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    expect(await client.until((text) => text.includes('\r\n\r\n'))).toMatch(/^HTTP\/1\.1 400 /);
    await client.end;
    expect(app.logged).toEqual([]);
  });
});

test('a peer has no time limits but those that it is given', () => {
  const { options } = HttpPeer.new('127.0.0.1:80', false, '');
  const { connectionTimeout, totalConnectionTimeout, readTimeout, writeTimeout, idleTimeout } = options;
  expect([connectionTimeout, totalConnectionTimeout, readTimeout, writeTimeout, idleTimeout]).toEqual(
    Array(5).fill(undefined),
  );
});

test('an error that upstream_peer throws is answered with 500, and not retried', async () => {
  let asked = 0;
  class Nowhere extends ToOrigin {
    override upstreamPeer(): HttpPeer {
      asked++;
      throw new Error('no origin');
    }
  }
  const client = await (await startProxy(new Nowhere('127.0.0.1:1'))).client();
  client.send(get('/'));
  await client.until((text) => text.startsWith('HTTP/1.1 500 '));
  expect(asked).toBe(1);
});

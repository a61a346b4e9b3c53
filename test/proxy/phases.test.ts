/** The phases of a request: which hook is called when, what it can decide, and what its failure does. */
import { describe, expect, test } from 'vitest';
import { ErrorType, PingoraError } from '../../src/error/lib.ts';
import type { RequestHeader, ResponseHeader } from '../../src/http/lib.ts';
import { ProxyHttp, type Session } from '../../src/proxy/lib.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { request } from '../protocols/h2/harness.ts';
import { h2Origin } from '../support/h2-origin.ts';
import { startH2Proxy } from '../support/h2-proxy.ts';
import { captureLog } from '../support/log.ts';
import { answering, HELLO, Origin } from '../support/origin.ts';
import { startProxy } from '../support/proxy.ts';
import type { Peer } from '../support/streams.ts';

const GET = 'GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n';
/** Nobody may listen there. */
const DEAD = '127.0.0.1:1';

/** Writes down each hook that is called. */
class Recorded extends ProxyHttp<{ tries: number }> {
  readonly called: string[] = [];
  protected readonly origin: string;
  /** The end of the request that was logged last. */
  logged: Promise<PingoraError | undefined>;
  #log: (error: PingoraError | undefined) => void = () => {};

  constructor(origin: string) {
    super();
    this.origin = origin;
    this.logged = new Promise((resolve) => {
      this.#log = resolve;
    });
  }

  newCtx(): { tries: number } {
    this.called.push('new_ctx');
    return { tries: 0 };
  }
  override requestFilter(_session: Session, _ctx: unknown): Promise<boolean> | boolean {
    this.called.push('request_filter');
    return false;
  }
  override proxyUpstreamFilter(_session: Session): boolean | Promise<boolean> {
    this.called.push('proxy_upstream_filter');
    return true;
  }
  upstreamPeer(_session: Session, _ctx: { tries: number }): HttpPeer {
    this.called.push('upstream_peer');
    return HttpPeer.new(this.origin, false, '');
  }
  override connectedToUpstream(_session: Session, reused: boolean): void {
    this.called.push(`connected_to_upstream${reused ? ' reused' : ''}`);
  }
  override failToConnect(_s: Session, _p: HttpPeer, _ctx: { tries: number }, error: PingoraError): PingoraError {
    this.called.push('fail_to_connect');
    return error;
  }
  override upstreamRequestFilter(_session: Session, _request: RequestHeader): void {
    this.called.push('upstream_request_filter');
  }
  override upstreamResponseFilter(): void {
    this.called.push('upstream_response_filter');
  }
  override responseFilter(_session: Session, _response: ResponseHeader): void {
    this.called.push('response_filter');
  }
  override upstreamResponseBodyFilter(): undefined {
    this.called.push('upstream_response_body_filter');
  }
  override responseBodyFilter(): undefined {
    this.called.push('response_body_filter');
  }
  override errorWhileProxy(
    peer: HttpPeer,
    session: Session,
    error: PingoraError,
    ctx: { tries: number },
    reused: boolean,
  ): PingoraError {
    this.called.push('error_while_proxy');
    return super.errorWhileProxy(peer, session, error, ctx, reused);
  }
  override failToProxy(session: Session, error: PingoraError, ctx: { tries: number }): Promise<number> {
    this.called.push('fail_to_proxy');
    return super.failToProxy(session, error, ctx);
  }
  override logging(_session: Session, error: PingoraError | undefined): void {
    this.called.push('logging');
    this.#log(error);
  }
}

async function ask(
  app: Recorded,
  request = GET,
): Promise<{ client: Peer; got: string; error: PingoraError | undefined }> {
  const client = await (await startProxy(app)).client();
  client.send(request);
  const error = await app.logged;
  const got = await client.until((text) => /\r\n\r\n(hello)?$/.test(text));
  return { client, got, error };
}

const BEFORE = ['new_ctx', 'request_filter', 'proxy_upstream_filter', 'upstream_peer'];
const CONNECTED = [...BEFORE, 'connected_to_upstream', 'upstream_request_filter'];
const at = (origin: Origin) => `127.0.0.1:${origin.port}`;

describe('the phases of a request', () => {
  test('that is answered follow one another', async () => {
    const app = new Recorded(at(await Origin.start()));
    expect((await ask(app)).got).toMatch(/^HTTP\/1\.1 200 /);
    expect(app.called).toEqual([
      ...CONNECTED,
      'upstream_response_filter',
      'response_filter',
      'upstream_response_body_filter',
      'response_body_filter',
      'logging',
    ]);
  });

  test('that cannot connect end with fail_to_connect, fail_to_proxy and logging, and 502', async () => {
    const app = new Recorded(DEAD);
    const { got, error } = await ask(app);
    expect(got).toMatch(/^HTTP\/1\.1 502 /);
    expect(error?.etype().name).toBe('ConnectRefused');
    expect(app.called).toEqual([...BEFORE, 'fail_to_connect', 'fail_to_proxy', 'logging']);
  });

  test('whose origin fails end with error_while_proxy, fail_to_proxy and logging, and 502', async () => {
    const origin = await Origin.start((connection) => connection.socket.destroy());
    const app = new Recorded(at(origin));
    expect((await ask(app)).got).toMatch(/^HTTP\/1\.1 502 /);
    expect(app.called).toEqual([...CONNECTED, 'error_while_proxy', 'fail_to_proxy', 'logging']);
  });

  test('that request_filter answers end there, with logging', async () => {
    class App extends Recorded {
      override async requestFilter(session: Session): Promise<boolean> {
        this.called.push('request_filter');
        await session.respondError(403);
        return true;
      }
    }
    const app = new App(DEAD);
    expect((await ask(app)).got).toMatch(/^HTTP\/1\.1 403 /);
    expect(app.called).toEqual(['new_ctx', 'request_filter', 'logging']);
  });

  test.each([
    ['with 502 unless it writes something', undefined, 502],
    ['with what it writes', 503, 503],
  ])('that proxy_upstream_filter refuses end there, %s', async (_, answer, code) => {
    class App extends Recorded {
      override async proxyUpstreamFilter(session: Session): Promise<boolean> {
        if (answer !== undefined) await session.respondError(answer);
        return false;
      }
    }
    const app = new App(DEAD);
    expect((await ask(app)).got).toMatch(new RegExp(`^HTTP/1\\.1 ${code} `));
    expect(app.called).toEqual(['new_ctx', 'request_filter', 'logging']);
  });
});

describe('a hook that throws', () => {
  test.each([
    'requestFilter',
    'proxyUpstreamFilter',
    'upstreamPeer',
    'upstreamRequestFilter',
    'responseFilter',
  ] as const)('from %s fails its request with 500, and no other', async (hook) => {
    captureLog();
    const origin = await Origin.start();
    const app = new Recorded(at(origin));
    const works = app[hook];
    app[hook] = () => {
      throw new TypeError('a bug');
    };
    const proxy = await startProxy(app);
    const client = await proxy.client();
    client.send(GET);
    expect(await client.end()).toMatch(/^HTTP\/1\.1 500 /);
    expect((await app.logged)?.rootCause().message).toBe('a bug');
    app[hook] = works as never;
    const other = await proxy.client();
    other.send(GET);
    expect(await other.until((text) => text.endsWith('hello'))).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('an error with a status ends its request with that, and the log has its cause', async () => {
    const log = captureLog();
    class App extends Recorded {
      override requestFilter(): boolean {
        const cause = PingoraError.explain(ErrorType.InvalidHTTPHeader, 'No host header detected');
        throw PingoraError.because(ErrorType.HTTPStatus(400), 'Missing required headers', cause);
      }
    }
    const { got } = await ask(new App(DEAD));
    expect(got).toMatch(/^HTTP\/1\.1 400 /);
    const said = log.find(({ msg }) => msg.includes('Missing required headers'))?.msg;
    expect(said).toContain('No host header detected');
    expect(said).toContain('GET /a, Host: a.test');
  });

  test('from request_cache_filter is logged, and the request goes on to the origin', async () => {
    const log = captureLog('warn');
    class App extends Recorded {
      override requestCacheFilter(): void {
        this.called.push('request_cache_filter');
        throw new TypeError('a bug');
      }
    }
    const app = new App(at(await Origin.start()));
    expect((await ask(app)).got).toMatch(/^HTTP\/1\.1 200 /);
    expect(app.called.slice(0, 3)).toEqual(['new_ctx', 'request_filter', 'request_cache_filter']);
    expect(log.map(({ msg }) => msg)).toContainEqual(
      expect.stringMatching(/^Fail to request_cache_filter: .*a bug.*, GET \/a, Host: a\.test$/),
    );
  });

  test('logs what request_summary says, and nothing of an error that suppress_error_log keeps quiet', async () => {
    const log = captureLog();
    class App extends Recorded {
      quiet = false;
      override suppressErrorLog(): boolean {
        return this.quiet;
      }
      override requestSummary(): string {
        return 'the summary';
      }
    }
    const loud = new App(DEAD);
    await ask(loud);
    expect(log.filter(({ msg }) => msg.includes('the summary'))).toHaveLength(1);
    const quiet = new App(DEAD);
    quiet.quiet = true;
    await ask(quiet);
    expect(log.filter(({ msg }) => msg.includes('the summary'))).toHaveLength(1);
  });
});

describe('another try', () => {
  class Failover extends Recorded {
    override upstreamPeer(session: Session, ctx: { tries: number }): HttpPeer {
      return ctx.tries === 0 ? HttpPeer.new(DEAD, false, '') : super.upstreamPeer(session, ctx);
    }
    override failToConnect(s: Session, p: HttpPeer, ctx: { tries: number }, error: PingoraError): PingoraError {
      super.failToConnect(s, p, ctx, error);
      if (ctx.tries++ === 0) error.setRetry(true);
      return error;
    }
  }

  test('goes where CTX says, after fail_to_connect allowed it', async () => {
    captureLog();
    const app = new Failover(at(await Origin.start()));
    expect((await ask(app)).got).toMatch(/^HTTP\/1\.1 200 /);
    expect(app.called.slice(3, 6)).toEqual(['fail_to_connect', 'upstream_peer', 'connected_to_upstream']);
  });

  test('is the last if it fails too', async () => {
    captureLog();
    const app = new Failover(DEAD);
    expect((await ask(app)).got).toMatch(/^HTTP\/1\.1 502 /);
    expect(app.called.filter((name) => name === 'fail_to_connect')).toHaveLength(2);
  });

  test('is made on a new connection when a reused one turns out to be closed', async () => {
    captureLog();
    const origin = await Origin.start((connection, index) => {
      // the first connection is closed instead of a second answer
      answering((_request, asked) => {
        if (index > 0 || asked === 0) return HELLO;
        connection.socket.destroy();
        return undefined;
      })(connection, index);
    });
    const app = new Recorded(at(origin));
    const { client } = await ask(app);
    app.called.length = 0;
    client.received = '';
    client.send(GET);
    expect(await client.until((text) => text.endsWith('hello'))).toMatch(/^HTTP\/1\.1 200 /);
    expect(app.called.filter((name) => /connected|error/.test(name))).toEqual([
      'connected_to_upstream reused',
      'error_while_proxy',
      'connected_to_upstream',
    ]);
  });
});

describe('when an origin fails', () => {
  class AlwaysAgain extends Recorded {
    override errorWhileProxy(
      peer: HttpPeer,
      session: Session,
      error: PingoraError,
      ctx: { tries: number },
      reused: boolean,
    ): PingoraError {
      const decided = super.errorWhileProxy(peer, session, error, ctx, reused);
      decided.setRetry(true);
      return decided;
    }
  }

  // The original would add the body of the second answer to the head of the first.
  test("it isn't asked again once the client has got a head, whatever the error says", async () => {
    captureLog();
    const origin = await Origin.start((connection) =>
      answering(() => {
        connection.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello');
        return undefined;
      })(connection, 0),
    );
    const app = new AlwaysAgain(at(origin));
    const client = await (await startProxy(app)).client();
    client.send(GET);
    expect(await client.end()).toMatch(/\r\n\r\nhello$/);
    await app.logged;
    expect(app.called.filter((name) => name === 'upstream_peer')).toHaveLength(1);
    expect(origin.connections).toHaveLength(1);
  });

  test("it isn't asked again once the client has got a 101, after which none comes", async () => {
    captureLog();
    const origin = await Origin.start(async (connection) => {
      await connection.until((got) => got.includes('\r\n\r\n'));
      connection.send('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n');
      await connection.until((got) => got.endsWith('tunnel'));
      connection.reset();
    });
    const app = new AlwaysAgain(at(origin));
    const client = await (await startProxy(app)).client();
    client.send('GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    await client.until((got) => got.includes('\r\n\r\n'));
    client.send('tunnel');
    await client.end();
    expect((await app.logged)?.esource()).toBe('Upstream');
    expect(origin.connections).toHaveLength(1);
  });

  test.each(['h1', 'h2'])('it is asked again although the client (%s) has got a 103', async (kind) => {
    captureLog();
    const origin = await Origin.start((connection, index) =>
      answering(() => {
        if (index > 0) return HELLO;
        connection.socket.end('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n');
        return undefined;
      })(connection, index),
    );
    const app = new AlwaysAgain(at(origin));
    if (kind === 'h1') {
      const client = await (await startProxy(app)).client();
      client.send(GET);
      expect(await client.until((got) => got.endsWith('hello'))).toMatch(/^HTTP\/1\.1 103 (?:.|\s)*HTTP\/1\.1 200 /);
    } else {
      const { status, body } = await request((await startH2Proxy(app)).client(), {});
      expect([status, body.toString()]).toEqual([200, 'hello']);
    }
    expect(origin.connections).toHaveLength(2);
  });

  // The original sends the head again, without the body that it no longer has, and the origin waits for it.
  test("it isn't asked again when the body can't be sent again", async () => {
    captureLog();
    const origin = await Origin.start((connection) =>
      answering(() => {
        connection.socket.destroy();
        return undefined;
      })(connection, 0),
    );
    const client = await (await startProxy(new AlwaysAgain(at(origin)))).client();
    const body = 'x'.repeat(100_000);
    client.send(`POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    expect(await client.end()).toMatch(/^HTTP\/1\.1 502 /);
    expect(origin.connections).toHaveLength(1);
  });

  // The original panics.
  test("it isn't asked again when error_while_proxy leaves that open", async () => {
    class Open extends Recorded {
      override errorWhileProxy(_peer: HttpPeer, _session: Session, error: PingoraError): PingoraError {
        return error;
      }
    }
    captureLog();
    const origin = await Origin.start((connection, index) =>
      answering((_request, asked) => {
        if (asked === 0) return HELLO;
        connection.socket.destroy();
        return undefined;
      })(connection, index),
    );
    const app = new Open(at(origin));
    const { client } = await ask(app);
    client.received = '';
    client.send(GET);
    expect(await client.end()).toMatch(/^HTTP\/1\.1 502 /);
    expect(origin.connections).toHaveLength(1);
  });
});

describe('the connection to an origin', () => {
  const twice = async (app: Recorded) => {
    const { client } = await ask(app);
    client.received = '';
    client.send(GET);
    await client.until((text) => text.endsWith('hello'));
    return app.called.filter((name) => name.startsWith('connected'));
  };

  test('is used again by the next request to an equal peer, without being told to', async () => {
    const app = new Recorded(at(await Origin.start()));
    expect(await twice(app)).toEqual(['connected_to_upstream', 'connected_to_upstream reused']);
  });

  test('is not kept for a peer whose idle_timeout is 0', async () => {
    class App extends Recorded {
      override upstreamPeer(session: Session, ctx: { tries: number }): HttpPeer {
        const peer = super.upstreamPeer(session, ctx);
        peer.options.idleTimeout = 0;
        return peer;
      }
    }
    const app = new App(at(await Origin.start()));
    expect(await twice(app)).toEqual(['connected_to_upstream', 'connected_to_upstream']);
  });

  test('of HTTP/2 is not kept for such a peer either', async () => {
    const origin = await h2Origin();
    class App extends Recorded {
      override upstreamPeer(): HttpPeer {
        const peer = origin.peer();
        peer.options.idleTimeout = 0;
        return peer;
      }
    }
    const client = await (await startProxy(new App(''))).client();
    for (const _ of [1, 2]) {
      client.received = '';
      client.send(GET);
      await client.until((text) => text.endsWith('0\r\n\r\n'));
    }
    expect(origin.sessions).toHaveLength(2);
  });

  test('is given up when a write takes longer than write_timeout', async () => {
    captureLog();
    const origin = await Origin.start((connection) => void connection.socket.pause());
    class App extends Recorded {
      override upstreamPeer(session: Session, ctx: { tries: number }): HttpPeer {
        const peer = super.upstreamPeer(session, ctx);
        peer.options.writeTimeout = 200;
        return peer;
      }
    }
    const app = new App(at(origin));
    const client = await (await startProxy(app)).client();
    const size = 32 * 1024 * 1024;
    client.send(`POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${size}\r\n\r\n`);
    client.send(Buffer.alloc(size));
    expect((await app.logged)?.etype().name).toBe('WriteTimedout');
    expect(await client.until((text) => text.endsWith('\r\n\r\n'))).toMatch(/^HTTP\/1\.1 502 /);
  });

  test('is not kept after a request that failed', async () => {
    captureLog();
    const origin = await Origin.start(answering((_request, index) => (index === 0 ? 'nonsense\r\n\r\n' : HELLO)));
    const app = new Recorded(at(origin));
    const proxy = await startProxy(app);
    for (const _ of [1, 2]) {
      const client = await proxy.client();
      client.send(GET);
      await client.end();
    }
    expect(origin.connections).toHaveLength(2);
  });
});

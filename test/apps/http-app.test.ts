import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type App, HttpServer, ServeHttp } from '../../src/apps/http-app.ts';
import type { HttpServerApp, ServerApp } from '../../src/apps/mod.ts';
import { ResponseHeader } from '../../src/http/lib.ts';
import { TlsSettings } from '../../src/listeners/mod.ts';
import type { Session } from '../../src/protocols/http/server.ts';
import type { Stream } from '../../src/protocols/l4/stream.ts';
import { settle } from '../../src/runtime/future.ts';
import { currentWaker } from '../../src/runtime/poll.ts';
import { Watch } from '../../src/runtime/sync.ts';
import { hasRoom } from '../../src/runtime/turn.ts';
import { Service } from '../../src/services/listening.ts';
import { selfSigned } from '../../src/utils/self-signed.ts';
import { captureLog } from '../support/log.ts';
import { Peer } from '../support/streams.ts';

async function bodyOf(session: Session): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (;;) {
    const piece = await session.readRequestBody();
    if (piece === undefined) return Buffer.concat(pieces);
    pieces.push(piece);
  }
}

function ok(body: Buffer) {
  const head = ResponseHeader.build(200);
  head.insertHeader('Content-Length', body.length);
  return { head, body };
}

/** Answers with method, path and body of the request; `/fail` fails. */
class Echo extends ServeHttp {
  async response(session: Session) {
    const { method } = session.reqHeader();
    const path = session.reqHeader().rawPath();
    if (path === '/fail') throw new Error('no answer to that');
    if (path === '/empty') return ok(Buffer.alloc(0));
    return ok(Buffer.concat([Buffer.from(`${method} ${path} `), await bodyOf(session)]));
  }
}

let tls: { cert: string; key: string };
beforeAll(async () => {
  tls = await selfSigned([]);
});

interface Running {
  plain: number;
  secure: number;
  shutdown: Watch<boolean>;
  stop(): Promise<void>;
}

async function serve(app: App): Promise<Running> {
  const service = Service.new('app', app);
  const settings = TlsSettings.fromPem(tls.cert, tls.key);
  settings.enableH2();
  service.addTcp('127.0.0.1:0');
  service.addTlsWithSettings('127.0.0.1:0', undefined, settings);
  const ports = { plain: 0, secure: 0 };
  const settled = new Promise<void>((resolve) => {
    service.events = {
      onListening({ bound, tls: isTls }) {
        ports[isTls ? 'secure' : 'plain'] = Number(bound.split(':').at(-1));
        if (ports.plain > 0 && ports.secure > 0) resolve();
      },
    };
  });
  const shutdown = new Watch(false);
  const over = service.startService(undefined, shutdown.subscribe());
  const stop = async () => {
    shutdown.send(true);
    await over;
  };
  onTestFinished(stop);
  await settled;
  return { ...ports, shutdown, stop };
}

async function peer(port: number): Promise<Peer> {
  const socket: Socket = connect(port, '127.0.0.1');
  onTestFinished(() => {
    socket.destroy();
  });
  await once(socket, 'connect');
  return new Peer(socket);
}

function http2(port: number): ClientHttp2Session {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: tls.cert, servername: 'localhost' });
  session.on('error', () => {});
  onTestFinished(() => session.destroy());
  return session;
}

interface Answer {
  status: number | undefined;
  body: string;
  /** How the stream was reset; 0 if it wasn't. */
  code: number;
}

function ask(session: ClientHttp2Session, method: string, path: string, body?: string): Promise<Answer> {
  return new Promise((resolve) => {
    const stream = session.request({ ':method': method, ':path': path }, { endStream: body === undefined });
    const answer: Answer = { status: undefined, body: '', code: 0 };
    stream.on('response', (headers) => {
      answer.status = headers[':status'];
    });
    stream.on('data', (chunk: Buffer) => {
      answer.body += chunk;
    });
    stream.on('error', () => {});
    stream.on('close', () => resolve({ ...answer, code: stream.rstCode ?? 0 }));
    if (body !== undefined) stream.end(body);
  });
}

describe.each([
  ['ServeHttp', () => new Echo()],
  ['HttpServer around a ServeHttp', () => HttpServer.newApp(new Echo())],
])('%s', (_, app) => {
  test('answers over HTTP/1.1, again and again on one connection', async () => {
    const { plain } = await serve(app());
    const client = await peer(plain);
    client.send('POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi');
    const first = await client.until((text) => text.endsWith('POST /a hi'));
    expect(first).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(first.toLowerCase()).toContain('connection: keep-alive');
    client.send('GET /empty HTTP/1.1\r\nHost: x\r\n\r\n');
    await client.until((text) => text.slice(first.length).endsWith('\r\n\r\n'));
    client.send('GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect((await client.end()).endsWith('GET /b ')).toBe(true);
  });

  // the connection closes: where the next request begins is not known
  test('tells a client whose body it has not read that nothing more is taken', async () => {
    const { plain } = await serve(app());
    for (const rest of [
      'Content-Length: 5\r\n\r\nhello',
      'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    ]) {
      const client = await peer(plain);
      client.send(`POST /empty HTTP/1.1\r\nHost: x\r\n${rest}GET /b HTTP/1.1\r\nHost: x\r\n\r\n`);
      const got = await client.end();
      expect(got.match(/HTTP\/1\.1 200/g)).toHaveLength(1);
      expect(got.toLowerCase()).toContain('connection: close\r\n');
    }
  });

  test('answers over HTTP/2, streams beside each other', async () => {
    const { secure } = await serve(app());
    const session = http2(secure);
    const answers = await Promise.all([
      ask(session, 'GET', '/one'),
      ask(session, 'POST', '/two', 'body'),
      ask(session, 'GET', '/empty'),
    ]);
    expect(answers).toEqual([
      { status: 200, body: 'GET /one ', code: 0 },
      { status: 200, body: 'POST /two body', code: 0 },
      { status: 200, body: '', code: 0 },
    ]);
  });

  test('that fails on a stream resets that stream, and no other', async () => {
    const lines = captureLog('error');
    const { secure } = await serve(app());
    const session = http2(secure);
    const [failed, fine] = await Promise.all([ask(session, 'GET', '/fail'), ask(session, 'GET', '/fine')]);
    expect(failed.status).toBeUndefined();
    expect(failed.code).not.toBe(0);
    expect(fine).toEqual({ status: 200, body: 'GET /fine ', code: 0 });
    expect((await ask(session, 'GET', '/later')).body).toBe('GET /later ');
    expect(lines.map(({ msg }) => msg).join()).toContain('no answer to that');
  });

  test('that fails over HTTP/1.1 closes the connection', async () => {
    captureLog('silent');
    const { plain } = await serve(app());
    const client = await peer(plain);
    client.send('GET /fail HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(await client.end()).toBe('');
  });

  test('refuses what is no request with 400', async () => {
    captureLog('silent');
    const { plain } = await serve(app());
    const client = await peer(plain);
    client.send('GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(await client.end()).toMatch(/^HTTP\/1\.1 400 /);
  });

  test('says goodbye with the answer once the server shuts down', async () => {
    const { plain, shutdown } = await serve(app());
    const client = await peer(plain);
    client.send('GET /a HTTP/1.1\r\nHost: x\r\n\r\n');
    await client.until((text) => text.endsWith('GET /a '));
    shutdown.send(true);
    client.send('GET /b HTTP/1.1\r\nHost: x\r\n\r\n');
    const all = await client.end();
    expect(all.toLowerCase().lastIndexOf('connection: close')).toBeGreaterThan(all.indexOf('GET /a '));
    expect(all.endsWith('GET /b ')).toBe(true);
  });
});

describe('an application of', () => {
  test('HTTP sessions is asked for its HTTP/2 options and told of the end', async () => {
    class Sessions implements HttpServerApp {
      cleanups = 0;
      async processNewHttp(session: Session): Promise<Stream | undefined> {
        if (!(await session.readRequest())) return undefined;
        await session.writeResponseHeader(ok(Buffer.from('ok')).head);
        await session.writeResponseBody(Buffer.from('ok'));
        return session.finish();
      }
      h2Options() {
        return { limits: { maxConcurrentStreams: 7 } };
      }
      httpCleanup() {
        this.cleanups++;
      }
    }
    const app = new Sessions();
    const { secure, stop } = await serve(app);
    const session = http2(secure);
    expect(await ask(session, 'GET', '/')).toEqual({ status: 200, body: 'ok', code: 0 });
    expect(session.remoteSettings.maxConcurrentStreams).toBe(7);
    await stop();
    expect(app.cleanups).toBe(1);
  });

  // what comes over HTTP/1 never asks
  test.each([
    [40, 0, true],
    [0, 40, false],
    [30, 40, false],
    [50, 40, true],
  ])(
    'HTTP sessions, busy with %i requests of HTTP/1 and %i of HTTP/2, has room for more of HTTP/2: %s',
    async (of1, of2, room) => {
      let busy = 0;
      let isOver = false;
      let begun = () => {};
      const all = new Promise<void>((resolve) => {
        begun = resolve;
      });
      const app: HttpServerApp = {
        *processNewHttp(session: Session) {
          yield* session.readRequest();
          if (++busy === of1 + of2) begun();
          while (!isOver) {
            currentWaker().wake();
            yield;
          }
          yield* settle(session.writeResponseHeader(ok(Buffer.alloc(0)).head));
          return yield* settle(session.finish());
        },
      };
      const { plain, secure } = await serve(app);
      const over1 = async () => {
        const client = await peer(plain);
        client.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
        return (await client.end()).slice(9, 12);
      };
      const session = http2(secure);
      const over2 = async () => `${(await ask(session, 'GET', '/')).status}`;
      const answers = [...Array.from({ length: of1 }, over1), ...Array.from({ length: of2 }, over2)];
      await all;
      const letIn = new Promise<void>((resolve) => {
        const hadRoom = hasRoom({ letIn: resolve });
        expect(hadRoom).toBe(room);
        if (hadRoom) resolve();
      });
      isOver = true;
      await letIn;
      expect(new Set(await Promise.all(answers))).toEqual(new Set(['200']));
    },
  );

  test('connections gets them as they are, over TCP and TLS', async () => {
    const kinds: boolean[] = [];
    const app: ServerApp = {
      async processNew(stream) {
        kinds.push(stream.getSsl() !== undefined);
        await stream.write('bye');
        await stream.flush();
        stream.shutdown();
        return undefined;
      },
    };
    const { plain, secure } = await serve(app);
    expect(await (await peer(plain)).end()).toBe('bye');
    const session = http2(secure);
    if (!session.closed) await once(session, 'close');
    expect(kinds).toEqual([false, true]);
  });
});

afterAll(async () => {
  // every test's service has ended: this waits in vain for a listener that was forgotten
  while (process.getActiveResourcesInfo().includes('TCPServerWrap')) {
    await new Promise((resolve) => setImmediate(resolve));
  }
});

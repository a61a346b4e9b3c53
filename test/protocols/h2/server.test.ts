import { once } from 'node:events';
import { constants } from 'node:http2';
import { afterEach, expect, test } from 'vitest';
import { PingoraError } from '../../../src/error/lib.ts';
import { HMap, ResponseHeader } from '../../../src/http/lib.ts';
import type { HttpSession } from '../../../src/protocols/h2/server.ts';
import { HttpTask } from '../../../src/protocols/http/mod.ts';
import { PENDING } from '../../../src/runtime/poll.ts';
import { polled } from '../../../src/runtime/task.ts';
import { answer, bodyOf, deferred, frame, frames, hpack, listen, PREFACE, type Running, request } from './harness.ts';

let running: Running | undefined;
afterEach(async () => {
  await running?.close();
  running = undefined;
});

function head(status: number, ...fields: [string, string][]): ResponseHeader {
  const header = ResponseHeader.build(status);
  for (const [name, value] of fields) header.appendHeader(name, value);
  return header;
}

/** Answer each request with `tasks`. */
function answering(...tasks: HttpTask[]): (session: HttpSession) => unknown {
  return (session) => session.responseDuplexVec(tasks);
}

const GET = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'a.test'],
  [':path', '/'],
] as const;

test('a request shows its method, target and authority, fields in order and repeated', async () => {
  let seen: HttpSession | undefined;
  running = await listen((session) => {
    seen = session;
    return answering(HttpTask.Header(head(200), true))(session);
  });
  const got = await request(running.client(), { ':path': '/a?b=1', 'x-b': '1', 'x-a': ['2', '3'] });
  expect(got.status).toBe(200);
  const header = seen!.reqHeader();
  expect([header.method, header.rawPath(), header.version]).toEqual(['GET', '/a?b=1', 'HTTP/2']);
  expect(header.authority).toBe(`127.0.0.1:${running.port}`);
  expect([...header.headers]).toEqual([
    ['x-b', '1'],
    ['x-a', '2'],
    ['x-a', '3'],
  ]);
  expect(seen!.isBodyDone()).toBe(true);
  expect(seen!.isBodyEmpty()).toBe(true);
  expect(seen!.readBodyBytes()).toBe(undefined);
  expect(seen!.requestSummary()).toBe(`GET https://127.0.0.1:${running.port}/a?b=1, Host: `);
  expect(seen!.pseudoRawH1RequestHeader().toString()).toBe('GET /a?b=1 HTTP/2\r\nx-b: 1\r\nx-a: 2\r\nx-a: 3\r\n\r\n');
});

test('crumbs of a cookie are joined', async () => {
  let cookies: string[] = [];
  running = await listen((session) => {
    cookies = session.reqHeader().headers.getAll('cookie');
    return answering(HttpTask.Header(head(200), true))(session);
  });
  const socket = await running.raw();
  const crumbs = [...GET, ['cookie', 'a=1'], ['x', 'y'], ['cookie', 'b=2']] as const;
  const answered = frames(socket, (one) => one.type === 1);
  socket.write(Buffer.concat([PREFACE, frame(1, 5, 1, hpack(crumbs))]));
  await answered;
  socket.destroy();
  expect(cookies).toEqual(['a=1; b=2']);
});

test('a body is read, kept for another try, and done', async () => {
  const states: unknown[] = [];
  running = await listen(async (session) => {
    session.enableRetryBuffering();
    states.push(session.isBodyEmpty(), session.isBodyDone());
    const body = await bodyOf(session);
    states.push(body, session.isBodyDone(), session.getRetryBuffer()?.toString());
    await session.responseDuplexVec([HttpTask.Header(head(200), false), HttpTask.Body(Buffer.from('ok'), false)]);
    session.finish();
  });
  const got = await request(running.client(), { ':method': 'POST' }, 'test client body');
  expect(got.body.toString()).toBe('ok');
  expect(states).toEqual([false, false, 'test client body', true, 'test client body']);
});

test('a body of more than 64 KiB is not kept', async () => {
  let truncated: unknown;
  running = await listen(async (session) => {
    session.enableRetryBuffering();
    const { length } = await bodyOf(session);
    truncated = [length, session.retryBufferTruncated(), session.getRetryBuffer()];
    session.writeResponseHeader(head(200), true);
  });
  await request(running.client(), { ':method': 'POST' }, 'x'.repeat(65537));
  expect(truncated).toEqual([65537, true, undefined]);
});

test('a head gets a Date, loses what belongs to HTTP/1, and keeps repeated fields', async () => {
  running = await listen(
    answering(
      HttpTask.Header(
        head(
          200,
          ['Connection', 'close'],
          ['Keep-Alive', 'timeout=5'],
          ['Transfer-Encoding', 'chunked'],
          ['Upgrade', 'h2c'],
          ['Proxy-Connection', 'x'],
          ['Set-Cookie', 'a=1'],
          ['Set-Cookie', 'b=2'],
          ['ETag', '"1"'],
          ['ETag', '"2"'],
          ['X-A', '\xe9'],
        ),
        false,
      ),
      HttpTask.Body(Buffer.from('hello'), true),
    ),
  );
  const { headers, body } = await request(running.client(), {});
  expect(headers.date).toMatch(/GMT$/);
  expect(Object.keys(headers)).toEqual([':status', 'set-cookie', 'etag', 'x-a', 'date']);
  expect(headers['set-cookie']).toEqual(['a=1', 'b=2']);
  expect(headers.etag).toBe('"1"');
  expect(headers['x-a']).toBe('\xe9');
  expect(body.toString()).toBe('hello');
});

test('head and last body leave in one write, the end on the last DATA', async () => {
  running = await listen(answering(HttpTask.Header(head(200), false), HttpTask.Body(Buffer.from('hello'), true)));
  const socket = await running.raw();
  const got = frames(socket, (one) => one.type === 0);
  socket.write(Buffer.concat([PREFACE, frame(1, 5, 1, hpack(GET))]));
  const kinds = (await got).filter((one) => one.stream === 1).map((one) => [one.type, one.flags]);
  socket.destroy();
  expect(kinds).toEqual([
    [1, 4],
    [0, 1],
  ]);
});

test('103 and 100 are sent before the head that counts, 101 is refused', async () => {
  let refused: unknown;
  running = await listen(async (session) => {
    session.writeResponseHeader(head(100), false);
    session.writeResponseHeader(head(103, ['link', '</a>']), false);
    try {
      session.writeResponseHeader(head(101), false);
    } catch (error) {
      refused = error;
    }
    expect(() => session.writeBody(Buffer.from('x'), false)).toThrow('try to send body before header is sent');
    await session.responseDuplexVec([HttpTask.Header(head(200), false), HttpTask.Body(undefined, true)]);
  });
  const got = await request(running.client(), {});
  expect(got.interim).toEqual([100, 103]);
  expect(got.status).toBe(200);
  expect((refused as PingoraError).reasonStr()).toBe('H2Error');
});

test('trailers go both ways when the client takes them', async () => {
  running = await listen(async (session) => {
    const body = await bodyOf(session);
    const trailers = new HMap();
    trailers.appendUnchecked('Grpc-Status', '0');
    trailers.appendUnchecked('x-request-trailer', session.reqTrailers()?.get('x-t') ?? 'none');
    trailers.appendUnchecked('Connection', 'close');
    await session.responseDuplexVec([
      HttpTask.Header(head(200), false),
      HttpTask.Body(Buffer.from(body), false),
      HttpTask.Trailer(trailers),
    ]);
  });
  const stream = running.client().request({ ':method': 'POST', te: 'trailers' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-t': 'yes' }));
  stream.end('abc');
  const got = await answer(stream);
  expect(got.body.toString()).toBe('abc');
  expect(Object.fromEntries(Object.entries(got.trailers ?? {}))).toEqual({
    'grpc-status': '0',
    'x-request-trailer': 'yes',
  });
  expect(got.rstCode).toBe(0);
});

test('trailers are dropped when the client did not ask, and the response ends', async () => {
  const trailers = new HMap();
  trailers.appendUnchecked('a', 'b');
  running = await listen(
    answering(HttpTask.Header(head(200), false), HttpTask.Body(Buffer.from('x'), false), HttpTask.Trailer(trailers)),
  );
  const got = await request(running.client(), {});
  expect([got.body.toString(), got.trailers, got.rstCode]).toEqual(['x', undefined, 0]);
});

test('no body follows the answer to HEAD, or 304', async () => {
  running = await listen(async (session) => {
    const status = session.reqHeader().path === '/304' ? 304 : 200;
    await session.responseDuplexVec([
      HttpTask.Header(head(status, ['content-length', '5']), false),
      HttpTask.Body(Buffer.from('hello'), true),
    ]);
    session.finish();
  });
  const client = running.client();
  const first = await request(client, { ':method': 'HEAD' });
  expect([first.status, first.headers['content-length'], first.body.length]).toEqual([200, '5', 0]);
  const second = await request(client, { ':path': '/304' });
  expect([second.status, second.body.length, second.rstCode]).toEqual([304, 0, 0]);
});

test('a client that reads slowly makes the writer wait', async () => {
  let waited = 0;
  let sent = 0;
  const piece = Buffer.alloc(64 * 1024, 'x');
  running = await listen(async (session) => {
    session.writeResponseHeader(head(200), false);
    for (let i = 0; i < 32; i++) {
      session.writeBody(piece, i === 31);
      if (session.pollDrained() === PENDING) {
        waited++;
        await polled(() => session.pollDrained());
      }
      sent = session.bodyBytesSent();
    }
  });
  const stream = running.client().request({});
  await once(stream, 'response');
  expect(sent).toBeLessThan(1024 * 1024);
  const got = await answer(stream);
  expect(got.body.length).toBe(32 * 64 * 1024);
  expect(waited).toBeGreaterThan(10);
});

test('a writer that waits learns that the client left', async () => {
  const { promise, resolve } = deferred<unknown>();
  running = await listen(async (session) => {
    session.writeResponseHeader(head(200), false);
    try {
      for (;;) {
        session.writeBody(Buffer.alloc(64 * 1024), false);
        await polled(() => session.pollDrained());
      }
    } catch (error) {
      resolve(error);
    }
  });
  const stream = running.client().request({});
  stream.on('error', () => {});
  await once(stream, 'response');
  stream.close(constants.NGHTTP2_CANCEL);
  expect(((await promise) as PingoraError).toString()).toBe(
    ' WriteError context: while writing h2 response body to downstream cause: stream error received: stream no longer needed',
  );
});

test('waiting for the client to leave ends with its reason, and a body cut short is an error', async () => {
  const errors: string[] = [];
  const ended = deferred<void>();
  const both = deferred<void>();
  let begun = 0;
  running = await listen(async (session) => {
    try {
      const posts = session.reqHeader().method === 'POST';
      if (posts) await polled(() => session.readBodyBytes());
      const waiting = polled(() => session.readBodyOrIdle(!posts));
      if (++begun === 2) both.resolve();
      await waiting;
    } catch (error) {
      errors.push(String(error));
      if (errors.length === 2) ended.resolve();
    }
  });
  const client = running.client();
  const idle = client.request({});
  const body = client.request({ ':method': 'POST' });
  for (const stream of [idle, body]) stream.on('error', () => {});
  body.write('half');
  await both.promise;
  idle.close(constants.NGHTTP2_CANCEL);
  // close() would complete the body first
  body.destroy(new Error('given up'));
  await ended.promise;
  expect(errors.sort()).toEqual([
    ' H2Error context: Client closed H2, reason: stream no longer needed',
    ' ReadError context: while reading downstream request body cause: stream error received: unexpected internal error encountered',
  ]);
});

test('a wait for the client can be given up', async () => {
  const seen: unknown[] = [];
  running = await listen(async (session) => {
    await polled(() => void seen.push(session.readBodyOrIdle(true)));
    session.dropRead();
    session.writeResponseHeader(head(204), true);
  });
  expect((await request(running.client(), {})).status).toBe(204);
  expect(seen).toEqual([PENDING]);
});

test('a session that gives up resets: INTERNAL_ERROR at shutdown, CANCEL when it is dropped', async () => {
  running = await listen(async (session) => {
    if (session.reqHeader().path === '/shutdown') session.shutdown();
    if (session.reqHeader().path === '/failed') session.writeResponseHeader(head(200), false);
    if (session.reqHeader().path === '/cut') {
      session.writeResponseHeader(head(200), false);
      await session.writeBody(Buffer.from('half'), false);
    }
  });
  const client = running.client();
  expect((await request(client, { ':path': '/shutdown' })).rstCode).toBe(constants.NGHTTP2_INTERNAL_ERROR);
  expect((await request(client, { ':path': '/dropped' })).rstCode).toBe(constants.NGHTTP2_CANCEL);
  const failed = await request(client, { ':path': '/failed' });
  expect([failed.status, failed.rstCode]).toEqual([200, constants.NGHTTP2_CANCEL]);
  // not a complete response of four bytes
  expect((await request(client, { ':path': '/cut' })).rstCode).toBe(constants.NGHTTP2_CANCEL);
});

test('an answer before the end of a long body is complete, and the client is told to stop', async () => {
  running = await listen(answering(HttpTask.Header(head(413), false), HttpTask.Body(Buffer.from('too long'), true)));
  const stream = running.client().request({ ':method': 'POST' });
  stream.write(Buffer.alloc(256 * 1024));
  const got = await answer(stream);
  expect([got.status, got.body.toString(), got.rstCode]).toEqual([413, 'too long', constants.NGHTTP2_NO_ERROR]);
});

test.each([
  ['by default', {}, 262_144],
  ['as it was set', { initialWindowSize: 100_000 }, 100_000],
])('a client is told how much of a stream it may send before it is read, %s', async (_, options, window) => {
  running = await listen(answering(HttpTask.Header(head(200), true)), options);
  const client = running.client();
  await once(client, 'remoteSettings');
  expect(client.remoteSettings.initialWindowSize).toBe(window);
});

test('an upload that nobody reads holds up no other', async () => {
  running = await listen(async (session) => {
    // nine uploads, each of more than a window of the connection may have been, wait unread
    if (session.reqHeader().rawPath() === '/unread') await polled(() => session.idle());
    else session.writeResponseHeader(head((await bodyOf(session)).length === 60_000 ? 200 : 500), true);
  });
  const client = running.client();
  for (let n = 0; n < 9; n++) {
    const unread = client.request({ ':method': 'POST', ':path': '/unread' });
    unread.on('error', () => {});
    unread.write(Buffer.alloc(262_144));
  }
  expect((await request(client, { ':method': 'POST', ':path': '/read' }, 'x'.repeat(60_000))).status).toBe(200);
});

test('after a graceful shutdown what is open ends well and nothing new is taken', async () => {
  const begun = deferred<void>();
  const go = deferred<void>();
  running = await listen(async (session) => {
    begun.resolve();
    await go.promise;
    await session.responseDuplexVec([HttpTask.Header(head(200), false), HttpTask.Body(Buffer.from('ok'), true)]);
  });
  const client = running.client();
  const got = request(client, {});
  await begun.promise;
  const goaway = once(client, 'goaway');
  running.connections[0]!.gracefulShutdown();
  await goaway;
  go.resolve();
  expect((await got).body.toString()).toBe('ok');
  expect(await running.ends[0]).toBe(undefined);
});

test('accepting ends when the client leaves without a word', async () => {
  running = await listen(answering(HttpTask.Header(head(200), true)));
  const socket = await running.raw();
  const settings = frames(socket, (one) => one.type === 4);
  socket.write(PREFACE);
  await settings;
  socket.destroy();
  const end = await running.ends[0];
  expect(end === undefined || end instanceof PingoraError).toBe(true);
});

/** The error code that a head of `fields` (and DATA of `body`) is answered with. */
async function malformed(
  fields: readonly (readonly [string, string])[],
  body?: string,
): Promise<{ reset: number | undefined; served: number }> {
  let served = 0;
  running = await listen(async (session) => {
    await bodyOf(session);
    served++;
    await session.responseDuplexVec([HttpTask.Header(head(200), true)]);
  });
  const socket = await running.raw();
  const got = frames(socket, (one) => (one.stream === 1 && (one.type === 1 || one.type === 3)) || one.type === 7);
  const out = [PREFACE, frame(1, body === undefined ? 5 : 4, 1, hpack(fields))];
  if (body !== undefined) out.push(frame(0, 1, 1, Buffer.from(body)));
  socket.write(Buffer.concat(out));
  // newer nghttp2 ends the connection over some of them, as RFC 9113 5.4.2 allows
  const end = (await got).find((one) => one.type === 3 || one.type === 7);
  socket.destroy();
  return { reset: end?.payload.readUInt32BE(end.type === 3 ? 0 : 4), served };
}

const POST = [[':method', 'POST'], ...GET.slice(1)] as const;

// RFC 9113 8.1.1: a malformed request is a stream error of type PROTOCOL_ERROR; a proxy that passes one on lets its
// client smuggle another request into the origin's HTTP/1 connection
test.each([
  ['Connection', [...GET, ['connection', 'close']], undefined],
  ['Transfer-Encoding', [...POST, ['transfer-encoding', 'chunked']], '0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n'],
  ['TE other than trailers', [...GET, ['te', 'gzip']], undefined],
  ['no :path', GET.slice(0, 3), undefined],
  ['two :path', [...GET, [':path', '/']], undefined],
  ['an unknown pseudo-header field', [[':x', 'y'], ...GET], undefined],
  ['a pseudo-header field after others', [GET[0], GET[1], ['a', 'b'], GET[2], GET[3]], undefined],
  ['a name in upper case', [...GET, ['X-A', 'b']], undefined],
  ['CR and LF in a value', [...GET, ['a', 'x\r\ny: z']], undefined],
  ['NUL in a value', [...GET, ['a', 'x\0']], undefined],
  ['a space in a name', [...GET, ['na me', 'x']], undefined],
  ['an empty name', [...GET, ['', 'x']], undefined],
  ['Content-Length longer than the body', [...POST, ['content-length', '5']], 'abc'],
  ['Content-Length shorter than the body', [...POST, ['content-length', '1']], 'abc'],
  ['Host other than :authority', [...GET, ['host', 'b.test']], undefined],
  ['a backquote in :path', [...GET.slice(0, 3), [':path', '/`']], undefined],
  ['an angle bracket in :path', [...GET.slice(0, 3), [':path', '/<']], undefined],
  ['a :path that is no UTF-8', [...GET.slice(0, 3), [':path', '/\xe9']], undefined],
] as const)('a request with %s is reset', async (_what, fields, body) => {
  expect(await malformed(fields, body)).toEqual({ reset: constants.NGHTTP2_PROTOCOL_ERROR, served: 0 });
});

test('CONNECT is taken back: no tunnel is made', async () => {
  const connect = [
    [':method', 'CONNECT'],
    [':authority', 'a.test:443'],
  ] as const;
  expect(await malformed(connect)).toEqual({ reset: constants.NGHTTP2_CANCEL, served: 0 });
});

test('a head may have as many fields as one of HTTP/1', async () => {
  running = await listen((session) => {
    session.writeResponseHeader(head(session.reqHeader().headers.length === 256 ? 200 : 500), true);
  });
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, '1']));
  expect((await request(running.client(), many(256))).status).toBe(200);
  expect((await request(running.client(), many(257))).status).toBe(431);
});

test('a flood of streams opened and reset at once ends the connection, not the process', async () => {
  let served = 0;
  running = await listen((session) => {
    served++;
    session.writeResponseHeader(head(200), true);
  });
  const socket = await running.raw();
  const closed = once(socket, 'close');
  socket.resume();
  const block = hpack(GET);
  const cancel = Buffer.from([0, 0, 0, 8]);
  const flood: Buffer[] = [PREFACE];
  for (let id = 1; id < 8000; id += 2) flood.push(frame(1, 5, id, block), frame(3, 0, id, cancel));
  socket.write(Buffer.concat(flood));
  await closed;
  await running.ends[0];
  expect(served).toBeLessThan(4000);
  expect((await request(running.client(), {})).status).toBe(200);
});

test('bytes that are not HTTP/2 end the connection, not the process', async () => {
  running = await listen(answering(HttpTask.Header(head(200), true)));
  const socket = await running.raw();
  const closed = once(socket, 'close');
  socket.resume();
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await closed;
  expect(await running.ends[0]).toBeInstanceOf(PingoraError);
  expect((await request(running.client(), {})).status).toBe(200);
});

test('a client that does not answer is let go, one that does stays', async () => {
  running = await listen(answering(HttpTask.Header(head(200), true)), { limits: { silenceMs: 250 } });
  const client = running.client();
  await once(client, 'connect');
  const socket = await running.raw();
  const closed = once(socket, 'close');
  const asked = frames(socket, (one) => one.type === 6);
  socket.write(PREFACE);
  expect((await asked).at(-1)?.type).toBe(6);
  socket.resume();
  await closed;
  await once(client, 'ping');
  expect((await request(client, {})).status).toBe(200);
});

test('an acknowledgement of a PING that was not sent is ignored, as the h2 crate does', async () => {
  running = await listen(answering(HttpTask.Header(head(200), true)));
  const socket = await running.raw();
  const answered = frames(socket, (one) => one.stream === 1);
  socket.write(Buffer.concat([PREFACE, frame(6, 1, 0, Buffer.alloc(8)), frame(1, 5, 1, hpack(GET))]));
  expect((await answered).at(-1)).toMatchObject({ type: 1, stream: 1 });
  socket.destroy();
});

test('a frame on a stream that has ended ends the connection', async () => {
  running = await listen(answering(HttpTask.Header(head(200), true)));
  const socket = await running.raw();
  const answered = frames(socket, (one) => one.type === 1);
  socket.write(Buffer.concat([PREFACE, frame(1, 5, 1, hpack(GET))]));
  await answered;
  const goaway = frames(socket, (one) => one.type === 7);
  const closed = once(socket, 'close');
  socket.write(frame(0, 1, 1, Buffer.from('late')));
  expect((await goaway).at(-1)?.payload.readUInt32BE(4)).toBe(constants.NGHTTP2_STREAM_CLOSED);
  socket.resume();
  await closed;
  expect(await running.ends[0]).toBeInstanceOf(PingoraError);
});

import { once } from 'node:events';
import { constants, type ServerHttp2Stream } from 'node:http2';
import { expect, onTestFinished, test } from 'vitest';
import { type ConnectionRef, Connector } from '../../../src/connectors/http/h2.ts';
import { ConnectorOptions } from '../../../src/connectors/options.ts';
import type { PingoraError } from '../../../src/error/lib.ts';
import { HMap, RequestHeader } from '../../../src/http/lib.ts';
import type { Http2Session } from '../../../src/protocols/h2/client.ts';
import { PENDING } from '../../../src/runtime/poll.ts';
import { polled, promised } from '../../../src/runtime/task.ts';
import type { HttpPeer } from '../../../src/upstreams/peer.ts';
import { frame } from '../../protocols/h2/harness.ts';
import { h2Origin, rawH2Origin } from '../../support/h2-origin.ts';
import { captureLog } from '../../support/log.ts';

function connector(): Connector {
  const made = Connector.new();
  onTestFinished(() => made.close());
  return made;
}

async function h2Session(from: Connector, peer: HttpPeer): Promise<Http2Session> {
  const session = (await promised(from.newHttpSession(peer))).asHttp2();
  if (session === undefined) throw new Error('expected HTTP/2');
  return session;
}

function request(method = 'GET', ...fields: [string, string][]): RequestHeader {
  const header = RequestHeader.build(method, '/a?b');
  header.insertHeader('Host', 'origin.test');
  for (const [name, value] of fields) header.appendHeader(name, value);
  return header;
}

async function bodyOf(session: Http2Session): Promise<string> {
  let body = '';
  for (;;) {
    const piece = await polled(() => session.readResponseBody());
    if (piece === undefined) return body;
    body += piece;
  }
}

async function failure(work: Promise<unknown>): Promise<PingoraError> {
  return (await work.then(
    () => undefined,
    (error: unknown) => error,
  )) as PingoraError;
}

/** Ask, and throw away what comes. */
async function get(session: Http2Session): Promise<void> {
  session.writeRequestHeader(request(), true);
  await polled(() => session.readResponseHeader());
  await bodyOf(session);
}

test('a request is sent and its response read', async () => {
  const origin = await h2Origin();
  const session = await h2Session(connector(), origin.peer());
  expect(session.responseFinished()).toBe(false);
  session.writeRequestHeader(
    request('GET', ['X-A', '1'], ['X-A', '2'], ['Connection', 'close'], ['TE', 'gzip'], ['Upgrade', 'h2c']),
    true,
  );
  await polled(() => session.readResponseHeader());
  expect(session.responseHeader()?.status).toBe(200);
  expect(session.responseHeader()?.version).toBe('HTTP/2');
  expect(await bodyOf(session)).toBe('hello');
  expect(session.responseFinished()).toBe(true);
  expect(session.readTrailers()).toBe(undefined);
  expect(session.digest().sslDigest?.version).toBe('TLSv1.3');
  const { ...got } = origin.requests[0]!;
  expect(got).toMatchObject({ ':method': 'GET', ':scheme': 'https', ':authority': 'origin.test', ':path': '/a?b' });
  expect(got['x-a']).toBe('1, 2');
  expect([got.connection, got.te, got.upgrade]).toEqual([undefined, undefined, undefined]);
  session.close();
});

test('a request without authority is refused', async () => {
  const origin = await h2Origin();
  const session = await h2Session(connector(), origin.peer());
  expect(() => session.writeRequestHeader(RequestHeader.build('GET', '/'), true)).toThrow('no authority header for h2');
  session.close();
});

test('a body and trailers go both ways', async () => {
  const origin = await h2Origin((stream) => {
    let trailers: unknown;
    stream.on('trailers', (fields) => {
      trailers = fields['x-t'];
    });
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-got': String(trailers) }));
    stream.pipe(stream);
  });
  const session = await h2Session(connector(), origin.peer());
  session.writeRequestHeader(request('POST', ['TE', 'trailers']), false);
  await session.writeRequestBody(Buffer.from('abc'), false);
  const trailers = new HMap();
  trailers.appendUnchecked('X-T', 'yes');
  session.setRequestTrailers(trailers);
  session.finishRequestBody();
  await polled(() => session.readResponseHeader());
  expect(await bodyOf(session)).toBe('abc');
  expect([...session.readTrailers()!]).toEqual([
    ['grpc-status', '0'],
    ['x-got', 'yes'],
  ]);
  session.close();
});

test('a server that reads slowly makes the writer wait', async () => {
  const streams: ServerHttp2Stream[] = [];
  const origin = await h2Origin((stream) => {
    streams.push(stream);
    stream.respond({ ':status': 200 });
  });
  const session = await h2Session(connector(), origin.peer());
  session.writeRequestHeader(request('POST'), false);
  await polled(() => session.readResponseHeader());
  const piece = Buffer.alloc(64 * 1024);
  let sent = 0;
  while (session.pollDrained() !== PENDING && sent < 100) {
    session.writeRequestBody(piece, false);
    sent++;
  }
  expect(sent).toBeLessThan(10);
  streams[0]!.resume();
  await polled(() => session.pollDrained());
  streams[0]!.close(constants.NGHTTP2_CANCEL);
  session.close();
});

test('one stream at a time: a connection is used again once its stream was released', async () => {
  const origin = await h2Origin();
  const made = connector();
  const peer = origin.peer();
  const first = await h2Session(made, peer);
  expect(made.reusedHttpSession(peer)).toBe(undefined);
  await get(first);
  made.releaseHttpSession(first, peer, undefined);
  const second = made.reusedHttpSession(peer)!;
  expect(second.id()).toBe(first.id());
  await get(second);
  made.releaseHttpSession(second, peer, undefined);
  expect(made.reusedHttpSession(peer)?.id()).toBe(first.id());
  expect(origin.sessions.length).toBe(1);
});

test('as many streams as the peer allows share a connection', async () => {
  const origin = await h2Origin();
  const made = connector();
  const peer = origin.peer();
  peer.options.maxH2Streams = 3;
  const first = await h2Session(made, peer);
  const second = made.reusedHttpSession(peer)!;
  const third = made.reusedHttpSession(peer)!;
  expect([second.id(), third.id()]).toEqual([first.id(), first.id()]);
  expect(made.reusedHttpSession(peer)).toBe(undefined);
  await Promise.all([get(first), get(second), get(third)]);
  made.releaseHttpSession(first, peer, undefined);
  const fourth = made.reusedHttpSession(peer)!;
  expect(fourth.id()).toBe(first.id());
  for (const session of [second, third, fourth]) made.releaseHttpSession(session, peer, undefined);
  expect(made.reusedHttpSession(peer)?.id()).toBe(first.id());
});

test('above the streams that an origin takes another connection is opened', async () => {
  const waiting: ServerHttp2Stream[] = [];
  const origin = await h2Origin((stream) => waiting.push(stream), { settings: { maxConcurrentStreams: 2 } });
  const peer = origin.peer();
  peer.options.maxH2Streams = 100;
  const made = connector();
  const first = await h2Session(made, peer);
  first.writeRequestHeader(request(), true);
  await expect.poll(() => waiting.length).toBe(1);
  const second = made.reusedHttpSession(peer);
  expect(second?.conn).toBe(first.conn);
  expect(made.reusedHttpSession(peer)).toBeUndefined();
  first.close();
  made.releaseHttpSession(second!, peer, undefined);
  expect(made.reusedHttpSession(peer)?.conn).toBe(first.conn);
});

test('a connection whose origin refused a stream gets no more until one of its streams has ended', async () => {
  const origin = await h2Origin((stream) => {
    if (stream.id! > 1) stream.close(constants.NGHTTP2_REFUSED_STREAM);
  });
  const peer = origin.peer();
  peer.options.maxH2Streams = 100;
  const made = connector();
  const first = await h2Session(made, peer);
  first.writeRequestHeader(request(), true);
  const refused = made.reusedHttpSession(peer)!;
  refused.writeRequestHeader(request(), true);
  expect(await failure(polled(() => refused.readResponseHeader()))).toMatchObject({ retryType: true });
  expect(made.reusedHttpSession(peer)).toBeUndefined();
});

test('no streams at all is an error', async () => {
  const origin = await h2Origin();
  const peer = origin.peer();
  peer.options.maxH2Streams = 0;
  expect((await failure(promised(connector().newHttpSession(peer)))).toString()).toContain(
    'zero max_stream configured',
  );
});

test('an idle connection is closed when its time is up', async () => {
  const origin = await h2Origin();
  const made = connector();
  const peer = origin.peer();
  const session = await h2Session(made, peer);
  await get(session);
  made.releaseHttpSession(session, peer, 10);
  await once(origin.sessions[0]!, 'close');
  expect(made.reusedHttpSession(peer)).toBe(undefined);
});

test('an idle connection that the server ends is not used again', async () => {
  const origin = await h2Origin();
  const made = connector();
  const peer = origin.peer();
  const session = await h2Session(made, peer);
  await get(session);
  const ended = new Promise<void>((resolve) => (session.conn as ConnectionRef).closed().onChange(resolve));
  made.releaseHttpSession(session, peer, undefined);
  origin.sessions[0]!.close();
  await ended;
  expect(made.reusedHttpSession(peer)).toBe(undefined);
});

/** What is logged when a connection that waits without a limit of time ends after it was used `times` times. */
async function endOfIdle(times: number, evicted: boolean): Promise<string[]> {
  const lines = captureLog('warn');
  const origin = await h2Origin();
  const made = Connector.new(ConnectorOptions.new(1));
  onTestFinished(() => made.close());
  const peer = origin.peer();
  let conn: ConnectionRef | undefined;
  for (let n = 0; n < times; n++) {
    const session = made.reusedHttpSession(peer) ?? (await h2Session(made, peer));
    conn ??= session.conn as ConnectionRef;
    expect(session.conn).toBe(conn);
    await get(session);
    made.releaseHttpSession(session, peer, undefined);
  }
  const ended = new Promise<void>((resolve) => conn!.closed().onChange(resolve));
  if (evicted) {
    const other = (await h2Origin()).peer();
    const session = await h2Session(made, other);
    await get(session);
    made.releaseHttpSession(session, other, undefined);
  } else origin.sessions[0]!.close();
  await ended;
  expect(made.reusedHttpSession(peer)).toBe(undefined);
  return lines.map(({ msg }) => msg);
}

test('an idle connection has one watcher, however often it was used', async () => {
  expect(await endOfIdle(3, false)).toEqual([]);
});

test('an idle connection that is evicted has no watcher any more when it ends', async () => {
  expect(await endOfIdle(1, true)).toEqual([]);
});

test('a server that chooses HTTP/1.1 gets it', async () => {
  const peer = await rawH2Origin(() => {}, 'http/1.1');
  peer.options.setHttpVersion(2, 1);
  const session = await promised(connector().newHttpSession(peer));
  expect(session.asHttp2()).toBe(undefined);
  session.asHttp1()!.stream.destroy();
});

test('a preference for HTTP/1.1 is kept', async () => {
  const origin = await h2Origin();
  const made = connector();
  const peer = origin.peer();
  expect(made.h1IsPreferred(peer)).toBe(false);
  made.preferH1(peer);
  expect(made.h1IsPreferred(peer)).toBe(true);
});

test('a body cut short is an error, even with NO_ERROR', async () => {
  // a head, half a body, RST_STREAM with NO_ERROR: not a complete body
  const peer = await rawH2Origin((socket) => {
    socket.once('data', () => {
      socket.write(frame(4, 0, 0, Buffer.alloc(0)));
      const head = frame(1, 4, 1, Buffer.from([0x88]));
      socket.write(Buffer.concat([head, frame(0, 0, 1, Buffer.from('half')), frame(3, 0, 1, Buffer.alloc(4))]));
    });
  });
  const session = await h2Session(connector(), peer);
  session.writeRequestHeader(request(), true);
  await polled(() => session.readResponseHeader());
  const error = await failure(bodyOf(session));
  expect(error.reasonStr()).toBe('ReadError');
  session.close();
});

test('a complete response counts although the server stops the upload with NO_ERROR', async () => {
  const peer = await rawH2Origin((socket) => {
    socket.once('data', () => {
      socket.write(frame(4, 0, 0, Buffer.alloc(0)));
      const head = frame(1, 4, 1, Buffer.from([0x88]));
      socket.write(Buffer.concat([head, frame(0, 1, 1, Buffer.from('enough')), frame(3, 0, 1, Buffer.alloc(4))]));
    });
  });
  const session = await h2Session(connector(), peer);
  session.writeRequestHeader(request('POST'), false);
  await polled(() => session.readResponseHeader());
  expect(await bodyOf(session)).toBe('enough');
  expect(session.isClosed()).toBe(true);
  session.close();
});

/** What reading the head throws when the server does `answer` once the request has come. */
async function headFailure(answer: Buffer | 'end'): Promise<[type: string, retry: unknown]> {
  const peer = await rawH2Origin((socket) => {
    socket.write(frame(4, 0, 0, Buffer.alloc(0)));
    let heard = 0;
    socket.on('data', (piece: Buffer) => {
      heard += piece.length;
      // the preface and SETTINGS alone are shorter
      if (heard < 90) return;
      if (answer === 'end') socket.destroy();
      else socket.write(answer);
      heard = Number.NEGATIVE_INFINITY;
    });
  });
  const session = await h2Session(connector(), peer);
  session.writeRequestHeader(request('GET', ['x-long', 'x'.repeat(60)]), true);
  const error = await failure(polled(() => session.readResponseHeader()));
  session.close();
  return [error.reasonStr(), error.retryType];
}

const code = (value: number) => Buffer.from([0, 0, 0, value]);
test.each<[string, Buffer | 'end', string, unknown]>([
  ['RST_STREAM with HTTP_1_1_REQUIRED', frame(3, 0, 1, code(13)), 'H2Downgrade', true],
  ['GOAWAY with HTTP_1_1_REQUIRED', frame(7, 0, 0, Buffer.concat([code(0), code(13)])), 'H2Downgrade', true],
  ['a frame that is not valid', frame(8, 0, 0, code(0)), 'InvalidH2', true],
  [
    'GOAWAY below the stream, which was not processed',
    frame(7, 0, 0, Buffer.concat([code(0), code(0)])),
    'H2Error',
    true,
  ],
  [
    'GOAWAY with ENHANCE_YOUR_CALM below the first stream of the connection',
    frame(7, 0, 0, Buffer.concat([code(0), code(11)])),
    'H2Error',
    false,
  ],
  ['RST_STREAM with ENHANCE_YOUR_CALM', frame(3, 0, 1, code(11)), 'H2Error', false],
  ['RST_STREAM with NO_ERROR', frame(3, 0, 1, code(0)), 'H2Error', false],
  ['RST_STREAM with CANCEL', frame(3, 0, 1, code(8)), 'H2Error', false],
  ['RST_STREAM with REFUSED_STREAM', frame(3, 0, 1, code(7)), 'H2Error', true],
  ['RST_STREAM with INTERNAL_ERROR', frame(3, 0, 1, code(2)), 'H2Error', false],
  ['the end of the connection', 'end', 'ReadError', 'ReusedOnly'],
])('instead of a head: %s', async (_what, answer, type, retry) => {
  expect(await headFailure(answer)).toEqual([type, retry]);
});

test('reading is limited in time', async () => {
  const origin = await h2Origin((stream) => {
    if (stream.session !== undefined) stream.resume();
  });
  const session = await h2Session(connector(), origin.peer());
  session.readTimeout = 20;
  session.writeRequestHeader(request(), true);
  const error = await failure(polled(() => session.readResponseHeader()));
  expect(error.toString()).toBe(' ReadTimedout context: while reading h2 response header');
  session.close();
});

test('a stream that is dropped is cancelled, one that is given up is reset', async () => {
  const codes: Promise<unknown>[] = [];
  const origin = await h2Origin((stream) => {
    codes.push(new Promise((resolve) => stream.on('close', () => resolve(stream.rstCode))));
    stream.respond({ ':status': 200 });
    stream.write('more to come');
  });
  const made = connector();
  const peer = origin.peer();
  peer.options.maxH2Streams = 2;
  const dropped = await h2Session(made, peer);
  const givenUp = made.reusedHttpSession(peer)!;
  for (const session of [dropped, givenUp]) {
    session.writeRequestHeader(request(), true);
    await polled(() => session.readResponseHeader());
  }
  dropped.close();
  givenUp.shutdown();
  expect(await Promise.all(codes)).toEqual([constants.NGHTTP2_CANCEL, constants.NGHTTP2_INTERNAL_ERROR]);
  givenUp.close();
});

test('a server that answers no ping is given up, and whoever waits for it hears why', async () => {
  let heard = Buffer.alloc(0);
  const peer = await rawH2Origin((socket) => {
    socket.write(frame(4, 0, 0, Buffer.alloc(0)));
    socket.on('data', (piece: Buffer) => {
      heard = Buffer.concat([heard, piece]);
    });
  });
  peer.options.h2PingInterval = 10;
  const lines = captureLog('warn');
  const from = connector();
  const session = await h2Session(from, peer);
  session.writeRequestHeader(request(), true);
  const error = await failure(polled(() => session.readResponseHeader()));
  expect(error.reasonStr()).toBe('PingTimedout');
  expect(session.pingTimedout()).toBe(true);
  // type 6, no ACK, eight bytes
  expect(heard.includes(Buffer.from([0, 0, 8, 6, 0]))).toBe(true);
  expect(lines.map(({ msg }) => msg).filter((msg) => /ping/i.test(msg))).toEqual([
    expect.stringMatching(/^H2 fd: \d+ ping timeout$/),
    expect.stringMatching(/^H2 connection Ping timeout\/Error fd: \d+, closing conn$/),
  ]);
  session.close();
  // nobody gets the connection again
  expect(from.reusedHttpSession(peer)).toBeUndefined();
});

test('pings go on while the server answers them', async () => {
  const origin = await h2Origin();
  const peer = origin.peer();
  peer.options.h2PingInterval = 10;
  const session = await h2Session(connector(), peer);
  await get(session);
  for (let i = 0; i < 2; i++) await once(origin.sessions[0]!, 'ping');
  expect(session.pingTimedout()).toBe(false);
  session.close();
});

import { afterEach, describe, expect, it, vi } from 'vitest';
import { ErrorType, PingoraError } from '../../../src/error/lib.ts';
import { ResponseHeader } from '../../../src/http/lib.ts';
import { HttpSession } from '../../../src/protocols/h1/server.ts';
import { HttpTask } from '../../../src/protocols/http/mod.ts';
import { PENDING } from '../../../src/runtime/poll.ts';
import { polled, promised, Task } from '../../../src/runtime/task.ts';
import { type Pair, pair, turn } from '../../support/streams.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

/** A session whose client has sent `text`. */
async function session(text: string): Promise<Pair & { session: HttpSession }> {
  const connection = await pair();
  connection.peer.send(text);
  return { ...connection, session: HttpSession.new(connection.stream) };
}

/** As {@link session}, with the head read. */
async function request(text: string): Promise<Pair & { session: HttpSession }> {
  const connection = await session(text);
  await promised(connection.session.readRequest());
  return connection;
}

async function failure(promise: Promise<unknown>): Promise<PingoraError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(PingoraError);
  return error as PingoraError;
}

async function body(of: HttpSession): Promise<string> {
  let text = '';
  for (
    let piece = await polled(() => of.readBodyBytes());
    piece !== undefined;
    piece = await polled(() => of.readBodyBytes())
  ) {
    text += piece.toString('latin1');
  }
  return text;
}

function response(status: number, ...fields: [string, string][]): ResponseHeader {
  const head = ResponseHeader.build(status);
  for (const [name, value] of fields) head.appendHeader(name, value);
  return head;
}

async function answer(of: HttpSession, text: string): Promise<void> {
  await of.writeResponseHeader(response(200, ['Content-Length', String(text.length)]));
  await of.writeBody(Buffer.from(text));
  await of.finishBody();
}

const dateless = (wire: string) => wire.replace(/Date: [^\r]*/g, 'Date: *');

describe('reading a request', () => {
  it.each(['', 'GET / HT'])('goes on when it is woken for nothing after %j', async (begin) => {
    const connection = await pair();
    const reading = HttpSession.new(connection.stream).readRequest();
    let head: number | undefined;
    const task = new Task(reading, null, { resolve: (size) => (head = size), reject: () => {} });
    task.poll();
    if (begin !== '') {
      connection.peer.send(begin);
      await connection.arrived(begin.length);
    }
    task.wake();
    await turn();
    connection.peer.send(GET.slice(begin.length));
    while (head === undefined) await turn();
    expect(head).toBe(GET.length);
  });

  it('is the same wherever the network cuts its head', async () => {
    const text = 'POST /p HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello';
    for (let cut = 1; cut < text.length; cut++) {
      const connection = await session(text.slice(0, cut));
      const reading = promised(connection.session.readRequest());
      await connection.arrived(cut);
      connection.peer.send(text.slice(cut));
      expect(await reading).toBe(text.length - 5);
      expect(await body(connection.session)).toBe('hello');
      expect(connection.session.reqHeader().headerToH1Wire()).toBe('Host: a\r\nX-A: 1\r\nContent-Length: 5\r\n');
      expect(connection.session.getHeadersRawBytes().toString()).toBe(text.slice(0, -5));
    }
  });

  it('serves requests that were sent ahead, one session after the other', async () => {
    const first = 'POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc';
    const second = 'POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n';
    const { stream, peer } = await session(first + second + GET);
    const seen: string[] = [];
    let next: typeof stream | undefined = stream;
    while (next !== undefined && seen.length < 3) {
      const one: HttpSession = HttpSession.new(next);
      await promised(one.readRequest());
      seen.push(`${one.requestSummary()} ${await body(one)}`);
      await answer(one, 'ok');
      next = one.reuse();
    }
    expect(seen).toEqual(['POST /1, Host: a abc', 'POST /2, Host: a x', 'GET /, Host: a ']);
    expect(next).toBe(stream);
    expect((await peer.until((got) => got.split('ok').length === 4)).split('HTTP/1.1 200 OK').length).toBe(4);
  });

  it('takes a head of many kilobytes, more than waits unread', async () => {
    const large = 'x'.repeat(300_000);
    const { session: one } = await request(`GET / HTTP/1.1\r\nHost: a\r\nX-Large: ${large}\r\n\r\n`);
    expect(one.getHeader('x-large')?.length).toBe(large.length);
  });

  it('refuses a head over a megabyte', async () => {
    const { session: one, peer } = await session('GET / HTTP/1.1\r\n');
    const line = `X: ${'y'.repeat(8000)}\r\n`;
    for (let i = 0; i < 140; i++) peer.send(line);
    const error = await failure(promised(one.readRequest()));
    expect([error.etype().name, error.context]).toEqual(['HTTPStatus', 'Request header larger than 1048575']);
    expect(error.etype().code).toBe(431);
  });

  it('refuses a target over a megabyte as such', async () => {
    const { session: one, peer } = await session('GET /');
    const error = failure(promised(one.readRequest()));
    for (let i = 0; i < 140; i++) peer.send('y'.repeat(8000));
    expect((await error).etype()).toMatchObject({ name: 'HTTPStatus', code: 414 });
  });

  it.each([
    ['absolute form', 'GET http://b.test:81/x?q HTTP/1.1\r\nHost: a\r\n\r\n', '/x?q', 'b.test:81'],
    ['absolute form without a path', 'GET HTTPS://b.test HTTP/1.1\r\nHost: a\r\n\r\n', '/', 'b.test'],
    ['absolute form with a query alone', 'GET http://b.test?q HTTP/1.1\r\nHost: a\r\n\r\n', '/?q', 'b.test'],
    ['OPTIONS of a server in absolute form', 'OPTIONS http://b.test HTTP/1.1\r\nHost: a\r\n\r\n', '*', 'b.test'],
    ['OPTIONS *', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', '*', 'a'],
    ['a fragment', 'GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n', '/x', 'a'],
    ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', '/', ''],
    ['an address as Host', 'GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n', '/', '[::1]:80'],
  ])('brings the target to origin form: %s', async (_what, text, path, host) => {
    const { session: one } = await request(text);
    expect([one.reqHeader().rawPath(), one.getHeader('host')]).toEqual([path, host]);
    expect(one.reqHeader().headers.getAll('host').length).toBe(1);
  });

  // Who routes by one Host and who routes by the other send the same request to different places.
  it.each([
    ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
    ['two of them', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'],
    ['the same one twice', 'GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n'],
    ['two of them beside an absolute form', 'GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'],
    ['no Host beside an absolute form', 'GET http://a/ HTTP/1.1\r\n\r\n'],
    ['a list', 'GET / HTTP/1.1\r\nHost: a, b\r\n\r\n'],
    ['a path in Host', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n'],
    ['a user in Host', 'GET / HTTP/1.1\r\nHost: user@a\r\n\r\n'],
    ['a space in Host', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n'],
    ['half an address in Host', 'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n'],
    ['an address without brackets in Host', 'GET / HTTP/1.1\r\nHost: ::1\r\n\r\n'],
    ['no address in the brackets of Host', 'GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n'],
    ['a port in Host that is none', 'GET / HTTP/1.1\r\nHost: a:x\r\n\r\n'],
    ['a port in Host with a sign', 'GET / HTTP/1.1\r\nHost: a:+80\r\n\r\n'],
    ['a byte above 127 in Host', 'GET / HTTP/1.1\r\nHost: b\xfccher\r\n\r\n'],
    ['quotes in Host', 'GET / HTTP/1.1\r\nHost: "a"\r\n\r\n'],
    ['angle brackets in Host', 'GET / HTTP/1.1\r\nHost: <a>\r\n\r\n'],
    ['half an escape in Host', 'GET / HTTP/1.1\r\nHost: a%4\r\n\r\n'],
    ['a port in the target that is none', 'GET http://a:x/ HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['half an address in its target', 'GET http://[::1 HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a user in the target', 'GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a backslash in the target’s host', 'GET http://a\\b/ HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a target without a host', 'GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a target that is no path', 'GET x HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['another scheme', 'GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a target that begins with its query', 'GET ?a HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['* for GET', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['CONNECT', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n'],
    ['CONNECT with a path', 'CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['CONNECT in absolute form', 'CONNECT http://a/ HTTP/1.1\r\nHost: a\r\n\r\n'],
  ])('refuses where a request could go to two places: %s', async (_what, text) => {
    const { session: one } = await session(text);
    expect((await failure(promised(one.readRequest()))).etype().name).toBe('InvalidHTTPHeader');
  });

  it.each(['', 'a', 'a:80', 'a:', '1.2.3.4:80', '[::1]', '[::ffff:1.2.3.4]:80', '[v1.a:b]', 'a_b.test', "a%41-'(b)"])(
    'takes what RFC 3986 has for a host: %j',
    async (host) => {
      const { session: one } = await session(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      await promised(one.readRequest());
      expect(one.getHeader('host')).toBe(host);
    },
  );

  // Request smuggling: the proxy ends the body by one field, the origin by the other, and the rest of the body is a
  // request that the proxy never saw.
  it.each([
    ['a length beside chunks', ['Content-Length: 3', 'Transfer-Encoding: chunked']],
    ['chunks beside a length', ['Transfer-Encoding: chunked', 'Content-Length: 3']],
    ['a length of 0 beside chunks', ['Content-Length: 0', 'Transfer-Encoding: chunked']],
    ['two lengths', ['Content-Length: 3', 'Content-Length: 5']],
    ['two lengths, each a number in its way', ['Content-Length: 3', 'Content-Length: 03']],
    ['a list of lengths', ['Content-Length: 3, 5']],
    ['a list of one length twice', ['Content-Length: 3, 3']],
    ['a plus sign', ['Content-Length: +3']],
    ['a minus sign', ['Content-Length: -3']],
    ['a length in hexadecimal', ['Content-Length: 0x3']],
    ['a length with a space in it', ['Content-Length: 1 0']],
    ['a fraction', ['Content-Length: 3.0']],
    ['an exponent', ['Content-Length: 3e1']],
    ['no length at all', ['Content-Length:']],
    ['2^64 and 3', ['Content-Length: 18446744073709551619']],
    ['a length too long to be one', [`Content-Length: ${'0'.repeat(400)}3`]],
    ['a coding that looks like chunked', ['Transfer-Encoding: xchunked']],
    ['chunked twice in one field', ['Transfer-Encoding: chunked, chunked']],
    ['chunked in two fields', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked']],
    ['identity', ['Transfer-Encoding: identity']],
    ['identity after chunked', ['Transfer-Encoding: chunked, identity']],
    ['gzip before chunked', ['Transfer-Encoding: gzip, chunked']],
    ['another coding in a second field', ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity']],
    ['chunked with a parameter', ['Transfer-Encoding: chunked;q=1']],
    ['chunked in quotes', ['Transfer-Encoding: "chunked"']],
    ['chunked after a comma', ['Transfer-Encoding: , chunked']],
    ['no coding', ['Transfer-Encoding:']],
    ['a byte above 127 before it', ['Transfer-Encoding: \xa0chunked']],
  ])('refuses a body whose end can be read in two ways: %s', async (_what, fields) => {
    const head = ['POST / HTTP/1.1', 'Host: a', ...fields].join('\r\n');
    const { session: one } = await session(`${head}\r\n\r\n0\r\n\r\n${GET}`);
    expect((await failure(promised(one.readRequest()))).etype().name).toBe('InvalidHTTPHeader');
  });

  it('refuses chunks in HTTP/1.0, which has none', async () => {
    const { session: one } = await session('POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n');
    expect((await failure(promised(one.readRequest()))).etype().name).toBe('InvalidHTTPHeader');
  });

  it('takes the same length twice as one', async () => {
    const { session: one } = await request(
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\nabc',
    );
    expect(one.reqHeader().headers.getAll('content-length')).toEqual(['3']);
    expect(await body(one)).toBe('abc');
  });

  it('gives nothing when the client leaves without a word, and throws when it leaves in the middle', async () => {
    const silent = await session('');
    silent.peer.socket.end();
    expect(await promised(silent.session.readRequest())).toBeUndefined();
    const half = await session('GET / HT');
    half.peer.socket.end();
    const error = await failure(promised(half.session.readRequest()));
    expect([error.etype().name, error.context]).toEqual([
      'ConnectionClosed',
      'while reading request headers, bytes already read: 8',
    ]);
    const reset = await session('GET / HT');
    const reading = failure(promised(reset.session.readRequest()));
    await reset.arrived(8);
    reset.peer.reset();
    expect((await reading).etype().name).toBe('ReadError');
  });
});

describe('the time for a head', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('is a minute for its first byte', async () => {
    const { session: one } = await session('');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const reading = promised(one.readRequest());
    await vi.advanceTimersByTimeAsync(60_020);
    expect(await reading).toBeUndefined();
  });

  // Slowloris: a byte now and then keeps a timer that is armed for each read from ever going off.
  it('is a minute from the first byte to the last, however they come', async () => {
    const { session: one, peer, arrived } = await session('G');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const reading = failure(promised(one.readRequest()));
    await arrived(1);
    for (let i = 0; i < 7; i++) {
      await vi.advanceTimersByTimeAsync(9_000);
      peer.send('x');
      await arrived(2 + i);
    }
    const error = await reading;
    expect([error.etype().name, error.etype().code]).toEqual(['HTTPStatus', 408]);
  });

  it('is what the session before allowed, on a connection that was kept', async () => {
    const { session: one, stream } = await request(GET);
    one.setServerKeepalive(5);
    await answer(one, '');
    expect(one.reuse()).toBe(stream);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const reading = promised(HttpSession.new(stream).readRequest());
    await vi.advanceTimersByTimeAsync(5_020);
    expect(await reading).toBeUndefined();
  });

  it('is set for each read of the body where the application sets it', async () => {
    const { session: one } = await request('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n');
    one.readTimeout = 1000;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const reading = failure(Promise.resolve(polled(() => one.readBodyBytes())));
    await vi.advanceTimersByTimeAsync(1_020);
    expect((await reading).etype().name).toBe('ReadTimedout');
  });
});

describe('the body of a request', () => {
  // RFC 9112 6.3, the last case; read until the end, as the original does, it would keep the exchange going until then.
  it('is none in HTTP/1.0 without a length', async () => {
    const { session: one } = await request('POST / HTTP/1.0\r\nHost: a\r\n\r\nhello');
    expect([one.isBodyEmpty(), one.isBodyDone()]).toEqual([true, true]);
    expect(await body(one)).toBe('');
  });
});

describe('keeping the connection', () => {
  it.each([
    ['HTTP/1.1', GET, true],
    ['HTTP/1.1 with close', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', false],
    [
      'HTTP/1.1 with close in a second field',
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: y, Close\r\n\r\n',
      false,
    ],
    ['HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n', false],
    ['HTTP/1.0 with keep-alive', 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', false],
  ])('%s', async (_what, text, kept) => {
    const { session: one, stream, peer } = await request(text);
    one.setServerKeepalive(60);
    await answer(one, 'ok');
    expect(one.willKeepalive()).toBe(kept);
    expect(one.reuse()).toBe(kept ? stream : undefined);
    const wire = kept ? await peer.until((got) => got.endsWith('ok')) : await peer.end();
    expect(wire).toContain(`Connection: ${kept ? 'keep-alive' : 'close'}\r\n`);
  });

  it('ends when the service says so', async () => {
    const { session: one } = await request(GET);
    one.setServerKeepalive(undefined);
    await answer(one, '');
    expect(one.reuse()).toBeUndefined();
  });

  // What is left of a body would be read as the next request.
  it('ends when the body was not read to its end', async () => {
    const { session: one, peer } = await request(
      `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${GET.length + 100}\r\n\r\n${GET}`,
    );
    await answer(one, 'no thanks');
    expect(one.reuse()).toBeUndefined();
    expect(await peer.end()).toMatch(/no thanks$/);
  });

  it('ends when the body was refused', async () => {
    const { session: one } = await request(
      `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n${GET}`,
    );
    await failure(body(one));
    await answer(one, '');
    expect(one.reuse()).toBeUndefined();
  });

  it('ends when the response ends with it, and says so', async () => {
    const { session: one, peer } = await request(GET);
    await one.writeResponseHeader(response(200));
    await one.writeBody(Buffer.from('until the end'));
    await one.finishBody();
    expect(one.reuse()).toBeUndefined();
    expect(dateless(await peer.end())).toBe('HTTP/1.1 200 OK\r\nDate: *\r\nConnection: close\r\n\r\nuntil the end');
  });

  it('ends when the client has left', async () => {
    const { session: one, stream, peer } = await request(GET);
    await answer(one, '');
    peer.socket.end();
    await polled(() => stream.pollEnded());
    expect(one.reuse()).toBeUndefined();
  });

  it('does not reset an answer that is on its way when more of the body comes', async () => {
    const { session: one, peer } = await request('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n');
    await answer(one, 'too large');
    one.shutdown();
    peer.send(Buffer.alloc(200_000, 'x'));
    expect(await peer.end()).toMatch(/too large$/);
  });

  it('that is idle is closed when the service ends, and one with a request under way is not', async () => {
    const idle = await session('');
    const reading = promised(idle.session.readRequest());
    await turn();
    idle.session.abortIfIdle();
    expect(await reading).toBeUndefined();
    const busy = await session('GET / HTTP/1.1\r\n');
    const head = promised(busy.session.readRequest());
    await busy.arrived(16);
    busy.session.abortIfIdle();
    busy.peer.send('Host: a\r\n\r\n');
    expect(await head).toBe(27);
  });
});

describe('writing a response', () => {
  it('sends head and body of one turn in one piece, field for field', async () => {
    const { session: one, peer } = await request(GET);
    let pieces = 0;
    peer.socket.on('data', () => pieces++);
    one.writeResponseHeader(response(200, ['x-ODD', '1'], ['Connection', 'x'], ['Content-Length', '5']));
    one.writeBody(Buffer.from('hello'));
    const wire = await peer.until((got) => got.endsWith('hello'));
    expect(pieces).toBe(1);
    expect(dateless(wire)).toBe(
      'HTTP/1.1 200 OK\r\nx-ODD: 1\r\nConnection: keep-alive\r\nContent-Length: 5\r\nDate: *\r\n\r\nhello',
    );
    expect(one.bodyBytesSent()).toBe(5);
  });

  it('sends chunks when it says so, and their end', async () => {
    const { session: one, peer } = await request(GET);
    await one.writeResponseHeader(response(200, ['Transfer-Encoding', 'chunked']));
    await one.writeBody(Buffer.from('hello'));
    await one.finishBody();
    expect(await peer.until((got) => got.endsWith('0\r\n\r\n'))).toMatch(/\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/);
  });

  it('sends no chunks to HTTP/1.0, and closes', async () => {
    const { session: one, peer } = await request('GET / HTTP/1.0\r\n\r\n');
    await one.writeResponseHeader(response(200, ['Transfer-Encoding', 'chunked']));
    await one.writeBody(Buffer.from('hello'));
    await one.finishBody();
    one.reuse();
    expect(dateless(await peer.end())).toBe('HTTP/1.1 200 OK\r\nDate: *\r\nConnection: close\r\n\r\nhello');
  });

  it.each([
    ['HEAD', 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n', 200],
    ['204', GET, 204],
    ['304', GET, 304],
  ])('sends no body for %s, whatever the length says', async (_what, text, status) => {
    const { session: one, peer, stream } = await request(text);
    await one.writeResponseHeader(response(status, ['Content-Length', '5']));
    await one.writeBody(Buffer.from('hello'));
    await one.finishBody();
    expect(one.reuse()).toBe(stream);
    expect(await peer.until((got) => got.endsWith('\r\n\r\n'))).not.toContain('hello');
  });

  it('sends informational heads as they are, then the final one, and no second', async () => {
    const { session: one, peer } = await request(GET);
    await one.writeContinueResponse();
    await one.writeResponseHeader(response(103, ['Link', '</a.css>']));
    await one.writeResponseHeader(response(204));
    await one.writeResponseHeader(response(500));
    const wire = await peer.until((got) => got.includes('204'));
    expect(dateless(wire)).toBe(
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n' +
        'HTTP/1.1 204 No Content\r\nDate: *\r\nConnection: keep-alive\r\n\r\n',
    );
  });

  it('sends no informational head to HTTP/1.0', async () => {
    const { session: one, peer } = await request('GET / HTTP/1.0\r\n\r\n');
    await one.writeResponseHeader(response(103));
    await answer(one, 'ok');
    one.reuse();
    expect(await peer.end()).toMatch(/^HTTP\/1.1 200/);
  });

  it('answers an error without a body', async () => {
    const { session: one, peer } = await request(GET);
    await one.respondError(502);
    expect(dateless(await peer.until((got) => got.endsWith('\r\n\r\n')))).toBe(
      'HTTP/1.1 502 Bad Gateway\r\nServer: Pingora\r\nDate: *\r\nContent-Length: 0\r\n' +
        'Cache-Control: private, no-store\r\nConnection: keep-alive\r\n\r\n',
    );
  });

  it('writes pieces that come together in one write', async () => {
    const { session: one, peer } = await request(GET);
    let writes = 0;
    peer.socket.on('data', () => writes++);
    const head = HttpTask.Header(response(200, ['Content-Length', '10']), false);
    const ended = await one.responseDuplexVec([
      head,
      HttpTask.Body(Buffer.from('hello'), false),
      HttpTask.Body(Buffer.from('world'), true),
    ]);
    expect(ended).toBe(true);
    await peer.until((got) => got.endsWith('helloworld'));
    expect(writes).toBe(1);
  });

  it('sends what came before a failure, then throws it', async () => {
    const { session: one, peer } = await request(GET);
    const head = HttpTask.Header(response(200, ['Content-Length', '10']), false);
    const failed = PingoraError.new(ErrorType.ReadError);
    const tasks = [head, HttpTask.Body(Buffer.from('hello'), false), HttpTask.Failed(failed)];
    expect(() => one.responseDuplexVec(tasks)).toThrow(failed);
    expect(await peer.until((got) => got.endsWith('hello'))).toMatch(/hello$/);
  });

  it('marks a client that has gone as the downstream', async () => {
    const { session: one, stream, peer } = await request(GET);
    peer.reset();
    await polled(() => stream.pollEnded());
    const written = (async () => one.responseDuplexVec([HttpTask.Header(response(204), true)]))();
    const error = await failure(written);
    expect([error.etype().name, error.esource()]).toEqual(['WriteError', 'Downstream']);
  });
});

describe('waiting for the client to leave', () => {
  it('takes no byte of a request that was sent ahead', async () => {
    const { session: one, stream, peer, arrived } = await request(GET);
    const waiting = failure(Promise.resolve(polled(() => one.readBodyOrIdle(true))));
    peer.send('GET /2 HTTP/1.1\r\n');
    await arrived(GET.length + 17);
    expect(stream.buffered().toString()).toBe('GET /2 HTTP/1.1\r\n');
    peer.socket.end();
    expect((await waiting).context).toBe('Prematurely before response header is sent');
  });

  it('can be taken back, and loses nothing', async () => {
    const { session: one, stream, peer } = await request('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n');
    expect(one.readBodyOrIdle(false)).toBe(PENDING);
    one.dropRead();
    peer.send('hello');
    expect(await body(one)).toBe('hello');
    expect(one.readBodyOrIdle(true)).toBe(PENDING);
    one.dropRead();
    await answer(one, '');
    expect(one.reuse()).toBe(stream);
  });

  it('tells a reset from an end', async () => {
    const { session: one, peer } = await request(GET);
    const waiting = failure(polled(() => one.idle()));
    await turn();
    peer.reset();
    expect((await waiting).etype().name).toBe('ReadError');
  });
});

describe('the retry buffer', () => {
  const post = (length: number) =>
    `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n${'x'.repeat(length)}`;

  it('keeps what was read', async () => {
    const { session: one } = await request(post(1000));
    one.enableRetryBuffering();
    expect(one.getRetryBuffer()).toBeUndefined();
    await body(one);
    expect(one.getRetryBuffer()?.length).toBe(1000);
    expect(one.retryBufferTruncated()).toBe(false);
  });

  it('gives up at 64 KiB, and says so', async () => {
    const { session: one } = await request(post(64 * 1024 + 1));
    one.enableRetryBuffering();
    await body(one);
    expect(one.getRetryBuffer()).toBeUndefined();
    expect(one.retryBufferTruncated()).toBe(true);
  });
});

describe('an upgrade', () => {
  const UPGRADE = 'GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n';

  // A request hidden behind an upgrade that nobody agreed to reaches the origin without having passed the proxy.
  it('gives nothing that the client sends until it is agreed to', async () => {
    const { session: one, peer, arrived } = await request(UPGRADE);
    expect([one.isUpgradeReq(), one.isBodyDone(), one.isBodyEmpty()]).toEqual([true, false, false]);
    // the half that reads is the half that writes: it polls again when it has agreed
    expect(one.readBodyOrIdle(false)).toBe(PENDING);
    peer.send('GET /admin');
    await arrived(UPGRADE.length + 10);
    expect(one.readBodyOrIdle(false)).toBe(PENDING);
    await one.writeResponseHeader(response(101, ['Upgrade', 'websocket'], ['Connection', 'Upgrade']));
    const got = await polled(() => one.readBodyOrIdle(false));
    expect(got?.toString()).toBe('GET /admin');
    expect(one.wasUpgraded()).toBe(true);
    expect(await peer.until((wire) => wire.endsWith('\r\n\r\n'))).toBe(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
    );
    // raw bytes both ways, and no connection to keep
    await one.writeBody(Buffer.from('pong'));
    expect(await peer.until((wire) => wire.endsWith('pong'))).toMatch(/\r\n\r\npong$/);
    await one.finishBody();
    expect(one.reuse()).toBeUndefined();
  });

  it('that was agreed to gets no second head', async () => {
    const { session: one, peer } = await request(UPGRADE);
    await one.writeResponseHeader(response(101));
    await one.respondError(502);
    await one.writeBody(Buffer.from('end'));
    expect(await peer.until((wire) => wire.endsWith('end'))).not.toContain('502');
  });

  it('that is refused leaves the next request where it is', async () => {
    const { session: one, stream } = await request(UPGRADE + GET);
    expect(one.readBodyOrIdle(false)).toBe(PENDING);
    await answer(one, 'no');
    expect([one.isBodyDone(), one.wasUpgraded()]).toEqual([true, false]);
    one.dropRead();
    expect(one.reuse()).toBe(stream);
    expect(await promised(HttpSession.new(stream).readRequest())).toBe(GET.length);
  });

  it('whose client leaves before it is answered ends', async () => {
    const { session: one, peer } = await request(UPGRADE);
    const waiting = failure(Promise.resolve(polled(() => one.readBodyOrIdle(false))));
    peer.socket.end();
    expect((await waiting).etype().name).toBe('ConnectionClosed');
  });

  it('with a body has its body read first', async () => {
    const { session: one, stream } = await request(
      `POST / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 5\r\n\r\nhello${GET}`,
    );
    expect(await body(one)).toBe('hello');
    await answer(one, 'stay');
    expect(one.reuse()).toBe(stream);
    expect(await promised(HttpSession.new(stream).readRequest())).toBe(GET.length);
  });

  it('is none in HTTP/1.0', async () => {
    const { session: one } = await request('GET / HTTP/1.0\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n');
    expect([one.isUpgradeReq(), one.isBodyDone()]).toEqual([false, true]);
  });
});

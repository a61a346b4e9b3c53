import { afterEach, describe, expect, it, vi } from 'vitest';
import { PingoraError } from '../../../src/error/lib.ts';
import { RequestHeader } from '../../../src/http/lib.ts';
import { HttpSession } from '../../../src/protocols/h1/client.ts';
import type { HttpTask } from '../../../src/protocols/http/mod.ts';
import { PENDING } from '../../../src/runtime/poll.ts';
import { polled } from '../../../src/runtime/task.ts';
import { type Pair, pair, turn } from '../../support/streams.ts';

type Session = Pair & { session: HttpSession };

function head(method: string, ...fields: [string, string][]): RequestHeader {
  const request = RequestHeader.build(method, '/');
  for (const [name, value] of [['Host', 'a'] as [string, string], ...fields]) request.appendHeader(name, value);
  return request;
}

/** A session that has sent a request; the origin has answered `text`. */
async function asked(text: string, request = head('GET')): Promise<Session> {
  const connection = await pair();
  const session = HttpSession.new(connection.stream);
  await session.writeRequestHeader(request);
  connection.peer.send(text);
  return { ...connection, session };
}

/** All of a response: its heads, its body, and how it ended. */
async function response(of: HttpSession): Promise<{ heads: number[]; body: string }> {
  const heads: number[] = [];
  let body = '';
  for (;;) {
    const task: HttpTask = await polled(() => of.readResponseTask());
    if (task.type === 'Header') heads.push(task.header.status);
    else if (task.type === 'Body') body += task.data?.toString('latin1') ?? '';
    if (task.type === 'Done' || ((task.type === 'Header' || task.type === 'Body') && task.end)) return { heads, body };
  }
}

async function failure(promise: Promise<unknown>): Promise<PingoraError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(PingoraError);
  return error as PingoraError;
}

describe('sending a request', () => {
  it('writes head and body as they are', async () => {
    const { session, peer } = await asked('', head('POST', ['x-ODD', '1'], ['Content-Length', '5']));
    await session.writeBody(Buffer.from('hello, world'));
    await session.finishBody();
    expect(await peer.until((got) => got.endsWith('hello'))).toBe(
      'POST / HTTP/1.1\r\nHost: a\r\nx-ODD: 1\r\nContent-Length: 5\r\n\r\nhello',
    );
    expect(session.bodyBytesSent()).toBe(5);
  });

  it('writes chunks when the head says so', async () => {
    const { session, peer } = await asked('', head('POST', ['Transfer-Encoding', 'chunked']));
    await session.writeBody(Buffer.from('hello'));
    await session.finishBody();
    expect(await peer.until((got) => got.endsWith('0\r\n\r\n'))).toMatch(/\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/);
  });

  it('fails when the origin has gone', async () => {
    const connection = await pair();
    connection.peer.reset();
    await polled(() => connection.stream.pollEnded());
    const session = HttpSession.new(connection.stream);
    expect(() => session.writeRequestHeader(head('GET'))).toThrow('while writing request headers');
  });
});

describe('reading a response', () => {
  it.each([
    ['a length', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'],
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX: 1\r\n\r\n'],
    [
      'an informational head before it',
      'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
    ],
  ])('is the same wherever the network cuts it: %s', async (what, text) => {
    for (let cut = 1; cut < text.length; cut++) {
      const { session, peer, arrived, stream } = await asked(text.slice(0, cut));
      const reading = response(session);
      await arrived(cut);
      peer.send(text.slice(cut));
      expect(await reading).toEqual({ heads: what.startsWith('an') ? [103, 200] : [200], body: 'hello' });
      session.respectKeepalive();
      expect(session.reuse()).toBe(stream);
    }
  });

  it('ends with the connection when it has no length', async () => {
    const { session, peer } = await asked('HTTP/1.1 200 OK\r\n\r\nhello');
    peer.socket.end();
    expect(await response(session)).toEqual({ heads: [200], body: 'hello' });
    session.respectKeepalive();
    expect(session.reuse()).toBeUndefined();
  });

  it.each([
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', head('HEAD')],
    ['HEAD, chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', head('HEAD')],
    ['204', 'HTTP/1.1 204 No Content\r\n\r\n', head('GET')],
    ['304', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', head('GET')],
    ['a length of 0', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', head('GET')],
  ])('ends with its head: %s', async (_what, text, request) => {
    const { session, stream } = await asked(text, request);
    const task = await polled(() => session.readResponseTask());
    expect(task.type === 'Header' && task.end).toBe(true);
    session.respectKeepalive();
    expect(session.reuse()).toBe(stream);
  });

  it('believes the chunks where there is a length too, and passes only them on', async () => {
    const { session } = await asked(
      'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    );
    expect((await response(session)).body).toBe('hello');
    expect(session.respHeader()!.headerToH1Wire()).toBe('Transfer-Encoding: chunked\r\n');
  });

  // Response splitting: what the proxy takes for a body the client takes for a response, or the next client does.
  it.each([
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nhello'],
    ['a list of lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3, 5\r\n\r\nhello'],
    ['a plus sign', 'HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello'],
    ['a negative length', 'HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello'],
    ['chunked twice', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['gzip and chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    [
      'chunked and identity',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n',
    ],
    // no client of HTTP/1.0 or HTTP/2 could be told that the body is coded
    ['gzip alone', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nzz'],
    ['identity', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello'],
    ['a 101 that nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n'],
    ['no HTTP', 'SSH-2.0-OpenSSH_9.6\r\n\r\n'],
  ])('refuses %s', async (_what, text) => {
    const { session } = await asked(text);
    expect((await failure(response(session))).etype().name).toBe('InvalidHTTPHeader');
  });

  it('takes the same length twice as one', async () => {
    const { session } = await asked('HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\nhello');
    expect((await response(session)).body).toBe('hello');
    expect(session.respHeader()!.headers.getAll('content-length')).toEqual(['5']);
  });

  it('takes a head of many kilobytes and refuses one over a megabyte', async () => {
    const line = `X: ${'y'.repeat(8000)}\r\n`;
    const large = await asked(`HTTP/1.1 200 OK\r\n${line.repeat(40)}Content-Length: 0\r\n\r\n`);
    expect(await response(large.session)).toEqual({ heads: [200], body: '' });
    const huge = await asked(`HTTP/1.1 200 OK\r\n${line.repeat(140)}`);
    expect((await failure(response(huge.session))).context).toBe('Response header larger than 1048575');
  });

  it('says that a connection which ended before an answer may be tried again if it was a reused one', async () => {
    const { session, peer } = await asked('');
    peer.socket.end();
    const error = await failure(response(session));
    expect([error.etype().name, error.retryType]).toEqual(['ConnectionClosed', 'ReusedOnly']);
    const reset = await asked('');
    const reading = failure(response(reset.session));
    await turn();
    reset.peer.reset();
    const broken = await reading;
    expect([broken.etype().name, broken.retryType]).toEqual(['ReadError', 'ReusedOnly']);
  });

  it('can be taken back', async () => {
    const { session, stream, peer } = await asked('');
    expect(session.readResponseTask()).toBe(PENDING);
    stream.dropRead();
    peer.send('HTTP/1.1 204 No Content\r\n\r\n');
    expect(await response(session)).toEqual({ heads: [204], body: '' });
  });
});

describe('its time', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('runs for each read of the head and of the body', async () => {
    const { session, peer, arrived } = await asked('');
    session.readTimeout = 500;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const first = failure(Promise.resolve(polled(() => session.readResponse())));
    await vi.advanceTimersByTimeAsync(520);
    expect((await first).etype().name).toBe('ReadTimedout');
    const text = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n';
    peer.send(text);
    await arrived(text.length);
    await polled(() => session.readResponse());
    const second = failure(Promise.resolve(polled(() => session.readBodyRef())));
    await vi.advanceTimersByTimeAsync(520);
    expect((await second).context).toBe('reading body, timeout: 500ms');
  });
});

describe('keeping the connection', () => {
  it.each([
    ['HTTP/1.1', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', true],
    ['HTTP/1.1 with close', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n', false],
    [
      'HTTP/1.1 with close in a second field',
      'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x\r\nConnection: close\r\n\r\n',
      false,
    ],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n', false],
    ['HTTP/1.0 with keep-alive', 'HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n', true],
    // Response queue poisoning: the origin may go on to send what the proxy takes for no body.
    [
      'HTTP/1.0 with keep-alive and chunks',
      'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n',
      false,
    ],
    [
      'a length beside chunks',
      'HTTP/1.1 200 OK\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      false,
    ],
    ['204 with a length', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n', false],
    ['204 with a length of 0', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n', true],
    ['204 with chunks', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n', false],
  ])('%s', async (_what, text, kept) => {
    const { session, stream } = await asked(text);
    await response(session);
    session.respectKeepalive();
    expect(session.reuse()).toBe(kept ? stream : undefined);
  });

  it.each([
    ['is here', 'Content-Length: 5\r\n\r\nhello'],
    ['is still to come', 'Content-Length: 5\r\n\r\n'],
    ['is still to come, in chunks', 'Transfer-Encoding: chunked\r\n\r\n'],
  ])('ends when the response was not read to its end, which %s', async (_where, rest) => {
    const { session } = await asked(`HTTP/1.1 200 OK\r\n${rest}`);
    await polled(() => session.readResponse());
    session.respectKeepalive();
    expect(session.reuse()).toBeUndefined();
  });

  // Response queue poisoning: what follows a response would be the answer to the next client's request.
  it('ends when something follows the response', async () => {
    const { session } = await asked(
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil',
    );
    expect((await response(session)).body).toBe('ok');
    session.respectKeepalive();
    expect(session.reuse()).toBeUndefined();
  });
});

describe('an upgrade', () => {
  const UPGRADE = head('GET', ['Upgrade', 'websocket'], ['Connection', 'Upgrade']);

  it('that is agreed to sends and reads raw bytes from then on', async () => {
    const { session, peer } = await asked('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nhel', UPGRADE);
    const task = await polled(() => session.readResponseTask());
    expect(task.type === 'Header' && [task.header.status, task.end]).toEqual([101, false]);
    expect(session.wasUpgraded()).toBe(true);
    await session.writeBody(Buffer.from('ping'));
    await peer.until((got) => got.endsWith('\r\n\r\nping'));
    peer.socket.end('lo');
    let body = '';
    for (
      let next = await polled(() => session.readBodyRef());
      next !== undefined;
      next = await polled(() => session.readBodyRef())
    )
      body += next;
    expect(body).toBe('hello');
    session.respectKeepalive();
    expect(session.reuse()).toBeUndefined();
  });

  it('that is refused is a response like any other', async () => {
    const { session, stream } = await asked('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno', UPGRADE);
    expect(await response(session)).toEqual({ heads: [200], body: 'no' });
    expect(session.wasUpgraded()).toBe(false);
    session.respectKeepalive();
    expect(session.reuse()).toBe(stream);
  });
});

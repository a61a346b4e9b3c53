/** With `node:http2` at the other end, in both directions. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http2';
import { describe, expect, test } from 'vitest';
import type { ClientConnection } from '../../src/h2/client.ts';
import { H2Error, Reason } from '../../src/h2/reason.ts';
import type { Stream } from '../../src/h2/stream.ts';
import { nodeClient, nodeServer, ourClient, ourServer } from './peers.ts';
import { ready, whole } from './poll.ts';

const SIZES = [0, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 1_000_000];

function body(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + (i >> 8)) & 255;
  return bytes;
}

const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/** Sends back what comes, piece by piece. */
async function echo(stream: Stream): Promise<void> {
  stream.respond(200, ['Content-Type'], ['text/plain'], false);
  for (;;) {
    const piece = await ready(() => stream.pollData());
    if (piece === undefined) break;
    await ready(() => stream.pollCapacity());
    stream.sendData(piece, false);
  }
  stream.sendData(Buffer.alloc(0), true);
  await ready(() => stream.pollFlushed());
}

function request(
  client: ClientConnection,
  method: string,
  path: string,
  end: boolean,
  more: [string, string][] = [],
): Stream {
  return client.request(
    {
      method,
      scheme: 'http',
      authority: 'a.test',
      path,
      names: more.map(([name]) => name),
      values: more.map(([, value]) => value),
    },
    end,
  );
}

describe('our server and the client of node:http2', () => {
  test.each(SIZES)('a body of %i bytes there and back', async (size) => {
    const { port } = await ourServer(echo);
    const stream = nodeClient(port).request({ ':path': '/', ':method': 'POST' });
    stream.end(body(size));
    const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    expect(headers[':status']).toBe(200);
    const pieces: Buffer[] = [];
    for await (const piece of stream) pieces.push(piece as Buffer);
    expect(digest(Buffer.concat(pieces))).toBe(digest(body(size)));
  });

  test('interim responses, trailers both ways, and fields of any size that the limit allows', async () => {
    const large = 'v'.repeat(40_000);
    const { port } = await ourServer(async (stream) => {
      stream.respond(103, ['link'], ['</a>'], false);
      await whole(stream);
      stream.respond(200, ['x-large', 'x-trailer'], [large, stream.trailers!.values[0]!], false);
      stream.sendData(Buffer.from('body'), false);
      stream.sendTrailers(['X-End'], ['yes']);
    });
    const stream = nodeClient(port, { maxHeaderListPairs: 100, settings: { maxHeaderListSize: 65_536 } }).request(
      { ':path': '/', ':method': 'POST', 'x-large': large },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sent': 'there' }));
    const interim = once(stream, 'headers');
    const response = once(stream, 'response');
    const trailers = once(stream, 'trailers');
    stream.end('x');
    expect((await interim)[0]).toMatchObject({ ':status': 103, link: '</a>' });
    expect((await response)[0]).toMatchObject({ 'x-large': large, 'x-trailer': 'there' });
    stream.resume();
    expect((await trailers)[0]).toMatchObject({ 'x-end': 'yes' });
  });

  test('many streams at once, each with its own answer', async () => {
    const { port } = await ourServer(async (stream) => {
      stream.respond(200, [], [], false);
      stream.sendData(Buffer.from(stream.head!.path!), true);
    });
    const client = nodeClient(port);
    const answers = Array.from({ length: 100 }, async (_, n) => {
      const stream = client.request({ ':path': `/${n}` });
      stream.setEncoding('utf8');
      let text = '';
      for await (const piece of stream) text += piece;
      return text;
    });
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 100 }, (_, n) => `/${n}`));
  });

  test('a reset by the client is told to whoever watches, and to whoever reads', async () => {
    let seen: number | undefined;
    let failed: unknown;
    const { port } = await ourServer(async (stream) => {
      const reading = whole(stream).catch((error: unknown) => {
        failed = error;
      });
      seen = await ready(() => stream.pollReset());
      await reading;
    });
    const stream = nodeClient(port).request({ ':path': '/', ':method': 'POST' });
    stream.on('error', () => {});
    stream.write('x');
    await once(stream, 'ready');
    stream.close(8);
    await once(stream, 'close');
    await expect.poll(() => seen).toBe(8);
    expect(failed).toBeInstanceOf(H2Error);
  });

  test('a stream that is given up before its end is reset, one whose answer is whole ends the upload with NO_ERROR', async () => {
    const { port } = await ourServer(async (stream) => {
      if (stream.head!.path === '/given-up') return;
      stream.respond(200, [], [], false);
      stream.sendData(Buffer.from('whole'), true);
    });
    const client = nodeClient(port);
    const given = client.request({ ':path': '/given-up' });
    given.on('error', () => {});
    await once(given, 'close');
    expect(given.rstCode).toBe(Reason.CANCEL);
    const upload = client.request({ ':path': '/upload', ':method': 'POST' });
    upload.write('x');
    upload.setEncoding('utf8');
    let text = '';
    for await (const piece of upload) text += piece;
    expect(text).toBe('whole');
    expect(upload.rstCode).toBe(Reason.NO_ERROR);
  });

  test('shutting down in good order: what is on its way is served, then the connection closes', async () => {
    let answer: (() => void) | undefined;
    const { port, connections } = await ourServer(async (stream) => {
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      stream.respond(200, [], [], true);
    });
    const client = nodeClient(port);
    const goaway = once(client, 'goaway');
    const closed = once(client, 'close');
    const stream = client.request({ ':path': '/' });
    await expect.poll(() => answer).toBeDefined();
    connections[0]!.gracefulShutdown();
    expect((await goaway)[0]).toBe(0);
    answer!();
    expect((await once(stream, 'response'))[0]).toMatchObject({ ':status': 200 });
    await closed;
    expect(connections[0]!.closed).toBe(true);
    expect(connections[0]!.error).toBeNull();
  });

  test('a client that leaves: all its streams are told at once', async () => {
    const ended: string[] = [];
    let begun = 0;
    const { port } = await ourServer(async (stream) => {
      begun++;
      try {
        await whole(stream);
      } catch (error) {
        ended.push((error as H2Error).kind);
      }
    });
    const client = nodeClient(port);
    for (let n = 0; n < 3; n++) {
      const stream = client.request({ ':path': '/', ':method': 'POST' });
      stream.on('error', () => {});
      stream.write('x');
    }
    await expect.poll(() => begun).toBe(3);
    client.destroy();
    await expect.poll(() => ended.length).toBe(3);
  });
});

describe('our client and the server of node:http2', () => {
  test.each(SIZES)('a body of %i bytes there and back', async (size) => {
    const port = await nodeServer((stream) => {
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
    });
    const client = await ourClient(port);
    const stream = request(client, 'POST', '/', false);
    const sent = (async () => {
      const bytes = body(size);
      for (let pos = 0; pos < size; pos += 50_000) {
        await ready(() => stream.pollCapacity());
        stream.sendData(bytes.subarray(pos, pos + 50_000), false);
      }
      stream.sendData(Buffer.alloc(0), true);
    })();
    expect(await ready(() => stream.pollHead())).toMatchObject({ status: 200 });
    expect(digest(await whole(stream))).toBe(digest(body(size)));
    await sent;
    expect(client.openStreams).toBe(0);
  });

  test('interim responses, trailers both ways', async () => {
    const port = await nodeServer((stream) => {
      stream.additionalHeaders({ ':status': 103, link: '</a>' });
      stream.on('trailers', (trailers: IncomingHttpHeaders) => {
        stream.respond({ ':status': 200, 'x-trailer': trailers['x-sent'] }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }));
        stream.end('body');
      });
      stream.resume();
    });
    const client = await ourClient(port);
    const stream = request(client, 'POST', '/', false);
    stream.sendData(Buffer.from('x'), false);
    stream.sendTrailers(['X-Sent'], ['there']);
    expect(await ready(() => stream.pollHead())).toMatchObject({ status: 103, names: ['link'] });
    expect(await ready(() => stream.pollHead())).toMatchObject({ status: 200 });
    expect((await whole(stream)).toString()).toBe('body');
    expect(stream.trailers).toMatchObject({ names: ['x-end'], values: ['yes'] });
  });

  test('a response to HEAD has a length and no body', async () => {
    const port = await nodeServer((stream) =>
      stream.respond({ ':status': 200, 'content-length': '67' }, { endStream: true }),
    );
    const client = await ourClient(port);
    const stream = request(client, 'HEAD', '/', true);
    expect(await ready(() => stream.pollHead())).toMatchObject({ contentLength: 67 });
    expect(await whole(stream)).toHaveLength(0);
  });

  test('as many streams as the server takes; another one waits', async () => {
    const waiting: (() => void)[] = [];
    const port = await nodeServer(
      (stream) => {
        waiting.push(() => stream.respond({ ':status': 200 }, { endStream: true }));
      },
      { settings: { maxConcurrentStreams: 2 } },
    );
    const client = await ourClient(port);
    await expect.poll(() => client.maxStreams).toBe(2);
    request(client, 'GET', '/', true);
    request(client, 'GET', '/', true);
    let third = false;
    const free = ready(() => client.pollReady()).then(() => {
      third = true;
    });
    await expect.poll(() => waiting.length).toBe(2);
    expect(third).toBe(false);
    waiting[0]!();
    await free;
  });

  test('a refused stream and one above the last of a GOAWAY were not processed', async () => {
    const port = await nodeServer((stream, headers) => {
      if (headers[':path'] === '/refused') stream.close(Reason.REFUSED_STREAM);
      else stream.session!.goaway(0, 1);
    });
    const client = await ourClient(port);
    const refused = request(client, 'GET', '/refused', true);
    await expect(ready(() => refused.pollHead())).rejects.toMatchObject({
      kind: 'reset',
      reason: Reason.REFUSED_STREAM,
    });
    const above = request(client, 'GET', '/', true);
    await expect(ready(() => above.pollHead())).rejects.toMatchObject({ kind: 'goaway', reason: Reason.NO_ERROR });
    expect(above.isUnprocessed).toBe(true);
    expect(client.isOpen).toBe(false);
    expect(() => request(client, 'GET', '/', true)).toThrow(H2Error);
  });

  test('a body cut short is an error, not an end', async () => {
    const port = await nodeServer((stream) => {
      stream.respond({ ':status': 200 });
      stream.write('part');
      setImmediate(() => stream.destroy(new Error('broken')));
    });
    const client = await ourClient(port);
    const stream = request(client, 'GET', '/', true);
    await ready(() => stream.pollHead());
    await expect(whole(stream)).rejects.toMatchObject({ reason: Reason.INTERNAL_ERROR, initiator: 'remote' });
  });

  test('a ping is answered', async () => {
    const port = await nodeServer(() => {});
    const client = await ourClient(port);
    client.sendPing();
    await ready(() => client.pollPong());
  });

  test('a server that leaves: all streams are told', async () => {
    const port = await nodeServer((stream) => stream.session!.destroy());
    const client = await ourClient(port);
    const stream = request(client, 'GET', '/', true);
    await expect(ready(() => stream.pollHead())).rejects.toBeInstanceOf(H2Error);
    await ready(() => client.pollClosed());
  });
});

test('100 MB each way between our own ends, over both windows many times', async () => {
  const { port } = await ourServer(echo);
  const client = await ourClient(port, { initialWindowSize: 1 << 20, connectionWindowSize: 1 << 20 });
  const stream = request(client, 'POST', '/', false);
  const piece = body(100_000);
  const sent = (async () => {
    for (let n = 0; n < 1000; n++) {
      await ready(() => stream.pollCapacity());
      stream.sendData(piece, n === 999);
    }
  })();
  await ready(() => stream.pollHead());
  let size = 0;
  for (;;) {
    const data = await ready(() => stream.pollData());
    if (data === undefined) break;
    size += data.length;
  }
  await sent;
  expect(size).toBe(100_000_000);
});

import { once } from 'node:events';
import { constants, type ServerHttp2Stream } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import type { PingoraError } from '../../src/error/lib.ts';
import { RequestHeader, type ResponseHeader } from '../../src/http/lib.ts';
import type { Session } from '../../src/proxy/lib.ts';
import { updateH2SchemeAuthority } from '../../src/proxy/proxy-h2.ts';
import { HttpPeer } from '../../src/upstreams/peer.ts';
import { answer, frame, request } from '../protocols/h2/harness.ts';
import { h2Origin, rawH2Origin } from '../support/h2-origin.ts';
import { startH2Proxy, ToPeer } from '../support/h2-proxy.ts';
import { captureLog } from '../support/log.ts';
import { answering, dechunk, HELLO, Origin } from '../support/origin.ts';
import { startProxy } from '../support/proxy.ts';
import { turn } from '../support/streams.ts';

/** An origin that sends back what it gets, and trailers that say what trailers it got. */
const grpc = (stream: ServerHttp2Stream) => {
  let trailers: unknown = 'none';
  stream.on('trailers', (fields) => {
    trailers = fields['x-t'];
  });
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-got': String(trailers) }));
  stream.on('data', (piece) => stream.write(piece));
  stream.on('end', () => stream.end());
};

test.each([
  ['example.com', 'example.com'],
  ['example.com:456', 'example.com:456'],
  ['example.com:', 'example.com:'],
  ['example.com:123:345', 'example.com:123'],
  ['[::1]', '[::1]'],
])('the authority of Host %s is %s', (host, authority) => {
  const header = RequestHeader.build('GET', '/');
  updateH2SchemeAuthority(header, host);
  expect(header.authority).toBe(authority);
});

test.each(['a b', 'user@host', 'a/b', ''])('Host %j is no authority', (host) => {
  expect(() => updateH2SchemeAuthority(RequestHeader.build('GET', '/'), host)).toThrow('invalid authority from host');
});

test('an HTTP/1 client talks to an HTTP/2 origin', async () => {
  const origin = await h2Origin();
  const proxy = await startProxy(new ToPeer(origin.peer()));
  const client = await proxy.client();
  const ask = 'GET /a?b HTTP/1.1\r\nHost: a.test\r\nConnection: x-hop\r\nX-Hop: 1\r\nTE: trailers\r\nX-A: 1\r\n\r\n';
  for (const _ of [1, 2]) {
    client.received = '';
    client.send(ask);
    const got = await client.until((text) => text.endsWith('0\r\n\r\n'));
    expect(got).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(got.toLowerCase()).toContain('transfer-encoding: chunked');
    expect(dechunk(got.slice(got.indexOf('\r\n\r\n') + 4)).body).toBe('hello');
  }
  expect(origin.sessions.length).toBe(1);
  const seen = origin.requests[1]!;
  expect(seen).toMatchObject({ ':method': 'GET', ':path': '/a?b', ':authority': 'a.test', 'x-a': '1' });
  expect([seen.host, seen['x-hop'], seen.connection]).toEqual([undefined, undefined, undefined]);
});

test('an HTTP/1 client that keeps its connection is answered without trailers', async () => {
  const origin = await h2Origin(grpc);
  const proxy = await startProxy(new ToPeer(origin.peer()));
  const client = await proxy.client();
  client.send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc');
  const got = await client.until((text) => text.endsWith('0\r\n\r\n'));
  expect(dechunk(got.slice(got.indexOf('\r\n\r\n') + 4)).body).toBe('abc');
});

test('gRPC passes: HTTP/2 on both sides, trailers both ways', async () => {
  const origin = await h2Origin(grpc);
  const proxy = await startH2Proxy(new ToPeer(origin.peer()));
  const stream = proxy.client().request({ ':method': 'POST', te: 'trailers' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-t': 'yes' }));
  stream.write('abc');
  stream.end('def');
  const got = await answer(stream);
  expect(got.body.toString()).toBe('abcdef');
  expect(got.trailers).toMatchObject({ 'grpc-status': '0', 'x-got': 'yes' });
  expect(got.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
});

test('an application may turn trailers into the end of the body', async () => {
  class App extends ToPeer {
    override responseTrailerFilter(_session: Session, trailers: Iterable<[string, string]>): Buffer {
      return Buffer.from([...trailers].map(([name, value]) => `${name}=${value}`).join('&'));
    }
  }
  const origin = await h2Origin(grpc);
  const proxy = await startH2Proxy(new App(origin.peer()));
  const got = await request(proxy.client(), { ':method': 'POST', te: 'trailers' }, 'body;');
  expect(got.body.toString()).toBe('body;grpc-status=0&x-got=none');
});

test('names that HTTP/1 writes in capitals are written so, in either direction', async () => {
  const h2 = await h2Origin((stream) => {
    stream.respond({ ':status': 200, 'content-type': 'text/plain', 'content-length': '5', server: 's', 'x-a': '1' });
    stream.end('hello');
  });
  const client = await (await startProxy(new ToPeer(h2.peer()))).client();
  client.send('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n');
  const got = await client.until((text) => text.endsWith('hello'));
  for (const line of ['Content-Type: text/plain', 'Content-Length: 5', 'Server: s', 'x-a: 1']) {
    expect(got).toContain(`\r\n${line}\r\n`);
  }

  const h1 = await Origin.start();
  const proxy = await startH2Proxy(new ToPeer(HttpPeer.new(`127.0.0.1:${h1.port}`, false, '')));
  const fields = { ':method': 'POST', 'content-length': '3', 'content-type': 'a/b', accept: '*/*' };
  expect((await request(proxy.client(), fields, 'abc')).status).toBe(200);
  for (const line of ['Content-Length: 3', 'Content-Type: a/b', 'accept: */*']) {
    expect(h1.received).toContain(`\r\n${line}\r\n`);
  }
});

test('the fragment of a path stays here', async () => {
  const origin = await Origin.start();
  const proxy = await startH2Proxy(new ToPeer(HttpPeer.new(`127.0.0.1:${origin.port}`, false, '')));
  expect((await request(proxy.client(), { ':path': '/a?b#c' })).status).toBe(200);
  expect(origin.received).toMatch(/^GET \/a\?b HTTP\/1\.1\r\n/);
});

test('a status of three digits is passed on, whatever it is', async () => {
  const origin = await Origin.start(answering(() => HELLO.replace('200 OK', '999 Denied')));
  const proxy = await startH2Proxy(new ToPeer(HttpPeer.new(`127.0.0.1:${origin.port}`, false, '')));
  expect((await request(proxy.client(), {})).status).toBe(999);
});

test('a body that ends with an empty frame ends once for an HTTP/1 origin', async () => {
  const origin = await Origin.start();
  const proxy = await startH2Proxy(new ToPeer(HttpPeer.new(`127.0.0.1:${origin.port}`, false, '')));
  const stream = proxy.client().request({ ':method': 'POST' });
  stream.write('abc');
  while (!origin.received.includes('abc')) await turn();
  stream.end();
  await once(stream, 'response');
  stream.close();
  expect((await request(proxy.client(), { ':path': '/next' })).status).toBe(200);
  expect(origin.connections[0]!.received).toMatch(/\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET \/next /);
});

test('a large body goes up and down through both sides', async () => {
  const origin = await h2Origin(grpc);
  const proxy = await startH2Proxy(new ToPeer(origin.peer()));
  const body = 'x'.repeat(3 * 1024 * 1024);
  const got = await request(proxy.client(), { ':method': 'POST' }, body);
  expect(got.body.length).toBe(body.length);
});

test('an HTTP/2 client talks to an HTTP/1 origin', async () => {
  const origin = await Origin.start();
  const proxy = await startH2Proxy(new ToPeer(HttpPeer.new(`127.0.0.1:${origin.port}`, false, '')));
  const client = proxy.client();
  const got = await request(client, { ':path': '/a', cookie: ['a=1', 'b=2'] });
  expect([got.status, got.body.toString()]).toEqual([200, 'hello']);
  expect(origin.received).toContain('GET /a HTTP/1.1\r\n');
  expect(origin.received).toContain('cookie: a=1; b=2\r\n');
  expect(origin.received).toContain(`Host: 127.0.0.1:${proxy.port}\r\n`);
  const posted = await request(client, { ':method': 'POST' }, 'abc');
  expect(posted.status).toBe(200);
  expect(origin.received.toLowerCase()).toContain('transfer-encoding: chunked');
});

test('filters change what goes to the origin and to the client', async () => {
  class App extends ToPeer {
    override upstreamRequestFilter(_session: Session, request: RequestHeader): void {
      request.insertHeader('Host', 'changed.test');
      request.insertHeader('X-Up', '1');
    }
    override responseFilter(_session: Session, response: ResponseHeader): void {
      response.insertHeader('X-Down', '2');
    }
  }
  const origin = await h2Origin();
  const proxy = await startH2Proxy(new App(origin.peer()));
  const got = await request(proxy.client(), {});
  expect(got.headers['x-down']).toBe('2');
  expect(origin.requests[0]).toMatchObject({ ':authority': 'changed.test', 'x-up': '1' });
});

test('an answer before the end of the upload is passed on whole', async () => {
  const origin = await h2Origin((stream) => {
    stream.respond({ ':status': 413 });
    stream.end('too long');
    stream.close(constants.NGHTTP2_NO_ERROR);
  });
  const proxy = await startH2Proxy(new ToPeer(origin.peer()));
  const stream = proxy.client().request({ ':method': 'POST' });
  stream.write(Buffer.alloc(1024 * 1024));
  const got = await answer(stream);
  expect([got.status, got.body.toString()]).toEqual([413, 'too long']);
});

// What a peer that dies halfway leaves must not pass for the whole
test('a response cut short is reset, not ended', async () => {
  const origin = await h2Origin((stream) => {
    stream.respond({ ':status': 200 });
    stream.write('half', () => stream.session?.destroy());
  });
  const proxy = await startH2Proxy(new ToPeer(origin.peer()));
  const got = await request(proxy.client(), {});
  expect(got.status).toBe(200);
  expect(got.rstCode).not.toBe(constants.NGHTTP2_NO_ERROR);
});

test('a client that leaves cancels the stream at the origin', async () => {
  let begun: (stream: ServerHttp2Stream) => void = () => {};
  const seen = new Promise<ServerHttp2Stream>((resolve) => {
    begun = resolve;
  });
  const origin = await h2Origin((stream) => begun(stream));
  const proxy = await startH2Proxy(new ToPeer(origin.peer()));
  const stream = proxy.client().request({});
  stream.on('error', () => {});
  const upstream = await seen;
  const closed = new Promise((resolve) => upstream.on('close', resolve));
  stream.close(constants.NGHTTP2_CANCEL);
  await closed;
  expect(upstream.rstCode).toBe(constants.NGHTTP2_CANCEL);
});

test('an origin that wants HTTP/1.1 gets it at the second try, and from then on', async () => {
  const failures: string[] = [];
  class App extends ToPeer {
    override errorWhileProxy(...args: Parameters<ToPeer['errorWhileProxy']>): PingoraError {
      const error = super.errorWhileProxy(...args);
      failures.push(error.reasonStr());
      return error;
    }
  }
  // speaks h2 only to say that it would rather not
  const peer = await rawH2Origin((socket) => {
    let seen = 0;
    socket.on('data', (piece: Buffer) => {
      if (socket.alpnProtocol === 'http/1.1') {
        socket.write(HELLO);
        return;
      }
      if (seen === 0) socket.write(frame(4, 0, 0, Buffer.alloc(0)));
      seen += piece.length;
      if (seen > 80) socket.write(frame(3, 0, 1, Buffer.from([0, 0, 0, 13])));
    });
  }, 'h2,http/1.1');
  peer.options.setHttpVersion(2, 1);
  const proxy = await startH2Proxy(new App(peer));
  const client = proxy.client();
  for (const _ of [1, 2]) {
    const got = await request(client, { 'x-long': 'x'.repeat(60) });
    expect([got.status, got.body.toString()]).toEqual([200, 'hello']);
  }
  expect(failures).toEqual(['H2Downgrade']);
});

// nghttp2 answers with GOAWAY and is deaf from then on
test.each([
  ['bytes that are no frame', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['a frame of the connection that is wrong', frame(8, 0, 0, Buffer.alloc(4))],
])('a server that answers %s keeps no request waiting for ever, nor the next', async (_what, bytes) => {
  let connections = 0;
  const peer = await rawH2Origin((socket) => {
    connections++;
    socket.write(frame(4, 0, 0, Buffer.alloc(0)));
    let seen = 0;
    socket.on('data', (piece: Buffer) => {
      seen += piece.length;
      if (seen < 80) return;
      seen = Number.NEGATIVE_INFINITY;
      socket.write(bytes);
    });
  });
  const proxy = await startProxy(new ToPeer(peer));
  for (const _ of [1, 2]) {
    const client = await proxy.client();
    client.send(`GET / HTTP/1.1\r\nHost: a.test\r\nX-Long: ${'x'.repeat(60)}\r\n\r\n`);
    expect(await client.end()).toMatch(/^HTTP\/1\.1 502 /);
  }
  expect(connections).toBe(2);
});

test('many streams at once over one connection each', async () => {
  const origin = await h2Origin();
  const peer = origin.peer();
  peer.options.maxH2Streams = 100;
  const proxy = await startH2Proxy(new ToPeer(peer));
  const client = proxy.client();
  await request(client, {});
  const all = await Promise.all(Array.from({ length: 50 }, (_, i) => request(client, { ':path': `/${i}` })));
  expect(all.every((got) => got.status === 200 && got.body.toString() === 'hello')).toBe(true);
  expect(origin.sessions.length).toBe(1);
});

test('a request on a connection that the origin gives up meanwhile is tried again, its body with it', async () => {
  const bodies: string[] = [];
  const origin = await h2Origin((stream) => {
    if (stream.id === 3) {
      // the limit of requests: stream 1 was the last
      stream.session?.goaway(constants.NGHTTP2_NO_ERROR, 1);
      return;
    }
    let body = '';
    stream.on('data', (piece) => {
      body += piece;
    });
    stream.on('end', () => {
      bodies.push(body);
      stream.respond({ ':status': 200 });
      stream.end('ok');
    });
  });
  const proxy = await startH2Proxy(new ToPeer(origin.peer()));
  const client = proxy.client();
  for (const body of ['first', 'second']) {
    const got = await request(client, { ':method': 'POST' }, body);
    expect([got.status, got.body.toString()]).toEqual([200, 'ok']);
  }
  expect(bodies).toEqual(['first', 'second']);
  expect(origin.sessions.length).toBe(2);
});

test.each([
  ['HEAD', 200],
  ['GET', 204],
  ['GET', 304],
] as const)(
  'the answer to %s with %i has no body, and the connection of an HTTP/1 client goes on',
  async (method, status) => {
    const origin = await h2Origin((stream) => stream.respond({ ':status': status, etag: '"1"' }, { endStream: true }));
    const proxy = await startProxy(new ToPeer(origin.peer()));
    const client = await proxy.client();
    for (const _ of [1, 2]) {
      client.received = '';
      client.send(`${method} / HTTP/1.1\r\nHost: a.test\r\n\r\n`);
      const got = await client.until((text) => text.endsWith('\r\n\r\n'));
      expect(got.split(' ')[1]).toBe(String(status));
      expect(got.toLowerCase()).not.toContain('transfer-encoding');
    }
  },
);

test('an application that answers itself leaves no stream open, whatever the client still sends', async () => {
  class App extends ToPeer {
    override async requestFilter(session: Session): Promise<boolean> {
      await session.respondError(403);
      return true;
    }
  }
  const origin = await h2Origin();
  const proxy = await startH2Proxy(new App(origin.peer()));
  const client = proxy.client();
  const stream = client.request({ ':method': 'POST' });
  stream.write(Buffer.alloc(200 * 1024));
  const got = await answer(stream);
  expect([got.status, got.rstCode]).toEqual([403, constants.NGHTTP2_NO_ERROR]);
  expect(origin.requests.length).toBe(0);
});

test('an origin that keeps silent is given up in time', async () => {
  const origin = await h2Origin(() => {});
  const peer = origin.peer();
  peer.options.readTimeout = 30;
  const proxy = await startH2Proxy(new ToPeer(peer));
  expect((await request(proxy.client(), {})).status).toBe(502);
});

test('interim answers of an HTTP/2 origin reach clients of either version', async () => {
  const origin = await h2Origin((stream) => {
    stream.additionalHeaders({ ':status': 103, link: '</a>' });
    stream.additionalHeaders({ ':status': 100 });
    stream.respond({ ':status': 200 });
    stream.end('hello');
  });
  const got = await request((await startH2Proxy(new ToPeer(origin.peer()))).client(), {});
  expect([got.interim, got.status, got.body.toString()]).toEqual([[103, 100], 200, 'hello']);
  const client = await (await startProxy(new ToPeer(origin.peer()))).client();
  client.send('POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n');
  const head = await client.until((text) => text.includes('HTTP/1.1 100 '));
  expect(head).toMatch(/^HTTP\/1\.1 103 Early Hints\r\n(?:.*\r\n)*?link: <\/a>\r\n/);
  client.send('x');
  expect(await client.until((text) => text.endsWith('0\r\n\r\n'))).toMatch(/HTTP\/1\.1 200 OK.*hello/s);
});

test('a request that an origin refuses, or that its GOAWAY leaves out, is tried again, a POST too', async () => {
  let asked = 0;
  const origin = await h2Origin((stream) => {
    asked++;
    if (asked === 1) stream.close(constants.NGHTTP2_REFUSED_STREAM);
    else if (asked === 2) stream.session!.goaway(constants.NGHTTP2_NO_ERROR, 1);
    else stream.respond({ ':status': 200 }, { endStream: true });
  });
  const proxy = await startH2Proxy(new ToPeer(origin.peer()));
  expect((await request(proxy.client(), { ':method': 'POST' }, 'body')).status).toBe(200);
  expect(asked).toBe(3);
});

/** Calls `onHead` with the stream of each request's head that comes from the client at the other end. */
function eachHead(socket: TLSSocket, onHead: (stream: number) => void): void {
  let bytes = Buffer.alloc(0);
  let at = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'.length;
  socket.on('data', (piece: Buffer) => {
    bytes = Buffer.concat([bytes, piece]);
    while (bytes.length >= at + 9 && bytes.length >= at + 9 + bytes.readUIntBE(at, 3)) {
      if (bytes[at + 3] === 1) onHead(bytes.readUInt32BE(at + 5));
      at += 9 + bytes.readUIntBE(at, 3);
    }
  });
}

/** GOAWAY that leaves out all streams above `last`. */
const goaway = (last: number, reason: number) => frame(7, 0, 0, Buffer.from([0, 0, 0, last, 0, 0, 0, reason]));

// RFC 9113 8.7 allows to try again what GOAWAY leaves out. Whoever says ENHANCE_YOUR_CALM doesn't want it at once.
test.each([
  ['ENHANCE_YOUR_CALM, by GOAWAY', goaway(0, 11)],
  ['ENHANCE_YOUR_CALM, by RST_STREAM', frame(3, 0, 1, Buffer.from([0, 0, 0, 11]))],
  ['INTERNAL_ERROR, by GOAWAY', goaway(0, 2)],
])('an origin that answers the first request of a connection with %s is not asked again', async (_, bytes) => {
  captureLog('silent');
  let connections = 0;
  const peer = await rawH2Origin((socket) => {
    connections++;
    socket.write(frame(4, 0, 0, Buffer.alloc(0)));
    eachHead(socket, () => socket.write(bytes));
  });
  const proxy = await startH2Proxy(new ToPeer(peer));
  const { status } = await request(proxy.client(), {});
  expect([status, connections]).toEqual([502, 1]);
});

test('a request that an error of a kept connection leaves out is tried again, a POST too', async () => {
  captureLog('silent');
  let connections = 0;
  const peer = await rawH2Origin((socket) => {
    const fails = ++connections === 1;
    socket.write(frame(4, 0, 0, Buffer.alloc(0)));
    let heads = 0;
    eachHead(socket, (stream) => {
      // `:status: 200`, from the static table
      if (++heads === 1 || !fails) socket.write(frame(1, 5, stream, Buffer.from([0x88])));
      else socket.write(goaway(1, 11));
    });
  });
  const client = (await startH2Proxy(new ToPeer(peer))).client();
  expect((await request(client, {})).status).toBe(200);
  expect((await request(client, { ':method': 'POST' }, 'body')).status).toBe(200);
  expect(connections).toBe(2);
});

test('requests around the end of a connection that carries many are all answered', async () => {
  let asked = 0;
  const origin = await h2Origin((stream) => {
    asked++;
    stream.respond({ ':status': 200 });
    stream.end('hello');
    if (asked % 7 === 0) stream.session!.goaway(constants.NGHTTP2_NO_ERROR, stream.id);
  });
  const peer = origin.peer();
  peer.options.maxH2Streams = 10;
  const client = (await startH2Proxy(new ToPeer(peer))).client();
  const answers: Promise<{ status: number | undefined }>[] = [];
  for (let n = 0; n < 60; n++) {
    answers.push(request(client, { ':path': `/${n}` }));
    if (n % 5 === 0) await turn();
  }
  expect((await Promise.all(answers)).map((one) => one.status)).toEqual(new Array(60).fill(200));
});

test.each(['destroy', 'close'] as const)('a client that leaves (%s) lets the origin go', async (how) => {
  let gone = 0;
  const origin = await h2Origin((stream) => {
    stream.on('close', () => gone++);
    stream.respond({ ':status': 200 });
    const more = () => {
      if (!stream.destroyed && stream.write(Buffer.alloc(10_000))) setImmediate(more);
      else stream.once('drain', more);
    };
    more();
  });
  const client = (await startH2Proxy(new ToPeer(origin.peer()))).client();
  const streams = Array.from({ length: 5 }, () => client.request({}));
  for (const stream of streams) stream.on('error', () => {});
  await Promise.all(streams.map((stream) => once(stream, 'response')));
  if (how === 'destroy') client.destroy();
  else for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
  await expect.poll(() => gone, { timeout: 5000 }).toBe(5);
});

test('names that JavaScript knows pass in both directions', async () => {
  const names = ['constructor', '__proto__', 'tostring', 'hasownproperty'];
  const origin = await h2Origin((stream, headers) => {
    const seen = names.map((name) => Object.getOwnPropertyDescriptor(headers, name)?.value);
    stream.respond(
      Object.fromEntries([
        [':status', 200],
        ['x-seen', seen.join()],
        ['constructor', 'there'],
      ]),
    );
    stream.end();
  });
  const client = (await startH2Proxy(new ToPeer(origin.peer()))).client();
  const got = await request(client, Object.fromEntries(names.map((name) => [name, 'here'])));
  expect(got.headers['x-seen']).toBe('here,here,here,here');
  expect(Object.getOwnPropertyDescriptor(got.headers, 'constructor')?.value).toBe('there');
});

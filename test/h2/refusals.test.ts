/** What RFC 9113 refuses, and how: each rule by what breaks it. */
import { describe, expect, test } from 'vitest';
import { PREFACE } from '../../src/h2/frame.ts';
import { Reason, reasonName } from '../../src/h2/reason.ts';
import { type Fields, frame, fresh, GET, headers, literals, POST, served, settings, u32, verdict } from './raw.ts';

const { PROTOCOL_ERROR, FRAME_SIZE_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, COMPRESSION_ERROR, REFUSED_STREAM } =
  Reason;

/** Frames on a connection that was begun; with what error it or the stream ends. */
type Case = [what: string, bytes: Buffer[], level: 'connection' | 'stream', reason: number];

async function refusedWith(bytes: Buffer[]): Promise<[level: string, reason: string]> {
  const { connection, out } = await served();
  connection.receive(Buffer.concat(bytes));
  const found = verdict(await out.frames());
  expect(connection.closed).toBe(found?.level === 'connection');
  // a connection that said GOAWAY is closed, not left open
  expect(out.isEnded).toBe(found?.level === 'connection');
  return [found?.level ?? 'none', found === null ? 'none' : reasonName(found.reason)];
}

const frameCases: Case[] = [
  ['DATA on stream 0', [frame(0, 0, 0, 'aa')], 'connection', PROTOCOL_ERROR],
  ['DATA on an idle stream', [frame(0, 0, 1, 'aa')], 'connection', PROTOCOL_ERROR],
  ['DATA with too much padding', [headers(1, POST, false), frame(0, 8, 1, '05aa')], 'connection', PROTOCOL_ERROR],
  ['DATA padded without a length', [headers(1, POST, false), frame(0, 8, 1)], 'connection', FRAME_SIZE_ERROR],
  ['DATA after the end', [headers(1, GET), frame(0, 0, 1, 'aa')], 'stream', STREAM_CLOSED],
  ['HEADERS on stream 0', [headers(0, GET)], 'connection', PROTOCOL_ERROR],
  ['HEADERS on an even stream', [headers(2, GET)], 'connection', PROTOCOL_ERROR],
  ['HEADERS on a lower stream', [headers(5, GET), headers(3, GET)], 'connection', PROTOCOL_ERROR],
  ['HEADERS after the end', [headers(1, GET), headers(1, GET)], 'stream', STREAM_CLOSED],
  ['HEADERS with too much padding', [frame(1, 12, 1, 'ff82')], 'connection', PROTOCOL_ERROR],
  ['HEADERS padded without a length', [frame(1, 12, 1)], 'connection', FRAME_SIZE_ERROR],
  ['HEADERS with half a priority', [frame(1, 0x24, 1, '0000')], 'connection', FRAME_SIZE_ERROR],
  [
    'a second HEADERS without the end',
    [headers(1, POST, false), headers(1, [['x-a', '1']], false)],
    'stream',
    PROTOCOL_ERROR,
  ],
  [
    'HEADERS that depends on itself',
    [frame(1, 0x25, 1, Buffer.concat([u32(1), Buffer.from([0]), literals(GET)]))],
    'stream',
    PROTOCOL_ERROR,
  ],
  ['PRIORITY on stream 0', [frame(2, 0, 0, '0000000000')], 'connection', PROTOCOL_ERROR],
  ['PRIORITY of four bytes', [headers(1, POST, false), frame(2, 0, 1, '00000000')], 'stream', FRAME_SIZE_ERROR],
  [
    'PRIORITY that depends on itself',
    [headers(1, POST, false), frame(2, 0, 1, '0000000100')],
    'stream',
    PROTOCOL_ERROR,
  ],
  ['RST_STREAM on stream 0', [frame(3, 0, 0, u32(8))], 'connection', PROTOCOL_ERROR],
  ['RST_STREAM on an idle stream', [frame(3, 0, 1, u32(8))], 'connection', PROTOCOL_ERROR],
  ['RST_STREAM of three bytes', [headers(1, GET), frame(3, 0, 1, '000000')], 'connection', FRAME_SIZE_ERROR],
  ['SETTINGS on a stream', [frame(4, 0, 1)], 'connection', PROTOCOL_ERROR],
  ['SETTINGS of five bytes', [frame(4, 0, 0, '0001000010')], 'connection', FRAME_SIZE_ERROR],
  ['an acknowledgement with settings', [frame(4, 1, 0, '000100001000')], 'connection', FRAME_SIZE_ERROR],
  ['an acknowledgement of nothing', [frame(4, 1, 0)], 'connection', PROTOCOL_ERROR],
  ['ENABLE_PUSH of 2', [settings([2, 2])], 'connection', PROTOCOL_ERROR],
  ['INITIAL_WINDOW_SIZE of 2^31', [settings([4, 0x80000000])], 'connection', FLOW_CONTROL_ERROR],
  ['MAX_FRAME_SIZE of 16,383', [settings([5, 16_383])], 'connection', PROTOCOL_ERROR],
  ['MAX_FRAME_SIZE of 2^24', [settings([5, 1 << 24])], 'connection', PROTOCOL_ERROR],
  ['ENABLE_CONNECT_PROTOCOL of 2', [settings([8, 2])], 'connection', PROTOCOL_ERROR],
  ['NO_RFC7540_PRIORITIES of 2', [settings([9, 2])], 'connection', PROTOCOL_ERROR],
  [
    'PUSH_PROMISE from a client',
    [headers(1, POST, false), frame(5, 4, 1, Buffer.concat([u32(2), literals(GET)]))],
    'connection',
    PROTOCOL_ERROR,
  ],
  ['PING on a stream', [frame(6, 0, 1, Buffer.alloc(8))], 'connection', PROTOCOL_ERROR],
  ['PING of seven bytes', [frame(6, 0, 0, Buffer.alloc(7))], 'connection', FRAME_SIZE_ERROR],
  ['GOAWAY on a stream', [frame(7, 0, 1, Buffer.alloc(8))], 'connection', PROTOCOL_ERROR],
  ['GOAWAY of seven bytes', [frame(7, 0, 0, Buffer.alloc(7))], 'connection', FRAME_SIZE_ERROR],
  ['WINDOW_UPDATE of 0 on the connection', [frame(8, 0, 0, u32(0))], 'connection', PROTOCOL_ERROR],
  ['WINDOW_UPDATE of 0 on a stream', [headers(1, POST, false), frame(8, 0, 1, u32(0))], 'stream', PROTOCOL_ERROR],
  ['WINDOW_UPDATE on an idle stream', [frame(8, 0, 1, u32(1))], 'connection', PROTOCOL_ERROR],
  ['WINDOW_UPDATE of three bytes', [frame(8, 0, 0, '000001')], 'connection', FRAME_SIZE_ERROR],
  ['a connection window above 2^31-1', [frame(8, 0, 0, u32(0x7fffffff))], 'connection', FLOW_CONTROL_ERROR],
  [
    'a stream window above 2^31-1',
    [headers(1, POST, false), frame(8, 0, 1, u32(0x7fffffff))],
    'stream',
    FLOW_CONTROL_ERROR,
  ],
  [
    'a stream window above 2^31-1 by SETTINGS',
    [headers(1, POST, false), frame(8, 0, 1, u32(0x7ffeffff)), settings([4, 0x7fffffff])],
    'connection',
    FLOW_CONTROL_ERROR,
  ],
  ['PRIORITY_UPDATE on a stream', [headers(1, POST, false), frame(16, 0, 1, u32(1))], 'connection', PROTOCOL_ERROR],
  ['PRIORITY_UPDATE for stream 0', [frame(16, 0, 0, u32(0))], 'connection', PROTOCOL_ERROR],
  ['PRIORITY_UPDATE for a push', [frame(16, 0, 0, u32(2))], 'connection', PROTOCOL_ERROR],
  ['PRIORITY_UPDATE of three bytes', [frame(16, 0, 0, '000001')], 'connection', FRAME_SIZE_ERROR],
  ['CONTINUATION without HEADERS', [frame(9, 4, 1, '82')], 'connection', PROTOCOL_ERROR],
  ['CONTINUATION on another stream', [frame(1, 0, 1, '82'), frame(9, 4, 3, '84')], 'connection', PROTOCOL_ERROR],
  [
    'another frame within a field block',
    [frame(1, 0, 1, '82'), frame(6, 0, 0, Buffer.alloc(8))],
    'connection',
    PROTOCOL_ERROR,
  ],
  ['an unknown frame within a field block', [frame(1, 0, 1, '82'), frame(0xbb, 0, 1)], 'connection', PROTOCOL_ERROR],
  [
    'a frame longer than MAX_FRAME_SIZE',
    [headers(1, POST, false), frame(0, 0, 1, Buffer.alloc(16_385))],
    'connection',
    FRAME_SIZE_ERROR,
  ],
  ['a block that is no HPACK', [frame(1, 5, 1, 'be')], 'connection', COMPRESSION_ERROR],
  [
    'more data than the connection window',
    [
      headers(1, POST, false),
      headers(3, POST, false),
      ...Array.from({ length: 4 }, () => frame(0, 0, 1, Buffer.alloc(16_384))).map((one, n) =>
        n === 3 ? frame(0, 0, 3, Buffer.alloc(16_384)) : one,
      ),
    ],
    'connection',
    FLOW_CONTROL_ERROR,
  ],
];

describe('frames', () => {
  test.each(frameCases)('%s', async (_what, bytes, level, reason) => {
    expect(await refusedWith(bytes)).toEqual([level, reasonName(reason)]);
  });

  test('more data than the window of a stream', async () => {
    const { connection, out } = await served({ connectionWindowSize: 1 << 20 });
    connection.receive(
      Buffer.concat([
        headers(1, POST, false),
        ...Array.from({ length: 4 }, () => frame(0, 0, 1, Buffer.alloc(16_384))),
      ]),
    );
    expect(verdict(await out.frames())).toEqual({ level: 'stream', reason: FLOW_CONTROL_ERROR, stream: 1 });
  });

  test('a stream above the limit is refused, so that the client may try it again', async () => {
    const { connection, out } = await served({ limits: { maxConcurrentStreams: 1 } });
    connection.receive(Buffer.concat([headers(1, POST, false), headers(3, GET)]));
    expect(verdict(await out.frames())).toEqual({ level: 'stream', reason: REFUSED_STREAM, stream: 3 });
  });

  test('frames of a stream that the client reset are an error of the stream', async () => {
    const { connection, out } = await served();
    connection.receive(Buffer.concat([headers(1, POST, false), frame(3, 0, 1, u32(8)), frame(0, 0, 1, 'aa')]));
    expect(verdict(await out.frames())).toEqual({ level: 'stream', reason: STREAM_CLOSED, stream: 1 });
  });

  test('frames of a stream that ended both ways are an error of the connection', async () => {
    const { connection, out } = await served();
    connection.receive(headers(1, GET));
    const stream = connection.pollAccept();
    if (typeof stream !== 'object') throw new Error('no stream');
    stream.respond(204, [], [], true);
    await out.frames();
    connection.receive(frame(0, 0, 1, 'aa'));
    expect(verdict(await out.frames())).toMatchObject({ level: 'connection', reason: STREAM_CLOSED });
  });

  test('frames of a stream that this end has reset may have been on their way', async () => {
    const { connection, out } = await served();
    connection.receive(headers(1, POST, false));
    const stream = connection.pollAccept();
    if (typeof stream !== 'object') throw new Error('no stream');
    stream.sendReset(Reason.CANCEL);
    await out.frames();
    connection.receive(
      Buffer.concat([frame(0, 0, 1, 'aa'), headers(1, [['x-a', '1']]), frame(8, 0, 1, u32(1)), frame(3, 0, 1, u32(8))]),
    );
    expect(await out.frames()).toEqual([]);
    expect(connection.closed).toBe(false);
  });
});

describe('the beginning', () => {
  test.each([
    ['HTTP/1', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a preface with a wrong last byte', Buffer.concat([PREFACE.subarray(0, 23), Buffer.from('x')])],
    ['PING before SETTINGS', Buffer.concat([PREFACE, frame(6, 0, 0, Buffer.alloc(8))])],
    ['an acknowledgement before SETTINGS', Buffer.concat([PREFACE, frame(4, 1, 0)])],
  ])('%s', async (_what, bytes) => {
    const { connection, out } = fresh();
    connection.receive(bytes);
    expect(verdict(await out.frames())).toMatchObject({ level: 'connection', reason: PROTOCOL_ERROR });
    expect(out.isEnded).toBe(true);
  });
});

const [, scheme, path, authority] = GET as [never, [string, string], [string, string], [string, string]];
const get = (...more: [string, string][]): Fields => [...GET, ...more];

const messageCases: [what: string, fields: Fields][] = [
  ['upper case in a name', get(['X-Upper', '1'])],
  ['an empty name', get(['', '1'])],
  ['a space in a name', get(['x y', '1'])],
  ['a colon in a name', get(['x:y', '1'])],
  ['CR in a value', get(['x-a', 'a\rb'])],
  ['LF in a value', get(['x-a', 'a\nb'])],
  ['NUL in a value', get(['x-a', 'a\0b'])],
  ['a control character in a value', get(['x-a', 'a\x01b'])],
  ['a space before a value', get(['x-a', ' a'])],
  ['a space after a value', get(['x-a', 'a '])],
  ['a tab after a value', get(['x-a', 'a\t'])],
  ['connection', get(['connection', 'close'])],
  ['keep-alive', get(['keep-alive', 'timeout=5'])],
  ['proxy-connection', get(['proxy-connection', 'close'])],
  ['transfer-encoding', get(['transfer-encoding', 'chunked'])],
  ['upgrade', get(['upgrade', 'h2c'])],
  ['te other than trailers', get(['te', 'gzip'])],
  ['no :method', [scheme, path, authority]],
  ['no :scheme', [GET[0]!, path, authority]],
  ['no :path', [GET[0]!, scheme, authority]],
  ['an empty :path', [GET[0]!, scheme, [':path', ''], authority]],
  ['a :path without a slash', [GET[0]!, scheme, [':path', 'x'], authority]],
  ['a :path with a space', [GET[0]!, scheme, [':path', '/a b'], authority]],
  ['* with GET', [GET[0]!, scheme, [':path', '*'], authority]],
  // the paths of other schemes would become targets of HTTP/1 too
  ['a :path with a space, of another scheme', [GET[0]!, [':scheme', 'x'], [':path', '/ HTTP/1.1'], authority]],
  ['a :path without a slash, of another scheme', [GET[0]!, [':scheme', 'x'], [':path', 'a b'], authority]],
  ['an empty :path, of another scheme', [GET[0]!, [':scheme', 'x'], [':path', ''], authority]],
  [':method twice', get([':method', 'GET'])],
  [':path twice', [...GET, [':path', '/']]],
  ['a method that is no token', [[':method', 'GE T'], scheme, path, authority]],
  ['a :scheme that is none', [GET[0]!, [':scheme', '1'], path, authority]],
  [':status in a request', get([':status', '200'])],
  ['an unknown pseudo-header field', get([':x', '1'])],
  ['a pseudo-header field after another field', [['x-a', '1'], ...GET]],
  ['Host other than :authority', get(['host', 'b.test'])],
  ['Host of another port', get(['host', 'a.test:80'])],
  ['Host without the port of :authority', [GET[0]!, scheme, path, [':authority', 'a.test:80'], ['host', 'a.test']]],
  ['Host twice', [GET[0]!, scheme, path, ['host', 'a.test'], ['host', 'a.test']]],
  [':authority with userinfo', [GET[0]!, scheme, path, [':authority', 'user@a.test']]],
  [':authority with a port that is none', [GET[0]!, scheme, path, [':authority', 'a.test:8o']]],
  [':authority with a port above 65,535', [GET[0]!, scheme, path, [':authority', 'a.test:65536']]],
  [':authority with a broken escape', [GET[0]!, scheme, path, [':authority', 'a%2.test']]],
  ['an empty :authority', [GET[0]!, scheme, path, [':authority', '']]],
  ['Host with userinfo', [GET[0]!, scheme, path, ['host', 'user@a.test']]],
  ['Host with a port that is none', [GET[0]!, scheme, path, ['host', 'a.test:x']]],
  ['no host at all', [GET[0]!, scheme, path]],
  ['an empty Host and no :authority', [GET[0]!, scheme, path, ['host', '']]],
  ['CONNECT with :path', [[':method', 'CONNECT'], path, authority]],
  ['CONNECT without :authority', [[':method', 'CONNECT']]],
  ['CONNECT without a port', [[':method', 'CONNECT'], authority]],
  [
    'extended CONNECT that was not offered',
    [[':method', 'CONNECT'], [':protocol', 'websocket'], scheme, path, authority],
  ],
  ['a Content-Length that is no number', get(['content-length', '1x'])],
  ['a negative Content-Length', get(['content-length', '-1'])],
  ['two Content-Lengths', get(['content-length', '0'], ['content-length', '1'])],
  ['a Content-Length and no body', get(['content-length', '5'])],
];

describe('messages', () => {
  test.each(messageCases)('%s', async (_what, fields) => {
    const { connection, out, refused } = await served();
    connection.receive(headers(1, fields));
    expect(verdict(await out.frames())).toEqual({ level: 'stream', reason: PROTOCOL_ERROR, stream: 1 });
    // the log can say why
    expect(refused).toHaveLength(1);
    // the connection serves others
    connection.receive(headers(3, GET));
    expect(connection.pollAccept()).toMatchObject({ id: 3 });
  });

  test.each<[what: string, bytes: Buffer[]]>([
    [
      'a body longer than its Content-Length',
      [headers(1, [...POST, ['content-length', '1']], false), frame(0, 1, 1, 'aaaa')],
    ],
    [
      'a body shorter than its Content-Length',
      [headers(1, [...POST, ['content-length', '3']], false), frame(0, 1, 1, 'aaaa')],
    ],
    [
      'a body shorter, ended by trailers',
      [headers(1, [...POST, ['content-length', '3']], false), headers(1, [['x-a', '1']])],
    ],
    ['a pseudo-header field in trailers', [headers(1, POST, false), headers(1, [[':path', '/']])]],
    ['a connection-specific field in trailers', [headers(1, POST, false), headers(1, [['connection', 'x']])]],
  ])('%s', async (_what, bytes) => {
    expect(await refusedWith(bytes)).toEqual(['stream', 'PROTOCOL_ERROR']);
  });

  test.each<[what: string, fields: Fields]>([
    ['te: trailers', get(['te', 'trailers'])],
    ['an IPv6 authority with a port', [GET[0]!, scheme, path, [':authority', '[::1]:443']]],
    ['OPTIONS *', [[':method', 'OPTIONS'], scheme, [':path', '*'], authority]],
    ['the same Content-Length twice', get(['content-length', '0'], ['content-length', '0'])],
    ['names that JavaScript knows', get(['constructor', '1'], ['__proto__', '2'], ['tostring', '3'])],
    ['bytes above 127 in a value', get(['x-a', '\xfc\xff'])],
    ['an empty value', get(['x-a', ''])],
    [
      'CONNECT',
      [
        [':method', 'CONNECT'],
        [':authority', 'a.test:443'],
      ],
    ],
    ['Host alone', [GET[0]!, scheme, path, ['host', 'a.test']]],
    ['an escape in the :authority', [GET[0]!, scheme, path, [':authority', 'a%2Db.test']]],
    ['another scheme', [GET[0]!, [':scheme', 'x'], path, authority]],
  ])('%s is taken', async (_what, fields) => {
    const { connection, out } = await served();
    connection.receive(headers(1, fields));
    const stream = connection.pollAccept();
    if (typeof stream !== 'object') throw new Error('refused');
    expect(verdict(await out.frames())).toBeNull();
    const regular = fields.filter(([name]) => !name.startsWith(':'));
    const unique = regular.filter(([name], n) => regular.findIndex(([other]) => other === name) === n);
    expect(stream.head?.names).toEqual(unique.map(([name]) => name));
    expect(stream.head?.values).toEqual(unique.map(([, value]) => value));
  });

  // RFC 9113 8.3.1 and RFC 3986 6.2.3
  test.each<[what: string, authority: string, host: string, scheme: string]>([
    ['another case', 'a.test', 'A.Test', 'https'],
    ['the port of https', 'a.test', 'a.test:443', 'https'],
    ['without the port of https', 'a.test:443', 'a.test', 'https'],
    ['the port of http', '[::1]', '[::1]:80', 'http'],
    ['an empty port', 'a.test', 'a.test:', 'x'],
  ])('Host with %s is the same as :authority, and goes on as that', async (_what, host, same, name) => {
    const { connection, out } = await served();
    connection.receive(
      headers(1, [GET[0]!, [':scheme', name], path, [':authority', host], ['x-a', same], ['host', same]]),
    );
    expect(verdict(await out.frames())).toBeNull();
    expect(connection.pollAccept()).toMatchObject({ head: { names: ['x-a', 'host'], values: [same, host] } });
  });

  test('extended CONNECT is taken when it was offered', async () => {
    const { connection } = await served({ enableConnectProtocol: true });
    connection.receive(
      headers(1, [[':method', 'CONNECT'], [':protocol', 'websocket'], scheme, path, authority], false),
    );
    expect(connection.pollAccept()).toMatchObject({ head: { protocol: 'websocket', path: '/' } });
  });

  test('a wish for priority is taken, of streams that are there and that are not', async () => {
    const { connection, out } = await served();
    connection.receive(headers(1, POST, false));
    connection.receive(
      Buffer.concat([1, 3, 99].map((id) => frame(16, 0, 0, Buffer.concat([u32(id), Buffer.from('u=1')])))),
    );
    expect(verdict(await out.frames())).toBeNull();
    expect(connection.closed).toBe(false);
  });

  test('what is unknown is ignored: types, flags, settings, the reserved bit', async () => {
    const { connection, out } = await served();
    const reserved = headers(1, GET);
    reserved[5]! |= 0x80;
    connection.receive(Buffer.concat([frame(0xee, 0xff, 7, 'aabb'), frame(0xee, 0, 0), settings([0xff, 1]), reserved]));
    expect(connection.pollAccept()).toMatchObject({ id: 1 });
    expect((await out.frames()).map((one) => one.type)).toEqual([4]);
  });

  test('fields of one name stand together, crumbs of a cookie are one field', async () => {
    const { connection } = await served();
    connection.receive(headers(1, get(['a', '1'], ['cookie', 'x=1'], ['b', '2'], ['a', '3'], ['cookie', 'y=2'])));
    const stream = connection.pollAccept();
    expect(stream).toMatchObject({ head: { names: ['a', 'a', 'cookie', 'b'], values: ['1', '3', 'x=1; y=2', '2'] } });
  });
});

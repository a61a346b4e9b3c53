import { once } from 'node:events';
import {
  brotliCompressSync,
  brotliDecompressSync,
  constants,
  createBrotliDecompress,
  createGunzip,
  gunzipSync,
} from 'node:zlib';
import { expect, test } from 'vitest';
import { RequestHeader, ResponseHeader } from '../../../../src/http/lib.ts';
import * as brotli from '../../../../src/protocols/http/compression/brotli.ts';
import * as gzip from '../../../../src/protocols/http/compression/gzip.ts';
import {
  type Action,
  type Algorithm,
  adjustResponseHeader,
  decideAction,
  parseAcceptEncoding,
  ResponseCompressionCtx,
} from '../../../../src/protocols/http/compression/mod.ts';
import * as zstd from '../../../../src/protocols/http/compression/zstd.ts';
import { HttpTask } from '../../../../src/protocols/http/mod.ts';

function response(fields: Record<string, string>, status = 200): ResponseHeader {
  const header = ResponseHeader.build(status);
  for (const [name, value] of Object.entries(fields)) header.insertHeader(name, value);
  return header;
}

function accepting(value?: string): RequestHeader {
  const header = RequestHeader.build('GET', '/');
  if (value !== undefined) header.insertHeader('Accept-Encoding', value);
  return header;
}

/** The body that comes of `pieces`, the last of which ends it. */
function through(ctx: ResponseCompressionCtx, ...pieces: Buffer[]): Buffer {
  const out: Buffer[] = [];
  pieces.forEach((piece, i) => {
    const task = HttpTask.Body(piece, i === pieces.length - 1);
    const passed = ctx.responseFilter(task) ?? task;
    if (passed.type === 'Failed') throw passed.error;
    if (passed.type === 'Body' && passed.data !== undefined) out.push(passed.data);
  });
  return Buffer.concat(out);
}

test.each<[string | undefined, Algorithm[]]>([
  [undefined, []],
  ['gzip', ['Gzip']],
  ['what, br, gzip', ['Brotli', 'Gzip']],
  ['GZIP ,\tzstd', ['Gzip', 'Zstd']],
  ['gzip;q=0.5, br; q=1;b="x"', ['Gzip', 'Brotli']],
  ['*', []],
  ['gzip;q=0, br', ['Brotli']],
  ['gzip;q=0.000, br;q=0.001', ['Brotli']],
  ['gzip; q=0;a=1, zstd;q=0.', []],
  ['"gzip", (br gzip);q=1, 1.5, ?1, br', ['Brotli']],
  ['gzip,', []],
  ['gzip;Q=1', []],
  ['gzip br', []],
  ['', []],
])('Accept-Encoding %j is %j', (value, expected) => {
  const list: Algorithm[] = [];
  parseAcceptEncoding(accepting(value).headers.get('accept-encoding'), list);
  expect(list).toEqual(expected);
});

const HTML = { 'content-type': 'text/html' };
const NOOP: Action = { type: 'Noop' };
test.each<[string, Record<string, string>, Algorithm[], Action]>([
  ['nothing is asked', {}, [], NOOP],
  ['it has a coding that is accepted', { ...HTML, 'content-encoding': 'gzip' }, ['Gzip'], NOOP],
  ['the coding is in upper case', { ...HTML, 'content-encoding': 'GzIp' }, ['Gzip'], NOOP],
  ['it is long enough', { ...HTML, 'content-length': '20' }, ['Gzip'], { type: 'Compress', algorithm: 'Gzip' }],
  ['it is too short', { ...HTML, 'content-length': '19' }, ['Gzip'], NOOP],
  ['its length is unknown', HTML, ['Brotli'], { type: 'Compress', algorithm: 'Brotli' }],
  ['the type says zip', { 'content-type': 'text/html+zip' }, ['Gzip'], NOOP],
  ['the type is not worth it', { 'content-type': 'image/jpg' }, ['Gzip'], NOOP],
  ['there is no type', { 'content-length': '20' }, ['Gzip'], NOOP],
  ['SVG', { 'content-type': 'image/svg+xml' }, ['Gzip'], { type: 'Compress', algorithm: 'Gzip' }],
  ['no coding is accepted', { 'content-encoding': 'gzip' }, [], { type: 'Decompress', algorithm: 'Gzip' }],
  ['another is accepted', { 'content-encoding': 'gzip' }, ['Brotli'], { type: 'Decompress', algorithm: 'Gzip' }],
  ['it is a part', { ...HTML, 'content-range': 'bytes 0-99/200' }, ['Gzip'], NOOP],
  ['it may not be changed', { ...HTML, 'cache-control': 'public, no-transform' }, ['Gzip'], NOOP],
  ['its coding may not be changed', { 'content-encoding': 'br', 'cache-control': 'No-Transform' }, [], NOOP],
  ['the first coding is not one of ours', HTML, ['Any', 'Gzip'], { type: 'Compress', algorithm: 'Gzip' }],
  ['a less preferred one', { 'content-encoding': 'gzip' }, ['Brotli', 'Gzip'], NOOP],
])('what to do with a response when %s', (_what, fields, accepted, action) => {
  expect(decideAction(response(fields), accepted)).toEqual(action);
});

test('the head says what happens to the body', () => {
  const untouched = response({ 'Content-Length': '20', 'Content-Encoding': 'gzip' });
  adjustResponseHeader(untouched, NOOP);
  expect([...untouched.headers]).toEqual([
    ['Content-Length', '20'],
    ['Content-Encoding', 'gzip'],
  ]);
  const decompressed = response({ 'Content-Length': '20', 'Content-Encoding': 'gzip' });
  adjustResponseHeader(decompressed, { type: 'Decompress', algorithm: 'Gzip' });
  expect([...decompressed.headers]).toEqual([
    ['Vary', 'Accept-Encoding'],
    ['Transfer-Encoding', 'chunked'],
  ]);
  const compressed = response({ 'Content-Length': '20' });
  adjustResponseHeader(compressed, { type: 'Compress', algorithm: 'Brotli' });
  expect([...compressed.headers]).toEqual([
    ['Content-Encoding', 'br'],
    ['Vary', 'Accept-Encoding'],
    ['Transfer-Encoding', 'chunked'],
  ]);
});

test('what the head says of the bytes that were, it says no more', () => {
  const head = response({ ETag: '"x"', 'Accept-Ranges': 'bytes', 'Content-MD5': 'x', Vary: 'Origin' });
  adjustResponseHeader(head, { type: 'Compress', algorithm: 'Gzip' });
  expect([...head.headers]).toEqual([
    ['ETag', 'W/"x"'],
    ['Vary', 'Origin'],
    ['Vary', 'Accept-Encoding'],
    ['Content-Encoding', 'gzip'],
    ['Transfer-Encoding', 'chunked'],
  ]);
  for (const value of ['*', 'Cookie, accept-encoding']) {
    const varies = response({ Vary: value, ETag: 'W/"y"' });
    adjustResponseHeader(varies, { type: 'Compress', algorithm: 'Gzip' });
    expect(varies.headers.getAll('vary')).toEqual([value]);
    expect(varies.headers.get('etag')).toBe('W/"y"');
  }
});

test.each<[string, Record<string, string>, boolean]>([
  ['could have been compressed', HTML, true],
  ['is a part', { ...HTML, 'Content-Range': 'bytes 0-99/200' }, false],
  ['may not be changed', { ...HTML, 'Cache-Control': 'no-transform' }, false],
  ['is an image', { 'content-type': 'image/png' }, false],
])('a response to a client without codings, which %s, says whether it varies', (_what, fields, varies) => {
  const ctx = ResponseCompressionCtx.new(3, false);
  ctx.requestFilter(accepting());
  const head = response(fields);
  ctx.responseFilter(HttpTask.Header(head, false));
  expect(head.headers.has('vary')).toBe(varies);
  expect(head.headers.has('content-encoding')).toBe(false);
});

test('206 is left alone', () => {
  expect(decideAction(response(HTML, 206), ['Gzip'])).toEqual(NOOP);
});

test.runIf(!zstd.hasZstd)('where there is no zstd the next coding is taken', () => {
  expect(decideAction(response(HTML), ['Zstd', 'Brotli'])).toEqual({ type: 'Compress', algorithm: 'Brotli' });
});

// Server-sent events: each is of use when it comes, and the next may come in an hour.
test.each([
  ['gzip', createGunzip],
  ['br', createBrotliDecompress],
] as const)('an event can be read out of %s before the next one comes', async (coding, undo) => {
  const ctx = ResponseCompressionCtx.new(3, false);
  ctx.requestFilter(accepting(coding));
  ctx.responseFilter(HttpTask.Header(response({ 'content-type': 'text/event-stream;charset=utf-8' }), false));
  const reader = undo();
  for (const event of ['data: one\n\n', 'data: two\n\n']) {
    const sent = ctx.responseFilter(HttpTask.Body(Buffer.from(event), false));
    reader.write(sent?.type === 'Body' ? sent.data : undefined);
    const [read] = (await once(reader, 'data')) as [Buffer];
    expect(read.toString()).toBe(event);
  }
  reader.destroy();
  ctx.close();
});

test('gzip compresses in one go', () => {
  const compressor = gzip.Compressor.new(6);
  const out = compressor.encode(Buffer.from('abcdefg'), true);
  expect([...out.subarray(0, 3)]).toEqual([0x1f, 0x8b, 0x08]);
  expect([...out.subarray(-9)]).toEqual([0, 166, 106, 42, 49, 7, 0, 0, 0]);
  expect(compressor.stat()).toMatchObject({ name: 'gzip', totalIn: 7, totalOut: out.length });
  compressor.close();
});

test('brotli compresses and decompresses', () => {
  const text = Buffer.from('adcdefgabcdefgh\n');
  const compressor = brotli.Compressor.new(11);
  const out = compressor.encode(text, true);
  expect(brotliDecompressSync(out)).toEqual(text);
  const decompressor = brotli.Decompressor.new();
  expect(decompressor.encode(out, true)).toEqual(text);
  expect(decompressor.stat().name).toBe('de-brotli');
});

test.runIf(zstd.hasZstd)('zstd compresses, and keeps what is short for later', () => {
  const compressor = zstd.Compressor.new(11);
  const text = Buffer.from('adcdefgabcdefghadcdefgabcdefghadcdefgabcdefghadcdefgabcdefgh\n');
  expect(compressor.encode(text, false).length).toBe(0);
  const out = compressor.encode(text, true);
  expect([...out.subarray(0, 4)]).toEqual([0x28, 0xb5, 0x2f, 0xfd]);
  expect(out.length).toBeLessThan(text.length);
});

test('a context that is off leaves everything as it is', () => {
  const ctx = ResponseCompressionCtx.new(0, false);
  expect(ctx.isEnabled()).toBe(false);
  ctx.requestFilter(accepting('gzip'));
  const header = response({ ...HTML, 'Content-Length': '100' });
  expect(ctx.responseFilter(HttpTask.Header(header, false))).toBe(undefined);
  expect(header.headers.length).toBe(2);
  expect(ctx.responseFilter(HttpTask.Body(Buffer.from('x'), true))).toBe(undefined);
  expect(ctx.getInfo()).toBe(undefined);
});

test.each([
  ['gzip', gunzipSync],
  ['br', brotliDecompressSync],
] as const)('a response is compressed with %s, piece by piece', (coding, undo) => {
  const ctx = ResponseCompressionCtx.new(3, false);
  ctx.requestFilter(accepting(coding));
  ctx.responseFilter(HttpTask.Header(response({}, 103), false));
  const header = response({ ...HTML, 'Content-Length': '200000' });
  ctx.responseFilter(HttpTask.Header(header, false));
  expect(header.headers.get('content-encoding')).toBe(coding);
  const half = Buffer.alloc(100_000, 'hello ');
  const body = through(ctx, half, half);
  expect(undo(body)).toEqual(Buffer.concat([half, half]));
  expect(body.length).toBeLessThan(2000);
  expect(ctx.getInfo()).toMatchObject({ totalIn: 200_000, totalOut: body.length });
  expect(ctx.responseFilter(HttpTask.Done)).toBe(undefined);
});

test('Done flushes a body whose end was not known', () => {
  const ctx = ResponseCompressionCtx.new(3, false);
  ctx.requestFilter(accepting('gzip'));
  ctx.responseFilter(HttpTask.Header(response(HTML), false));
  const first = ctx.responseFilter(HttpTask.Body(Buffer.from('hello'), false));
  const last = ctx.responseFilter(HttpTask.Done);
  const data = [first, last].map((task) => (task?.type === 'Body' ? (task.data ?? Buffer.alloc(0)) : Buffer.alloc(0)));
  expect(gunzipSync(Buffer.concat(data)).toString()).toBe('hello');
  expect(last).toMatchObject({ type: 'Body', end: true });
});

test('trailers give way to the end of a compressed body', () => {
  const ctx = ResponseCompressionCtx.new(3, false);
  ctx.requestFilter(accepting('gzip'));
  ctx.responseFilter(HttpTask.Header(response(HTML), false));
  const first = ctx.responseFilter(HttpTask.Body(Buffer.from('hello'), false));
  const last = ctx.responseFilter(HttpTask.Trailer(undefined));
  const data = [first, last].map((task) => (task?.type === 'Body' ? (task.data ?? Buffer.alloc(0)) : Buffer.alloc(0)));
  expect(gunzipSync(Buffer.concat(data)).toString()).toBe('hello');
});

test('brotli that the client does not accept is decompressed', () => {
  const ctx = ResponseCompressionCtx.new(0, true);
  ctx.requestFilter(accepting('gzip'));
  const header = response({ ...HTML, 'Content-Encoding': 'br' });
  ctx.responseFilter(HttpTask.Header(header, false));
  expect(header.headers.has('content-encoding')).toBe(false);
  const sent = brotliCompressSync(Buffer.from('hello'.repeat(100)));
  expect(through(ctx, sent.subarray(0, 5), sent.subarray(5)).toString()).toBe('hello'.repeat(100));
});

test('what is not brotli ends the response instead of passing for the body', () => {
  const ctx = ResponseCompressionCtx.new(0, true);
  ctx.requestFilter(accepting('gzip'));
  ctx.responseFilter(HttpTask.Header(response({ ...HTML, 'Content-Encoding': 'br' }), false));
  expect(() => through(ctx, Buffer.alloc(100, 0xff))).toThrow('while decompress Brotli');
  expect(ctx.isEnabled()).toBe(false);
});

// A few bytes that stand for gigabytes would take the whole process down
test('a bomb of brotli ends the response', () => {
  const ctx = ResponseCompressionCtx.new(0, true);
  ctx.requestFilter(accepting('gzip'));
  ctx.responseFilter(HttpTask.Header(response({ ...HTML, 'Content-Encoding': 'br' }), false));
  const bomb = brotliCompressSync(Buffer.alloc(20 * 1024 * 1024), {
    params: { [constants.BROTLI_PARAM_QUALITY]: 1 },
  });
  expect(bomb.length).toBeLessThan(20_000);
  expect(() => through(ctx, bomb)).toThrow('while decompress Brotli');
});

test('no body and 101 are left alone', () => {
  const ended = ResponseCompressionCtx.new(3, false);
  ended.requestFilter(accepting('gzip'));
  const header = response(HTML);
  ended.responseFilter(HttpTask.Header(header, true));
  expect(header.headers.has('content-encoding')).toBe(false);
  const upgraded = ResponseCompressionCtx.new(3, false);
  upgraded.requestFilter(accepting('gzip'));
  upgraded.responseFilter(HttpTask.Header(response(HTML, 101), false));
  expect(upgraded.responseFilter(HttpTask.Body(Buffer.from('x'), false))).toBe(undefined);
});

test('levels can be changed until the head has passed', () => {
  const ctx = ResponseCompressionCtx.new(0, false);
  ctx.adjustLevel(5);
  ctx.adjustDecompression(true);
  ctx.requestFilter(accepting('gzip'));
  ctx.responseFilter(HttpTask.Header(response(HTML), false));
  expect(ctx.isEnabled()).toBe(true);
  expect(() => ctx.adjustLevel(1)).toThrow('Wrong phase: BodyPhase');
  expect(() => ctx.adjustDecompression(false)).toThrow('Wrong phase: BodyPhase');
});

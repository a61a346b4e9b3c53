import { describe, expect, it } from 'vitest';
import { PingoraError } from '../../src/error/lib.ts';
import { HMap, lowerName, RequestHeader, ResponseHeader } from '../../src/http/lib.ts';
import { canonicalReason } from '../../src/http/status.ts';

function thrown(body: () => unknown): PingoraError {
  try {
    body();
  } catch (error) {
    return error as PingoraError;
  }
  throw new Error('nothing was thrown');
}

describe('HMap', () => {
  it('keeps order and case of the names that came', () => {
    const map = new HMap();
    map.appendUnchecked('x-LOWER-Upper', '1');
    map.appendUnchecked('Host', 'a');
    expect(map.toWire()).toBe('x-LOWER-Upper: 1\r\nHost: a\r\n');
    expect([...map]).toEqual([
      ['x-LOWER-Upper', '1'],
      ['Host', 'a'],
    ]);
  });

  it('puts a repeated field beside the first of its name, each in its own case', () => {
    const map = new HMap();
    map.appendUnchecked('X-Twice', 'a');
    map.appendUnchecked('Accept', '*/*');
    map.appendUnchecked('x-twice', 'b');
    map.appendUnchecked('Last', 'z');
    map.appendUnchecked('X-TWICE', 'c');
    expect(map.toWire()).toBe('X-Twice: a\r\nx-twice: b\r\nX-TWICE: c\r\nAccept: */*\r\nLast: z\r\n');
    expect(map.getAll('x-Twice')).toEqual(['a', 'b', 'c']);
    expect(map.length).toBe(5);
  });

  it('looks names up in any case', () => {
    const map = new HMap();
    map.appendUnchecked('Content-Length', '5');
    expect(map.get('content-length')).toBe('5');
    expect(map.has('CONTENT-LENGTH')).toBe(true);
    expect(map.get('content-lengt')).toBeUndefined();
    expect(map.getAll('host')).toEqual([]);
  });

  it('inserts where the first of the name stood, and takes the others away', () => {
    const map = new HMap();
    for (const [name, value] of [
      ['A', '1'],
      ['B', '2'],
      ['b', '3'],
      ['C', '4'],
    ] as const) {
      map.appendUnchecked(name, value);
    }
    map.insertUnchecked('b', 'x');
    expect(map.toWire()).toBe('A: 1\r\nb: x\r\nC: 4\r\n');
    map.insertUnchecked('D', 'new');
    expect(map.toWire()).toBe('A: 1\r\nb: x\r\nC: 4\r\nD: new\r\n');
  });

  it('removes all of a name and returns the first value', () => {
    const map = new HMap();
    map.appendUnchecked('A', '1');
    map.appendUnchecked('a', '2');
    map.appendUnchecked('B', '3');
    expect(map.remove('a')).toBe('1');
    expect(map.remove('a')).toBeUndefined();
    expect(map.toWire()).toBe('B: 3\r\n');
  });

  it('clones without sharing', () => {
    const map = new HMap();
    map.appendUnchecked('A', '1');
    const copy = map.clone();
    copy.insertUnchecked('A', '2');
    copy.appendUnchecked('B', '3');
    expect(map.toWire()).toBe('A: 1\r\n');
    expect(copy.toWire()).toBe('A: 2\r\nB: 3\r\n');
  });

  it('does not take a name for a property that every object has', () => {
    const map = new HMap();
    expect(map.get('__proto__')).toBeUndefined();
    expect(map.get('constructor')).toBeUndefined();
    map.appendUnchecked('constructor', 'x');
    expect(map.get('Constructor')).toBe('x');
  });

  it('lowers more names than it remembers', () => {
    for (let i = 0; i < 1000; i++) expect(lowerName(`X-Name-${i}`)).toBe(`x-name-${i}`);
    expect(lowerName('X'.repeat(100))).toBe('x'.repeat(100));
  });
});

// Response splitting: a value with CRLF in it ends the head early, and what follows is a response of the attacker's.
describe('what an application sets', () => {
  it.each([
    ['CRLF', 'a\r\nSet-Cookie: x=1'],
    ['LF alone', 'a\nX: 1'],
    ['CR alone', 'a\rX: 1'],
    ['NUL', 'a\0b'],
    ['DEL', 'a\x7fb'],
    ['a character above a byte', 'a\u0100'],
    ['a character whose low byte is CR', 'a\u010d\u010a'],
  ])('refuses a value with %s', (_what, value) => {
    const head = ResponseHeader.build(200);
    for (const set of [() => head.insertHeader('X-A', value), () => head.appendHeader('X-A', value)]) {
      const error = thrown(set);
      expect(error).toBeInstanceOf(PingoraError);
      expect(error.etype().name).toBe('InvalidHTTPHeader');
    }
    expect(head.headers.length).toBe(0);
  });

  it.each(['', 'a b', 'a:b', 'a\r\n', 'a\0', 'é', '(x)', 'a\tb'])('refuses the name %j', (name) => {
    expect(thrown(() => ResponseHeader.build(200).insertHeader(name, '1')).etype().name).toBe('InvalidHTTPHeader');
  });

  it('takes tabs, bytes above 127 and numbers', () => {
    const head = ResponseHeader.build(200);
    head.insertHeader('X-Tab', 'a\tb');
    head.insertHeader('X-High', 'caf\xe9');
    head.insertHeader('Content-Length', 5);
    expect(head.headerToH1Wire()).toBe('X-Tab: a\tb\r\nX-High: caf\xe9\r\nContent-Length: 5\r\n');
  });

  it.each([99, 1000, 200.5, Number.NaN, -200])('refuses the status %d', (status) => {
    expect(thrown(() => ResponseHeader.build(status)).etype().name).toBe('InvalidHTTPHeader');
  });

  it.each([
    ['GE T', '/'],
    ['', '/'],
    ['GET\r\n', '/'],
    ['GET', ''],
    ['GET', '/a b'],
    ['GET', '/a\r\nX: 1'],
  ])('refuses the request line %j %j', (method, path) => {
    expect(thrown(() => RequestHeader.build(method, path)).etype().name).toBe('InvalidHTTPHeader');
  });
});

describe('RequestHeader', () => {
  it('parts path, query and extension', () => {
    const head = RequestHeader.build('GET', '/a.b/c.tar.gz?x=1?y.z');
    expect([head.path, head.query, head.uriFileExtension()]).toEqual(['/a.b/c.tar.gz', 'x=1?y.z', 'gz']);
    expect(RequestHeader.build('GET', '/a.b/c').uriFileExtension()).toBeUndefined();
    expect(RequestHeader.build('GET', '/').query).toBeUndefined();
    expect(RequestHeader.build('GET', '/?').query).toBe('');
  });

  it('clones all it has', () => {
    const head = RequestHeader.build('POST', '/p');
    head.setVersion('HTTP/1.0');
    head.authority = 'a.test';
    head.insertHeader('A', 1);
    const copy = head.clone();
    copy.setMethod('GET');
    copy.setUri('/q');
    copy.removeHeader('a');
    expect([head.method, head.rawPath(), head.version, head.authority, head.headerToH1Wire()]).toEqual([
      'POST',
      '/p',
      'HTTP/1.0',
      'a.test',
      'A: 1\r\n',
    ]);
    expect([copy.version, copy.authority, copy.headers.length]).toEqual(['HTTP/1.0', 'a.test', 0]);
  });
});

describe('ResponseHeader', () => {
  it('knows the phrase of its status, and none for one without', () => {
    expect(ResponseHeader.build(404).reason).toBe('Not Found');
    expect(ResponseHeader.build(799).reason).toBe('');
    expect(canonicalReason(418)).toBe("I'm a teapot");
  });

  it('is informational below 200', () => {
    expect([100, 103, 199, 200, 304].map((status) => ResponseHeader.build(status).isInformational)).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });
});

import { describe, expect, it } from 'vitest';
import type { RequestHeader, ResponseHeader } from '../../../src/http/lib.ts';
import { type HeaderParseState, parseRequest, parseResponse, parseTrailers } from '../../../src/protocols/h1/parse.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');

function request(text: string): HeaderParseState<RequestHeader> {
  return parseRequest(bytes(text), 0);
}

function response(text: string): HeaderParseState<ResponseHeader> {
  return parseResponse(bytes(text), 0);
}

function whole<T>(parsed: HeaderParseState<T>): { head: T; size: number } {
  if (parsed.state !== 'Complete') throw new Error(`the head is ${JSON.stringify(parsed)}`);
  return parsed;
}

describe('a request', () => {
  it('has a method, a target, a version and fields in their order and case', () => {
    const { head, size } = whole(request('POST /a?b HTTP/1.1\r\nHost: x\r\nx-ODD:  1 \t\r\nEmpty:\r\n\r\nrest'));
    expect([head.method, head.rawPath(), head.version]).toEqual(['POST', '/a?b', 'HTTP/1.1']);
    expect(head.headers.toWire()).toBe('Host: x\r\nx-ODD: 1\r\nEmpty: \r\n');
    expect(size).toBe('POST /a?b HTTP/1.1\r\nHost: x\r\nx-ODD:  1 \t\r\nEmpty:\r\n\r\n'.length);
  });

  it.each([
    ['without fields', 'GET / HTTP/1.0\r\n\r\n'],
    ['with empty lines first', '\r\n\r\n\nGET / HTTP/1.0\r\n\r\n'],
    ['with lines that end in LF', 'GET / HTTP/1.0\nA: b\n\n'],
    ['with both line ends', 'GET / HTTP/1.0\r\nA: b\n\r\n'],
    ['with a method of its own', "M-SEARCH!#$%&'*+-.^_`|~ / HTTP/1.0\r\n\r\n"],
    ['with bytes above 127', 'GET /caf\xc3\xa9 HTTP/1.0\r\nA: caf\xe9\r\n\r\n'],
  ])('is taken %s', (_what, text) => {
    expect(whole(request(text)).size).toBe(text.length);
  });

  it('is taken up to the end of its head and not a byte further', () => {
    const first = 'GET /1 HTTP/1.1\r\nHost: a\r\n\r\n';
    expect(whole(request(`${first}GET /2 HTTP/1.1\r\nHost: a\r\n\r\n`)).size).toBe(first.length);
    // the second head ends with LF alone, and before the first CRLF pair
    expect(whole(request('GET /1 HTTP/1.1\nA: b\n\nGET /2 HTTP/1.1\r\n\r\n')).size).toBe(22);
  });

  it('is the same however many bytes came at a time', () => {
    const text = '\r\nPOST /a HTTP/1.1\r\nHost: x\nA: b\r\n\r\nbody\n\n';
    const { head, size } = whole(request(text));
    let scanned = 0;
    for (let have = 0; have < size; have++) {
      expect(parseRequest(bytes(text.slice(0, have)), scanned).state).toBe('Partial');
      scanned = have;
    }
    const again = whole(parseRequest(bytes(text.slice(0, size)), scanned));
    expect([again.size, again.head.headers.toWire()]).toEqual([size, head.headers.toWire()]);
  });

  it('escapes in the target what the original escapes', () => {
    expect(whole(request('GET /a?q=<"b c"> HTTP/1.1\r\n\r\n')).head.rawPath()).toBe('/a?q=%3C%22b%20c%22%3E');
    expect(whole(request('GET /\xc3\xa9 x HTTP/1.1\r\n\r\n')).head.rawPath()).toBe('/%C3%A9%20x');
  });

  it('may have 256 fields and not one more', () => {
    const fields = (count: number) => Array.from({ length: count }, (_, i) => `X-${i}: ${i}\r\n`).join('');
    expect(whole(request(`GET / HTTP/1.1\r\n${fields(256)}\r\n`)).head.headers.length).toBe(256);
    expect(request(`GET / HTTP/1.1\r\n${fields(257)}\r\n`)).toEqual({ state: 'Invalid', reason: 'too many headers' });
  });

  // Each of these is read in two ways by some two implementations: what one takes for a field's value, or for a part
  // of the target, is a line of its own to the other, and a request can be hidden in it.
  it.each([
    ['a bare CR in a value', 'GET / HTTP/1.1\r\nHost: a\rTransfer-Encoding: chunked\r\n\r\n'],
    ['a bare CR in a name', 'GET / HTTP/1.1\r\nHo\rst: a\r\n\r\n'],
    ['a bare CR at the end of a value', 'GET / HTTP/1.1\r\nHost: a\r\r\n\r\n'],
    ['a bare CR in the target', 'GET /\rHTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a bare CR before the request line', '\rGET / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a bare CR after the version', 'GET / HTTP/1.1\r\r\nHost: a\r\n\r\n'],
    ['an LF in a name', 'GET / HTTP/1.1\r\nHo\nst: a\r\n\r\n'],
    ['a folded line', 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n Transfer-Encoding: chunked\r\n\r\n'],
    ['a line folded with a tab', 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\tb\r\n\r\n'],
    ['white space before the first field', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n'],
    ['a space before the colon', 'GET / HTTP/1.1\r\nContent-Length : 5\r\n\r\n'],
    ['a tab before the colon', 'GET / HTTP/1.1\r\nContent-Length\t: 5\r\n\r\n'],
    ['a space in a name', 'GET / HTTP/1.1\r\nContent Length: 5\r\n\r\n'],
    ['no name', 'GET / HTTP/1.1\r\n: 5\r\n\r\n'],
    ['no colon', 'GET / HTTP/1.1\r\nContent-Length\r\n\r\n'],
    ['a NUL in a name', 'GET / HTTP/1.1\r\nContent-Length\0: 5\r\n\r\n'],
    ['a NUL in a value', 'GET / HTTP/1.1\r\nX: a\0b\r\n\r\n'],
    ['a vertical tab before a value', 'GET / HTTP/1.1\r\nTransfer-Encoding:\x0bchunked\r\n\r\n'],
    ['a form feed in a value', 'GET / HTTP/1.1\r\nX: a\x0cb\r\n\r\n'],
    ['DEL in a value', 'GET / HTTP/1.1\r\nX: a\x7f\r\n\r\n'],
    ['a byte above 127 in a name', 'GET / HTTP/1.1\r\nTransfer-Encod\xefng: chunked\r\n\r\n'],
    ['a NUL in the target', 'GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a backquote in the target', 'GET /` HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a target that is no UTF-8', 'GET /caf\xe9 HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a target whose UTF-8 is cut off', 'GET /\xc3 HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a tab as separator', 'GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a tab before the version', 'GET /\tHTTP/1.1\r\nHost: a\r\n\r\n'],
    ['no target', 'GET HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['an empty target', 'GET  HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['no version', 'GET /\r\nHost: a\r\n\r\n'],
    ['a space after the version', 'GET / HTTP/1.1 \r\nHost: a\r\n\r\n'],
    ['a lower-case version', 'GET / http/1.1\r\nHost: a\r\n\r\n'],
    ['HTTP/2.0', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n'],
    ['HTTP/1.10', 'GET / HTTP/1.10\r\nHost: a\r\n\r\n'],
    ['HTTP/0.9', 'GET / HTTP/0.9\r\n\r\n'],
    ['a method in brackets', '(GET) / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a space before the method', ' GET / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ["the preface of HTTP/2, which isn't spoken in the clear", 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ])('is refused with %s', (_what, text) => {
    expect(request(text).state).toBe('Invalid');
  });

  it('escapes a space in the target, so that only one reading is left', () => {
    expect(whole(request('GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n')).head.rawPath()).toBe('/%20HTTP/1.1');
  });

  it.each(['GET / HTTP/3.7', 'GET /a\x01b HTTP/1.1', 'GET /'])(
    'whose line is wrong is refused when its head is whole: %j',
    (line) => {
      expect(request(`${line}\r\nHost: a\r\n`).state).toBe('Partial');
      expect(request(`${line}\r\nHost: a\r\n\r\n`).state).toBe('Invalid');
    },
  );

  it('is refused at its first bytes when they are another protocol', () => {
    expect(request('\x16\x03\x01\x02\x00\x01').state).toBe('Invalid');
    expect(request('\x00').state).toBe('Invalid');
    expect(request('SSH-2.0-x').state).toBe('Partial');
    expect(request('').state).toBe('Partial');
    expect(request('\r').state).toBe('Partial');
  });
});

describe('a response', () => {
  it('has a status, a version and fields', () => {
    const { head, size } = whole(response('HTTP/1.0 404 Nothing Here\r\nA: 1\r\n\r\nbody'));
    expect([head.status, head.version, head.headers.toWire(), size]).toEqual([404, 'HTTP/1.0', 'A: 1\r\n', 35]);
  });

  it.each([
    ['no phrase and no space', 'HTTP/1.1 200\r\n\r\n'],
    ['an empty phrase', 'HTTP/1.1 200 \r\n\r\n'],
    ['a phrase in another language', 'HTTP/1.1 200 D\xe9j\xe0\r\n\r\n'],
    ['empty lines first', '\r\nHTTP/1.1 200 OK\r\n\r\n'],
    ['status 999', 'HTTP/1.1 999 x\r\n\r\n'],
  ])('is taken with %s', (_what, text) => {
    expect(whole(response(text)).size).toBe(text.length);
  });

  it('has its folded lines and the spaces before its colons mended', () => {
    const text = 'HTTP/1.1 200 OK\r\nX-A : 1\r\n  2\r\n\t3\r\nB: 4\r\n\r\n';
    expect(whole(response(text)).head.headers.toWire()).toBe('X-A: 1 2 3\r\nB: 4\r\n');
  });

  it.each([
    ['a bare CR in a value', 'HTTP/1.1 200 OK\r\nA: 1\rB: 2\r\n\r\n'],
    ['a NUL in a value', 'HTTP/1.1 200 OK\r\nA: \0\r\n\r\n'],
    ['a NUL in a fold', 'HTTP/1.1 200 OK\r\nA: 1\r\n \0\r\n\r\n'],
    ['a fold before any field', 'HTTP/1.1 200 OK\r\n A: 1\r\n\r\n'],
    ['two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['four digits', 'HTTP/1.1 2000 OK\r\n\r\n'],
    ['no digits', 'HTTP/1.1 OK\r\n\r\n'],
    ['a sign', 'HTTP/1.1 +20 OK\r\n\r\n'],
    ['status 99', 'HTTP/1.1 099 OK\r\n\r\n'],
    ['HTTP/2', 'HTTP/2 200 OK\r\n\r\n'],
    ['a control character in the phrase', 'HTTP/1.1 200 O\x01K\r\n\r\n'],
    ['a bare CR in the phrase', 'HTTP/1.1 200 OK\rA: 1\r\n\r\n'],
    ['no HTTP at all', 'HELLO THERE\r\n\r\n'],
  ])('is refused with %s', (_what, text) => {
    expect(response(text).state).toBe('Invalid');
  });

  it('is refused at its first bytes when it is something else', () => {
    expect(response('220 smtp').state).toBe('Invalid');
    expect(response('HTTP').state).toBe('Partial');
  });
});

describe('trailers', () => {
  it('end with an empty line', () => {
    expect(whole(parseTrailers(bytes('\r\nGET'))).size).toBe(2);
    const { head, size } = whole(parseTrailers(bytes('A: 1\r\nB: 2\r\n\r\nGET')));
    expect([head.toWire(), size]).toEqual(['A: 1\r\nB: 2\r\n', 14]);
    expect(parseTrailers(bytes('A: 1\r\n')).state).toBe('Partial');
    expect(parseTrailers(bytes('\r')).state).toBe('Partial');
  });

  // To who ends lines at LF alone the body is over, and the rest is the next request; to who doesn't, it is a trailer.
  it.each([
    '\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n',
    'A: 1\n\r\n\r\n',
    'A: 1\n\nGET / HTTP/1.1\r\n\r\n',
    'A: 1\nB: 2\r\n\r\n',
    // who ends lines at LF has sent all of it, and waits
    'A: 1\n\r\n',
    'A: 1\r\nB: 2\n',
    ' A: 1\r\n\r\n',
    'A : 1\r\n\r\n',
    'A: \0\r\n\r\n',
  ])('are refused when they are %j', (text) => {
    expect(parseTrailers(bytes(text)).state).toBe('Invalid');
  });

  it.each(['\r\n\r\n', ''])('are refused when they are longer than 8 KiB, whole or not: %j', (end) => {
    expect(parseTrailers(bytes(`A: ${'a'.repeat(8180)}${end}`)).state).not.toBe('Invalid');
    expect(parseTrailers(bytes(`A: ${'a'.repeat(8190)}${end}`)).state).toBe('Invalid');
  });
});

import { describe, expect, it } from 'vitest';
import { HMap } from '../../../src/http/lib.ts';
import {
  bufToContentLength,
  isBufKeepalive,
  isHeaderValueChunkedEncoding,
  parseConnectionHeader,
  removeHopByHop,
} from '../../../src/protocols/h1/common.ts';

function fields(...pairs: [string, string][]): HMap {
  const map = new HMap();
  for (const [name, value] of pairs) map.appendUnchecked(name, value);
  return map;
}

describe('Connection', () => {
  it.each([
    ['keep-alive', { keepAlive: true, upgrade: false, close: false }],
    ['Close', { keepAlive: false, upgrade: false, close: true }],
    [' upgrade ,\tKEEP-ALIVE', { keepAlive: true, upgrade: true, close: false }],
    ['closed, not-upgrade', { keepAlive: false, upgrade: false, close: false }],
    ['', { keepAlive: false, upgrade: false, close: false }],
  ])('%j is read by its tokens', (value, found) => {
    expect(parseConnectionHeader(value)).toEqual(found);
  });

  it('says close when it says both', () => {
    expect(isBufKeepalive('keep-alive, close')).toBe(false);
    expect(isBufKeepalive('keep-alive')).toBe(true);
    expect(isBufKeepalive('x')).toBeUndefined();
    expect(isBufKeepalive(undefined)).toBeUndefined();
  });
});

// Two readers that disagree about the length of a body disagree about where the next request begins.
describe('Content-Length', () => {
  it.each([
    ['0', 0],
    ['007', 7],
    ['999999999999999', 999999999999999],
  ])('%j is a number', (value, length) => {
    expect(bufToContentLength(value)).toBe(length);
  });

  it.each([
    '',
    ' 5',
    '5 ',
    '+5',
    '-5',
    '0x5',
    '5.0',
    '5e3',
    '5,5',
    '5, 5',
    '5;',
    '1_000',
    '٥',
    '9'.repeat(16),
    '1'.repeat(400),
  ])('%j is not', (value) => {
    expect(bufToContentLength(value)).toBeUndefined();
  });
});

describe('Transfer-Encoding', () => {
  it('is chunked in any case and with nothing beside it', () => {
    expect(['chunked', 'Chunked', 'CHUNKED'].map(isHeaderValueChunkedEncoding)).toEqual([true, true, true]);
    const others = [
      'xchunked',
      'chunked, chunked',
      'gzip, chunked',
      'chunked, identity',
      'identity',
      'chunked;q=1',
      '"chunked"',
      '',
      undefined,
    ];
    for (const other of others) expect(isHeaderValueChunkedEncoding(other)).toBe(false);
  });
});

describe('hop-by-hop fields', () => {
  it('go with what Connection names, and Connection goes itself', () => {
    const map = fields(
      ['Host', 'a'],
      ['Connection', 'X-Mine, close'],
      ['X-Mine', '1'],
      ['Keep-Alive', '5'],
      ['Proxy-Connection', 'x'],
      ['B', '2'],
    );
    removeHopByHop(map, 'request', false);
    expect(map.toWire()).toBe('Host: a\r\nB: 2\r\n');
  });

  // "Connection: host, content-length" would make the proxy send a request without them.
  it('are not those that frame or route the message', () => {
    const map = fields(
      ['Host', 'a'],
      ['Content-Length', '3'],
      ['Connection', 'Host'],
      ['Connection', 'content-length, transfer-encoding'],
    );
    removeHopByHop(map, 'request', false);
    expect(map.toWire()).toBe('Host: a\r\nContent-Length: 3\r\n');
  });

  it('stay for an upgrade, and only for one', () => {
    const upgrade = () => fields(['Upgrade', 'websocket'], ['Connection', 'keep-alive, Upgrade']);
    const asked = upgrade();
    removeHopByHop(asked, 'request', true);
    expect(asked.toWire()).toBe('Upgrade: websocket\r\nConnection: Upgrade\r\n');
    const old = upgrade();
    removeHopByHop(old, 'request', false);
    expect(old.toWire()).toBe('');
  });

  it('leave Connection of a response in its place, for the session to set', () => {
    const map = fields(['Connection', 'close, X-A'], ['X-A', '1'], ['B', '2']);
    removeHopByHop(map, 'response', false);
    expect(map.toWire()).toBe('Connection: close, X-A\r\nB: 2\r\n');
  });
});

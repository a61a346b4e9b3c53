import { expect, test } from 'vitest';
import { isWanted, type LiveRequest } from '../../explorer/requests.ts';

const request = (more: Partial<LiveRequest> = {}): LiveRequest => ({
  time: 0,
  method: 'GET',
  path: '/Shop/cart',
  status: 200,
  ms: 50,
  ...more,
});
const all = { status: '', path: '', slower: '' };

test.each([
  ['200', 200, true],
  ['2xx', 204, true],
  ['5XX', 502, true],
  ['5', 502, true],
  ['5xx', 404, false],
  ['404, 5xx', 404, true],
  ['404 5xx', 503, true],
  ['404, 5xx', 200, false],
  ['none', null, true],
  ['none', 200, false],
  ['2xx', null, false],
  [' ', 200, true],
])('of the status %s: %s', (status, of, expected) => {
  expect(isWanted(request({ status: of }), { ...all, status })).toBe(expected);
});

test('a path is wanted for a part of it, in capitals or not', () => {
  expect(isWanted(request(), { ...all, path: ' shop/C' })).toBe(true);
  expect(isWanted(request(), { ...all, path: 'shop/d' })).toBe(false);
});

test('what took longer than so many milliseconds is wanted', () => {
  expect(isWanted(request({ ms: 50.1 }), { ...all, slower: '50' })).toBe(true);
  expect(isWanted(request({ ms: 50 }), { ...all, slower: '50' })).toBe(false);
  // as long as it is being typed it is no number yet
  expect(isWanted(request({ ms: 0 }), { ...all, slower: '-' })).toBe(true);
});

test('all of it must be so', () => {
  const wanted = { status: '5xx', path: '/shop', slower: '10' };
  expect(isWanted(request({ status: 500 }), wanted)).toBe(true);
  for (const other of [{ status: 200 }, { path: '/' }, { ms: 1 }]) {
    expect(isWanted(request({ status: 500, ...other }), wanted)).toBe(false);
  }
});

test('a trace of which nothing is known is there until something is asked for', () => {
  expect(isWanted(null, all)).toBe(true);
  expect(isWanted(null, { ...all, path: '/' })).toBe(false);
});

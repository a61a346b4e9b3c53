import { expect, test } from 'vitest';
import { readEntry } from '../../explorer/live.ts';
import { makeTrace } from '../tracing/made.ts';

test('an entry of the list of a running server is read', () => {
  expect(readEntry({ id: '7', name: 'GET / 200', spans: 131 })).toEqual({
    id: '7',
    name: 'GET / 200',
    spans: 131,
    request: null,
    trace: null,
  });
});

test('an entry may tell of the request', () => {
  const said = { time: 1_790_000_000_000, method: 'GET', path: '/a', status: 200, ms: 3.25 };
  expect(readEntry({ id: '7', ...said })).toMatchObject({ request: said });
  // one that was refused, and got no answer
  expect(readEntry({ id: '7', time: 1, ms: 2, method: null, path: null, status: null })).toMatchObject({
    request: { time: 1, ms: 2, method: '–', path: '–', status: null },
  });
  for (const wrong of [
    { ...said, time: 'now' },
    { ...said, ms: null },
  ]) {
    expect(readEntry({ id: '7', ...wrong })).toMatchObject({ request: null });
  }
});

test('an entry may say less', () => {
  expect(readEntry({ id: 7 })).toMatchObject({ id: '7', name: 'trace 7', spans: null });
  expect(readEntry('7')).toMatchObject({ id: '7', name: 'trace 7' });
});

test('an entry may be the trace itself', () => {
  const trace = makeTrace([{ fn: 'a' }], 'GET /');
  expect(readEntry({ id: 7, ...trace })).toMatchObject({
    id: '7',
    name: 'GET /',
    spans: 1,
    trace: { scenario: 'GET /' },
  });
});

test('a trace that does not hang together is refused', () => {
  const trace = makeTrace([{ fn: 'a' }]);
  trace.spans[0]!.parent = 9;
  expect(() => readEntry({ id: 7, ...trace })).toThrow('span 1 has the parent 9');
});

test('anything else is no entry', () => {
  for (const value of [null, true, [], {}, { name: 'x' }]) expect(readEntry(value)).toBeNull();
});

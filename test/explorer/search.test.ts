import { describe, expect, test } from 'vitest';
import { callsIn, fuzzy, neighbour, Search } from '../../explorer/search.ts';
import { Steps } from '../../explorer/steps.ts';
import { makeTrace } from '../tracing/made.ts';

const NAMES = [
  'Server::run_forever',
  'HttpProxy::process_request',
  '<HttpProxy as HttpServerApp>::process_new_http',
  'HttpSession::read_request',
  'ProxyHttp::request_filter',
  'HttpProxy::process_request',
];
const search = () => new Search(new Steps(makeTrace(NAMES.map((fn) => ({ fn })))));
const found = (query: string) =>
  search()
    .find(query)
    .map(({ fn }) => fn);
const marked = (query: string, text: string) =>
  fuzzy(query, text)!
    .at.map((at) => text[at])
    .join('');

describe('a search', () => {
  test('finds a name by a part of it, in either case', () => {
    expect(found('RUN_FOR')).toEqual(['Server::run_forever']);
  });

  test('finds each function once, with all its calls', () => {
    expect(search().find('process_request')).toMatchObject([{ calls: [1, 5] }]);
  });

  test('finds a name by letters in order, if no name has the words', () => {
    expect(found('pnh')[0]).toBe('<HttpProxy as HttpServerApp>::process_new_http');
    expect(found('processnewhttp')).toEqual(['<HttpProxy as HttpServerApp>::process_new_http']);
    expect(found('srf')[0]).toBe('Server::run_forever');
  });

  test('does not let letters push words aside', () => {
    const names = ['Server::require_test', 'HttpSession::read_request'];
    const two = new Search(new Steps(makeTrace(names.map((fn) => ({ fn })))));
    expect(fuzzy('request', 'Server::require_test')).not.toBeNull();
    expect(two.find('request').map(({ fn }) => fn)).toEqual(['HttpSession::read_request']);
  });

  test('puts a match at a word’s beginning before one inside', () => {
    const names = ['X::unread', 'Y::read_it'];
    const two = new Search(new Steps(makeTrace(names.map((fn) => ({ fn })))));
    expect(two.find('read').map(({ fn }) => fn)).toEqual(['Y::read_it', 'X::unread']);
  });

  test('puts the whole name first', () => {
    const two = new Search(new Steps(makeTrace([{ fn: 'l4::bind_tcp' }, { fn: 'l4::bind' }])));
    expect(two.find('l4::bind')[0]!.fn).toBe('l4::bind');
  });

  test('ignores spaces, and finds nothing for nothing', () => {
    expect(found('run _forever')).toEqual(['Server::run_forever']);
    expect(found('  ')).toEqual([]);
    expect(found('zzz')).toEqual([]);
  });

  test('says which letters matched', () => {
    expect(marked('forever', 'Server::run_forever')).toBe('forever');
    expect(fuzzy('srf', 'Server::run_forever')!.at).toEqual([0, 8, 12]);
    for (const query of ['prh', 'hrr', 'sesreq', 'ppr']) {
      for (const name of NAMES) {
        const match = fuzzy(query, name);
        if (match === null) continue;
        expect(match.at.map((at) => name[at]!.toLowerCase()).join('')).toBe(query);
        expect(match.at).toEqual([...match.at].sort((a, b) => a - b));
      }
    }
  });
});

test('next and previous go through the calls of all that was found, and round', () => {
  const calls = callsIn(search().find('process'));
  expect(calls).toEqual([1, 2, 5]);
  expect(neighbour(calls, 1, 1)).toBe(2);
  expect(neighbour(calls, 3, 1)).toBe(5);
  expect(neighbour(calls, 5, 1)).toBe(1);
  expect(neighbour(calls, 1, -1)).toBe(5);
  expect(neighbour(calls, 4, -1)).toBe(2);
  expect(neighbour([], 4, 1)).toBeNull();
});

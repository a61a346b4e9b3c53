import { describe, expect, test } from 'vitest';
import {
  type CallRecord,
  compare,
  differences,
  isEqual,
  loadRecord,
  type RecordedCall,
} from '../../src/tracing/compare.ts';
import { type Made, makeTrace } from '../tracing/made.ts';

const FILE = 'pingora-core/src/server/mod.rs';

const call = (fn: string, ...calls: RecordedCall[]): RecordedCall => ({ fn, at: `${FILE}:1`, calls });
const optional = (fn: string, ...calls: RecordedCall[]): RecordedCall => ({ ...call(fn, ...calls), optional: true });
const record = (startup: RecordedCall[], rest: Partial<CallRecord> = {}): CallRecord => ({
  scenario: 'made',
  startup,
  ...rest,
});
const did = (fn: string, ...calls: Made[]): Made => ({ fn, calls });
const task = (fn: string, ...calls: Made[]): Made => ({ fn, task: fn, calls });

const verdict = (known: CallRecord, ...calls: Made[]) => compare(known, makeTrace(calls).spans);
const counts = (known: CallRecord, ...calls: Made[]) => {
  const { recorded, reached, missing, misplaced, disorder, miscounted } = verdict(known, ...calls);
  return [reached, recorded, missing.length, misplaced.length, disorder.length, miscounted.length];
};

describe('comparing with a record', () => {
  test('the same calls in the same order differ in nothing', () => {
    const result = verdict(record([call('a', call('b'), call('c'))]), did('a', did('b'), did('c')));
    expect(isEqual(result)).toBe(true);
    expect(result).toMatchObject({ recorded: 3, reached: 3 });
  });

  test('a recorded call that the trace lacks is missing', () => {
    const result = verdict(record([call('a', call('b', call('c')))]), did('a', did('b')));
    expect(result.missing).toEqual([`${FILE}#a > ${FILE}#b > ${FILE}#c`]);
    expect(differences(result)).toEqual([`missing    ${FILE}#b > ${FILE}#c`]);
    expect(isEqual(result)).toBe(false);
  });

  test('an optional call may be missing, with all that it calls', () => {
    expect(counts(record([call('a', optional('b', call('c')))]), did('a'))).toEqual([1, 1, 0, 0, 0, 0]);
  });

  test('a call that is optional in one phase and not in another must be reached', () => {
    const both = record([call('a', optional('b'))], { request: [call('a', call('b'))] });
    expect(counts(both, did('a'))).toEqual([1, 2, 1, 0, 0, 0]);
  });

  test('a recorded function on a path that the record lacks is misplaced, and counted', () => {
    const result = verdict(record([call('a', call('b')), call('c')]), did('a', did('b')), did('c', did('b'), did('b')));
    expect(result.misplaced).toEqual([{ path: `${FILE}#c > ${FILE}#b`, spans: 2 }]);
  });

  test('functions that the record does not know are left out of the path', () => {
    const own: Made = { fn: 'helper', file: null, calls: [did('b')] };
    expect(counts(record([call('a', call('b'))]), did('a', own))).toEqual([2, 2, 0, 0, 0, 0]);
    expect(counts(record([call('a', call('b'))]), did('a', did('unknown', did('b'))))).toEqual([2, 2, 0, 0, 0, 0]);
  });

  test('a function of the same name in another file is another function', () => {
    const other: Made = { fn: 'b', file: 'pingora-core/src/other.rs' };
    expect(counts(record([call('a', call('b'))]), did('a', other))).toEqual([1, 2, 1, 0, 0, 0]);
  });

  test('siblings in another order are out of order', () => {
    const result = verdict(record([call('a', call('b'), call('c'))]), did('a', did('c'), did('b')));
    expect(result.disorder).toEqual([`${FILE}#a: ${FILE}#c before ${FILE}#b`]);
  });

  test('only the first occurrence of a call has an order', () => {
    expect(counts(record([call('a', call('b'), call('c'))]), did('a', did('b'), did('c'), did('b')))).toEqual([
      3, 3, 0, 0, 0, 0,
    ]);
  });

  test('the two halves of a proxied request call in any order', () => {
    for (const fn of [
      'HttpProxy::proxy_handle_upstream',
      'HttpProxy::proxy_handle_downstream',
      'HttpProxy::bidirection_1to2',
    ]) {
      expect(counts(record([call(fn, call('b'), call('c'))]), did(fn, did('c'), did('b')))).toEqual([3, 3, 0, 0, 0, 0]);
    }
  });

  test('a function entered more or less often than recorded is miscounted', () => {
    const known = record([call('a', call('b'))], { entered: { b: 2, a: 1 } });
    expect(verdict(known, did('a', did('b'))).miscounted).toEqual(['b: entered 1 times, recorded 2']);
    expect(counts(known, did('a', did('b'), did('b')))).toEqual([2, 2, 0, 0, 0, 0]);
  });

  test('a recorded root is reached only where a task begins', () => {
    expect(counts(record([call('a'), call('b')]), did('a', did('b')))).toEqual([1, 2, 1, 1, 0, 0]);
    expect(counts(record([call('a'), call('b')]), did('a', task('b')))).toEqual([2, 2, 0, 0, 0, 0]);
  });

  test('run_service is a root as well: what it spawns begins with it', () => {
    const known = record([
      call('Server::run_forever', call('Server::run_service')),
      call('Server::run_service', call('start')),
    ]);
    const within = (...calls: Made[]) => did('Server::run_forever', did('Server::run_service', ...calls));
    expect(counts(known, within(task('Server::run_service', did('start'))))).toEqual([4, 4, 0, 0, 0, 0]);
    // Without a span for the task's body what it calls is still in its place.
    expect(counts(known, within(task('start')))).toEqual([3, 4, 1, 0, 0, 0]);
    expect(counts(known, within(did('start')))).toEqual([2, 4, 2, 1, 0, 0]);
  });

  test('the phases are one record', () => {
    const known = record([call('a', call('b'))], { request: [call('a', call('c'))], shutdown: [call('d')] });
    expect(counts(known, did('a', did('b'), did('c')), did('d'))).toEqual([4, 4, 0, 0, 0, 0]);
  });

  test('spans that are no trace are refused', () => {
    const { spans } = makeTrace([did('a', did('b'))]);
    const known = record([call('a')]);
    expect(() => compare(known, [spans[1]!, spans[0]!])).toThrow("its parent 1 doesn't come before it");
    expect(() => compare(known, [spans[0]!, spans[0]!])).toThrow('the id is taken');
    expect(() => compare(known, [spans[0]!, { ...spans[1]!, start: 0 }])).toThrow('starts before the one above it');
  });

  test('records are found by the name of their scenario', () => {
    expect(loadRecord('h1')).toMatchObject({ scenario: 'h1' });
    expect(loadRecord('no-such-scenario')).toBeNull();
    expect(loadRecord('../calls/h1')).toBeNull();
  });
});

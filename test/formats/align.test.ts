import { describe, expect, test } from 'vitest';
import { align, differences } from '../../src/formats/align.ts';
import { printComparison } from '../../src/formats/comparison.ts';
import { asRecorded, traceOfRecord } from '../../src/formats/record.ts';
import { type Made, makeTrace } from '../tracing/made.ts';

const connect: Made = { fn: 'connect', calls: [{ fn: 'socket' }] };
const one = makeTrace([{ fn: 'serve', calls: [{ fn: 'read' }, connect, { fn: 'write' }] }], 'one');
const two = makeTrace(
  [{ fn: 'serve', calls: [{ fn: 'read' }, { fn: 'pool' }, { fn: 'write' }, { fn: 'write' }] }],
  'two',
);

describe('two traces beside each other', () => {
  test('share what both called, in order, and each has its own', () => {
    const rows = align(one, two);
    expect(rows.map(({ depth, a, b, times }) => [depth, a?.fn ?? null, b?.fn ?? null, times])).toEqual([
      [0, 'serve', 'serve', [1, 1]],
      [1, 'read', 'read', [1, 1]],
      [1, 'connect', null, [1, 0]],
      [2, 'socket', null, [1, 0]],
      [1, null, 'pool', [0, 1]],
      [1, 'write', 'write', [1, 1]],
      [1, null, 'write', [0, 1]],
    ]);
    expect(differences(rows)).toEqual({ onlyA: 2, onlyB: 2 });
  });

  test('are the same tree twice if they are the same', () => {
    expect(differences(align(one, one))).toEqual({ onlyA: 0, onlyB: 0 });
  });

  test('are printed with what only one has marked, and other values of the same call beside each other', () => {
    const left = makeTrace([{ fn: 'get', span: { out: { found: 'none waits' } } }], 'left');
    const right = makeTrace([{ fn: 'get', span: { out: { found: 'connection 2' } } }, { fn: 'put' }], 'right');
    const printed = printComparison(left, right);
    expect(printed).toContain('  get  none waits | connection 2');
    expect(printed).toContain('+ put');
    expect(printed).toContain('1 calls in both, 0 only in left, 1 only in right');
  });
});

test('a trace is compared with Pingora’s record by the functions that the record knows, each counted once', () => {
  const record = traceOfRecord({
    scenario: 'made',
    startup: [
      {
        fn: 'serve',
        at: 'pingora-core/src/server/mod.rs:1',
        calls: [{ fn: 'read', at: 'pingora-core/src/server/mod.rs:2' }],
      },
    ],
    request: [
      {
        fn: 'serve',
        at: 'pingora-core/src/server/mod.rs:1',
        calls: [
          { fn: 'write', at: 'pingora-core/src/server/mod.rs:3' },
          { fn: 'close', at: 'pingora-core/src/server/mod.rs:4' },
        ],
      },
    ],
  });
  const rows = align(asRecorded(two, record), record, { once: true });
  expect(rows.map(({ a, b }) => [a?.fn ?? null, b?.fn ?? null])).toEqual([
    ['serve', 'serve'],
    ['read', 'read'],
    ['write', 'write'],
    [null, 'close'],
  ]);
});

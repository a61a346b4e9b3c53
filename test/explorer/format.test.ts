import { expect, test } from 'vitest';
import { axisTime, count, duration } from '../../explorer/format.ts';

test('times have the unit that suits them', () => {
  expect([0, 3.14, 812.4, 1240, 20_500, 131_000, 2_100_000].map(duration)).toEqual([
    '0.0 µs',
    '3.1 µs',
    '812 µs',
    '1.24 ms',
    '20.5 ms',
    '131 ms',
    '2.10 s',
  ]);
});

test('marks of an axis that are close have the decimals that tell them apart', () => {
  expect([axisTime(1500, 500), axisTime(20_000, 5000), axisTime(2_500_000, 500_000)]).toEqual([
    '1500 µs',
    '20 ms',
    '2500 ms',
  ]);
  expect([axisTime(0.2, 0.1), axisTime(12.25, 0.05)]).toEqual(['0.2 µs', '12.25 µs']);
});

test('things are counted in words', () => {
  expect([count(1, 'call'), count(12_345, 'call')]).toEqual(['1 call', '12,345 calls']);
});

/** The page of measurements: rows are renewed one by one, and what is quoted of it is in it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cases } from '../../bench/cases.ts';
import type { Cost } from '../../bench/measure.ts';
import { markdown, row } from '../../bench/report.ts';
import { projectRoot } from '../../src/tracing/sites.ts';

const costs = (...totals: number[]): Cost[] => totals.map((total) => ({ user: total, system: 0, total, slow: 0 }));
const caseOf = (name: string) => cases.find((each) => each.name === name)!;
const rounds = { rounds: 3, seconds: 1 };
const rowOf = (page: string, about: string) => page.split('\n').find((line) => line.startsWith(`| ${about} |`));

test('what is measured again takes the place of its row, and the others stay', () => {
  const names = ['Pingora 0.1.0', 'pingora-traced'];
  const measured = (name: string, mine: Cost[]) => row(caseOf(name), names, [costs(10, 10, 10), mine]);
  const first = markdown([measured('h1-1', costs(20, 20, 20)), measured('tls', costs(30, 20, 40))], rounds);
  expect(rowOf(first, 'over TLS')).toContain('| 3.00 (2.00 to 4.00) |');
  const second = markdown([measured('h1-1', costs(10, 15, 12))], rounds, first);
  expect(rowOf(second, '1 connection')).toContain('| 1.20 (1.00 to 1.50) |');
  expect(rowOf(second, 'over TLS')).toBe(rowOf(first, 'over TLS'));
});

test('what the port costs beside itself with another kind of load stands below, and stays', () => {
  const names = ['nginx', 'pingora-traced'];
  const measured = (name: string, other?: number[]) =>
    row(caseOf(name), names, [costs(10, 10, 10), costs(20, 20, 20)], other);
  const many = measured('h2-1000', [1.1, 1.3, 1.2]);
  expect(many.text).toContain('1.20 (1.10 to 1.30) of itself with HTTP/2, 4 connections of 16 streams');
  const first = markdown([many], rounds);
  const line = first.split('\n').find((text) => text.startsWith('For the port'));
  expect(line).toMatch(
    /1,000 connections of 10 streams” costs 1\.20 \(1\.10 to 1\.30\) times .* 4 connections of 16 streams” does\.$/,
  );
  expect(markdown([measured('h2')], rounds, first).split('\n')).toContain(line);
});

test('the README quotes the ratio that the page has', () => {
  const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8');
  const [, , pingora, , fastProxy] = rowOf(read('BENCHMARKS.md'), '32 connections')!.split('|');
  const [, quoted] = /With 32 kept connections the port costs ([\d.]+) times\s+what Pingora does/.exec(
    read('README.md'),
  )!;
  expect(pingora!.trim().split(' ')[0]).toBe(quoted);
  // “half of what fast-proxy does”
  expect(Number(fastProxy!.trim().split(' ')[0])).toBeCloseTo(0.5, 1);
});

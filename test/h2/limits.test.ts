/** docs/HTTP2-LIMITS.md says what the code does. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DEFAULT_LIMITS, type Rate } from '../../src/h2/limits.ts';
import { Reason } from '../../src/h2/reason.ts';
import { projectRoot } from '../../src/tracing/sites.ts';

const page = readFileSync(join(projectRoot, 'docs/HTTP2-LIMITS.md'), 'utf8');
const source = readFileSync(join(projectRoot, 'src/h2/limits.ts'), 'utf8');
const number = (value: number) => value.toLocaleString('en-US');
const rows = (columns: number) =>
  page
    .split('\n')
    .filter((line) => line.startsWith('| `') && line.split('|').length === columns + 2)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('`', '')),
    );

test('the page lists each limit in its order with its default, and no others', () => {
  const shown = rows(5).map(([name, value]) => [name, value]);
  const real = Object.entries(DEFAULT_LIMITS).map(([name, value]: [string, number | Rate]) => [
    name,
    typeof value === 'number' ? number(value) : `${number(value.atOnce)}, then ${number(value.perSecond)} a second`,
  ]);
  expect(shown).toEqual(real);
});

test('each error on the page is one of RFC 9113 7, or what stands in its place', () => {
  for (const [name, , , , error] of rows(5)) {
    const [level, what] = error!.split(', ');
    expect(['stream', 'connection'], name).toContain(level);
    expect([...Object.keys(Reason), '431', 'closed'], name).toContain(what);
  }
});

test('the comment on each limit says the same default', () => {
  for (const [name, value] of Object.entries(DEFAULT_LIMITS) as [string, number | Rate][]) {
    const comment = source
      .slice(0, source.indexOf(`  readonly ${name}:`))
      .split('/**')
      .at(-1)!
      .replace(/\s*\*\s*/g, ' ');
    const numbers = typeof value === 'number' ? [value] : [value.atOnce, value.perSecond];
    const stated = comment.slice(comment.indexOf('Default:'));
    for (const one of numbers) expect(stated, name).toContain(number(one));
  }
});

test('the windows on the page are those that a server has', () => {
  const server = readFileSync(join(projectRoot, 'src/protocols/h2/server.ts'), 'utf8');
  const options = Object.fromEntries(rows(3).map(([name, value]) => [name, value]));
  expect(options).toEqual({
    initialWindowSize: /STREAM_WINDOW = ([\d_]+)/.exec(server)![1]!.replaceAll('_', ','),
    connectionWindowSize: number(8 * 1024 * 1024),
    maxFrameSize: '16,384',
    headerTableSize: '4,096',
  });
  expect(server).toContain('MOST_WINDOW = 8 * 1024 * 1024');
});

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { projectRoot } from '../../src/tracing/sites.ts';

test('each promise of SECURITY.md names tests that are there', () => {
  const rows = readFileSync(join(projectRoot, 'SECURITY.md'), 'utf8')
    .split('\n')
    .filter((line) => /^\| (?!promise|limit|---)/.test(line));
  expect(rows.length).toBeGreaterThan(5);
  for (const row of rows) {
    const tests = [...row.matchAll(/`(test\/[^`]+)`/g)].map(([, path]) => path!);
    expect(tests, row).not.toEqual([]);
    for (const path of tests) expect(existsSync(join(projectRoot, path)), path).toBe(true);
  }
});

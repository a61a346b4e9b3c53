/** What the package exports, held against the report of it, and for what users would meet and can't name. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { REPORT, surface } from '../../scripts/surface.ts';

test('the surface is as docs/surface.txt has it, whole, and each of it has a comment', { timeout: 180_000 }, () => {
  const { text, unexported, undocumented } = surface();
  expect(unexported, 'types in exported signatures that no entry exports').toEqual([]);
  expect(undocumented, 'exports and members without a comment').toEqual([]);
  expect(text, 'npm run surface writes it anew').toBe(readFileSync(REPORT, 'utf8'));
});

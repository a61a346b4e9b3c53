import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Lines } from '../../src/utils/lines.ts';
import { losses } from '../../src/utils/losses.ts';

const lost = (what: string): number => losses().get(what) ?? 0;

test('lines are written in their order', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lines-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const fd = openSync(join(folder, 'log'), 'a');
  const lines = new Lines(fd, 'fine');
  for (const line of ['one', 'two', 'three']) lines.write(`${line}\n`);
  closeSync(fd);
  expect(readFileSync(join(folder, 'log'), 'utf8')).toBe('one\ntwo\nthree\n');
  expect(lost('fine')).toBe(0);
});

test('a full disk is spoken of once, and each line that is lost is counted', () => {
  const fd = openSync('/dev/full', 'w');
  onTestFinished(() => closeSync(fd));
  const said: string[] = [];
  const lines = new Lines(fd, 'full', (message) => said.push(message));
  for (let i = 0; i < 5; i++) lines.write('line\n');
  expect(said).toHaveLength(1);
  expect(said[0]).toMatch(/can't be written: ENOSPC.*; lines are lost until it can/);
  expect(lost('full')).toBe(5);
});

test('a descriptor that is closed throws nothing', () => {
  const fd = openSync('/dev/null', 'w');
  closeSync(fd);
  const said: string[] = [];
  const lines = new Lines(fd, 'closed', (message) => said.push(message));
  lines.write('line\n');
  lines.write('line\n');
  expect(said).toEqual([expect.stringContaining('EBADF')]);
  expect(lost('closed')).toBe(2);
});

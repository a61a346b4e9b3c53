import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { makeFolder } from '../../src/utils/folder.ts';

function dir(): string {
  const made = mkdtempSync(join(tmpdir(), 'folder-test-'));
  onTestFinished(() => rmSync(made, { recursive: true }));
  return made;
}

it('makes a folder and those above it, and leaves one that is there as it is', () => {
  const at = dir();
  makeFolder(join(at, 'a/b/c'));
  writeFileSync(join(at, 'a/b/c/file'), '');
  makeFolder(join(at, 'a/b/c'));
  expect(readdirSync(join(at, 'a/b/c'))).toEqual(['file']);
});

it('says that there is a file in its place', () => {
  const at = dir();
  writeFileSync(join(at, 'file'), '');
  expect(() => makeFolder(join(at, 'file'))).toThrow('EEXIST');
  expect(() => makeFolder(join(at, 'file/a'))).toThrow('EEXIST');
});

// Node's own `recursive` never comes back
it.runIf(process.platform === 'linux')('gives up where none can be made although the folder above is there', () => {
  expect(() => makeFolder('/proc/no/folder')).toThrow(/ENOENT.*\/proc\/no'/);
});

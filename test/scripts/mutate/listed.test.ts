import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { transformSync } from 'esbuild';
import { describe, expect, test } from 'vitest';
import type { Listed } from '../../../scripts/mutate/listed/entry.ts';
import { LISTED, without } from '../../../scripts/mutate/listed.ts';
import { projectRoot } from '../../../src/tracing/sites.ts';

const read = (file: string) => readFileSync(join(projectRoot, file), 'utf8');

describe('each behaviour that is listed', () => {
  test.each(LISTED)('is where the list says, and what is left without it can be run: $name', (entry) => {
    const { changed } = without(entry, read(entry.file));
    expect(changed).not.toBe(read(entry.file));
    // a source that isn't one would be noticed by every test
    transformSync(changed, { loader: 'ts' });
  });

  test('has a name of its own, and tests that there are', () => {
    expect(new Set(LISTED.map(({ name }) => name)).size).toBe(LISTED.length);
    for (const test of LISTED.flatMap(({ tests }) => tests ?? []))
      expect(existsSync(join(projectRoot, test)), test).toBe(true);
  });
});

describe('an entry', () => {
  const entry: Listed = { name: 'b is written', file: 'src/a.ts', text: 'b();', instead: '' };

  test('is the file without its text, and says which line that is', () => {
    expect(without(entry, 'a();\nb();\nc();\n')).toEqual({
      file: 'src/a.ts',
      line: 2,
      what: 'without: b is written',
      changed: 'a();\n\nc();\n',
    });
  });

  test.each([
    ['is not', 'a();\n'],
    ['is more than once', 'b();\nb();\n'],
  ])('is refused by its name if its text %s there', (found, source) => {
    expect(() => without(entry, source)).toThrow(
      `"b is written": the text to be changed ${found} in src/a.ts; mend the entry in scripts/mutate/listed/`,
    );
  });
});

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Linter } from 'eslint';
import tseslint from 'typescript-eslint';
import { expect, onTestFinished, test } from 'vitest';
import { FLOORS, floors } from '../../lint/floors.js';
import { noCircles } from '../../lint/no-circles.js';
import { tracingOnlyLooks } from '../../lint/tracing-only-looks.js';
import { projectRoot } from '../../src/tracing/sites.ts';

const linter = new Linter({ cwd: projectRoot });

function complaints(file: string, code: string, rule: 'floors' | 'looks'): string[] {
  const config = {
    files: ['**/*.ts'],
    languageOptions: { parser: tseslint.parser as Linter.Parser },
    plugins: { port: { rules: { floors, looks: tracingOnlyLooks } } },
    rules: { [`port/${rule}`]: 'error' },
  } as Linter.Config;
  return linter.verify(code, config, join(projectRoot, file)).map(({ message }) => message);
}

test('a file may import from lower floors, from its own folder and from packages', () => {
  const code = `
    import { a } from '../error/lib.ts';
    import type { B } from './common.ts';
    import { c } from 'node:net';
    export { d } from '../runtime/lib.ts';`;
  expect(complaints('src/protocols/mod.ts', code, 'floors')).toEqual([]);
});

test.each([
  ['an import', "import { HttpProxy } from '../proxy/lib.ts';"],
  ['an import of types', "import type { HttpProxy } from '../proxy/lib.ts';"],
  ['an export from there', "export { HttpProxy } from '../proxy/lib.ts';"],
  ['an export of all', "export * from '../proxy/lib.ts';"],
  ['a dynamic import', "const proxy = await import('../proxy/lib.ts');"],
  ['a type by import', "type HttpProxy = import('../proxy/lib.ts').HttpProxy;"],
])('%s from a higher floor is refused', (_, code) => {
  expect(complaints('src/pool/lru.ts', code, 'floors')).toEqual([expect.stringContaining("'proxy' (floor 6)")]);
});

test('of two folders of a floor only the later one may import the other: no pair, no circle', () => {
  const down = "import type { HttpModules } from '../modules/http/mod.ts';";
  const up = "import type { ServerApp } from '../../apps/mod.ts';";
  expect(complaints('src/apps/mod.ts', down, 'floors')).toEqual([]);
  expect(complaints('src/modules/http/mod.ts', up, 'floors')).toEqual([expect.stringContaining('comes after it')]);
});

test('a folder within a folder has a floor of its own where the list says so', () => {
  const code = "import type { ServerConf } from '../server/configuration/mod.ts';";
  expect(complaints('src/protocols/mod.ts', code, 'floors')).toEqual([]);
  const server = "import { Server } from '../server/mod.ts';";
  expect(complaints('src/protocols/mod.ts', server, 'floors')).toHaveLength(1);
});

test('a folder without a floor and what is outside of src are refused', () => {
  const floorless = "import { a } from '../cellar/a.ts';";
  expect(complaints('src/proxy/lib.ts', floorless, 'floors')).toEqual([expect.stringContaining('has no floor')]);
  const outside = "import { a } from '../../scripts/a.ts';";
  expect(complaints('src/proxy/lib.ts', outside, 'floors')).toEqual([expect.stringContaining('outside of src')]);
  expect(complaints('src/main/explorer.ts', outside, 'floors')).toEqual([]);
});

test('nothing stands below tracing, which everybody imports', () => {
  expect(FLOORS[0]![0]).toBe('tracing');
});

test('who asks whether a recorder is attached is refused, outside of the tracing folder', () => {
  const asks = 'if (tracing.recorder !== null) work();';
  const takes = 'const { recorder } = tracing;';
  for (const code of [asks, takes]) {
    for (const file of ['src/proxy/new.ts', 'src/runtime/task.ts', 'src/scenarios/new.ts']) {
      expect(complaints(file, code, 'looks')).toEqual([expect.stringContaining('outside of src/tracing')]);
    }
    expect(complaints('src/tracing/span.ts', code, 'looks')).toEqual([]);
  }
});

test('below the top floor only who starts and polls tasks knows of recorders', () => {
  const code = "import { tracing } from '../tracing/recorder.ts';";
  for (const file of ['src/proxy/new.ts', 'src/runtime/sync.ts', 'src/timeout/lib.ts']) {
    expect(complaints(file, code, 'looks')).toEqual([expect.stringContaining('imports the recorder')]);
  }
  for (const file of ['src/runtime/task.ts', 'src/live/sampler.ts', 'src/index.ts']) {
    expect(complaints(file, code, 'looks')).toEqual([]);
  }
});

/** What the rule against circles says of each file of a project that has these. */
function circles(files: Record<string, string>): Record<string, string[]> {
  const cwd = mkdtempSync(join(tmpdir(), 'circles-'));
  onTestFinished(() => rmSync(cwd, { recursive: true }));
  for (const [name, code] of Object.entries(files)) {
    mkdirSync(join(cwd, name, '..'), { recursive: true });
    writeFileSync(join(cwd, name), code);
  }
  const config = {
    files: ['**/*.ts'],
    languageOptions: { parser: tseslint.parser as Linter.Parser },
    plugins: { port: { rules: { circles: noCircles } } },
    rules: { 'port/circles': 'error' },
  } as Linter.Config;
  const complaintsOf = (name: string, code: string) =>
    new Linter({ cwd }).verify(code, config, join(cwd, name)).map(({ message }) => message.split(';')[0]!);
  return Object.fromEntries(Object.entries(files).map(([name, code]) => [name, complaintsOf(name, code)]));
}

test.each([
  ['an import', "import { b } from './b.ts';"],
  ['an import of types', "import type { B } from './b.ts';"],
  ['an export from there', "export { b } from './b.ts';"],
  ['an export of all', "export * from './b.ts';"],
  ['a dynamic import', "const b = await import('./b.ts');"],
  ['a type by import', "type B = import('./b.ts').B;"],
])('%s that closes a circle of files is refused', (_, code) => {
  const said = circles({ 'a.ts': code, 'b.ts': "import type { C } from './c/c.ts';", 'c/c.ts': "import '../a.ts';" });
  expect(said).toEqual({
    'a.ts': ['a circle of imports: a.ts -> b.ts -> c/c.ts -> a.ts'],
    'b.ts': ['a circle of imports: b.ts -> c/c.ts -> a.ts -> b.ts'],
    'c/c.ts': ['a circle of imports: c/c.ts -> a.ts -> b.ts -> c/c.ts'],
  });
});

test('two ways to one file are no circle, nor is what a comment imports', () => {
  const said = circles({
    'a.ts': "import { b } from './b.ts';\nimport { c } from './c.ts';",
    'b.ts': "import { c } from './c.ts';",
    'c.ts': "// import { a } from './a.ts';\nimport { d } from 'node:net';",
  });
  expect(said).toEqual({ 'a.ts': [], 'b.ts': [], 'c.ts': [] });
});

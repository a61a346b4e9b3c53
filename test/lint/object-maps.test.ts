import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ESLint } from 'eslint';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { projectRoot } from '../../src/tracing/sites.ts';

let folder: string;
let eslint: ESLint;
beforeAll(() => {
  // a project of one file: the rule asks the types, and to read those of the whole one takes ten seconds
  folder = mkdtempSync(join(tmpdir(), 'object-maps-'));
  mkdirSync(join(folder, 'src'));
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: { strict: true, types: [] } }));
  eslint = new ESLint({ cwd: folder, overrideConfigFile: join(projectRoot, 'eslint.config.js') });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the rule says of `code` in a file of `src`. */
async function complaints(code: string): Promise<number[]> {
  const filePath = join(folder, 'src/sample.ts');
  writeFileSync(filePath, code);
  const [result] = await eslint.lintText(code, { filePath });
  return result!.messages.filter(({ ruleId }) => ruleId === 'port/object-maps').map(({ line }) => line);
}

test('a plain object asked for any text is refused; maps, lists, known words and what is asked first are not', async () => {
  const code = `
const table: Record<string, number> = { one: 1 };
const known = { a: 1, b: 2 } as const;
export const bad = (key: string) => table[key];
export const worse = (key: string) => { table[key] = 1; };
export const any = (key: any) => (table as any)[key];
export const map = (key: string) => new Map(Object.entries(table)).get(key);
export const list = (at: number) => [1, 2, 3][at];
export const word = (key: 'a' | 'b') => known[key];
export const fixed = () => table['one'];
export const guarded = (key: string) => (Object.hasOwn(table, key) ? table[key] : undefined);
`;
  expect(await complaints(code)).toEqual([4, 5, 6]);
});

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { endOfFunction, lines, tokenize } from '../../explorer/source.ts';
import { declaredSites, projectRoot } from '../../src/tracing/sites.ts';

const kinds = (text: string) =>
  tokenize(text)
    .filter(({ text }) => text.trim() !== '')
    .map(({ kind, text }) => `${kind} ${text.trim()}`);
const end = (text: string, line: number) => endOfFunction(tokenize(text), line);

describe('colours', () => {
  test('tell words, types, calls and numbers apart', () => {
    expect(kinds('const a = new Server(0x1f);')).toEqual([
      'keyword const',
      'plain a =',
      'keyword new',
      'type Server',
      'plain (',
      'number 0x1f',
      'plain );',
    ]);
  });

  test('have no keyword where it is a name', () => {
    expect(kinds('a.delete(x)')).toContain('call delete');
    expect(kinds('{ type: 1 }')).not.toContain('keyword type');
  });

  test('end a string where it ends', () => {
    expect(kinds(`f('it\\'s // no comment', "b")`)).toEqual([
      'call f',
      'plain (',
      `string 'it\\'s // no comment'`,
      'plain ,',
      'string "b"',
      'plain )',
    ]);
  });

  test('know templates inside templates', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of a template
    expect(kinds('`a ${`b ${c}`} d` + e')).toEqual(['string `a ${`b ${c}`} d`', 'plain + e']);
  });

  test('know a regular expression from a division', () => {
    expect(kinds('x = /["\'`]/g;')).toEqual(['plain x =', 'string /["\'`]/g', 'plain ;']);
    expect(kinds('a / b / c')).toEqual(['plain a / b / c']);
    expect(kinds('return /a/')).toEqual(['keyword return', 'string /a/']);
  });

  test('know comments and decorators', () => {
    expect(kinds('/* a\nb */ @rust.method(x) // c')).toEqual([
      'comment /* a\nb */',
      'decorator @rust.method',
      'plain (x)',
      'comment // c',
    ]);
  });

  test('cut what runs over lines at their ends', () => {
    expect(lines(tokenize('/* a\nb */\nc'))).toEqual([
      [{ kind: 'comment', text: '/* a' }],
      [{ kind: 'comment', text: 'b */' }],
      [{ kind: 'plain', text: 'c' }],
    ]);
  });

  test('lose nothing of any file of the port', () => {
    const files = readdirSync(join(projectRoot, 'src'), { recursive: true, encoding: 'utf8' });
    for (const file of files.filter((name) => name.endsWith('.ts'))) {
      const text = readFileSync(join(projectRoot, 'src', file), 'utf8');
      const tokens = tokenize(text);
      expect(tokens.map((token) => token.text).join(''), file).toBe(text);
      // A string that runs to the end of the file would be one that was taken for open.
      expect(tokens.at(-1)!.kind === 'string' && tokens.at(-1)!.text.includes('\n'), file).toBe(false);
    }
  });
});

describe('the end of a function', () => {
  test('is a method’s brace', () => {
    expect(end('class A {\n  async b({ c }: D): Promise<{ e: 1 }> {\n    f({});\n  }\n\n  g() {}\n}', 2)).toBe(4);
  });

  test('is that of the body, not of a type before it', () => {
    expect(end('f(): { a: 1 } {\n  x;\n}\nnext', 1)).toBe(3);
    expect(end('f(): { a: 1 } | null {\n  x;\n}\nnext', 1)).toBe(3);
  });

  test('is the wrapper’s semicolon', () => {
    expect(end("const a = rust.fn('x', ({ b }) => {\n  c();\n});\nconst d = 1;", 1)).toBe(3);
    expect(end("const a = rust.fn(\n  'x',\n  () => 1,\n);\nconst d = 1;", 1)).toBe(4);
  });

  test('is not fooled by braces in strings and comments', () => {
    expect(end("f() {\n  a('}'); // }\n  /* } */ b(`}`);\n}\ng", 1)).toBe(4);
  });

  test('stays within its class', () => {
    expect(end('class A {\n  abstract\n}\nlet b;', 2)).toBeLessThanOrEqual(3);
  });

  test('is found for each traced function of the port, before the next begins', () => {
    const files = new Map<string, ReturnType<typeof tokenize>>();
    const sites = declaredSites();
    expect(sites.length).toBeGreaterThan(100);
    for (const { file, line, fn } of sites) {
      if (!files.has(file)) files.set(file, tokenize(readFileSync(join(projectRoot, file), 'utf8')));
      const last = endOfFunction(files.get(file)!, line);
      const next = sites.filter((site) => site.file === file && site.line > line).map((site) => site.line);
      expect(last, `${file}:${line} ${fn}`).toBeGreaterThanOrEqual(line);
      expect(last, `${file}:${line} ${fn}`).toBeLessThan(Math.min(...next, Number.POSITIVE_INFINITY));
    }
  });
});

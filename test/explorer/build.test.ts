import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { buildExplorer } from '../../scripts/explorer.ts';
import type { TraceDocument } from '../../src/tracing/model.ts';
import { declaredSites } from '../../src/tracing/sites.ts';
import { makeTrace } from '../tracing/made.ts';

describe('building the explorer', () => {
  const folder = mkdtempSync(join(tmpdir(), 'explorer-'));
  const traces = join(folder, 'traces');
  const out = join(folder, 'site');
  const put = (name: string, trace: TraceDocument | string) => {
    mkdirSync(join(traces, name, '..'), { recursive: true });
    writeFileSync(join(traces, name), typeof trace === 'string' ? trace : JSON.stringify(trace));
  };

  beforeEach(() => rmSync(traces, { recursive: true, force: true }));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('makes one page that needs nothing from elsewhere', async () => {
    put('h1.json', makeTrace([{ fn: 'Server::new' }], 'h1'));
    await buildExplorer({ traces, out });
    const page = readFileSync(join(out, 'explorer.html'), 'utf8');
    expect(page).not.toMatch(/\b(?:src|href)="(?!data:|explorer\.html)/);
    expect(page).not.toMatch(/@import|url\(|sourceMappingURL/);
    expect(page).not.toMatch(/\/\*(?:STYLE|SCRIPT)\*\/|"INDEX"|"CONFIG"/);
  });

  test('puts traces and sources beside it as scripts', async () => {
    const trace = makeTrace([{ fn: '</script><b>' }], 'h1');
    put('h1.json', trace);
    const [entry] = await buildExplorer({ traces, out });
    expect(entry).toMatchObject({ name: 'h1', spans: 1, tasks: 1, micros: 5, script: 'assets/traces/h1.js' });
    expect(entry!.about).toContain('HTTP/1.1');
    const text = readFileSync(join(out, entry!.script), 'utf8');
    expect(text).not.toContain('</script');
    const page: any = {};
    runInNewContext(text, page);
    runInNewContext(readFileSync(join(out, 'assets/sources.js'), 'utf8'), page);
    expect(JSON.parse(JSON.stringify(page.explorerTraces.get('h1')))).toEqual(trace);
    expect(page.explorerSources['src/proxy/lib.ts']).toBe(readFileSync('src/proxy/lib.ts', 'utf8'));
    // an application's hooks, which no annotation names, and what no call leads to
    expect(page.explorerSources['src/scenarios/app.ts']).toBeDefined();
    expect(page.explorerSources['src/formats/tree.ts']).toBeUndefined();
  });

  test('tells traces of one scenario apart', async () => {
    put('a/trace.json', makeTrace([{ fn: 'x' }], 'h1'));
    put('b/trace.json', makeTrace([{ fn: 'y' }], 'h1'));
    put('c.json', makeTrace([{ fn: 'z' }], 'h1'));
    expect((await buildExplorer({ traces, out })).map(({ name }) => name)).toEqual(['h1', 'h1-b', 'h1-c']);
  });

  test('refuses a trace that cannot be read, by its file', async () => {
    put('bad.json', '{"version": 3}');
    await expect(buildExplorer({ traces, out })).rejects.toThrow(/bad\.json: a trace of version 3/);
    await expect(buildExplorer({ traces: join(folder, 'none'), out })).rejects.toThrow(/^no folder /);
  });

  test('warns of a trace whose functions have moved since', async () => {
    const { fn, rust, file, line } = declaredSites().find((site) => site.fn === 'Server::bootstrap')!;
    const moved = makeTrace([{ fn, file: rust, span: { ts: { file, line: line + 1 } } }, { fn: 'b' }], 'moved');
    const still = makeTrace([{ fn, file: rust, span: { ts: { file, line } } }], 'still');
    put('moved.json', moved);
    put('still.json', still);
    const said: string[] = [];
    await buildExplorer({ traces, out, warn: (text) => said.push(text) });
    expect(said).toEqual(['moved: 1 of 2 calls lead to lines that have moved since; record it again']);
  });
});

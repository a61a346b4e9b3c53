/**
 * Makes the site: `npm run docs [-- --out FOLDER]`. The API by typedoc, the chapters as its documents, the diagrams,
 * the sources with their line numbers, and the trace explorer with a fresh trace of every scenario.
 *
 * Nothing of it needs a browser: the diagrams are the committed SVG.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { scenarios } from '../src/scenarios/index.ts';
import { projectRoot } from '../src/tracing/sites.ts';
import { Traces } from './book.ts';
import { buildApi } from './docs/api.ts';
import { writeSourcePages } from './docs/sources.ts';
import { buildExplorer } from './explorer.ts';

/** A trace of every scenario that can be run, into `folder`. Returns how many. */
async function writeTraces(folder: string): Promise<number> {
  const traces = new Traces();
  const available = scenarios.filter(({ unavailable }) => unavailable === undefined);
  await Promise.all(
    available.map(async ({ name }) => {
      writeFileSync(join(folder, `${name}.json`), JSON.stringify(await traces.get(name)));
    }),
  );
  return available.length;
}

await new Command('docs')
  .description('Make the documentation site.')
  .option('--out <folder>', 'where it goes; what was there before is removed', 'site')
  .action(async (options: { out: string }) => {
    const out = resolve(options.out);
    const traces = mkdtempSync(join(tmpdir(), 'pingora-traced-docs-'));
    try {
      const [made] = await Promise.all([writeTraces(traces), buildApi(projectRoot, out)]);
      writeSourcePages(projectRoot, out);
      await buildExplorer({ traces, out: join(out, 'explorer') });
      console.log(`${out}: chapters, API, sources, and the explorer with ${made} traces; open it: npm run docs:serve`);
    } catch (error) {
      console.error(error instanceof Error ? error.message : error);
      process.exitCode = 1;
    } finally {
      rmSync(traces, { recursive: true, force: true });
    }
  })
  .parseAsync();

/**
 * Makes the site: `npm run docs [-- --out FOLDER]`. The API by typedoc, the chapters as its documents, the diagrams,
 * the sources with their line numbers, and the trace explorer with a fresh trace of every scenario.
 *
 * Nothing of it needs a browser: the diagrams are the committed SVG.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { parseTrace } from '../explorer/trace.ts';
import { scenarios } from '../src/scenarios/index.ts';
import type { TraceDocument } from '../src/tracing/model.ts';
import { projectRoot } from '../src/tracing/sites.ts';
import { Traces } from './book.ts';
import { buildApi } from './docs/api.ts';
import { bookOf, mendPages } from './docs/pages.ts';
import { writeScenarioPages } from './docs/scenarios.ts';
import { writeSourcePages } from './docs/sources.ts';
import { buildExplorer } from './explorer.ts';

/**
 * The traces of every scenario that can be run. One at a time and before anything else is done: a trace shows how long
 * things took. `given`: a folder with traces that were recorded before; of these alone, then.
 */
async function record(given: string | undefined): Promise<Map<string, TraceDocument>> {
  const found = new Map<string, TraceDocument>();
  const traces = new Traces();
  for (const { name, unavailable } of scenarios) {
    const path = given === undefined ? undefined : join(given, `${name}.json`);
    if (unavailable !== undefined || (path !== undefined && !existsSync(path))) continue;
    found.set(name, path === undefined ? await traces.get(name) : parseTrace(readFileSync(path, 'utf8')));
  }
  if (found.size === 0) throw new Error(`${given}: there is no trace of any scenario in it; npm run traces makes them`);
  return found;
}

await new Command('docs')
  .description('Make the documentation site.')
  .option('--out <folder>', 'where it goes; what was there before is removed', 'site')
  .option('--traces <folder>', 'take traces that were recorded with npm run traces, instead of recording them')
  .option('--pingora <folder>', 'a checkout of Pingora 0.1.0, to show its Rust beside the port')
  .action(async (options: { out: string; traces?: string; pingora?: string }) => {
    const out = resolve(options.out);
    // below the project: typedoc takes documents from one common folder
    const cache = join(projectRoot, 'node_modules/.cache');
    mkdirSync(cache, { recursive: true });
    const folder = mkdtempSync(join(cache, 'docs-'));
    try {
      const traces = await record(options.traces);
      const json = join(folder, 'traces');
      mkdirSync(json);
      for (const [name, trace] of traces) writeFileSync(join(json, `${name}.json`), JSON.stringify(trace));
      await buildApi(projectRoot, out, writeScenarioPages(folder, traces));
      mendPages(out);
      writeSourcePages(projectRoot, out);
      await buildExplorer({ traces: json, out: join(out, 'explorer'), pingora: options.pingora, book: bookOf(out) });
      console.log(
        `${out}: book, API, sources, and the explorer with ${traces.size} traces; open it: npm run docs:serve`,
      );
    } catch (error) {
      console.error(error instanceof Error ? error.message : error);
      process.exitCode = 1;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  })
  .parseAsync();

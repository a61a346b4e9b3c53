/** Writes a trace of every scenario that can be run: `npm run traces -- FOLDER`. For the explorer. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { scenarios } from '../src/scenarios/index.ts';
import { Traces } from './book.ts';

await new Command('traces')
  .description('Run every scenario and write its trace, one JSON file each.')
  .argument('<folder>', 'where to; made if missing')
  .action(async (folder: string) => {
    mkdirSync(folder, { recursive: true });
    const traces = new Traces();
    const available = scenarios.filter(({ unavailable }) => unavailable === undefined);
    const write = async (name: string) => {
      const trace = await traces.get(name);
      writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(trace)}\n`);
    };
    for (const done of await Promise.allSettled(available.map(({ name }) => write(name)))) {
      if (done.status === 'fulfilled') continue;
      process.stderr.write(`${(done.reason as Error).message}\n`);
      process.exitCode = 1;
    }
  })
  .parseAsync();

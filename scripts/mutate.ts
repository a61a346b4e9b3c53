/**
 * Changes `src` in one place at a time and runs the tests that could notice:
 *
 *   npm run mutate -- [--seed N] [--count N]   places chosen by chance, spread over the folders
 *   npm run mutate -- --spans [--count N]      empties the body of a traced function instead
 *   npm run mutate -- --listed [--only TEXT]   takes away one behaviour of `mutate/listed/` after the other
 *
 * What no test noticed is printed at the end. The work is done in copies of the project; this one isn't touched. Tests
 * are run from the nearest one on, until one fails: a place that is noticed takes some seconds, one that isn't, minutes.
 * Of a traced function the scenarios come first whose record has it, of a listed behaviour the tests that it names.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { Command } from 'commander';
import { projectRoot } from '../src/tracing/sites.ts';
import { Chance } from '../test/support/random.ts';
import { type Change, changesOf, emptied } from './mutate/changes.ts';
import type { Listed } from './mutate/listed/entry.ts';
import { LISTED, without } from './mutate/listed.ts';
import { recordedCalls } from './mutate/records.ts';
import { batches, type Tests } from './mutate/tests.ts';

/** Tests of one batch get so long, in milliseconds: a change that has them wait for ever was noticed. */
const PATIENCE_MS = 240_000;
/** A scenario gets so long, which takes a second or two. */
const PATIENCE_OF_SCENARIO_MS = 8_000;

interface Options {
  seed: string;
  count?: string;
  spans: boolean;
  listed: boolean;
  only: string;
  jobs: string;
}

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
    .sort();
}

/** A copy of the project, to be changed. */
function copy(): string {
  const root = mkdtempSync(join(tmpdir(), 'mutate-'));
  cpSync(projectRoot, root, {
    recursive: true,
    filter: (path) =>
      !/^(?:node_modules|\.git|site|dist|traces)$/.test(relative(projectRoot, path).split('/')[0] ?? ''),
  });
  symlinkSync(join(projectRoot, 'node_modules'), join(root, 'node_modules'));
  return root;
}

/** What ends the tests that run. */
const running = new Set<() => void>();

/** Whether these tests fail, or don't come to an end. */
function noticed(root: string, { files, scenarios }: Tests): Promise<boolean> {
  return new Promise((resolve) => {
    const args =
      scenarios === undefined
        ? ['vitest', 'run', '--bail=1', '--testTimeout=20000', ...files]
        : ['tsx', 'scripts/mutate/recorded.ts', ...scenarios];
    const child = spawn('npx', args, { cwd: root, stdio: 'ignore', detached: true });
    const stop = () => {
      try {
        process.kill(-child.pid!, 'SIGKILL');
      } catch {
        // it has ended
      }
    };
    running.add(stop);
    const patience = scenarios === undefined ? PATIENCE_MS : scenarios.length * PATIENCE_OF_SCENARIO_MS;
    const timer = setTimeout(stop, patience);
    child.once('exit', (code) => {
      clearTimeout(timer);
      stop();
      running.delete(stop);
      resolve(code !== 0);
    });
  });
}

/** A change, and the tests that are to be run before all others. */
interface Trial {
  readonly change: Change;
  readonly first: Tests | null;
}

/** The tests that noticed; null if none did. */
async function noticedBy(root: string, { change, first }: Trial): Promise<Tests | null> {
  const { file, changed } = change;
  const path = join(root, file);
  const before = readFileSync(path, 'utf8');
  writeFileSync(path, changed);
  try {
    if (first !== null && (await noticed(root, first))) return first;
    for (const tests of batches(root, file)) if (await noticed(root, tests)) return tests;
    return null;
  } finally {
    writeFileSync(path, before);
  }
}

/** The listed behaviours whose name has `only` in it, or whose file begins with it, one after the other. */
function listed(root: string, only: string): Iterator<Trial> {
  const trial = (entry: Listed): Trial => {
    const change = without(entry, readFileSync(join(root, entry.file), 'utf8'));
    return { change, first: entry.tests === undefined ? null : { files: entry.tests } };
  };
  try {
    const found = LISTED.filter(({ name, file }) => file.startsWith(only) || name.includes(only));
    if (found.length === 0)
      throw new Error(`nothing that is listed has "${only}" in its name, or a file that begins so`);
    return found.map(trial).values();
  } catch (error) {
    console.error((error as Error).message);
    process.exit(1);
  }
}

/** Changes in an order of chance, one folder after the other. */
function* chosen(chance: Chance, root: string, { spans, only }: Options): Generator<Trial> {
  const byFolder = new Map<string, Change[]>();
  for (const path of sources(join(root, 'src'))) {
    const file = relative(root, path);
    if (!file.startsWith(only)) continue;
    const text = readFileSync(path, 'utf8');
    const all = spans ? emptied(file, text) : changesOf(file, text);
    const folder = file.split('/').slice(0, 3).join('/');
    byFolder.set(folder, [...(byFolder.get(folder) ?? []), ...all]);
  }
  while (byFolder.size > 0) {
    const folder = chance.pick([...byFolder.keys()]);
    const left = byFolder.get(folder)!;
    if (left.length === 0) byFolder.delete(folder);
    else {
      const change = left.splice(chance.below(left.length), 1)[0]!;
      yield { change, first: spans ? recordedCalls(change) : null };
    }
  }
}

function shown({ files }: Tests): string {
  return files.length > 3 ? `one of ${files.length} tests` : files.join(' or ');
}

async function main(options: Options): Promise<void> {
  const survived: Change[] = [];
  let tried = 0;
  const { seed, only } = options;
  const trials = options.listed ? listed(projectRoot, only) : chosen(new Chance(Number(seed)), projectRoot, options);
  const count = Number(options.count ?? (options.listed ? LISTED.length : 50));
  const roots = Array.from({ length: Number(options.jobs) }, copy);
  process.once('exit', () => {
    for (const stop of running) stop();
    for (const root of roots) rmSync(root, { recursive: true, force: true });
  });
  process.once('SIGINT', () => process.exit(130));
  process.once('SIGTERM', () => process.exit(143));
  const job = async (root: string) => {
    while (tried < count) {
      const { value: trial } = trials.next();
      if (trial === undefined) return;
      tried++;
      const by = await noticedBy(root, trial);
      const { file, line, what } = trial.change;
      if (by === null) survived.push(trial.change);
      console.log(
        `${by === null ? 'SURVIVED' : 'caught  '} ${file}:${line} ${what}${by === null ? '' : `, by ${shown(by)}`}`,
      );
    }
  };
  await Promise.all(roots.map(job));
  console.log(`${options.listed ? 'listed' : `seed ${seed}`}: ${tried - survived.length} of ${tried} were noticed`);
  for (const { file, line, what } of survived) console.log(`  not noticed: ${file}:${line} ${what}`);
}

await new Command('mutate')
  .description('Change src in one place at a time, and see whether a test notices.')
  .option('--seed <n>', 'the same seed changes the same places', '1')
  .option('--count <n>', 'so many places (default: 50, or all that are listed)')
  .option('--spans', 'empty the bodies of traced functions instead', false)
  .option('--listed', 'take away the behaviours of scripts/mutate/listed instead', false)
  .option('--jobs <n>', 'so many places at a time, each in a copy of its own', '1')
  .option('--only <text>', 'what the files begin with, as src/pool; or a part of the name of what is listed', 'src/')
  .action(main)
  .parseAsync();

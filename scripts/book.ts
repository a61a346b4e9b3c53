/**
 * Makes the book: fills the directives in the pages of `walkthrough/` and checks what the pages say.
 *
 * `npm run book`: fill all pages. `npm run book -- 03 ANSWERS`: only those. `npm run book -- --check`: change nothing,
 * and fail if something would change. Each scenario runs once, two at a time.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { findScenario, scenarios } from '../src/scenarios/index.ts';
import { type RunOptions, runScenario, ScenarioError } from '../src/scenarios/run.ts';
import type { TraceDocument } from '../src/tracing/model.ts';
import { projectRoot } from '../src/tracing/sites.ts';
import { runExamples } from '../walkthrough/00-async/async.ts';
import { check, localLinks } from './book/check.ts';
import { claimsOf, printClaims } from './book/claims.ts';
import { type Chapter, type Deviation, fill, type Material } from './book/directives.ts';
import { checkSaid } from './book/exercises.ts';
import { GLOSSARY, readTerms, unusedTerms } from './book/glossary.ts';
import type { Place } from './book/map.ts';
import type { Shows } from './book/shows.ts';

const WALKTHROUGH = 'walkthrough';
const MAP = `${WALKTHROUGH}/map.json`;
const DEVIATIONS = 'docs/deviations.json';
/** So many scenarios run at once. */
const AT_ONCE = 2;

/** Chapters' folders, in order. */
export function chapters(): string[] {
  return readdirSync(join(projectRoot, WALKTHROUGH))
    .filter((name) => /^\d\d-[a-z0-9-]+$/.test(name))
    .sort();
}

/** Every page, by its path in the project. */
export function pages(): string[] {
  const loose = readdirSync(join(projectRoot, WALKTHROUGH)).filter((name) => name.endsWith('.md'));
  return [...chapters().map((name) => `${name}/README.md`), ...loose.sort()].map((name) => `${WALKTHROUGH}/${name}`);
}

/** What a chapter says that traces must show. */
export function showsOf(chapter: string): Shows[] {
  const file = join(projectRoot, WALKTHROUGH, chapter, 'shows.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Shows[]) : [];
}

/** A chapter's title and question: its heading, and the quotation under it. */
function readChapter(name: string): Chapter {
  const page = `${WALKTHROUGH}/${name}/README.md`;
  const match = /^# (.+)\n\n> (.+)\n/.exec(readFileSync(join(projectRoot, page), 'utf8'));
  if (match === null) throw new Error(`${page} doesn't begin with a heading and a question`);
  const [, title, question] = match;
  const number = name.slice(0, 2);
  if (!title!.startsWith(`${number} `)) throw new Error(`${page}: its heading doesn't begin with ${number}`);
  return { page, title: title!, question: question! };
}

function readDeviations(): Map<string, Deviation> {
  const rows = JSON.parse(readFileSync(join(projectRoot, DEVIATIONS), 'utf8')) as Deviation[];
  return new Map(rows.map((row) => [row.id, row]));
}

/** Runs each scenario, and chapter 00's examples, once, at most {@link AT_ONCE} at a time. */
export class Traces {
  readonly #runs = new Map<string, Promise<TraceDocument>>();
  readonly #waiting: (() => void)[] = [];
  readonly #options: RunOptions;
  #running = 0;

  constructor(options: RunOptions = {}) {
    this.#options = options;
  }

  get(name: string): Promise<TraceDocument> {
    let run = this.#runs.get(name);
    if (run === undefined) {
      run = this.#run(name);
      this.#runs.set(name, run);
    }
    return run;
  }

  async #run(name: string): Promise<TraceDocument> {
    if (name === 'async') return (await runExamples()).trace;
    const scenario = findScenario(name);
    if (scenario === undefined) throw new Error(`no scenario ${name}`);
    if (scenario.unavailable !== undefined) throw new Error(`${name} can't be run: ${scenario.unavailable}`);
    if (this.#running >= AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
    try {
      return await runScenario(scenario, this.#options);
    } catch (error) {
      if (!(error instanceof ScenarioError)) throw error;
      const last = error.log.trim().split('\n').at(-1) ?? '';
      throw new Error(`${name} failed at: ${error.message}${last === '' ? '' : ` (${last.slice(0, 300)})`}`);
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }
}

/** What no page uses: scenarios without a chapter, files in chapters that nothing refers to, pictures. */
export function unused(texts: ReadonlyMap<string, string>): string[] {
  const found: string[] = [];
  const all = [...texts.values()].join('\n');
  const shown = new Set(chapters().flatMap((chapter) => showsOf(chapter).map(({ scenario }) => scenario)));
  for (const { name } of scenarios) {
    const used = shown.has(name) || all.includes(`<!-- calls: ${name} `) || all.includes(`npm run trace -- ${name}`);
    if (!used) found.push(`no chapter uses the scenario ${name}`);
  }
  for (const chapter of chapters()) {
    const page = texts.get(`${WALKTHROUGH}/${chapter}/README.md`) ?? '';
    const targets = new Set(localLinks(page).map(({ target }) => target));
    for (const file of readdirSync(join(projectRoot, WALKTHROUGH, chapter))) {
      if (!['README.md', 'shows.json'].includes(file) && !targets.has(file)) {
        found.push(`${WALKTHROUGH}/${chapter}/${file} is not used`);
      }
    }
    if (!(texts.get(`${WALKTHROUGH}/README.md`) ?? '').includes(`(${chapter}/README.md)`)) {
      found.push(`${WALKTHROUGH}/README.md doesn't lead to ${chapter}`);
    }
  }
  for (const file of readdirSync(join(projectRoot, 'diagrams')).filter((name) => name.endsWith('.svg'))) {
    if (!all.includes(`diagrams/${file}`)) found.push(`diagrams/${file} is on no page`);
  }
  return found;
}

async function main(only: string[], options: { check?: boolean; claims?: boolean }): Promise<void> {
  const wanted = (page: string) =>
    only.length === 0 || only.some((part) => page.slice(WALKTHROUGH.length + 1).startsWith(part));
  if (options.claims) {
    const of = (page: string) => claimsOf(readFileSync(join(projectRoot, page), 'utf8'), page);
    process.stdout.write(printClaims(pages().filter(wanted).flatMap(of)));
    return;
  }
  const traces = new Traces();
  const material: Material = {
    trace: (name) => traces.get(name),
    deviations: readDeviations(),
    chapters: chapters().map(readChapter),
    terms: readTerms(readFileSync(join(projectRoot, GLOSSARY), 'utf8')),
    places: JSON.parse(readFileSync(join(projectRoot, MAP), 'utf8')) as Place[],
  };
  const wrong: string[] = [];
  const texts = new Map<string, string>();
  const make = async (page: string) => {
    const path = join(projectRoot, page);
    const before = readFileSync(path, 'utf8');
    texts.set(page, before);
    if (!wanted(page)) return;
    try {
      const after = await fill(before, page, material);
      texts.set(page, after);
      wrong.push(...check(after, page), ...(await checkSaid(after, page, material.trace)));
      if (after === before) return;
      if (options.check) wrong.push(`${page} is not what npm run book makes of it`);
      else writeFileSync(path, after);
    } catch (error) {
      wrong.push((error as Error).message);
    }
  };
  await Promise.all(pages().map(make));
  if (only.length === 0) {
    wrong.push(...unused(texts));
    const told = material.chapters.map(({ page }) => texts.get(page)!);
    for (const word of unusedTerms(told, material.terms)) wrong.push(`${GLOSSARY}: no chapter uses “${word}”`);
  }
  for (const line of wrong) process.stderr.write(`${line}\n`);
  if (wrong.length > 0) process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await new Command('book')
    .description('Make the book: fill the pages of walkthrough/ and check them.')
    .argument('[pages...]', 'only pages whose names begin so, as 03')
    .option('--claims', 'list what the pages say of Pingora, each with its place and the function that it rests on')
    .option('--check', "change nothing; fail if a page isn't as it would be made")
    .action(main)
    .parseAsync();
}

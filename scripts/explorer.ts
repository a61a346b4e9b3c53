/**
 * Builds the trace explorer: `npm run explorer [-- --traces FOLDER] [--out FOLDER]`.
 *
 * The page is one file, `explorer.html`, with its style and script inside. Beside it lie the traces and the port's
 * sources as scripts, because a page that was opened as a file may load scripts but fetch nothing.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Command } from 'commander';
import { build } from 'esbuild';
import { chapterByTable, chapterByText, explained } from '../explorer/chapters.ts';
import type { Embedded } from '../explorer/embedded.ts';
import { parseTrace } from '../explorer/trace.ts';
import { commentAbove, firstSentence, MORE } from '../explorer/words.ts';
import { traceOfRecord } from '../src/formats/record.ts';
import { findScenario } from '../src/scenarios/index.ts';
import { loadRecord } from '../src/tracing/compare.ts';
import { declaredSites, projectRoot } from '../src/tracing/sites.ts';

export interface ExplorerOptions {
  /** A folder whose JSON files are the traces; else every `trace.json` below `walkthrough/`. */
  traces?: string | undefined;
  /** Told what is wrong with a trace that can be used all the same. */
  warn?: ((text: string) => void) | undefined;
  /** A checkout of Pingora 0.1.0, whose files are put beside the page. */
  pingora?: string | undefined;
  /** Where Pingora's files are fetched from when a reader asks for one. Default: the public repository. */
  rustBase?: string | undefined;
  /** The book's chapters by their numbers, and where each is from the page. Without them no step leads to one. */
  book?: Record<string, { title: string; href: string }> | undefined;
  /** Where the page goes; what was there before is removed. Default: `site/explorer` */
  out?: string | undefined;
}

const PUBLIC = 'https://raw.githubusercontent.com/cloudflare/pingora/0.1.0/';

/** Folders whose code a trace may lead to. */
const SOURCES = ['src', 'walkthrough', 'examples'];

function* filesIn(folder: string): Generator<string> {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== 'node_modules') yield* filesIn(path);
    else if (entry.isFile()) yield path;
  }
}

/** JSON that may stand inside a script element. */
const scriptJson = (value: unknown) => JSON.stringify(value).replaceAll('<', '\\u003c');

/** The trace's name in addresses: its scenario, and where two have the same, its folder or file too. */
function nameOf(scenario: string, path: string, taken: ReadonlyMap<string, unknown>): string {
  const place = basename(path) === 'trace.json' ? basename(dirname(path)) : basename(path, '.json');
  for (const name of [scenario, `${scenario}-${place}`]) if (!taken.has(name)) return name;
  for (let n = 2; ; n++) if (!taken.has(`${scenario}-${place}-${n}`)) return `${scenario}-${place}-${n}`;
}

function writeTraces(folder: string | undefined, out: string, warn: (text: string) => void): Embedded[] {
  const index = new Map<string, Embedded>();
  const wanted = (path: string) => (folder === undefined ? basename(path) === 'trace.json' : path.endsWith('.json'));
  if (folder !== undefined && !existsSync(folder)) throw new Error(`no folder ${folder}`);
  mkdirSync(join(out, 'assets/traces'), { recursive: true });
  for (const path of filesIn(folder ?? join(projectRoot, 'walkthrough'))) {
    if (!wanted(path)) continue;
    let trace: ReturnType<typeof parseTrace>;
    try {
      trace = parseTrace(readFileSync(path, 'utf8'));
    } catch (error) {
      throw new Error(`${relative(process.cwd(), path)}: ${(error as Error).message}`);
    }
    const { scenario, spans, tasks } = trace;
    const name = nameOf(scenario, path, index);
    for (const text of stale(name, trace)) warn(text);
    const script = `assets/traces/${name.replace(/[^\w.-]/g, '_')}.js`;
    const last = spans.reduce((time, { start, end }) => Math.max(time, end ?? start), 0);
    const about = findScenario(scenario)?.about ?? null;
    index.set(name, { name, about, spans: spans.length, tasks: tasks.length, micros: last - spans[0]!.start, script });
    const assign = `(globalThis.explorerTraces ??= new Map()).set(${scriptJson(name)}, ${scriptJson(trace)});\n`;
    writeFileSync(join(out, script), assign);
  }
  for (const name of [...index.keys()]) {
    const record = loadRecord(name);
    if (record === null) continue;
    const trace = traceOfRecord(record);
    const key = `pingora-${name}`;
    const script = `assets/traces/${key}.js`;
    const { length: spans } = trace.spans;
    index.set(key, { name: key, about: null, spans, tasks: trace.tasks.length, micros: 0, script, record: true });
    const assign = `(globalThis.explorerTraces ??= new Map()).set(${scriptJson(key)}, ${scriptJson(trace)});\n`;
    writeFileSync(join(out, script), assign);
  }
  return [...index.values()];
}

/** What each function does, in a sentence, by its name and Pingora's file; a hook's by its trait and name. */
export function sentences(): Record<string, string> {
  const found: Record<string, string> = { ...MORE };
  const sources = new Map<string, string>();
  for (const { fn, rust, file, line } of declaredSites()) {
    let source = sources.get(file);
    if (source === undefined) {
      source = readFileSync(join(projectRoot, file), 'utf8');
      sources.set(file, source);
    }
    const comment = commentAbove(source, line);
    const sentence = comment === null ? null : firstSentence(comment);
    if (sentence !== null) found[`${fn}#${rust}`] = sentence;
    if (sentence !== null && fn.startsWith('ProxyHttp::')) found[fn] = sentence;
  }
  // hooks without a default of their own: an application must have them, or 0.1.0 has no function of that name
  const traits = { ProxyHttp: 'src/proxy/proxy-trait.ts', ServeHttp: 'src/apps/http-app.ts' };
  for (const [trait, file] of Object.entries(traits)) {
    const source = readFileSync(join(projectRoot, file), 'utf8');
    source.split('\n').forEach((text, i) => {
      const [, name] = /^ {2}(?:abstract )?(\w+)\(/.exec(text) ?? [];
      const comment = name === undefined ? null : commentAbove(source, i + 1);
      const sentence = comment === null ? null : firstSentence(comment);
      const key = `${trait}::${name?.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
      if (sentence !== null) found[key] ??= sentence;
    });
  }
  return found;
}

/** The number of the chapter that explains a function, by its name and Pingora's file; a hook's by its trait and name. */
export function chapters(): Record<string, string> {
  const book = join(projectRoot, 'walkthrough');
  const texts = readdirSync(book)
    .filter((folder) => /^\d\d-/.test(folder) && existsSync(join(book, folder, 'README.md')))
    .sort()
    .map((folder) => ({ number: folder.slice(0, 2), text: readFileSync(join(book, folder, 'README.md'), 'utf8') }));
  const found: Record<string, string> = {};
  for (const { fn, rust } of declaredSites()) {
    const chapter = chapterByTable(fn, rust) ?? chapterByText(fn, rust, texts);
    if (chapter !== null) found[`${fn}#${rust}`] = chapter;
  }
  // hooks by their trait's name: those that an application has to have are declared nowhere else
  for (const name of explained.filter((one) => one.startsWith('ProxyHttp::'))) {
    found[name] = chapterByTable(name, null)!;
  }
  return found;
}

function writeWords(out: string, book: ExplorerOptions['book']): void {
  const words = { sentences: sentences(), chapters: book === undefined ? {} : chapters(), book: book ?? {} };
  writeFileSync(join(out, 'assets/words.js'), `globalThis.explorerWords = ${scriptJson(words)};\n`);
}

/** Pingora's files that functions of the port are in, from a checkout. */
function writeRust(folder: string, out: string): void {
  const files: Record<string, string> = {};
  for (const rust of new Set(declaredSites().map((site) => site.rust))) {
    if (rust === null) continue;
    const path = join(folder, rust);
    if (existsSync(path)) files[rust] = readFileSync(path, 'utf8');
  }
  if (Object.keys(files).length === 0) {
    throw new Error(
      `${folder}: no checkout of Pingora, which has pingora-core/src; git clone --branch 0.1.0 makes one`,
    );
  }
  writeFileSync(join(out, 'assets/rust.js'), `globalThis.explorerRust = ${scriptJson(files)};\n`);
}

/** What to say of traces whose functions have moved in the sources since: their lines would lead to other code. */
function stale(name: string, { spans }: ReturnType<typeof parseTrace>): string[] {
  const lines = new Map(declaredSites().map(({ fn, rust, file, line }) => [`${rust}#${fn}#${file}`, line]));
  const moved = spans.filter(({ fn, rust, ts }) => {
    const line = ts && lines.get(`${rust?.file ?? null}#${fn}#${ts.file}`);
    return line !== undefined && line !== null && line !== ts?.line;
  });
  if (moved.length === 0) return [];
  return [`${name}: ${moved.length} of ${spans.length} calls lead to lines that have moved since; record it again`];
}

/** Where a call may lead to: files with functions that have spans, and those with classes that may be an application. */
function writeSources(out: string): void {
  const traced = new Set(declaredSites().map(({ file }) => file));
  const sources: Record<string, string> = {};
  for (const folder of SOURCES) {
    for (const path of filesIn(join(projectRoot, folder))) {
      if (!path.endsWith('.ts')) continue;
      const name = relative(projectRoot, path).split(sep).join('/');
      const source = readFileSync(path, 'utf8');
      if (traced.has(name) || /\bclass \w+ (?:extends|implements) /.test(source)) sources[name] = source;
    }
  }
  writeFileSync(join(out, 'assets/sources.js'), `globalThis.explorerSources = ${scriptJson(sources)};\n`);
}

/** The script of the page, in one piece. */
async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(projectRoot, 'explorer/ui/app.ts')],
    bundle: true,
    minify: true,
    write: false,
    format: 'iife',
    platform: 'browser',
    target: 'es2022',
    legalComments: 'none',
  });
  return outputFiles[0]!.text.replaceAll('</script', '<\\/script');
}

async function style(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: ['explorer.css', 'teacher.css'].map((name) => join(projectRoot, 'explorer', name)),
    outdir: 'styles',
    minify: true,
    write: false,
    // What is newer than this is written as it stands: light-dark() has no older form worth having.
    target: 'chrome123',
  });
  return outputFiles.map(({ text }) => text).join('');
}

/** Builds the page and returns what traces are in it. */
export async function buildExplorer({
  traces,
  out: given,
  pingora,
  rustBase = PUBLIC,
  book,
  warn = () => {},
}: ExplorerOptions = {}): Promise<Embedded[]> {
  const out = given ?? join(projectRoot, 'site/explorer');
  for (const part of ['assets', 'explorer.html', 'index.html'])
    rmSync(join(out, part), { recursive: true, force: true });
  const index = writeTraces(traces, out, warn);
  writeSources(out);
  writeWords(out, book);
  if (pingora !== undefined) writeRust(pingora, out);
  const parts: Record<string, string> = {
    '/*STYLE*/': await style(),
    '"INDEX"': scriptJson(index),
    '"CONFIG"': scriptJson({ hasRust: pingora !== undefined, rustBase }),
    '/*SCRIPT*/': await bundle(),
  };
  const page = readFileSync(join(projectRoot, 'explorer/explorer.html'), 'utf8');
  const html = page.replace(/\/\*(?:STYLE|SCRIPT)\*\/|"INDEX"|"CONFIG"/g, (mark) => parts[mark]!);
  writeFileSync(join(out, 'explorer.html'), html);
  // So that the folder itself is an address, with the same hash.
  const redirect = "<script>location.replace('explorer.html' + location.search + location.hash)</script>";
  writeFileSync(
    join(out, 'index.html'),
    `<!doctype html>\n<meta charset="utf-8">\n<title>Trace explorer</title>\n${redirect}\n`,
  );
  return index.filter(({ record }) => !record);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await new Command('explorer')
    .description('Build the trace explorer, a page that needs no server.')
    .option('--traces <folder>', 'its JSON files are the traces (default: every trace.json below walkthrough/)')
    .option('--pingora <folder>', 'a checkout of Pingora 0.1.0, to show its Rust beside the port')
    .option('--out <folder>', 'where the page goes (default: site/explorer)')
    .action(async ({ traces, out, pingora }: ExplorerOptions) => {
      const resolved = (path: string | undefined) => (path === undefined ? undefined : resolve(path));
      try {
        const warn = (text: string) => process.stderr.write(`${text}\n`);
        const index = await buildExplorer({
          traces: resolved(traces),
          out: resolved(out),
          pingora: resolved(pingora),
          warn,
        });
        const where = relative(
          process.cwd(),
          join(resolved(out) ?? join(projectRoot, 'site/explorer'), 'explorer.html'),
        );
        process.stdout.write(`${where}: ${index.length} ${index.length === 1 ? 'trace' : 'traces'}\n`);
      } catch (error) {
        process.stderr.write(`${(error as Error).message}\n`);
        process.exitCode = 1;
      }
    })
    .parseAsync();
}

/**
 * Where a traced function is: its line in Pingora, from the table of Pingora's functions, and its file and line in the
 * port, from the port's own sources. Neither is typed anywhere, so neither can go stale. The built package has both in
 * one file, made by the build.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Site } from './registry.ts';
import { pingoraName } from './span.ts';

/** A line of a file, from 1. */
export interface Place {
  /** Relative to the project's folder, or for an application to where the program was started. */
  file: string;
  /** From 1. */
  line: number;
}

/** A traced function as the sources declare it. */
export interface DeclaredSite extends Place {
  fn: string;
  /** Pingora's file; null for what only the port has. */
  rust: string | null;
}

/** The project's folder: files are named relative to it. */
export const projectRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** What a trace needs to know of places: the build writes it beside this module, a checkout reads its sources. */
export interface Places {
  /** Every traced function of the port. */
  readonly declared: readonly DeclaredSite[];
  /** Pingora's functions at tag 0.1.0: `file#name` and line. */
  readonly rust: readonly (readonly [site: string, line: number])[];
}

const key = (fn: string, file: string | null) => `${file}#${fn}`;

let known: Places | null = null;

function places(): Places {
  if (known === null) {
    const built = fileURLToPath(new URL('./places.json', import.meta.url));
    known = existsSync(built) ? (JSON.parse(readFileSync(built, 'utf8')) as Places) : placesFromSources();
  }
  return known;
}

let rustLines: ReadonlyMap<string, number> | null = null;

/** Pingora's functions at tag 0.1.0: `file#name` to line. */
export function rustFunctions(): ReadonlyMap<string, number> {
  rustLines ??= new Map(places().rust);
  return rustLines;
}

const lineOf = (text: string, index: number) => {
  let line = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < index; at = text.indexOf('\n', at + 1)) line++;
  return line;
};

/** What may stand between a decorator and its method: space, comments, other decorators. */
const BETWEEN = /(?:\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/|@[\w.]+(?:\((?:[^()]|\([^()]*\))*\))?)*/y;

/** The text with its comments blanked, so that an example in one declares nothing; every index stays. */
function withoutComments(text: string): string {
  const blank = (comment: string) => comment.replace(/[^\n]/g, ' ');
  return text.replace(/\/\*[\s\S]*?\*\//g, blank).replace(/^\s*\/\/[^\n]*/gm, blank);
}

/** A class, or what marks a function: `@rust.method`, `@rust.method('…')`, `rust.fn('…'`. */
const DECLARATION = /\bclass (\w+)|(@?)\b(\w+)\.(?:method|fn)\b(?:\(\s*'([^']+)'\s*\)?)?/g;
/** A method's name. */
const METHOD = /(?:(?:static|async|override|private|protected|public)\s+)*\*?\s*(\w+)/y;

/** The traced functions that one source file declares. */
export function declaredIn(source: string, file: string): DeclaredSite[] {
  const text = withoutComments(source);
  const bindings = new Map<string, string | null>([['own', null]]);
  for (const [, name, rust] of text.matchAll(/\bconst (\w+) = ported\(\s*'([^']+)'/g)) bindings.set(name!, rust!);
  const found: DeclaredSite[] = [];
  let className = '';
  for (const match of text.matchAll(DECLARATION)) {
    const [whole, begun, decorator, binding, named] = match;
    if (begun !== undefined) className = begun;
    const rust = binding === undefined ? undefined : bindings.get(binding);
    if (rust === undefined) continue;
    let at = match.index;
    let fn = named;
    if (decorator === '@') {
      BETWEEN.lastIndex = at + whole.length;
      BETWEEN.exec(text);
      at = BETWEEN.lastIndex;
      METHOD.lastIndex = at;
      fn ??= pingoraName(className, METHOD.exec(text)?.[1] ?? '');
    }
    if (fn !== undefined) found.push({ fn, rust, file, line: lineOf(text, at) });
  }
  return found;
}

function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (entry.name.endsWith('.ts')) yield path;
  }
}

/** `path` relative to the project, or, outside of it, to where the program was started; with slashes. */
function projectPath(path: string): string {
  const inside = relative(projectRoot, path);
  const foreign = inside.startsWith('..') || isAbsolute(inside);
  return (foreign ? relative(process.cwd(), path) : inside).split(sep).join('/');
}

/** Pingora's table of functions, and the port's sources, read anew. */
export function placesFromSources(): Places {
  const declared = [...sources(join(projectRoot, 'src'))].flatMap((path) =>
    declaredIn(readFileSync(path, 'utf8'), projectPath(path)),
  );
  const rust: [string, number][] = [];
  const table = readFileSync(join(projectRoot, 'src/tracing/pingora-0.1.0/functions.tsv'), 'utf8');
  for (const row of table.split('\n').slice(1)) {
    const [file, line, fn] = row.split('\t');
    if (file && line && fn) rust.push([key(fn, file), Number(line)]);
  }
  return { declared, rust };
}

/** Every traced function of the port. */
export function declaredSites(): readonly DeclaredSite[] {
  return places().declared;
}

const HOOK = /^<app as (\w+)>::(\w+)$/;
const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

/** Where an application has its hook: the method of its name, in the class that has the trait if there are several. */
export function hookIn(source: string, file: string, fn: string): Place | null {
  const [, trait, hook] = HOOK.exec(fn) ?? [];
  if (trait === undefined || hook === undefined) return null;
  const from = Math.max(0, source.search(new RegExp(`class \\w+[^{]*\\b${trait}\\b`)));
  const method = new RegExp(`^[ \\t]+(?:override )?(?:async )?${camel(hook)}[(<]`, 'm').exec(source.slice(from));
  if (method === null) return null;
  return { file, line: lineOf(source, from + method.index + 1) };
}

/** Finds sites' lines. The sources are read once, at the first question. */
export class SiteTable {
  readonly #apps: { file: string; source: string }[];
  #ts: Map<string, Place> | null = null;
  readonly #hooks = new Map<string, Place | null>();

  /** `apps`: paths of the files that hold the traced application's hooks. */
  constructor(apps: string[] = []) {
    this.#apps = apps.map((path) => ({ file: projectPath(path), source: readFileSync(path, 'utf8') }));
  }

  /** Where the function is in Pingora; just `app` for an application's hook, null for what Pingora doesn't have. */
  rust(site: Site): { file: string; line?: number } | null {
    if (site.rust === null) return null;
    if (site.rust === 'app') return { file: 'app' };
    const line = rustFunctions().get(key(site.fn, site.rust));
    return line === undefined ? { file: site.rust } : { file: site.rust, line };
  }

  /** Where the function is in the port; null if its source isn't there. */
  ts(site: Site): Place | null {
    if (site.rust === 'app') {
      let place = this.#hooks.get(site.fn);
      if (place === undefined) {
        place = this.#apps.map(({ file, source }) => hookIn(source, file, site.fn)).find((p) => p !== null) ?? null;
        this.#hooks.set(site.fn, place);
      }
      return place;
    }
    this.#ts ??= new Map(
      [...declaredSites(), ...this.#declaredInApps()].map(({ fn, rust, file, line }) => [
        key(fn, rust),
        { file, line },
      ]),
    );
    return this.#ts.get(key(site.fn, site.rust)) ?? null;
  }

  /** An application may have traced functions of its own. */
  #declaredInApps(): DeclaredSite[] {
    return this.#apps.flatMap(({ file, source }) => declaredIn(source, file));
  }
}

/** The module folders of the port, and `app` for the application's hooks. */
export function moduleNames(): string[] {
  const folders = readdirSync(join(projectRoot, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...folders.map(({ name }) => name).sort(), 'app'];
}

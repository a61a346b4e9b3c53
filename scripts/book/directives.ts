/**
 * The directives in a page: HTML comments, whose content the book makes again each time.
 *
 * ```md
 * <!-- code: src/server/mod.ts Server.runForever from="const runtimes" to="}" -->
 * <!-- end -->
 *
 * <!-- rust: walkthrough/00-async/async.rs Later asks -->
 * <!-- end -->
 *
 * <!-- prints: asks -->
 * <!-- end -->
 *
 * <!-- calls: tls-h2 from="Server::run_forever" depth=3 only=server,services to="Service::run_endpoint" -->
 * <!-- end -->
 *
 * <!-- frames: tls-h2 side=client -->
 * <!-- end -->
 *
 * <!-- deviations: uds-unlinks-sockets-only pool-of-size-zero -->
 * <!-- end -->
 *
 * <!-- nav: -->
 * <!-- end -->
 *
 * <!-- contents: -->
 * <!-- end -->
 *
 * <!-- map: h1 -->
 * <!-- end -->
 *
 * <!-- log: short-body -->
 * <!-- end -->
 *
 * <!--fn Server::run_forever-->…<!--/fn-->
 *
 * <!--rs pingora-core/src/protocols/http/v1/client.rs 203 HttpSession::read_response-->…<!--/rs-->
 * ```
 */
import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { TraceDocument } from '../../src/tracing/model.ts';
import { type DeclaredSite, declaredSites, moduleNames, projectRoot, rustFunctions } from '../../src/tracing/sites.ts';
import { printCalls } from './calls.ts';
import { rustLine } from './claims.ts';
import { cut, type Range } from './excerpt.ts';
import { printFrames } from './frames.ts';
import { linkTerms, type Term } from './glossary.ts';
import { KINDS } from './kinds.ts';
import { drawMap, type Place } from './map.ts';
import { cutRust, printed } from './rust.ts';

const PINGORA = 'https://github.com/cloudflare/pingora/blob/0.1.0/';

/** A row of the table of deviations. */
export interface Deviation {
  id: string;
  pingora: string;
  port: string;
  reason: string;
}

export interface Material {
  /** Runs a scenario; each is run once a book. Throws if there is none of that name. */
  trace(scenario: string): Promise<TraceDocument>;
  deviations: ReadonlyMap<string, Deviation>;
  chapters: readonly Chapter[];
  /** The words of the glossary; chapters' first uses are linked to it. */
  terms: readonly Term[];
  /** What the map shows. */
  places: readonly Place[];
}

export interface Chapter {
  /** Its page, in the project. */
  page: string;
  title: string;
  /** What it answers. */
  question: string;
}

/** What a directive says: words, and `key=value` pairs in order. */
export interface Arguments {
  words: string[];
  pairs: [key: string, value: string][];
}

export function argumentsOf(text: string): Arguments {
  const words: string[] = [];
  const pairs: [string, string][] = [];
  let rest = text;
  while (rest.trim() !== '') {
    const match = /^\s*(?:(\w+)=(?:"([^"]*)"|(\S+))|(\S+))/.exec(rest)!;
    const [whole, key, quoted, bare, word] = match;
    if (key !== undefined) pairs.push([key, quoted ?? bare!]);
    else words.push(word!);
    rest = rest.slice(whole.length);
  }
  return { words, pairs };
}

function known(pairs: Arguments['pairs'], keys: readonly string[]): void {
  for (const [key] of pairs) if (!keys.includes(key)) throw new Error(`unknown '${key}='`);
}

const listed = (pairs: Arguments['pairs'], key: string, separator = ',') => {
  const found = pairs.filter(([name]) => name === key).flatMap(([, value]) => value.split(separator));
  return found.length === 0 ? undefined : found.map((value) => value.trim());
};

/** From the page to a file of the project. */
const relativeTo = (page: string, file: string) => posix.relative(posix.dirname(page), file);

function rustLink(fn: string, file: string): string {
  const line = rustFunctions().get(`${file}#${fn}`);
  if (line === undefined) throw new Error(`Pingora has no ${fn} in ${file}`);
  return `${PINGORA}${file}#L${line}`;
}

function code(page: string, { words, pairs }: Arguments): string {
  const [file, name, doc] = words;
  known(pairs, ['from', 'to']);
  if (file === undefined || name === undefined) throw new Error('code: which file, and what of it?');
  const ranges: Range[] = [];
  for (const [key, value] of pairs) {
    const last = ranges.at(-1);
    if (key === 'from' || last === undefined || last.to !== undefined) ranges.push({ [key]: value });
    else last.to = value;
  }
  const piece = cut(file, name, ranges, doc === 'doc');
  const link = `[${file}, lines ${piece.from}–${piece.to}](${relativeTo(page, file)}#L${piece.from}-L${piece.to})`;
  const original = piece.fn && piece.rust ? ` · [\`${piece.fn}\` in Pingora](${rustLink(piece.fn, piece.rust)})` : '';
  return `\`\`\`ts\n${piece.code}\n\`\`\`\n\n<sup>${link}${original}</sup>`;
}

async function calls({ words, pairs }: Arguments, material: Material): Promise<string> {
  const [scenario] = words;
  if (scenario === undefined) throw new Error('calls: which scenario?');
  known(pairs, ['from', 'nth', 'to', 'without', 'depth', 'only', 'tasks']);
  const one = (key: string) => pairs.find(([name]) => name === key)?.[1];
  const only = listed(pairs, 'only');
  for (const name of only ?? []) if (!moduleNames().includes(name)) throw new Error(`no module ${name}`);
  const depth = one('depth');
  const text = printCalls(await material.trace(scenario), {
    from: one('from'),
    nth: one('nth') === undefined ? undefined : Number(one('nth')),
    to: listed(pairs, 'to', ';'),
    without: listed(pairs, 'without', ';'),
    only,
    depth: depth === undefined ? undefined : Number(depth),
    tasks: listed(pairs, 'tasks', ';'),
  });
  return `\`\`\`text\n${text}\n\`\`\``;
}

async function frames({ words, pairs }: Arguments, material: Material): Promise<string> {
  const [scenario] = words;
  if (scenario === undefined) throw new Error('frames: which scenario?');
  known(pairs, ['side']);
  const side = pairs.find(([name]) => name === 'side')?.[1];
  return `\`\`\`text\n${printFrames(await material.trace(scenario), side)}\n\`\`\``;
}

function deviations(page: string, { words }: Arguments, material: Material): string {
  return words
    .map((id) => {
      const row = material.deviations.get(id);
      if (row === undefined) throw new Error(`no deviation ${id}`);
      const pingora = row.pingora.replace(/ \([^()]*\.rs[^()]*\)$/, '');
      const link = `[\`${id}\`](${relativeTo(page, 'docs/DEVIATIONS.md')}#${id})`;
      return `- ${link}. Pingora 0.1.0: ${pingora}. The port: ${row.port}. Why: ${row.reason}.`;
    })
    .join('\n');
}

function nav(page: string, { chapters }: Material): string {
  const at = chapters.findIndex((chapter) => chapter.page === page);
  if (at < 0) throw new Error('only a chapter has neighbours');
  const link = (chapter: Chapter, text: string) => `[${text}](${relativeTo(page, chapter.page)})`;
  const before = chapters[at - 1];
  const after = chapters[at + 1];
  return [
    before && link(before, `← ${before.title}`),
    '[Contents](../README.md)',
    after && link(after, `${after.title} →`),
  ]
    .filter(Boolean)
    .join(' · ');
}

function contents(page: string, { chapters }: Material): string {
  const line = (chapter: Chapter) => `| [${chapter.title}](${relativeTo(page, chapter.page)}) | ${chapter.question} |`;
  return ['| Chapter | What it answers |', '| --- | --- |', ...chapters.map(line)].join('\n');
}

async function map(page: string, { words }: Arguments, material: Material): Promise<string> {
  const linkTo = (number: string) => {
    const chapter = material.chapters.find(({ title }) => title.startsWith(`${number} `));
    if (chapter === undefined) throw new Error(`no chapter ${number}`);
    return relativeTo(page, chapter.page);
  };
  return `<pre>\n${drawMap(await material.trace(words[0] ?? ''), material.places, linkTo)}\n</pre>`;
}

let sites: Map<string, DeclaredSite[]> | null = null;

function fnLink(page: string, { words }: Arguments): string {
  if (sites === null) {
    sites = new Map();
    for (const site of declaredSites()) sites.set(site.fn, [...(sites.get(site.fn) ?? []), site]);
  }
  const file = words.at(-1)!.endsWith('.rs') ? words.at(-1) : undefined;
  const fn = (file === undefined ? words : words.slice(0, -1)).join(' ');
  const found = (sites.get(fn) ?? []).filter(({ rust }) => file === undefined || rust === file);
  const places = new Set(found.map(({ rust }) => rust));
  if (found.length === 0) throw new Error(`no function ${fn}`);
  if (places.size > 1) throw new Error(`${fn} is in ${[...places].join(', ')}: say which`);
  const [site] = found;
  const port = `[\`${fn}\`](${relativeTo(page, site!.file)}#L${site!.line})`;
  return site!.rust === null ? port : `${port}<sup>[rs](${rustLink(fn, site!.rust)})</sup>`;
}

/** A line of Pingora's source, in the function that it belongs to. */
function lineLink({ words }: Arguments): string {
  const [file, line, ...fn] = words;
  if (file === undefined || fn.length === 0) throw new Error('which file, line and function?');
  const place = rustLine(file, Number(line), fn.join(' '));
  return `[\`${place.text}\`](${PINGORA}${place.file}#L${place.line})`;
}

/** What Pingora logged, as it was recorded. */
function log({ words }: Arguments): string {
  const [name] = words;
  const lines = recordedLogs().find((one) => one.name === name)?.log;
  if (lines === undefined) throw new Error(`no log ${name}`);
  return `\`\`\`text\n${lines.join('\n')}\n\`\`\``;
}

/** What Pingora logged in a case that was recorded from it. */
export interface RecordedLog {
  name: string;
  about: string;
  log: string[];
}

export function recordedLogs(): RecordedLog[] {
  const text = readFileSync(join(projectRoot, 'src/tracing/pingora-0.1.0/logs.json'), 'utf8');
  return JSON.parse(text) as RecordedLog[];
}

const BLOCK = new RegExp(`<!-- (${KINDS}):([\\s\\S]*?)-->\\n([\\s\\S]*?)<!-- end -->`, 'g');
const INLINE = /<!--(fn|rs) ([^>]*(?:<[^>]*>[^>]*)*?)-->([\s\S]*?)<!--\/\1-->/g;

/** The page with every directive's content made again. `page`: its path in the project. Throws for a wrong one. */
export async function fill(text: string, page: string, material: Material): Promise<string> {
  const opened = [...text.matchAll(new RegExp(`^<!-- (?:${KINDS}):`, 'gm'))].length;
  const blocks = [...text.matchAll(BLOCK)];
  if (opened !== blocks.length) throw new Error(`${page}: ${opened} directives begin and ${blocks.length} end`);
  let out = '';
  let at = 0;
  for (const match of blocks) {
    const [whole, kind, given] = match;
    try {
      const args = argumentsOf(given!);
      let made: string;
      if (kind === 'code') made = code(page, args);
      else if (kind === 'rust') made = cutRust(args.words[0] ?? '', args.words.slice(1));
      else if (kind === 'prints') made = printed(page, args.words[0] ?? '');
      else if (kind === 'calls') made = await calls(args, material);
      else if (kind === 'frames') made = await frames(args, material);
      else if (kind === 'deviations') made = deviations(page, args, material);
      else if (kind === 'log') made = log(args);
      else if (kind === 'map') made = await map(page, args, material);
      else made = kind === 'nav' ? nav(page, material) : contents(page, material);
      out += `${text.slice(at, match.index)}<!-- ${kind}:${given}-->\n${made}\n<!-- end -->`;
    } catch (error) {
      throw new Error(`${page}: ${kind}: ${given!.trim()}: ${(error as Error).message}`);
    }
    at = match.index + whole.length;
  }
  out += text.slice(at);
  out = out.replace(INLINE, (_, kind: string, given: string) => {
    try {
      const args = argumentsOf(given);
      return `<!--${kind} ${given}-->${kind === 'fn' ? fnLink(page, args) : lineLink(args)}<!--/${kind}-->`;
    } catch (error) {
      throw new Error(`${page}: ${kind}: ${(error as Error).message}`);
    }
  });
  return material.chapters.some((chapter) => chapter.page === page) ? linkTerms(out, material.terms) : out;
}

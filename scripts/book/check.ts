/** What else must be true of a page: links lead somewhere, commands can be run, no line was typed by hand. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, posix } from 'node:path';
import { formats } from '../../src/formats/mod.ts';
import { findScenario } from '../../src/scenarios/index.ts';
import { moduleNames, projectRoot } from '../../src/tracing/sites.ts';
import { anchorOf } from '../slug.ts';
import { claimErrors } from './claims.ts';
import { KINDS } from './kinds.ts';

/** GitHub's anchors of a page's headings. */
export function anchors(markdown: string): Set<string> {
  const found = new Set<string>();
  const text = markdown.replace(/^```[\s\S]*?^```/gm, '');
  for (const [, heading] of text.matchAll(/^#{1,6} +(.+)$/gm)) {
    const plain = heading!
      .replace(/<!--[\s\S]*?-->/g, '')
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/<[^>]*>/g, '');
    anchorOf(plain, found);
  }
  for (const [, id] of text.matchAll(/<a id="([^"]+)">/g)) found.add(id!);
  return found;
}

/** Links of a page to files of the project: the file, and the anchor if there is one. */
export function localLinks(markdown: string): { target: string; anchor: string | undefined }[] {
  const text = markdown.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '`');
  return [...text.matchAll(/\]\(([^)\s]+)\)|<a href="([^"]+)"/g)]
    .map(([, url, html]) => url ?? html!)
    .filter((url) => !/^[a-z]+:/.test(url))
    .map((url) => {
      const [target, anchor] = url.split('#');
      return { target: target!, anchor };
    });
}

function linkError(page: string, markdown: string, target: string, anchor: string | undefined): string | null {
  const file = target === '' ? page : posix.normalize(posix.join(posix.dirname(page), target));
  const path = join(projectRoot, file);
  if (file.startsWith('..') || !existsSync(path)) return `no file ${target}`;
  if (anchor === undefined) return null;
  const lines = /^L(\d+)(?:-L(\d+))?$/.exec(anchor);
  const text = target === '' ? markdown : statSync(path).isDirectory() ? '' : readFileSync(path, 'utf8');
  if (lines !== null) {
    const last = Number(lines[2] ?? lines[1]);
    return last <= text.split('\n').length ? null : `${target} has no line ${last}`;
  }
  return anchors(text).has(anchor) ? null : `${target || page} has no heading #${anchor}`;
}

/** The command lines that a page shows: in `sh` blocks, and inline where they begin with `npm`. */
export function commands(markdown: string): string[] {
  const blocks = [...markdown.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, block]) => block!.split('\n'));
  const inline = [...markdown.replace(/^```[\s\S]*?^```/gm, '').matchAll(/`(npm [^`]+)`/g)].map(([, one]) => one!);
  return [...blocks, ...inline].map((line) => line.trim()).filter((line) => /\bnpm (?:run|start|test)\b/.test(line));
}

/** Why a command line can't work; null if nothing speaks against it. */
export function commandError(command: string): string | null {
  const scripts = (JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { scripts: object }).scripts;
  const run = /\bnpm (?:run (?:-s |--silent )?([\w:-]+)|(start|test))\b(.*)$/.exec(command);
  const script = run?.[1] ?? run?.[2];
  if (script === undefined || !(script in scripts)) return `no script: ${command}`;
  if (script !== 'trace') return null;
  const args = (/ -- ([^|>&]*)/.exec(run![3]!)?.[1] ?? '').trim().split(/\s+/);
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === '--only') {
      const wrong = args[++i]!.split(',').find((name) => !moduleNames().includes(name));
      if (wrong !== undefined) return `no module ${wrong}: ${command}`;
    } else if (arg === '--format') {
      if (!(args[++i]! in formats)) return `no format ${args[i]}: ${command}`;
    } else if (['--depth', '--out', '--endpoint'].includes(arg)) i++;
    else if (!arg.startsWith('--') && arg !== 'NAME' && findScenario(arg) === undefined) {
      return `no scenario ${arg}: ${command}`;
    }
  }
  return null;
}

/** What is wrong with a filled page. */
export function check(markdown: string, page: string): string[] {
  const wrong: string[] = [];
  for (const { target, anchor } of localLinks(markdown)) wrong.push(linkError(page, markdown, target, anchor) ?? '');
  for (const command of commands(markdown)) wrong.push(commandError(command) ?? '');
  const byHand = markdown
    .replace(new RegExp(`<!-- (?:${KINDS}):[\\s\\S]*?<!-- end -->`, 'g'), '')
    .replace(/<!--(fn|rs) [\s\S]*?<!--\/\1-->/g, '');
  for (const [line] of byHand.matchAll(/\]\([^)\s]*#L\d+[^)]*\)/g)) wrong.push(`a line typed by hand: ${line}`);
  return [...wrong.filter((one) => one !== '').map((one) => `${page}: ${one}`), ...claimErrors(markdown, page)];
}

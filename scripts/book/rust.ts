/**
 * Cuts pieces out of the Rust that chapters show beside the port's code, and what that program printed. It isn't
 * compiled here: it is small, its own, and was run by hand.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { projectRoot } from '../../src/tracing/sites.ts';

function read(file: string): string[] {
  const path = join(projectRoot, file);
  if (!existsSync(path)) throw new Error(`no file ${file}`);
  return readFileSync(path, 'utf8').split('\n');
}

/** The items of these names that stand at a line's beginning: functions, structs and what is implemented for them. */
export function cutRust(file: string, names: readonly string[]): string {
  const lines = read(file);
  const pieces: string[] = [];
  for (const name of names) {
    const begins = new RegExp(`^(?:pub )?(?:async fn|fn|struct|impl)\\b.*\\b${name}\\b`);
    const found = lines.flatMap((line, at) => (begins.test(line) ? [at] : []));
    if (found.length === 0) throw new Error(`${file} has no ${name}`);
    for (const at of found) {
      const end = /[;}]$/.test(lines[at]!) ? at : lines.indexOf('}', at);
      pieces.push(lines.slice(at, end + 1).join('\n'));
    }
  }
  return `\`\`\`rust\n${pieces.join('\n\n')}\n\`\`\``;
}

/** What the program beside the page printed in the part of that name: `printed.txt` has them in `main`'s order. */
export function printed(page: string, name: string): string {
  const folder = dirname(page);
  const [, main = ''] = read(`${folder}/async.rs`).join('\n').split('async fn main()');
  const names = [...main.matchAll(/\b(\w+)\(\)\.await;/g)].map(([, one]) => one);
  const at = names.indexOf(name);
  if (at < 0) throw new Error(`main doesn't call ${name}`);
  const text = read(`${folder}/printed.txt`).join('\n').split('--\n')[at];
  if (text === undefined) throw new Error(`nothing is printed by ${name}`);
  return `\`\`\`text\n${text.trim()}\n\`\`\``;
}

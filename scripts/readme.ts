/**
 * `npm run readme`: puts what the programs really print into README.md, between the markers that name the command, as
 * `<!-- output: h1 --stack -->` or `<!-- output: h1 | tail -1 -->`. `--check` fails if something else stands there.
 *
 * Times and the port's line numbers change from run to run and from change to change: times are taken out, and the
 * check takes any line number.
 */

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const path = join(root, 'README.md');
const MARKED = /(<!-- output: ([^\n]+?) -->\n```\w*\n)([\s\S]*?)(```\n<!-- \/output -->)/g;

function printed(args: string): string {
  const [run, last] = args.split(' | tail -');
  const command = ['--silent', 'run', 'trace', '--', ...run!.split(' ')];
  const env = { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0', COLUMNS: '100' };
  const output = execFileSync('npm', command, {
    cwd: root,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return last === undefined ? output : output.trimEnd().split('\n').slice(-Number(last)).join('\n');
}

/** Without what is another at every run. */
function steady(output: string): string {
  return output
    .split('\n')
    .map((line) => line.replace(/\s+(⧗?\d[\d.]*(?:µs|ms|s)\s*)+$/u, '').trimEnd())
    .join('\n')
    .replace(/^\n+|\n+$/g, '')
    .concat('\n');
}

const withoutLines = (text: string) => text.replace(/\.ts:\d+/g, '.ts:N').replace(/ +/g, ' ');

const before = readFileSync(path, 'utf8');
const after = before.replace(
  MARKED,
  (_all, start: string, args: string, _old, end: string) => start + steady(printed(args)) + end,
);
if (process.argv.includes('--check')) {
  if (withoutLines(before) !== withoutLines(after)) {
    console.error('README.md does not show what is printed: npm run readme');
    process.exitCode = 1;
  }
} else writeFileSync(path, after);

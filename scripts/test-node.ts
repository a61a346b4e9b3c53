/**
 * Runs the tests on another version of Node: `npm run test:node -- 22 [what vitest takes]`. The package `node` brings
 * it, so that the first run of a version needs the network. All processes that the tests start run on it too.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { projectRoot } from '../src/tracing/sites.ts';

const [version, ...rest] = process.argv.slice(2);

if (version === undefined || !/^(latest|\d+(\.\d+){0,2})$/.test(version)) {
  process.stderr.write(`${version ?? 'which Node?'}: write a version, as npm run test:node -- 22, or latest\n`);
  process.exit(2);
}

const npx = ['-y', '-p', `node@${version}`, '--'];
const found = spawnSync('npx', [...npx, 'node', '-p', 'process.version'], { encoding: 'utf8' });
if (found.status !== 0) {
  process.stderr.write(`node@${version} can't be had: there is no such version, or no network\n${found.stderr}`);
  process.exit(1);
}
process.stdout.write(`Node ${found.stdout.trim()}\n`);
const vitest = join(projectRoot, 'node_modules/vitest/vitest.mjs');
const { status, signal } = spawnSync('npx', [...npx, 'node', vitest, 'run', ...rest], {
  cwd: projectRoot,
  stdio: 'inherit',
});
process.exit(signal === null ? (status ?? 1) : 1);

/** `pingora-traced`, from the sources; `test/package` runs what is installed. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { ServerConf } from '../../src/server/configuration/mod.ts';
import { running } from '../support/built.ts';
import { Program } from '../support/program.ts';

vi.setConfig({ testTimeout: 60_000 });

let dir: string;
const file = (name: string) => join(dir, name);
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'cli-test-'));
  writeFileSync(file('good.yaml'), 'version: 1\nthreads: 3\n');
  writeFileSync(file('bad.yaml'), 'version: 1\nthread: 3\n');
  writeFileSync(file('text.json'), 'hello');
  writeFileSync(file('other.json'), '{"version":1}');
  writeFileSync(file('lines.json'), 'hel\nlo\n');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [...running('src/cli/main.ts'), ...args], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1' },
  });
}

test('without arguments it shows its commands, each once, and examples', () => {
  const { stdout, status } = run();
  expect(status).toBe(0);
  for (const command of ['serve', 'trace', 'list', 'explore', 'check', 'completion']) {
    expect(stdout.match(new RegExp(`^  ${command} `, 'gm')), command).toHaveLength(1);
  }
  expect(stdout).toMatch(/Examples:\n {2}pingora-traced serve/);
});

test.each([['serve'], ['trace']])(
  '%s --help shows each flag once, and examples under the command’s name',
  (command) => {
    const { stdout, status } = run(command, '--help');
    expect(status).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Usage: pingora-traced ${command} `));
    const flags = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, flag]) => flag!);
    expect(flags.length).toBeGreaterThan(5);
    expect(new Set(flags).size).toBe(flags.length);
    expect(stdout).toMatch(new RegExp(`Examples:\\n  pingora-traced ${command} `));
  },
);

describe('what cannot be understood or done ends it with one line', () => {
  test.each([
    ['a command that there is not', ['serv'], 2, /serv.*serve/],
    ['a flag that a command has not', ['check', '--fast', 'x'], 2, /--fast/],
    ['a flag that serve has not', ['serve', '--lisen'], 2, /--lisen.*--listen.*pingora-traced serve --help/],
    ['a scenario that there is not', ['trace', 'h3'], 2, /h3.*h1/],
    ['a configuration that is not there', ['check', 'no.yaml'], 1, /no\.yaml.*no such file/],
    ['a shell that there is not', ['completion', 'dos'], 2, /dos.*bash, zsh, fish/],
    ['a trace that is not there', ['explore', 'no.json'], 1, /no\.json.*no such file/],
    ['an address that is none', ['explore', 'http://['], 1, /http:\/\/\[: not an address; write http:/],
    ['a server that is not there', ['explore', 'http://127.0.0.1:1'], 1, /127\.0\.0\.1:1.*--trace-ui/],
  ])('%s', (_, args, code, expected) => {
    const { stderr, stdout, status } = run(...args);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(expected);
    expect(stdout).toBe('');
    expect(status).toBe(code);
  });

  test.each([
    ['a configuration with a mistyped key', ['check', 'bad.yaml'], /bad\.yaml, line 2.*"threads"/],
    ['a file that is no JSON', ['explore', 'text.json'], /text\.json: no trace/],
    ['lines that are no JSON', ['explore', 'lines.json'], /lines\.json: no trace/],
    ['a file that is no trace', ['explore', 'other.json'], /other\.json: no trace/],
  ])('%s', (_, [command, name], expected) => {
    const { stderr, status } = run(command!, file(name!));
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(expected);
    expect(status).toBe(1);
  });
});

test('check prints the configuration in effect, as a configuration', () => {
  const { stdout, status } = run('check', file('good.yaml'));
  expect(status).toBe(0);
  const shown = ServerConf.fromYaml(stdout);
  expect(shown).toEqual(ServerConf.loadFromYaml(file('good.yaml')));
  expect(shown.threads).toBe(3);
});

test('explore shows the traces of a folder', async () => {
  const traces = mkdtempSync(join(dir, 'traces-'));
  const { stdout } = run('trace', 'h1', '--format', 'json');
  writeFileSync(join(traces, 'one.json'), stdout);
  writeFileSync(join(traces, 'two.json'), stdout);
  const program = new Program('src/cli/main.ts', ['explore', traces]);
  onTestFinished(() => void program.child.kill('SIGKILL'));
  const [, address] = await program.until(/2 traces on (http:\/\/[^/]+)\//);
  expect(await (await fetch(`${address}/traces`)).json()).toMatchObject([{ name: 'one' }, { name: 'two' }]);
  expect(await (await fetch(`${address}/traces/2`)).json()).toMatchObject({ scenario: 'h1' });
});

describe('completion', () => {
  test('bash completes commands, flags and the values that a flag may have', () => {
    const { stdout } = run('completion', 'bash');
    const complete = (...words: string[]) => {
      const script = `${stdout}\nCOMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})\nCOMP_CWORD=${words.length - 1}\n_pingora_traced\nprintf '%s\\n' "\${COMPREPLY[@]}"`;
      return spawnSync('bash', ['-c', script], { encoding: 'utf8', cwd: dir }).stdout.trim().split('\n');
    };
    expect(complete('pingora-traced', 's')).toEqual(['serve']);
    expect(complete('pingora-traced', 'serve', '--tls-l')).toEqual(['--tls-listen']);
    expect(complete('pingora-traced', 'trace', '--format', 'perf')).toEqual(['perfetto']);
    expect(complete('pingora-traced', 'check', 'goo')).toEqual(['good.yaml']);
  });

  test.each([
    ['zsh', /_arguments .*'\*--tls-listen\[/],
    ['fish', /__fish_seen_subcommand_from serve' -l tls-listen -r -d/],
  ])('%s knows the flags', (shell, expected) => {
    expect(run('completion', shell).stdout).toMatch(expected);
  });
});

/** The package as whoever installs it has it: outside of the checkout, with no package's script run. */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { entries } from '../../scripts/declarations.ts';
import type { TraceDocument } from '../../src/tracing/model.ts';
import { projectRoot } from '../../src/tracing/sites.ts';
import { installed, tarball } from '../support/packed.ts';
import { Program } from '../support/program.ts';

// the first test waits until the package was made
vi.setConfig({ testTimeout: 180_000 });

const specifiers = entries().map(({ specifier }) => specifier);
const COMMAND = 'node_modules/.bin/pingora-traced';

/** Run JavaScript in the project; returns what it printed. */
function run(folder: string, code: string): string {
  return execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd: folder, encoding: 'utf8' });
}

/** Run the installed command to its end. */
function command(folder: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [COMMAND, ...args], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1' },
  });
}

function sizeOf(folder: string): number {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}

test('the tarball is under 2 MB and holds neither tests nor chapters', async () => {
  const file = await tarball();
  expect(statSync(file).size).toBeLessThan(2_000_000);
  const names = execFileSync('tar', ['-tzf', file], { encoding: 'utf8' }).trim().split('\n');
  const folders = new Set(names.map((name) => name.split('/')[1]));
  expect([...folders].sort()).toEqual(['LICENSE', 'NOTICE', 'README.md', 'dist', 'examples', 'package.json', 'src']);
});

test('without optional packages all that is installed is under 40 MB', async () => {
  expect(sizeOf(await installed('without optional'))).toBeLessThan(40_000_000);
});

test('every entry can be imported, and they share their modules', async () => {
  const folder = await installed();
  const code = `
    const all = await Promise.all(${JSON.stringify(specifiers)}.map((name) => import(name)));
    console.log(JSON.stringify(all.map((module) => Object.keys(module).length > 0)));
    const { Recorder, RoundRobin, setRegistry } = await import('pingora-traced');
    console.log((await import('pingora-traced/tracing')).Recorder === Recorder);
    console.log((await import('pingora-traced/load-balancing')).RoundRobin === RoundRobin);
    console.log((await import('pingora-traced/metrics')).setRegistry === setRegistry);`;
  const [each, ...same] = run(folder, code).trim().split('\n');
  expect(JSON.parse(each!)).toEqual(specifiers.map(() => true));
  expect(same).toEqual(['true', 'true', 'true']);
});

test('importing the library loads no other package', async () => {
  const folder = await installed();
  const hook = `
    const seen = new Set();
    export async function load(url, context, next) {
      const [, name] = /node_modules\\/((?:@[^/]+\\/)?[^/]+)\\/(?!.*node_modules)/.exec(url) ?? [];
      if (name !== undefined && !seen.has(name)) { seen.add(name); console.log(name); }
      return next(url, context);
    }`;
  const url = `data:text/javascript,${encodeURIComponent(hook)}`;
  const code = `
    import { createRequire, register } from 'node:module';
    register(${JSON.stringify(url)});
    await import('pingora-traced');
    await import('pingora-traced/load-balancing');
    for (const path of Object.keys(createRequire(import.meta.url).cache)) console.log(/node_modules.((?:@[^/]+.)?[^/]+)/.exec(path)[1]);`;
  // what it needs in any case is loaded when it is used too
  expect(run(folder, code).trim().split('\n')).toEqual(['pingora-traced']);
});

test('a program compiles against its declarations under the strictest flags, dependencies checked too', async () => {
  const folder = await installed();
  copyFileSync(join(projectRoot, 'test/package/fixtures/consumer.ts'), join(folder, 'consumer.ts'));
  const compilerOptions = {
    target: 'es2022',
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noPropertyAccessFromIndexSignature: true,
    noImplicitOverride: true,
    noImplicitReturns: true,
    verbatimModuleSyntax: true,
    isolatedModules: true,
    skipLibCheck: false,
    noEmit: true,
    types: ['node'],
    typeRoots: [join(projectRoot, 'node_modules/@types')],
  };
  const imports = specifiers.map((specifier, i) => `export * as entry${i} from '${specifier}';`).join('\n');
  writeFileSync(join(folder, 'entries.ts'), imports);
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, files: ['consumer.ts', 'entries.ts'] }),
  );
  const tsc = join(projectRoot, 'node_modules/typescript/bin/tsc');
  const { stdout, status } = spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' });
  expect(stdout).toBe('');
  expect(status).toBe(0);
});

test('its maps lead to the sources that travel along', async () => {
  const folder = join(await installed(), 'node_modules/pingora-traced');
  const maps = (readdirSync(join(folder, 'dist'), { recursive: true }) as string[]).filter((name) =>
    name.endsWith('.map'),
  );
  const mapped = new Set<string>();
  for (const name of maps) {
    const { sources } = JSON.parse(readFileSync(join(folder, 'dist', name), 'utf8')) as { sources: string[] };
    for (const source of sources) {
      mapped.add(join('dist', name, '..', source));
      expect(
        statSync(join(folder, 'dist', name, '..', source), { throwIfNoEntry: false }),
        `${name}: ${source}`,
      ).toBeDefined();
    }
  }
  expect([...mapped]).toEqual(expect.arrayContaining(['src/index.ts', 'src/server/mod.ts', 'src/h2/connection.ts']));
});

test('classes have the names that they have in the sources', async () => {
  const code = `
    const all = await Promise.all(${JSON.stringify(specifiers)}.map((name) => import(name)));
    const isClass = (value) => typeof value === 'function' && String(value).startsWith('class');
    const classes = all.flatMap((module) => Object.values(module).filter(isClass).map(({ name }) => name));
    console.log(JSON.stringify(classes));`;
  const named = JSON.parse(run(await installed(), code)) as string[];
  expect(named).toEqual(expect.arrayContaining(['KetamaHashing', 'PingoraError', 'Server', 'Session']));
  // of those that the bundler renames
  expect(named.filter((name) => /^_|\d$/.test(name) && !/^(H2|Http2)/.test(name))).toEqual([]);
});

test('a stack shown with source maps names lines of the sources', async () => {
  const folder = await installed();
  const { stderr } = spawnSync(
    process.execPath,
    ['--enable-source-maps', '--input-type=module', '-e', "(await import('pingora-traced')).ServerConf.fromYaml('1')"],
    { cwd: folder, encoding: 'utf8' },
  );
  expect(stderr).toMatch(/node_modules\/pingora-traced\/src\/server\/configuration\/mod\.ts:\d+/);
});

test('an optional package that is missing is named in one line, with how to install it', async () => {
  const folder = await installed('without optional');
  const metrics = `import { proxyMetrics } from 'pingora-traced/metrics';
    try { proxyMetrics(); } catch (error) { console.log(String(error)); }`;
  expect(run(folder, metrics)).toBe(
    'MissingPackage: metrics: the package "prom-client" is not installed; npm install prom-client\n',
  );
  const served = command(
    folder,
    'serve',
    '--listen',
    '127.0.0.1:0',
    '--upstream',
    '127.0.0.1:1',
    '--prometheus',
    '127.0.0.1:0',
  );
  expect(served.stderr.trim().split('\n')).toHaveLength(1);
  expect(served.stderr).toMatch(/prom-client.*npm install prom-client/);
  expect(served.status).toBe(1);
  const traced = command(folder, 'trace', 'h1', '--format', 'otlp');
  expect(traced.stderr.trim().split('\n')).toHaveLength(1);
  expect(traced.stderr).toMatch(/OpenTelemetry.*not installed/);
});

test('a scenario is traced with the lines of both sources', async () => {
  const folder = await installed();
  const { stdout, status } = command(folder, 'trace', 'h1', '--format', 'json');
  expect(status).toBe(0);
  const { spans } = JSON.parse(stdout) as TraceDocument;
  const spanOf = (fn: string) => spans.find((span) => span.fn === fn)!;
  const lineAt = ({ ts }: TraceDocument['spans'][number]) =>
    readFileSync(join(folder, 'node_modules/pingora-traced', ts!.file), 'utf8').split('\n')[ts!.line - 1];
  expect(spanOf('Server::run_forever').rust).toEqual({ file: 'pingora-core/src/server/mod.rs', line: 266 });
  expect(lineAt(spanOf('Server::run_forever'))).toMatch(/async runForever\(/);
  expect(lineAt(spanOf('<HttpProxy as HttpServerApp>::process_new_http'))).toMatch(/processNewHttp\(/);
  expect(lineAt(spanOf('<app as ProxyHttp>::upstream_peer'))).toMatch(/upstreamPeer\(/);
  expect(spans.filter(({ fn, ts }) => ts === null && !fn.startsWith('<app'))).toEqual([]);
});

test('a trace compares with what was recorded from Pingora', async () => {
  const { stdout } = command(await installed(), 'trace', 'h1');
  expect(stdout).toMatch(/reached (\d+) of \1 calls that Pingora 0\.1\.0 made; 0 misplaced/);
});

test('the command serves, traces live requests, and shows them in its explorer', async () => {
  const folder = await installed();
  const origin = createServer((_, response) => response.end('hello')).listen(0, '127.0.0.1');
  onTestFinished(() => {
    origin.closeAllConnections();
    origin.close();
  });
  await new Promise((resolve) => origin.once('listening', resolve));
  const upstream = `127.0.0.1:${(origin.address() as AddressInfo).port}`;
  const flags = ['serve', '--listen', '127.0.0.1:0', '--upstream', upstream, '--trace-ui', '127.0.0.1:0'];
  const program = new Program(COMMAND, flags, { installed: folder });
  onTestFinished(() => void program.child.kill('SIGKILL'));
  const [, ui] = await program.until(/trace explorer on (http:\/\/[^/]+)\//);
  const [, address] = await program.until(/listening on (http:\S+)/);
  expect(await (await fetch(`${address}/x`)).text()).toBe('hello');
  await vi.waitFor(async () =>
    expect(await (await fetch(`${ui}/traces`)).json()).toMatchObject([{ name: 'GET /x 200' }]),
  );
  expect(await (await fetch(ui!)).text()).toContain('<title>');

  // another explorer, of what this server has
  const explorer = new Program(COMMAND, ['explore', ui!], { installed: folder });
  onTestFinished(() => void explorer.child.kill('SIGKILL'));
  const [, copy] = await explorer.until(/1 trace on (http:\/\/[^/]+)\//);
  expect(await (await fetch(`${copy}/traces`)).json()).toMatchObject([{ name: 'GET /x 200' }]);
});

test('sockets are handed over although no install script ran', async () => {
  const folder = await installed();
  // the package is there, and its binary with it
  const code = `
    import { createRequire } from 'node:module';
    const koffi = createRequire(import.meta.resolve('pingora-traced'))('koffi');
    console.log(typeof koffi.load(null).func('getpid', 'int', [])());`;
  expect(run(folder, code)).toBe('number\n');
});

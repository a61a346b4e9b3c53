/**
 * Makes what the package consists of beside its sources: `npm run build [-- --out FOLDER]`.
 *
 * - `dist/**.js`: a module for a module of `src`, with decorators lowered, and a source map that leads to `src`.
 * - `dist/**.d.ts`: the declarations of what the entries export, with maps to `src`.
 * - `dist/tracing/places.json`: the traced functions with their lines here and in Pingora.
 * - `dist/explorer/`: the trace explorer, without traces.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Command } from 'commander';
import { build, type Plugin } from 'esbuild';
import { placesFromSources, projectRoot } from '../src/tracing/sites.ts';
import { declarations } from './declarations.ts';
import { buildExplorer } from './explorer.ts';

/** What the command is; its first line names the interpreter. */
export const COMMAND = 'cli/main';

function* modulesIn(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* modulesIn(path);
    else if (entry.name.endsWith('.ts')) yield path;
  }
}

/** Modules stay apart, so that stacks name Pingora's files and a class keeps its name: only the extension changes. */
const modulesStayApart: Plugin = {
  name: 'modules-stay-apart',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\.?\// }, ({ kind, path }) =>
      kind === 'entry-point' ? undefined : { path: path.replace(/\.ts$/, '.js'), external: true },
    );
  },
};

const escaped = (name: string) => new RegExp(`(?<![\\w$])_${name}(?![\\w$])`, 'g');

/**
 * The bundler calls a class that speaks of itself `_Session`, and so would `console.log` and stacks. It gets its name
 * back where nothing else has it: within the class, which its own name means there too. Columns stay where they are.
 */
function withNames(code: string): string {
  let named = code;
  for (const [, outer, inner] of code.matchAll(/^(?:var|const) (\w+) = class _(\w+)/gm)) {
    if (outer === inner) named = named.replaceAll(escaped(inner!), ` ${inner}`);
    else named = named.replace(`${outer} = class _${inner}`, `${outer} = class  ${inner}`);
  }
  return named;
}

async function buildModules(out: string): Promise<void> {
  const { outputFiles } = await build({
    absWorkingDir: projectRoot,
    entryPoints: [...modulesIn(join(projectRoot, 'src'))],
    outbase: 'src',
    // where the maps believe to be
    outdir: 'dist',
    write: false,
    bundle: true,
    packages: 'external',
    plugins: [modulesStayApart],
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: true,
    // the sources travel along
    sourcesContent: false,
    // as in tsconfig.json
    tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
  });
  for (const { path, text } of outputFiles) write(out, path, path.endsWith('.js') ? withNames(text) : text);
}

/** Write in `out` what was made for `dist`. */
function write(out: string, path: string, text: string): void {
  const target = join(out, relative(join(projectRoot, 'dist'), path));
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, text);
}

function writeDeclarations(out: string): void {
  for (const [path, text] of declarations()) write(out, path, text);
}

async function buildPages(out: string): Promise<void> {
  const none = mkdtempSync(join(tmpdir(), 'pingora-traced-build-'));
  try {
    await buildExplorer({ traces: none, out });
  } finally {
    rmSync(none, { recursive: true, force: true });
  }
}

/** Make it all anew in `out`. */
export async function buildPackage(out = join(projectRoot, 'dist')): Promise<void> {
  rmSync(out, { recursive: true, force: true });
  await buildModules(out);
  const command = join(out, `${COMMAND}.js`);
  writeFileSync(command, `#!/usr/bin/env node\n${readFileSync(command, 'utf8')}`, { mode: 0o755 });
  writeDeclarations(out);
  writeFileSync(join(out, 'tracing/places.json'), JSON.stringify(placesFromSources()));
  await buildPages(join(out, 'explorer'));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await new Command('build')
    .description('Make the JavaScript, declarations and pages of the package.')
    .option('--out <folder>', 'where they go; what was there before is removed', 'dist')
    .action(async (options: { out: string }) => {
      const out = resolve(options.out);
      try {
        await buildPackage(out);
        process.stdout.write(`${relative(process.cwd(), out)}: made\n`);
      } catch (error) {
        process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
        process.exitCode = 1;
      }
    })
    .parseAsync();
}

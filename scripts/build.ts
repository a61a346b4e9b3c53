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
import ts from 'typescript';
import { placesFromSources, projectRoot } from '../src/tracing/sites.ts';
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

async function buildModules(out: string): Promise<void> {
  await build({
    absWorkingDir: projectRoot,
    entryPoints: [...modulesIn(join(projectRoot, 'src'))],
    outbase: 'src',
    outdir: out,
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
}

/** The compiler leaves `.ts` in the declarations' imports. */
const SPECIFIER = /((?:from|import)\s*\(?\s*')(\.\.?\/[^']+)\.ts'/g;

function buildDeclarations(out: string): void {
  const { config } = ts.readConfigFile(join(projectRoot, 'tsconfig.build.json'), ts.sys.readFile);
  const { options, fileNames } = ts.parseJsonConfigFileContent(config, ts.sys, projectRoot);
  const program = ts.createProgram(fileNames, { ...options, outDir: out });
  const write: ts.WriteFileCallback = (path, text) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, path.endsWith('.d.ts') ? text.replace(SPECIFIER, "$1$2.js'") : text);
  };
  const { diagnostics } = program.emit(undefined, write);
  const problems = [...ts.getPreEmitDiagnostics(program), ...diagnostics];
  if (problems.length === 0) return;
  const host = { getCanonicalFileName: (name: string) => name, getCurrentDirectory: () => projectRoot };
  throw new Error(ts.formatDiagnostics(problems, { ...host, getNewLine: () => '\n' }));
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
  buildDeclarations(out);
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

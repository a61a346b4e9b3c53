/**
 * Makes what the package consists of beside its sources: `npm run build [-- --out FOLDER]`.
 *
 * - `dist/**.js`: the entries, the programs and what they share, with decorators lowered, and maps that lead to `src`.
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

/**
 * What programs load by its path, by its place in `dist`. All are in a folder, so that what is theirs alone and what
 * they share are equally deep.
 */
function entryPoints(): Record<string, string> {
  const { exports } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as {
    exports: Record<string, string | { '@pingora-traced/source': string; default: string }>;
  };
  const libraries = Object.values(exports).flatMap((entry): [string, string][] =>
    typeof entry === 'string' ? [] : [[inDist(entry.default), entry['@pingora-traced/source']]],
  );
  const programs = [COMMAND, 'scenarios/server'].map((name): [string, string] => [name, `src/${name}.ts`]);
  return Object.fromEntries([...libraries, ...programs]);
}

const inDist = (path: string) => relative('dist', path).replace(/\.js$/, '');

/** A module finds what lies beside it in `dist` although its code has gone to another file, one folder deep. */
const modulesKnowTheirPlaces: Plugin = {
  name: 'modules-know-their-places',
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
      const code = readFileSync(path, 'utf8');
      const place = relative(join(projectRoot, 'src'), path).replace(/\.ts$/, '.js');
      const url = `new URL('../${place}', import.meta.url).href`;
      return { contents: code.replaceAll('import.meta.url', url), loader: 'ts' };
    });
  },
};

function classesIn(folder: string): Set<string> {
  const files = readdirSync(folder, { withFileTypes: true, recursive: true }).filter(({ name }) => /\.ts$/.test(name));
  const texts = files.map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'utf8'));
  return new Set(texts.flatMap((text) => [...text.matchAll(/\bclass (\w+)/g)].map(([, name]) => name!)));
}

/**
 * The bundler calls a class that speaks of itself `_Session`, and the second one of a name `Session2`; so would
 * `console.log` and stacks. What its class isn't called in the sources gets its name back.
 */
function withNames(code: string, names: ReadonlySet<string>): string {
  return code.replace(
    /^((?:var|const) (\w+) = class(?: (\w+))?(?: extends .+)? \{)(?=$|\})/gm,
    (line, start: string, outer: string, inner: string | undefined) => {
      const given = inner ?? outer;
      const name = [given, given.replace(/^_/, ''), given.replace(/\d+$/, ''), given.replace(/^_|\d+$/g, '')].find(
        (each) => names.has(each),
      );
      if (name === undefined) throw new Error(`${given}: no class of the sources`);
      return name === given ? line : `${start} static { Object.defineProperty(this, 'name', { value: '${name}' }); }`;
    },
  );
}

/**
 * Few files: Node needs half a millisecond to find, read and link a module, and there are 140 in the library (160 ms
 * to import it, 75 in this form).
 */
async function buildModules(out: string): Promise<void> {
  const { outputFiles } = await build({
    absWorkingDir: projectRoot,
    entryPoints: entryPoints(),
    // where the maps believe to be
    outdir: 'dist',
    write: false,
    bundle: true,
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    packages: 'external',
    plugins: [modulesKnowTheirPlaces],
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: true,
    // the sources travel along
    sourcesContent: false,
    // as in tsconfig.json
    tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
  });
  const names = classesIn(join(projectRoot, 'src'));
  for (const { path, text } of outputFiles) write(out, path, path.endsWith('.js') ? withNames(text, names) : text);
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

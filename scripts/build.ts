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

/**
 * A module finds what lies beside it although its code has gone to another file: `urlOf` makes the expression that its
 * `import.meta.url` is.
 */
const modulesKnowTheirPlaces = (urlOf: (place: string) => string): Plugin => ({
  name: 'modules-know-their-places',
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
      const code = readFileSync(path, 'utf8');
      const place = relative(join(projectRoot, 'src'), path).replace(/\.ts$/, '.js');
      return { contents: code.replaceAll('import.meta.url', urlOf(place)), loader: 'ts' };
    });
  },
});

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
      // a class of a test's program has its name
      return name === undefined || name === given
        ? line
        : `${start} static { Object.defineProperty(this, 'name', { value: '${name}' }); }`;
    },
  );
}

/**
 * Few files: Node needs half a millisecond to find, read and link a module, and there are 140 in the library (160 ms
 * to import it, 85 in this form).
 */
async function buildModules(
  entryPoints: Record<string, string>,
  urlOf: (place: string) => string,
): Promise<Map<string, string>> {
  const { outputFiles } = await build({
    absWorkingDir: projectRoot,
    entryPoints,
    // where the maps believe to be
    outdir: 'dist',
    write: false,
    bundle: true,
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    packages: 'external',
    plugins: [modulesKnowTheirPlaces(urlOf)],
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
  return new Map(outputFiles.map(({ path, text }) => [path, path.endsWith('.js') ? withNames(text, names) : text]));
}

/** Write in `out` what was made for `dist`. */
function write(out: string, files: ReadonlyMap<string, string>): void {
  for (const [path, text] of files) {
    const target = join(out, relative(join(projectRoot, 'dist'), path));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
  }
}

async function buildPages(out: string): Promise<void> {
  const none = mkdtempSync(join(tmpdir(), 'pingora-traced-build-'));
  try {
    await buildExplorer({ traces: none, out });
  } finally {
    rmSync(none, { recursive: true, force: true });
  }
}

async function buildRest(out: string): Promise<void> {
  mkdirSync(join(out, 'tracing'), { recursive: true });
  writeFileSync(join(out, 'tracing/places.json'), JSON.stringify(placesFromSources()));
  await buildPages(join(out, 'explorer'));
}

/** Make it all anew in `out`. */
export async function buildPackage(out = join(projectRoot, 'dist')): Promise<void> {
  rmSync(out, { recursive: true, force: true });
  write(out, await buildModules(entryPoints(), (place) => `new URL('../${place}', import.meta.url).href`));
  const command = join(out, `${COMMAND}.js`);
  writeFileSync(command, `#!/usr/bin/env node\n${readFileSync(command, 'utf8')}`, { mode: 0o755 });
  write(out, declarations());
  await buildRest(out);
}

/** Make `programs`, files of the project, in `out`, a folder in the project: they run there as they are. */
export async function buildPrograms(out: string, programs: readonly string[]): Promise<void> {
  const entries = programs.map((path): [string, string] => [builtName(path), path]);
  const urlOf = (place: string) => JSON.stringify(pathToFileURL(join(out, place)).href);
  write(out, await buildModules(Object.fromEntries(entries), urlOf));
  await buildRest(out);
}

/** What {@link buildPrograms} makes of a program's path, without extension. */
export const builtName = (path: string) => path.replace(/^src\//, '').replace(/\.ts$/, '');

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

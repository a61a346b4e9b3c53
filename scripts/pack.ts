/**
 * The package as its users get it: the tarball, and a folder where it was installed, outside of the checkout.
 *
 *   npm run pack:try -- FOLDER
 */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { projectRoot } from '../src/tracing/sites.ts';
import { buildPackage } from './build.ts';

const run = promisify(execFile);

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly files: readonly string[];
  readonly bin: Record<string, string>;
  readonly engines: Record<string, string>;
  readonly dependencies: Record<string, string>;
  readonly optionalDependencies: Record<string, string>;
}

interface Locked {
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly devOptional?: boolean;
}

const readJson = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));

/** What npm packs whatever `files` says. */
const ALWAYS = ['package.json', 'README.md', 'LICENSE'];

/** Make the tarball in `folder`, from a copy: the checkout isn't touched. Returns its path. */
export async function pack(folder: string): Promise<string> {
  const stage = join(folder, 'stage');
  const manifest = readJson(join(projectRoot, 'package.json')) as Manifest;
  const parts = manifest.files.filter((part) => !part.startsWith('!') && part !== 'dist');
  for (const part of [...ALWAYS, ...parts]) cpSync(join(projectRoot, part), join(stage, part), { recursive: true });
  await buildPackage(join(stage, 'dist'));
  await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: stage });
  rmSync(stage, { recursive: true });
  return join(folder, `${manifest.name}-${manifest.version}.tgz`);
}

/** How {@link install} installs. */
export interface InstallOptions {
  /** Leave the optional packages out. */
  readonly omitOptional?: boolean;
}

/**
 * Install the tarball with npm in `folder`, which becomes a project: no development packages, no package's script run.
 * The versions are those of the checkout's lock file and come from npm's cache, which `npm ci` has filled; if that is
 * empty, the packages are copied from the checkout. No network either way.
 */
export async function install(tarball: string, folder: string, { omitOptional = false }: InstallOptions = {}) {
  mkdirSync(folder, { recursive: true });
  const manifest = readJson(join(projectRoot, 'package.json')) as Manifest;
  const lock = readJson(join(projectRoot, 'package-lock.json')) as { packages: Record<string, Locked> };
  const { name, version, bin, engines, dependencies, optionalDependencies } = manifest;
  const wanted = { [name]: `file:${tarball}` };
  const project = { private: true, type: 'module', dependencies: wanted };
  const needed = Object.entries(lock.packages).filter(([path, { dev }]) => path !== '' && dev !== true);
  const packages = {
    '': { dependencies: wanted },
    [`node_modules/${name}`]: {
      version,
      resolved: `file:${tarball}`,
      bin,
      engines,
      dependencies,
      optionalDependencies,
    },
    ...Object.fromEntries(needed),
  };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(project, null, 2)}\n`);
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ lockfileVersion: 3, requires: true, packages }));
  const omit = omitOptional ? ['--omit=dev', '--omit=optional'] : ['--omit=dev'];
  try {
    await run('npm', ['ci', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', ...omit], { cwd: folder });
  } catch (error) {
    if (!(error as { stderr?: string }).stderr?.includes('ENOTCACHED')) throw error;
    await copyPackages(
      tarball,
      folder,
      name,
      needed.filter(([, { optional, devOptional }]) => !omitOptional || !(optional || devOptional)),
      bin,
    );
  }
}

async function copyPackages(
  tarball: string,
  folder: string,
  name: string,
  needed: readonly [path: string, locked: Locked][],
  bin: Record<string, string>,
): Promise<void> {
  for (const [path] of needed) {
    const from = join(projectRoot, path);
    // of those for other systems there is none
    if (existsSync(from)) cpSync(from, join(folder, path), { recursive: true });
  }
  const own = join(folder, 'node_modules', name);
  mkdirSync(own, { recursive: true });
  await run('tar', ['-xzf', tarball, '-C', own, '--strip-components=1']);
  for (const [command, file] of Object.entries(bin)) {
    const link = join(folder, 'node_modules/.bin', command);
    mkdirSync(dirname(link), { recursive: true });
    await run('ln', ['-s', `../${name}/${file.replace(/^\.\//, '')}`, link]);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await new Command('pack')
    .description('Make the tarball and install it in a folder, as a user would; nothing comes from the network.')
    .argument('<folder>', 'where; it must be empty or not be there')
    .option('--omit-optional', 'without the optional packages')
    .action(async (given: string, options: InstallOptions) => {
      const folder = resolve(given);
      mkdirSync(folder, { recursive: true });
      await install(await pack(folder), folder, options);
      process.stdout.write(`${folder}: installed; try npx pingora-traced there\n`);
    })
    .parseAsync();
}

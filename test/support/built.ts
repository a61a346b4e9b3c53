/** The project's programs as JavaScript, made once a run: see `setup.ts`. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inject } from 'vitest';
import { builtName } from '../../scripts/build.ts';
import { projectRoot } from '../../src/tracing/sites.ts';

declare module 'vitest' {
  interface ProvidedContext {
    built: string;
  }
}

/** Lets Node run sources, for what isn't built. */
export const loader: readonly string[] = [
  '--import',
  pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href,
];

/** The built program of `path`, a file of the project; undefined if there is none. */
export function built(path: string): string | undefined {
  const file = join(inject('built'), `${builtName(path)}.js`);
  return existsSync(file) ? file : undefined;
}

/** What Node is given to run `path`, a file of the project. */
export function running(path: string): string[] {
  const inProject = path.startsWith(projectRoot) ? relative(projectRoot, path) : path;
  const program = built(inProject);
  return program === undefined ? [...loader, path] : [program];
}

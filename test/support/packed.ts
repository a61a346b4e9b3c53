/** The packed and installed package, made once for all test files of a run: see `setup.ts`. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { transform } from 'esbuild';
import { inject } from 'vitest';
import { install, pack } from '../../scripts/pack.ts';
import { projectRoot } from '../../src/tracing/sites.ts';

declare module 'vitest' {
  interface ProvidedContext {
    packed: string;
  }
}

/** Whoever comes first makes it, the others wait: they are other processes, which nothing can tell of it. */
async function once(folder: string, make: () => Promise<void>): Promise<void> {
  try {
    mkdirSync(folder);
  } catch {
    for (;;) {
      const state = readdirSync(folder).find((name) => name === '.made' || name === '.failed');
      if (state === '.made') return;
      if (state === '.failed') throw new Error(readFileSync(join(folder, state), 'utf8'));
      await pause(50);
    }
  }
  try {
    await make();
  } catch (error) {
    writeFileSync(join(folder, '.failed'), (error as Error).message);
    throw error;
  }
  writeFileSync(join(folder, '.made'), '');
}

/** The tarball. */
export async function tarball(): Promise<string> {
  const folder = join(inject('packed'), 'tarball');
  await once(folder, async () => void (await pack(folder)));
  return join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz'))!);
}

/** A project in which it is installed, with the examples as JavaScript; with or without the optional packages. */
export async function installed(optional: 'with optional' | 'without optional' = 'with optional'): Promise<string> {
  const file = await tarball();
  const folder = join(inject('packed'), optional.replace(' ', '-'));
  await once(folder, async () => {
    await install(file, folder, { omitOptional: optional === 'without optional' });
    const examples = join(projectRoot, 'examples');
    mkdirSync(join(folder, 'examples'));
    for (const name of readdirSync(examples).filter((each) => each.endsWith('.ts'))) {
      const { code } = await transform(readFileSync(join(examples, name), 'utf8'), { loader: 'ts', target: 'node20' });
      writeFileSync(join(folder, 'examples', name.replace(/\.ts$/, '.js')), code);
    }
  });
  return folder;
}

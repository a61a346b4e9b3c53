import { transform } from 'esbuild';
import { defineConfig } from 'vitest/config';

// as in tsconfig.json: fields are assigned, not defined, which is what runs outside of the tests too
const tsconfigRaw = { compilerOptions: { useDefineForClassFields: false } };

// vitest's own transform leaves TC39 decorators as they are, which Node can't run: esbuild lowers them first.
const lowerDecorators = {
  name: 'lower-decorators',
  enforce: 'pre' as const,
  async transform(code: string, id: string) {
    if (!/\.ts$/.test(id.split('?')[0] ?? '') || id.includes('node_modules')) return null;
    const out = await transform(code, { loader: 'ts', target: 'node20', sourcemap: true, sourcefile: id, tsconfigRaw });
    return { code: out.code, map: out.map };
  },
};

// Files that share a process share the modules that they load, a worker each. To load them anew for every file takes as
// long as the tests do: of 88 files 87 s, so 47 s.

/** What tests programs, servers and pages that have processes of their own, and leaves nothing in the tests' process. */
const PROGRAMS = [
  'bench/*',
  'cli/*',
  'docs/*',
  'examples/*',
  'explorer/{browser,teacher,build}',
  'lint/*',
  'log',
  'main/*',
  'package/*',
  'robustness/{bad-clients,bad-origins,blocked-uploads,leaving-h2,names}',
  'scenarios/*',
  'scripts/**/*',
  'server/{configuration,daemon,mod,threads,upgrade}',
  'tables',
  'walkthrough/*',
].map((path) => `test/${path}.test.ts`);

/**
 * What runs in the tests' own process and cleans up after itself. All others count what their process has, or handle its
 * signals.
 */
const TOGETHER = [
  'apps',
  'connectors',
  'error',
  'explorer/!(browser|teacher|live|build)',
  'formats',
  'h2/!(matrix|h2spec)',
  'http',
  'ketama',
  'listeners',
  'load-balancing',
  'modules',
  'node',
  'pool',
  'protocols',
  'proxy',
  'runtime',
  'services',
  'timeout',
  'tracing',
  'upstreams',
  'utils',
  'values',
  'wire',
].map((path) => (path.includes('/') ? `test/${path}.test.ts` : `test/${path}/**/*.test.ts`));

/** Of these folders too, but they count what their process has: timers, servers. */
const COUNTING = ['apps/http-app', 'proxy/kept', 'runtime/future', 'timeout/lib'].map((path) => `test/${path}.test.ts`);

export default defineConfig({
  oxc: false,
  plugins: [lowerDecorators],
  test: {
    globalSetup: ['test/support/setup.ts'],
    environment: 'node',
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      { extends: true, test: { name: 'apart', include: ['test/**/*.test.ts'], exclude: [...TOGETHER, ...PROGRAMS] } },
      { extends: true, test: { name: 'programs', include: PROGRAMS, isolate: false } },
      { extends: true, test: { name: 'counting', include: COUNTING } },
      { extends: true, test: { name: 'together', include: TOGETHER, exclude: COUNTING, isolate: false } },
    ],
  },
});

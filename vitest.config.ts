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

/**
 * What runs in the tests' own process and cleans up after itself. These files share the modules that they load, a worker
 * each: to load them anew for every file takes as long as the tests do (88 files: 87 s, so 47 s). All others have a
 * process of their own: they count descriptors, handle signals, or start browsers and programs.
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
      { extends: true, test: { name: 'apart', include: ['test/**/*.test.ts'], exclude: TOGETHER } },
      { extends: true, test: { name: 'counting', include: COUNTING } },
      { extends: true, test: { name: 'together', include: TOGETHER, exclude: COUNTING, isolate: false } },
    ],
  },
});

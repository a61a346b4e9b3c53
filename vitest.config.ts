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

export default defineConfig({
  oxc: false,
  plugins: [lowerDecorators],
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/setup.ts'],
    environment: 'node',
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});

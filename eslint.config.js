// Biome formats and lints; this holds only the rules that need types: a floating promise is a bug here,
// because every task must go through spawn(), which names, traces and watches it.
import tseslint from 'typescript-eslint';

export default tseslint.config({
  files: [
    'src/**/*.ts',
    'test/**/*.ts',
    'scripts/**/*.ts',
    'bench/**/*.ts',
    'explorer/**/*.ts',
    'examples/**/*.ts',
    'walkthrough/**/*.ts',
  ],
  languageOptions: { parser: tseslint.parser, parserOptions: { projectService: true } },
  plugins: { '@typescript-eslint': tseslint.plugin },
  rules: {
    '@typescript-eslint/no-floating-promises': [
      'error',
      {
        ignoreVoid: false,
        // what it returns never rejects: an exception ends the task and is logged
        allowForKnownSafeCalls: [{ from: 'file', name: 'spawn', path: 'src/runtime/lib.ts' }],
      },
    ],
    '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { arguments: true, attributes: true } }],
  },
});

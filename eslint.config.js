// Biome formats and lints; this holds the rules that need types and the port's own. A floating promise is a bug here,
// because every task must go through spawn(), which names, traces and watches it.
import tseslint from 'typescript-eslint';
import { floors } from './lint/floors.js';
import { noCircles } from './lint/no-circles.js';
import { objectMaps } from './lint/object-maps.js';
import { tracingOnlyLooks } from './lint/tracing-only-looks.js';

// What Node has inside and doesn't document: each is one file in src/node, with a test that names the Node that changed it.
const INSIDE_NODE = /^(?:_handle|_createServerHandle|_parent|_server|_httpMessage|_readableState|_writableState)$/;

export default tseslint.config(
  {
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
    plugins: {
      '@typescript-eslint': tseslint.plugin,
      port: {
        rules: { floors, 'no-circles': noCircles, 'object-maps': objectMaps, 'tracing-only-looks': tracingOnlyLooks },
      },
    },
    rules: {
      'port/floors': 'error',
      'port/no-circles': 'error',
      'port/tracing-only-looks': 'error',
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
  },
  { files: ['src/**/*.ts', 'explorer/**/*.ts'], rules: { 'port/object-maps': 'error' } },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/node/**'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: `Identifier[name=${INSIDE_NODE}]`,
          message: "Node doesn't document this: put what needs it into src/node, with a test",
        },
      ],
    },
  },
);

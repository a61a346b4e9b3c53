// Whether a recorder is attached is the tracing folder's business: what a trace shows is what runs without one. The
// files below still ask; one that no longer does has to go from the list, which can only shrink.
import { relative, resolve, sep } from 'node:path';

const STILL_ASK = [
  'connectors/mod.ts',
  'pool/connection.ts',
  'protocols/h1/client.ts',
  'protocols/h1/server.ts',
  'proxy/exchange.ts',
  'proxy/hooks.ts',
  'proxy/lib.ts',
  'runtime/lib.ts',
];

/** @type {import('eslint').Rule.RuleModule} */
export const tracingOnlyLooks = {
  meta: {
    type: 'problem',
    schema: [{ type: 'array', items: { type: 'string' } }],
    messages: {
      asks: "{{what}} is read outside of src/tracing: what runs must not depend on whether it's traced",
      answered: '{{file}} no longer asks whether a recorder is attached: take it from the list in {{list}}',
    },
  },
  create(context) {
    const file = relative(resolve(context.cwd, 'src'), context.filename).split(sep).join('/');
    if (file.startsWith('..') || file.startsWith('tracing/')) return {};
    const list = context.options[0] ?? STILL_ASK;
    let asks = false;
    const found = (node, what) => {
      asks = true;
      if (!list.includes(file)) context.report({ node, messageId: 'asks', data: { what } });
    };
    return {
      'MemberExpression[object.name="tracing"][property.name="recorder"]': (node) => found(node, 'tracing.recorder'),
      'VariableDeclarator[init.name="tracing"] > ObjectPattern': (node) => found(node, 'tracing.recorder'),
      'CallExpression[callee.name="everTraced"]': (node) => found(node, 'everTraced'),
      'Program:exit': (node) => {
        if (!asks && list.includes(file)) {
          context.report({ node, messageId: 'answered', data: { file, list: 'lint/tracing-only-looks.js' } });
        }
      },
    };
  },
};

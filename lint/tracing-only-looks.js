// Whether a recorder is attached is the tracing folder's business: what a trace shows is what runs without one. Who starts
// and polls tasks tells it which one runs, and nothing else below the top floor knows of recorders.
import { relative, resolve, sep } from 'node:path';

/** What stands at the top, and what tells the recorder of tasks. */
const MAY_KNOW_RECORDERS =
  /^(?:tracing|formats|live|values|entries|scenarios|main)\/|^index\.ts$|^runtime\/(?:lib|task)\.ts$/;

/** @type {import('eslint').Rule.RuleModule} */
export const tracingOnlyLooks = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      asks: "{{what}} is read outside of src/tracing: what runs must not depend on whether it's traced",
      knows: 'this imports the recorder: a span comes from tracing/span.ts, an event from an observer',
    },
  },
  create(context) {
    const file = relative(resolve(context.cwd, 'src'), context.filename).split(sep).join('/');
    if (file.startsWith('..') || file.startsWith('tracing/')) return {};
    const found = (node, what) => context.report({ node, messageId: 'asks', data: { what } });
    return {
      'MemberExpression[object.name="tracing"][property.name="recorder"]': (node) => found(node, 'tracing.recorder'),
      'VariableDeclarator[init.name="tracing"] > ObjectPattern > Property[key.name="recorder"]': (node) =>
        found(node, 'tracing.recorder'),
      ImportDeclaration: (node) => {
        if (!/tracing\/recorder\.ts$/.test(node.source.value) || MAY_KNOW_RECORDERS.test(file)) return;
        context.report({ node, messageId: 'knows' });
      },
    };
  },
};

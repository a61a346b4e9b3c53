// No plain object is a map of keys that come from elsewhere. `constructor`, `__proto__` and `toString` are names that a
// client may send, and every object has them already: what was never put there is found, and what is put there is lost.
import ts from 'typescript';

/** @type {import('eslint').Rule.RuleModule} */
export const objectMaps = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      access: 'a plain object is no map of unknown keys: use a Map, or ask Object.hasOwn with the same key before',
    },
  },
  create(context) {
    const services = context.sourceCode.parserServices;
    if (!services?.program) return {};
    const checker = services.program.getTypeChecker();
    /** Whether the expression is text that isn't one of some known words. */
    const isAnyText = (node) => {
      const type = services.getTypeAtLocation(node);
      const parts = type.isUnion() ? type.types : [type];
      return parts.some((part) => part.flags & (ts.TypeFlags.String | ts.TypeFlags.Any | ts.TypeFlags.Unknown));
    };
    /** Whether the object is guarded: `Object.hasOwn(object, key)` in the same function. */
    const isGuarded = (node) => {
      const { sourceCode } = context;
      const object = sourceCode.getText(node.object).replace(/[!?]/g, '');
      const key = sourceCode.getText(node.property);
      let scope = node.parent;
      while (scope.parent && !/Function|Program/.test(scope.type)) scope = scope.parent;
      return sourceCode.getText(scope).includes(`Object.hasOwn(${object}, ${key})`);
    };
    return {
      MemberExpression(node) {
        if (!node.computed || node.property.type === 'Literal' || !isAnyText(node.property)) return;
        const type = checker.getNonNullableType(services.getTypeAtLocation(node.object));
        // arrays, typed arrays and strings are asked by number; a Proxy or a module is no map
        if (
          (!(type.flags & ts.TypeFlags.Any) && checker.isArrayLikeType?.(type)) ||
          type.flags & ts.TypeFlags.StringLike
        )
          return;
        if (isGuarded(node)) return;
        context.report({ node, messageId: 'access' });
      },
    };
  },
};

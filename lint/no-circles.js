// No file imports itself by way of others, types included: what two files need stands in a third below them. The floors
// keep the folders of `src` in order; this does the same for all files.
import { readFileSync } from 'node:fs';
import { dirname, relative, resolve, sep } from 'node:path';
import ts from 'typescript';
import { onImports } from './on-imports.js';

/** By file: those that it imports. A file that is linted is read anew, the others once. */
const known = new Map();

function learn(file, text) {
  const specifiers = ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName);
  const imports = specifiers.filter((name) => name.startsWith('.')).map((name) => resolve(dirname(file), name));
  known.set(file, imports);
  return imports;
}

function importsOf(file) {
  try {
    return known.get(file) ?? learn(file, readFileSync(file, 'utf8'));
  } catch {
    return []; // that it isn't there is the type checker's to say
  }
}

/** The shortest way along imports from one file to another; undefined if there is none. */
function wayBetween(from, to) {
  const before = new Map([[from, undefined]]);
  // what is added to a map while it is gone through is come to as well
  for (const file of before.keys()) {
    if (file === to) {
      const way = [];
      for (let at = file; at !== undefined; at = before.get(at)) way.unshift(at);
      return way;
    }
    for (const next of importsOf(file)) if (!before.has(next)) before.set(next, file);
  }
  return undefined;
}

/** @type {import('eslint').Rule.RuleModule} */
export const noCircles = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      circle: 'a circle of imports: {{way}}; move what both ends need into a file below them',
    },
  },
  create(context) {
    const file = context.filename;
    const name = (path) => relative(context.cwd, path).split(sep).join('/');
    learn(file, context.sourceCode.text);
    return onImports((node, specifier) => {
      if (!specifier.startsWith('.')) return;
      const way = wayBetween(resolve(dirname(file), specifier), file);
      if (way === undefined) return;
      context.report({ node, messageId: 'circle', data: { way: [file, ...way].map(name).join(' -> ') } });
    });
  },
};

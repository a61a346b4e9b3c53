// The floors of `src`, from the ground up. A folder imports only from what stands before it in this list, types
// included, so that no two folders can import each other, directly or in a circle. The order within a floor counts too.
// What isn't listed by itself (`server/daemon.ts`) belongs to the folder that is (`server`).
import { dirname, relative, resolve, sep } from 'node:path';
import { onImports } from './on-imports.js';

export const FLOORS = [
  // imports nothing of the port: spans, recorder, the model of a trace; errors; what Node doesn't document
  ['tracing', 'utils', 'log.ts', 'error', 'node'],
  ['runtime', 'timeout', 'http', 'h2'],
  // the original's listeners and connectors take both the configuration and the descriptors that were handed over
  ['server/transfer-fd', 'server/configuration', 'protocols', 'ketama', 'pool'],
  ['upstreams', 'connectors', 'listeners'],
  ['modules', 'apps', 'services', 'server'],
  ['load-balancing', 'proxy'],
  ['index.ts'],
  // nothing of the library imports these
  ['values', 'formats', 'live', 'entries', 'scenarios', 'main', 'main.ts', 'cli'],
];

const ORDER = FLOORS.flat();

/** The entry of the list that `file`, a path below `src`, belongs to. */
function placeOf(file) {
  const parts = file.split(sep);
  for (let n = parts.length; n > 0; n--) {
    const at = ORDER.indexOf(parts.slice(0, n).join('/'));
    if (at >= 0) return at;
  }
  return -1;
}

function floorOf(place) {
  return FLOORS.findIndex((floor) => floor.includes(ORDER[place])) + 1;
}

/** @type {import('eslint').Rule.RuleModule} */
export const floors = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      unlisted: "'src/{{folder}}' has no floor: add it to the list in lint/floors.js",
      higher:
        "'{{from}}' (floor {{low}}) imports from '{{to}}' (floor {{high}}): what stands lower knows nothing of what stands higher",
      later: "'{{from}}' imports from '{{to}}', which comes after it on floor {{low}} in lint/floors.js",
      outside: "'{{from}}' imports '{{to}}', which is outside of src: only the program may",
    },
  },
  create(context) {
    const src = resolve(context.cwd, 'src');
    const file = relative(src, context.filename);
    if (file.startsWith('..')) return {};
    const from = placeOf(file);
    const check = (node, specifier) => {
      if (!specifier.startsWith('.')) return;
      const target = relative(src, resolve(dirname(context.filename), specifier));
      if (target.startsWith('..')) {
        if (ORDER[from] === 'main' || ORDER[from] === 'main.ts') return;
        context.report({ node, messageId: 'outside', data: { from: ORDER[from], to: specifier } });
        return;
      }
      const to = placeOf(target);
      if (from < 0 || to < 0) {
        const folder = (from < 0 ? file : target).split(sep)[0];
        context.report({ node, messageId: 'unlisted', data: { folder } });
        return;
      }
      if (to <= from) return;
      const [low, high] = [floorOf(from), floorOf(to)];
      const data = { from: ORDER[from], to: ORDER[to], low, high };
      context.report({ node, messageId: low === high ? 'later' : 'higher', data });
    };
    return onImports(check);
  },
};

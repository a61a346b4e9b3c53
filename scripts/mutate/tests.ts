/** Which tests could notice a change to a file of `src`, the nearest first. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Tests that are run at once. */
export interface Tests {
  readonly files: readonly string[];
  /** Of these scenarios alone, and without vitest, which takes longer than they do: see `recorded.ts`. */
  readonly scenarios?: readonly string[];
}

/** Pages, pictures, prose and tools: what they need of `src` is tested beside it, and they take minutes. */
const FAR = /^test\/(?:explorer|walkthrough|docs|lint|package|tables)/;
/** It fails at any change to a place that is listed, whatever that does. */
const NOTHING_SEEN = 'test/scripts/mutate/listed.test.ts';
/** So many of the nearest tests are run before all others. */
const NEAREST = 6;

/** What a file imports, and what it runs as a program, as paths below `root`. */
function importsOf(root: string, file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  const found: string[] = [];
  for (const [, relativePath, fromRoot] of text.matchAll(
    /['"](?:(\.{1,2}\/[^'"\n]+\.ts)|((?:src|scripts)\/[^'"\n]+\.ts))['"]/g,
  )) {
    const path = relativePath === undefined ? fromRoot! : relative(root, join(root, dirname(file), relativePath));
    if (existsSync(join(root, path))) found.push(path);
  }
  return found;
}

const graphs = new Map<string, Map<string, string[]>>();

/** How far each test is from `file`: how many imports lead there. */
function distances(root: string, file: string): Map<string, number> {
  const graph = graphs.get(root) ?? new Map<string, string[]>();
  graphs.set(root, graph);
  const imports = (from: string) => {
    let found = graph.get(from);
    if (found === undefined) {
      found = importsOf(root, from);
      graph.set(from, found);
    }
    return found;
  };
  const tests = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .map((name) => `test/${name}`)
    .filter((name) => name.endsWith('.test.ts') && !name.endsWith('long.test.ts') && name !== NOTHING_SEEN);
  const far = new Map<string, number>();
  for (const test of tests) {
    const seen = new Set([test]);
    let edge = [test];
    for (let steps = 0; edge.length > 0; steps++) {
      if (edge.includes(file)) {
        far.set(test, steps);
        break;
      }
      edge = edge.flatMap(imports).filter((next) => !seen.has(next) && seen.add(next));
    }
  }
  return far;
}

/** The tests in the order in which they are to be run, in batches: the next one only if those before noticed nothing. */
export function batches(root: string, file: string): Tests[] {
  const mirror = file.replace(/^src\//, 'test/').replace(/\.ts$/, '.test.ts');
  const folder = `${dirname(mirror)}/`;
  const rank = ([test, steps]: [string, number]) =>
    steps +
    (test === mirror ? -100 : test.startsWith(folder) && folder !== 'test/' ? -50 : 0) +
    (FAR.test(test) ? 100 : 0);
  const ordered = [...distances(root, file)].sort((a, b) => rank(a) - rank(b)).map(([test]) => test);
  const rest = ordered.slice(NEAREST);
  const near = rest.filter((test) => !FAR.test(test));
  const all = [ordered.slice(0, 1), ordered.slice(1, NEAREST), near, rest.filter((test) => FAR.test(test))];
  return all.filter((batch) => batch.length > 0).map((files) => ({ files }));
}

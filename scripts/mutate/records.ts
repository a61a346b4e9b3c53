/** Which recorded scenarios call a traced function: they notice first when it does nothing. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadRecord, type RecordedCall } from '../../src/tracing/compare.ts';
import { declaredSites, projectRoot } from '../../src/tracing/sites.ts';
import type { Change } from './changes.ts';
import type { Tests } from './tests.ts';

/** So many scenarios are run at most for one function. */
const MOST = 2;

let callers: Map<string, string[]> | null = null;

/** `file#function` of Pingora to the scenarios that must call it, those with the fewest calls first. */
function scenariosByFunction(): Map<string, string[]> {
  const called: { scenario: string; functions: Set<string> }[] = [];
  for (const file of readdirSync(join(projectRoot, 'src/tracing/pingora-0.1.0/calls'))) {
    const record = loadRecord(file.replace(/\.json$/, ''));
    if (record === null) continue;
    const functions = new Set<string>();
    const add = ({ fn, at, optional, calls = [] }: RecordedCall) => {
      if (optional) return;
      functions.add(`${at.split(':')[0]}#${fn}`);
      calls.forEach(add);
    };
    for (const calls of [record.startup, record.request, record.shutdown]) calls?.forEach(add);
    called.push({ scenario: record.scenario, functions });
  }
  called.sort((a, b) => a.functions.size - b.functions.size);
  const found = new Map<string, string[]>();
  for (const { scenario, functions } of called) {
    for (const fn of functions) found.set(fn, [...(found.get(fn) ?? []), scenario]);
  }
  return found;
}

/** The scenarios that call the function which `change` empties, as {@link Tests}; null if no record has it. */
export function recordedCalls({ file, line }: Change): Tests | null {
  callers ??= scenariosByFunction();
  const site = declaredSites()
    .filter((declared) => declared.file === file && declared.line <= line)
    .at(-1);
  const scenarios = callers.get(`${site?.rust}#${site?.fn}`)?.slice(0, MOST);
  return scenarios === undefined ? null : { files: ['test/scenarios/scenarios.test.ts'], scenarios };
}

/** Scenarios whose servers are started from JavaScript: see `setup.ts`. */

import { type RunOptions, runScenario as run } from '../../src/scenarios/run.ts';
import type { Scenario } from '../../src/scenarios/scenario.ts';
import type { TraceDocument } from '../../src/tracing/model.ts';
import { built } from './built.ts';

export function runScenario(scenario: Scenario, options: RunOptions = {}): Promise<TraceDocument> {
  const program = built('src/scenarios/server.ts');
  if (program === undefined) throw new Error('the server of scenarios was not built');
  return run(scenario, { program, ...options });
}

/**
 * Whether scenarios make the calls that Pingora made, as `test/scenarios/scenarios.test.ts` asks:
 *
 *   tsx scripts/mutate/recorded.ts SCENARIO…
 *
 * Exits with 1 at the first that doesn't.
 */
import { findScenario } from '../../src/scenarios/index.ts';
import { runScenario } from '../../src/scenarios/run.ts';
import { compare, differences, loadRecord } from '../../src/tracing/compare.ts';

for (const name of process.argv.slice(2)) {
  const { spans } = await runScenario(findScenario(name)!);
  const different = differences(compare(loadRecord(name)!, spans));
  if (different.length > 0) {
    console.error(`${name}: ${different.join('\n')}`);
    process.exit(1);
  }
}

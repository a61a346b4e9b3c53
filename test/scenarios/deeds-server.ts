/** A scenario's server that notes what it does from the beginning, and writes it into the run's folder as it exits. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { workerNumber } from '../../src/runtime/worker.ts';
import type { ServerPlan } from '../../src/scenarios/messages.ts';
import { doneSoFar, noteDeeds, stopDates } from './deeds.ts';

const { dir } = JSON.parse(process.argv[2]!) as ServerPlan;
stopDates();
noteDeeds();
process.on('exit', (code) => {
  if (code === 0) writeFileSync(join(dir, `deeds-${workerNumber()}.json`), JSON.stringify(doneSoFar()));
});
await import('../../src/scenarios/server.ts');

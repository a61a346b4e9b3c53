/**
 * A proxy under everything at once, for a long time: `npm run soak -- --minutes 60 [--seed N]`.
 *
 * Clients of both versions send requests with and without bodies, open tunnels and leave in the middle; the origin
 * answers, stalls, resets and lies; some requests are traced. Every request has to be accounted for: answered, or
 * broken because somebody broke it. Each minute memory, descriptors, timers and tasks are printed; at the end they have
 * to be back where they were after the first minute.
 */
import { Command } from 'commander';
import { soak } from './soak/run.ts';

await new Command('soak')
  .description('Run a proxy under mixed load with random faults, and watch what it holds.')
  .option('--minutes <n>', 'for so long', '60')
  .option('--seed <n>', 'the same seed makes the same load', '1')
  .option('--clients <n>', 'so many at a time', '16')
  .action(async ({ minutes, seed, clients }: { minutes: string; seed: string; clients: string }) => {
    const problems = await soak({ minutes: Number(minutes), seed: Number(seed), clients: Number(clients) });
    for (const problem of problems) console.log(`PROBLEM ${problem}`);
    console.log(problems.length === 0 ? 'all requests accounted for, nothing left' : `${problems.length} problems`);
    process.exit(problems.length === 0 ? 0 : 1);
  })
  .parseAsync();

/**
 * Feeds what reads things from elsewhere with what nobody would send: `npm run fuzz -- [--seconds N] [--seed N]
 * [--keep] [TARGET…]`. What is read wrongly is printed; `--keep` puts it into the corpus, which each test run tries.
 */
import { spawnSync } from 'node:child_process';
import { Argument, Command } from 'commander';
import { projectRoot } from '../src/tracing/sites.ts';

const TARGETS = ['requests', 'responses', 'yaml', 'traces', 'handover'];

new Command('fuzz')
  .description('Try inputs made by chance, for some time each.')
  .addArgument(new Argument('[targets...]', 'what to try').choices(TARGETS))
  .option('--seconds <n>', 'for so long each', '60')
  .option('--seed <n>', 'the same seed makes the same inputs', String(Date.now() % 1_000_000))
  .option('--keep', 'put what is found into the corpus', false)
  .action((chosen: string[], { seconds, seed, keep }: { seconds: string; seed: string; keep: boolean }) => {
    const targets = chosen.length === 0 ? TARGETS : chosen;
    console.log(`seed ${seed}, ${seconds} s each: ${targets.join(', ')}`);
    const env: NodeJS.ProcessEnv = {
      ...process.env,
      FUZZ_TARGETS: targets.join(','),
      FUZZ_SECONDS: seconds,
      FUZZ_SEED: seed,
    };
    if (keep) env.FUZZ_KEEP = '1';
    const args = ['vitest', 'run', 'test/fuzz/long.test.ts'];
    process.exitCode = spawnSync('npx', args, { cwd: projectRoot, env, stdio: 'inherit' }).status ?? 1;
  })
  .parse();

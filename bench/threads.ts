/**
 * What threads are worth: requests a second of a proxy whose hook computes, with one thread and with two, on two cores,
 * in alternating rounds. The load generator needs little beside a hook of milliseconds.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { cases } from './cases.ts';
import { besides } from './others.ts';
import { type Contestant, Load, nodeContestant, Running } from './processes.ts';

const CONNECTIONS = 16;
/** A round in which others used more of a core than this is not counted, … */
const MOST_OTHERS = 0.15;
/** … and made again, up to so many times as many rounds as are wanted. */
const MOST_TRIES = 20;

export interface ThreadsOptions {
  readonly rounds: number;
  readonly seconds: number;
}

const computing = (threads: number): Contestant =>
  nodeContestant(threads === 1 ? '1 thread' : `${threads} threads`, (listen, origin) => [
    fileURLToPath(new URL('./proxies/cpu-hook.ts', import.meta.url)),
    String(listen),
    String(origin),
    String(threads),
  ]);

const sleep = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function rate(proxy: Running, load: Load, seconds: number): Promise<number> {
  await load.start(proxy.port, { ...cases[0]!, connections: CONNECTIONS });
  await sleep(0.5);
  const [{ count: before }, from] = [await load.count(), performance.now()];
  await sleep(seconds);
  const [{ count: after }, to] = [await load.count(), performance.now()];
  await load.stop();
  return ((after - before) / (to - from)) * 1000;
}

/** Measure, and print. */
export async function benchThreads({ rounds, seconds }: ThreadsOptions): Promise<void> {
  const load = new Load(false);
  const origin = await load.origin();
  const one = await Running.start(computing(1), origin, false);
  const two = await Running.start(computing(2), origin, false);
  console.log(
    `a hook that computes, ${CONNECTIONS} keepalive connections; ${rounds} rounds of ${seconds} s each on ` +
      `${availableParallelism()} cores, Node ${process.version}\n`,
  );
  for (const proxy of [one, two]) await rate(proxy, load, 1);
  const ratios: number[] = [];
  for (let round = 1; ratios.length < rounds; round++) {
    const single = await besides(() => rate(one, load, seconds));
    const double = await besides(() => rate(two, load, seconds));
    const ratio = double.result / single.result;
    const others = Math.max(single.others, double.others);
    const disturbed = others > MOST_OTHERS;
    console.log(
      `round ${round}: ${single.result.toFixed(0)} requests a second with 1 thread, ${double.result.toFixed(0)} with 2: ` +
        `${ratio.toFixed(2)} times${disturbed ? `, not counted: others used ${others.toFixed(1)} cores` : ''}`,
    );
    if (!disturbed) ratios.push(ratio);
    else if (round >= rounds * MOST_TRIES)
      throw new Error('others use this machine: there are no two cores to measure');
  }
  const sorted = ratios.toSorted((a, b) => a - b);
  const median = sorted[sorted.length >> 1]!;
  console.log(
    `\n2 threads serve ${median.toFixed(2)} times as much as 1 ` +
      `(median; from ${sorted[0]!.toFixed(2)} to ${sorted.at(-1)!.toFixed(2)})`,
  );
}

/**
 * What threads are worth: requests a second of a proxy whose hook computes, with one thread and with two, on two cores,
 * in alternating rounds. The load generator needs little beside a hook of milliseconds.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Contestant, Load, Running } from './processes.ts';

const CONNECTIONS = 16;

export interface ThreadsOptions {
  readonly rounds: number;
  readonly seconds: number;
}

const computing = (threads: number): Contestant => ({
  name: threads === 1 ? '1 thread' : `${threads} threads`,
  args: (listen, origin) => [
    fileURLToPath(new URL('./proxies/cpu-hook.ts', import.meta.url)),
    String(listen),
    String(origin),
    String(threads),
  ],
});

const sleep = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function rate(proxy: Running, load: Load, seconds: number): Promise<number> {
  await load.start(proxy.port, CONNECTIONS, 0);
  await sleep(0.5);
  const [before, from] = [await load.count(), performance.now()];
  await sleep(seconds);
  const [after, to] = [await load.count(), performance.now()];
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
  for (let round = 1; round <= rounds; round++) {
    const single = await rate(one, load, seconds);
    const double = await rate(two, load, seconds);
    ratios.push(double / single);
    console.log(
      `round ${round}: ${single.toFixed(0)} requests a second with 1 thread, ${double.toFixed(0)} with 2: ` +
        `${(double / single).toFixed(2)} times`,
    );
  }
  const sorted = ratios.toSorted((a, b) => a - b);
  const median = sorted[sorted.length >> 1]!;
  console.log(
    `\n2 threads serve ${median.toFixed(2)} times as much as 1 ` +
      `(median; from ${sorted[0]!.toFixed(2)} to ${sorted.at(-1)!.toFixed(2)})`,
  );
}

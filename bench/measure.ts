/** Measuring proxies beside each other. */
import type { Case } from './cases.ts';
import { type Load, type Running, wrk } from './processes.ts';

/** Microseconds a request, and how many requests took longer than a second. */
export interface Cost {
  readonly user: number;
  readonly system: number;
  readonly total: number;
  readonly slow: number;
}

/** How long and how often. */
export interface Rounds {
  readonly rounds: number;
  readonly seconds: number;
  readonly quick?: boolean;
  readonly wrk?: boolean;
}

const sleep = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** The one in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function cost(before: NodeJS.CpuUsage, after: NodeJS.CpuUsage, requests: number, slow: number): Cost {
  const user = (after.user - before.user) / requests;
  const system = (after.system - before.system) / requests;
  return { user, system, total: user + system, slow };
}

/** Requests until V8 has compiled what it will compile; a proxy that isn't there yet costs several times as much. */
const WARM_UP = 100_000;
/** The longest that is waited for that, in seconds. */
const PATIENCE = 8;

/** Has the load done to a proxy until it is compiled for it; one that has been measured is for the most part. */
async function warmUp(proxy: Running, load: Load, kind: Case, quick: boolean): Promise<void> {
  const until = performance.now() + (quick ? 3 : proxy.isWarm ? 2 : PATIENCE) * 1000;
  await load.start(proxy.port, kind);
  while ((await load.count()).count < WARM_UP && performance.now() < until) await sleep(0.05);
  await load.stop();
  proxy.isWarm = true;
}

/** Bodies above this, in bytes, are measured from the end of one to the end of another. */
const LARGE = 10 * 1024 * 1024;

/** Once another answer is whole, where answers take so long that parts of one would count. */
async function atAnEnd(load: Load, kind: Case): Promise<void> {
  if (kind.answer + kind.body < LARGE) return;
  const { count } = await load.count();
  while ((await load.count()).count === count) await sleep(0.002);
}

/** One round of one proxy. */
async function measure(proxy: Running, load: Load, kind: Case, { seconds, wrk: byWrk }: Rounds): Promise<Cost> {
  if (byWrk) {
    const before = await proxy.cpu();
    const answers = await wrk(proxy.port, kind.connections, Math.ceil(seconds));
    return cost(before, await proxy.cpu(), answers, 0);
  }
  await load.start(proxy.port, kind);
  // connections, to both sides, are there: each has had its answer
  const until = performance.now() + PATIENCE * 1000;
  while ((await load.count()).ready < kind.connections && performance.now() < until) await sleep(0.05);
  await sleep(0.2);
  await atAnEnd(load, kind);
  const [answered, before] = await Promise.all([load.count(), proxy.cpu()]);
  await sleep(seconds);
  await atAnEnd(load, kind);
  const [answers, after] = await Promise.all([load.count(), proxy.cpu()]);
  await load.stop();
  const requests = answers.count - answered.count;
  if (requests === 0) throw new Error(`${proxy.name} answered nothing in ${seconds} s`);
  return cost(before, after, requests, answers.slow);
}

/** A proxy that didn't do what is measured. */
export class Failed extends Error {
  readonly proxy: string;
  constructor(proxy: string, reason: unknown) {
    super(`${proxy}: ${reason instanceof Error ? reason.message : reason}`, { cause: reason });
    this.proxy = proxy;
  }
}

/** What `work` gives; its failure is that of `proxy`. */
async function doneBy<T>(proxy: Running, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new Failed(proxy.name, error);
  }
}

/** What a request of `kind` costs each of `proxies`, in each round. Throws {@link Failed}. */
export async function costs(
  proxies: readonly Running[],
  load: Load,
  kind: Case,
  rounds: Rounds,
): Promise<readonly (readonly Cost[])[]> {
  for (const proxy of proxies) await doneBy(proxy, warmUp(proxy, load, kind, rounds.quick === true));
  const measured = proxies.map((): Cost[] => []);
  for (let round = 0; round < rounds.rounds; round++) {
    for (const [i, proxy] of proxies.entries())
      measured[i]!.push(await doneBy(proxy, measure(proxy, load, kind, rounds)));
  }
  return measured;
}

/** What a request of `kind` costs a proxy, in each round, as multiples of what one of `other` does. */
export async function besideOther(
  proxy: Running,
  load: Load,
  kind: Case,
  other: Case,
  rounds: Rounds,
): Promise<number[]> {
  const ratios: number[] = [];
  for (const each of [other, kind]) await warmUp(proxy, load, each, rounds.quick === true);
  for (let round = 0; round < rounds.rounds; round++) {
    const [one, more] = [await measure(proxy, load, other, rounds), await measure(proxy, load, kind, rounds)];
    ratios.push(more.total / one.total);
  }
  return ratios;
}

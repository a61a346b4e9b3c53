/**
 * The metrics of a server whose threads each count for themselves, as one. The port's own: the original's threads share
 * one registry.
 */
import { onAsk } from '../runtime/channel.ts';
import { askOwner, threadNumber } from '../runtime/thread.ts';
import { threads } from '../runtime/threads.ts';
import { optional } from '../utils/optional.ts';
import type { Registry } from './prometheus-http-app.ts';

/** As prom-client's registry gives it, one object a metric. */
type Metrics = readonly { readonly name: string; readonly type: unknown }[];

/** What is only ever added to; the rest is a state, which ends with its thread. */
const LASTS = new Set<unknown>(['counter', 'histogram']);

/** What each thread last said. */
const last = new Map<number, { pid: number; metrics: Metrics }>();
/** What was counted by threads that have ended: without it a crash would take back what was already read. */
let departed: Metrics = [];

async function aggregate(
  all: Metrics[],
): Promise<{ metrics(): Promise<string>; getMetricsAsJSON(): Promise<Metrics> }> {
  const { AggregatorRegistry } = optional<typeof import('prom-client')>('prom-client', 'metrics');
  return AggregatorRegistry.aggregate(all as unknown as object[]) as never;
}

async function depart({ metrics }: { metrics: Metrics }): Promise<void> {
  const counted = metrics.filter(({ type }) => LASTS.has(type));
  departed = await (await aggregate([departed, counted])).getMetricsAsJSON();
}

let turn: Promise<unknown> = Promise.resolve();

/** The metrics of all threads of this server as one text. */
export function metricsOfAll(registry: Registry): Promise<string> {
  if (threadNumber() > 0) return askOwner<string>('all metrics');
  if (threads.count === 0 || registry.getMetricsAsJSON === undefined) return registry.metrics();
  // one after the other: what has departed is moved once
  const gathered = turn.then(() => gather(registry));
  turn = gathered.catch(() => {});
  return gathered;
}

async function gather(registry: Registry): Promise<string> {
  const own = (await registry.getMetricsAsJSON!()) as Metrics;
  const said = await threads.askAll<{ pid: number; metrics: Metrics } | null>('metrics');
  for (const { thread, value } of said) {
    if (value === null) continue;
    const before = last.get(thread);
    if (before !== undefined && before.pid !== value.pid) await depart(before);
    last.set(thread, value);
  }
  // one that ended and isn't there again yet has counted all the same
  const gone = [...last].filter(([thread]) => !said.some((one) => one.thread === thread));
  for (const [thread, before] of gone) {
    last.delete(thread);
    await depart(before);
  }
  const all = [own, departed, ...[...last.values()].map(({ metrics }) => metrics)];
  return (await aggregate(all)).metrics();
}

/** Have others ask for what this process counts, and a thread for what all count. */
export function answerForMetrics(registry: () => Promise<Registry>): void {
  onAsk('metrics', async () => {
    const metrics = await (await registry()).getMetricsAsJSON?.();
    return metrics === undefined ? null : { pid: process.pid, metrics };
  });
  onAsk('all metrics', async () => metricsOfAll(await registry()));
}

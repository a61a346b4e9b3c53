/**
 * The metrics of a server whose workers each count for themselves, as one. The port's own: the original's threads share
 * one registry.
 */
import { onAsk } from '../runtime/process-link.ts';
import { askOwner, workerNumber } from '../runtime/worker.ts';
import { workers } from '../runtime/workers.ts';
import { optional } from '../utils/optional.ts';

/** What a registry of metrics has to be able to do; `prom-client`'s is one. */
export interface Registry {
  /** The content type of what {@link Registry.metrics} gives. */
  readonly contentType: string;
  /** The metrics as text. */
  metrics(): Promise<string>;
  /** Without this a server with threads shows the metrics of whichever of its processes is asked. */
  getMetricsAsJSON?(): Promise<unknown>;
}

/** As prom-client's registry gives it, one object a metric. */
type Metrics = readonly { readonly name: string; readonly type: unknown }[];

/** What is only ever added to; the rest is a state, which ends with its worker. */
const LASTS = new Set<unknown>(['counter', 'histogram']);

/** What each worker last said. */
const last = new Map<number, { pid: number; metrics: Metrics }>();
/** What was counted by workers that have ended: without it a crash would take back what was already read. */
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

/** The metrics of all workers of this server as one text. */
export function metricsOfAll(registry: Registry): Promise<string> {
  if (workerNumber() > 0) return askOwner<string>('all metrics');
  if (workers.count === 0 || registry.getMetricsAsJSON === undefined) return registry.metrics();
  // one after the other: what has departed is moved once
  const gathered = turn.then(() => gather(registry));
  turn = gathered.catch(() => {});
  return gathered;
}

async function gather(registry: Registry): Promise<string> {
  const own = (await registry.getMetricsAsJSON!()) as Metrics;
  const said = await workers.askAll<{ pid: number; metrics: Metrics } | null>('metrics');
  for (const { worker, value } of said) {
    if (value === null) continue;
    const before = last.get(worker);
    if (before !== undefined && before.pid !== value.pid) await depart(before);
    last.set(worker, value);
  }
  // one that ended and isn't there again yet has counted all the same
  const gone = [...last].filter(([worker]) => !said.some((one) => one.worker === worker));
  for (const [worker, before] of gone) {
    last.delete(worker);
    await depart(before);
  }
  const all = [own, departed, ...[...last.values()].map(({ metrics }) => metrics)];
  return (await aggregate(all)).metrics();
}

/** Have others ask for what this process counts, and a worker for what all count. */
export function answerForMetrics(registry: () => Promise<Registry>): void {
  onAsk('metrics', async () => {
    const metrics = await (await registry()).getMetricsAsJSON?.();
    return metrics === undefined ? null : { pid: process.pid, metrics };
  });
  onAsk('all metrics', async () => metricsOfAll(await registry()));
}

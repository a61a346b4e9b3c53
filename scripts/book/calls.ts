/** Prints part of a trace for a chapter: the same in each run, so without times, lines and ports. */

import { printTree } from '../../src/formats/tree.ts';
import { childrenOf, type TraceDocument, type TraceSpan } from '../../src/tracing/model.ts';

export interface CallsOptions {
  /** Only this function's first call, and what it led to. */
  from?: string | undefined;
  /** Its second call instead, or a later one. */
  nth?: number | undefined;
  /** Leave out what these functions call. */
  to?: readonly string[] | undefined;
  /** Leave out these functions with all they call. */
  without?: readonly string[] | undefined;
  only?: readonly string[] | undefined;
  depth?: number | undefined;
  /** Only these tasks, by the beginning of their names; `connection@2`: the one on thread 2. */
  tasks?: readonly string[] | undefined;
}

/** The trace without what the system gives anew in each run. */
export function stable(trace: TraceDocument): TraceDocument {
  const clean = (text: string) =>
    text.replace(/(127\.0\.0\.1|\[::1?\]):\d+/g, '$1:PORT').replace(/\S*\/pingora-traced-\w+/g, 'DIR');
  const attributes = (span: TraceSpan) =>
    Object.fromEntries(
      Object.entries(span.attributes).map(([key, value]) => [key, typeof value === 'string' ? clean(value) : value]),
    );
  return {
    ...trace,
    tasks: trace.tasks.map((task) => ({ ...task, name: clean(task.name) })),
    spans: trace.spans.map((span) => ({ ...span, attributes: attributes(span) })),
  };
}

/** The part of a trace that `options` name. Throws if it has no such call. */
export function part(trace: TraceDocument, { from, nth = 1, to = [], without = [] }: CallsOptions): TraceDocument {
  const has = (fn: string) => trace.spans.some((span) => span.fn === fn);
  for (const fn of [...(from === undefined ? [] : [from]), ...to, ...without]) {
    if (!has(fn)) throw new Error(`${trace.scenario} has no call of ${fn}`);
  }
  const children = childrenOf(trace.spans);
  const kept = new Set<number>();
  const add = (span: TraceSpan) => {
    if (without.includes(span.fn)) return;
    kept.add(span.id);
    if (!to.includes(span.fn)) for (const child of children.get(span.id) ?? []) add(child);
  };
  const root = from === undefined ? undefined : trace.spans.filter((span) => span.fn === from)[nth - 1];
  if (from !== undefined && root === undefined)
    throw new Error(`${trace.scenario} has fewer than ${nth} calls of ${from}`);
  for (const span of root ? [root] : (children.get(null) ?? [])) add(span);
  const spans = trace.spans
    .filter((span) => kept.has(span.id))
    .map((span) => (span === root ? { ...span, parent: null } : span));
  const tasks = trace.tasks
    .filter((task) => task.id === root?.task || task.spawnedBy === null || kept.has(task.spawnedBy))
    .filter((task) => spans.some((span) => span.task === task.id))
    .map((task) => (task.id === root?.task ? { ...task, spawnedBy: null } : task));
  return { ...trace, spans, tasks };
}

/** The calls as text. */
export function printCalls(trace: TraceDocument, options: CallsOptions): string {
  const cut = part(stable(trace), options);
  const { only, depth, tasks } = options;
  const lanes = tasks?.map((name) => {
    const [begin, thread] = name.split('@');
    const on = thread === undefined ? undefined : Number(thread);
    const task = cut.tasks.find((one) => one.name.startsWith(begin!) && (on === undefined || one.thread === on));
    if (task === undefined) throw new Error(`${trace.scenario} has no task ${name}`);
    return task.id;
  });
  return printTree(cut, { only, depth, lanes, bare: true }).trim();
}

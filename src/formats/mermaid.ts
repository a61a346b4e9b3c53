/**
 * Prints a trace as a Mermaid sequence diagram: a box a task, in it the modules that the task's calls are in; an arrow
 * for each call from one module to another, a dashed one for its return, an open one for a spawn.
 *
 * Calls within a module aren't drawn. If no depth is given it is the greatest that a reader, and Mermaid, can bear.
 */
import type { TraceDocument, TraceSpan, TraceTask } from '../tracing/model.ts';
import { failureLine } from './summary.ts';
import { moduleOf } from './tree.ts';

export interface MermaidOptions {
  /** So many levels of calls in each task. */
  depth?: number | undefined;
  /** Draw only calls of these module folders. */
  only?: readonly string[] | undefined;
}

/** So many arrows at most, unless a depth is asked for. */
const MOST_ARROWS = 60;

/** A module in a task; `outside` for what calls the first function of a task. */
interface Participant {
  task: number;
  module: string;
}

interface Arrow {
  at: number;
  /** Ends come before beginnings of the same moment; inner ends before outer ones. */
  order: number;
  from: Participant;
  to: Participant;
  text: string;
  kind: 'call' | 'return' | 'fail' | 'spawn';
}

const ARROW = { call: '->>', return: '-->>', fail: '--x', spawn: '-)' } as const;

const ENTITIES = new Map([
  ['#', '#35;'],
  [';', '#59;'],
  ['<', '#lt;'],
  ['>', '#gt;'],
]);

/** Mermaid takes some characters for its own. */
const escaped = (text: string) => text.replace(/[#;<>]/g, (c) => ENTITIES.get(c)!).replace(/\s+/g, ' ');

const idOf = ({ task, module }: Participant) => `t${task}_${module.replace(/\W/g, '_')}`;

class Sequence {
  readonly #trace: TraceDocument;
  readonly #only: readonly string[] | undefined;
  readonly #byId: Map<number, TraceSpan>;
  readonly #depths = new Map<TraceSpan, number>();

  constructor(trace: TraceDocument, only: readonly string[] | undefined) {
    this.#trace = trace;
    this.#only = only;
    this.#byId = new Map(trace.spans.map((span) => [span.id, span]));
    for (const span of trace.spans) {
      const parent = span.parent === null ? undefined : this.#byId.get(span.parent);
      this.#depths.set(span, parent?.task === span.task ? this.#depths.get(parent)! + 1 : 1);
    }
  }

  get deepest(): number {
    return Math.max(1, ...this.#depths.values());
  }

  #shown(span: TraceSpan, depth: number): boolean {
    return this.#depths.get(span)! <= depth && (this.#only?.includes(moduleOf(span)) ?? true);
  }

  /** The nearest call above that is drawn, in the same task. */
  #caller(span: TraceSpan, depth: number): TraceSpan | undefined {
    let at = span.parent === null ? undefined : this.#byId.get(span.parent);
    while (at !== undefined && at.task === span.task && !this.#shown(at, depth)) {
      at = at.parent === null ? undefined : this.#byId.get(at.parent);
    }
    return at?.task === span.task ? at : undefined;
  }

  #spawn(task: TraceTask, depth: number): Arrow | undefined {
    const first = this.#trace.spans.find((span) => span.task === task.id && this.#shown(span, depth));
    let by = task.spawnedBy === null ? undefined : this.#byId.get(task.spawnedBy);
    while (by !== undefined && !this.#shown(by, depth)) by = by.parent === null ? undefined : this.#byId.get(by.parent);
    if (first === undefined || by === undefined) return undefined;
    return {
      at: task.start ?? first.start,
      order: 0,
      from: { task: by.task, module: moduleOf(by) },
      to: { task: task.id, module: moduleOf(first) },
      text: `spawn ${task.name}`,
      kind: 'spawn',
    };
  }

  arrows(depth: number): Arrow[] {
    const arrows: Arrow[] = [];
    for (const span of this.#trace.spans) {
      if (!this.#shown(span, depth)) continue;
      const caller = this.#caller(span, depth);
      const to = { task: span.task, module: moduleOf(span) };
      const from = caller === undefined ? to : { task: caller.task, module: moduleOf(caller) };
      if (caller !== undefined && from.module === to.module) continue;
      arrows.push({ at: span.start, order: span.id, from, to, text: span.fn, kind: 'call' });
      if (caller === undefined || span.end === null) continue;
      const failed = span.status !== 'ok';
      arrows.push({
        at: span.end,
        order: -span.id,
        from: to,
        to: from,
        text: failed ? (span.error === undefined ? span.status : failureLine(span.error)) : ' ',
        kind: failed ? 'fail' : 'return',
      });
    }
    for (const task of this.#trace.tasks) {
      const spawn = this.#spawn(task, depth);
      if (spawn !== undefined) arrows.push(spawn);
    }
    return arrows.sort((a, b) => a.at - b.at || a.order - b.order);
  }

  print(depth: number): string {
    const arrows = this.arrows(depth);
    const lines = ['sequenceDiagram'];
    for (const task of this.#trace.tasks) {
      const modules = new Set(
        arrows.flatMap(({ from, to }) => [from, to].filter((one) => one.task === task.id).map(({ module }) => module)),
      );
      if (modules.size === 0) continue;
      const on = task.thread === undefined ? '' : `, thread ${task.thread}`;
      lines.push(`  box task ${task.id} ${escaped(task.name)}${on}`);
      for (const module of modules) lines.push(`    participant ${idOf({ task: task.id, module })} as ${module}`);
      lines.push('  end');
    }
    for (const { from, to, text, kind } of arrows) {
      lines.push(`  ${idOf(from)}${ARROW[kind]}${idOf(to)}: ${text === ' ' ? ' ' : escaped(text)}`);
    }
    return `${lines.join('\n')}\n`;
  }
}

/** The trace as a Mermaid sequence diagram. */
export function printMermaid(trace: TraceDocument, { depth, only }: MermaidOptions = {}): string {
  const sequence = new Sequence(trace, only);
  if (depth !== undefined) return sequence.print(depth);
  let best = 1;
  for (let next = 2; next <= sequence.deepest && sequence.arrows(next).length <= MOST_ARROWS; next++) best = next;
  return sequence.print(best);
}

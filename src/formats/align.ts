/** Two traces beside each other: which calls both have, and which only one. */
import { childrenOf, type TraceDocument, type TraceSpan } from '../tracing/model.ts';

/** A call, what it called in its task, and the tasks that it spawned. */
interface Node {
  key: string;
  span: TraceSpan;
  calls: Node[];
}

/** A row of the comparison. Where both have the call, both spans are there. */
export interface Aligned {
  depth: number;
  a: TraceSpan | null;
  b: TraceSpan | null;
  /** How many calls in a row are alike in `a` and in `b`. */
  times: [a: number, b: number];
}

export interface AlignOptions {
  /** Calls of one function by one caller count as one, as in Pingora's record. */
  once?: boolean;
  /** Which calls count; the calls of one that doesn't count as its caller's. Default: all. */
  counts?: (span: TraceSpan) => boolean;
}

function treeOf({ spans }: TraceDocument, { once = false, counts = () => true }: AlignOptions): Node[] {
  const children = childrenOf(spans);
  const below = (parent: number | null): TraceSpan[] =>
    (children.get(parent) ?? []).flatMap((span) => (counts(span) ? [span] : below(span.id)));
  const node = (span: TraceSpan, also: TraceSpan[]): Node => {
    const { fn, rust } = span;
    return {
      // an application's hook is in a file of its own in each trace
      key: `${rust?.file === 'app' ? 'app' : (rust?.file ?? '')}#${fn}`,
      span,
      calls: nodes([span, ...also].flatMap(({ id }) => below(id))),
    };
  };
  const nodes = (all: TraceSpan[]): Node[] => {
    if (!once) return all.map((span) => node(span, []));
    const groups = new Map<string, TraceSpan[]>();
    for (const span of all) {
      const key = `${span.rust?.file ?? ''}#${span.fn}`;
      const group = groups.get(key);
      if (group) group.push(span);
      else groups.set(key, [span]);
    }
    return [...groups.values()].map(([first, ...more]) => node(first!, more));
  };
  return nodes(below(null));
}

/** The pairs of a longest common subsequence, by their keys; where only one has something its partner is null. */
function pair(a: readonly Node[], b: readonly Node[]): [Node | null, Node | null][] {
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i]![j] =
        a[i]!.key === b[j]!.key ? lengths[i + 1]![j + 1]! + 1 : Math.max(lengths[i + 1]![j]!, lengths[i]![j + 1]!);
    }
  }
  const pairs: [Node | null, Node | null][] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i]!.key === b[j]!.key) pairs.push([a[i++]!, b[j++]!]);
    else if (j >= b.length || (i < a.length && lengths[i + 1]![j]! >= lengths[i]![j + 1]!)) pairs.push([a[i++]!, null]);
    else pairs.push([null, b[j++]!]);
  }
  return pairs;
}

/** The rows of both traces in one tree, in order. */
export function align(a: TraceDocument, b: TraceDocument, options: AlignOptions = {}): Aligned[] {
  const rows: Aligned[] = [];
  const walk = (left: readonly Node[], right: readonly Node[], depth: number) => {
    for (const [one, other] of pair(left, right)) {
      const row: Aligned = { depth, a: one?.span ?? null, b: other?.span ?? null, times: [one ? 1 : 0, other ? 1 : 0] };
      const calls = [...(one?.calls ?? []), ...(other?.calls ?? [])];
      const last = rows.at(-1);
      if (last && calls.length === 0 && last.depth === depth && sameRow(last, row)) {
        last.times[0] += row.times[0];
        last.times[1] += row.times[1];
        continue;
      }
      rows.push(row);
      walk(one?.calls ?? [], other?.calls ?? [], depth + 1);
    }
  };
  walk(treeOf(a, options), treeOf(b, options), 0);
  return rows;
}

const sameRow = (one: Aligned, other: Aligned) => one.a?.fn === other.a?.fn && one.b?.fn === other.b?.fn;

/** How many rows only one of the two has. */
export function differences(rows: readonly Aligned[]): { onlyA: number; onlyB: number } {
  return {
    onlyA: rows.filter(({ b }) => b === null).length,
    onlyB: rows.filter(({ a }) => a === null).length,
  };
}

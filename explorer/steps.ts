/**
 * A trace as a walk: every span that begins or ends is one step, and the keys go from step to step.
 *
 * Spans are named by their index in the trace, steps by their number from 0. Nothing here recurses: a trace may be as
 * deep as it is long.
 */
import type { TraceDocument, TraceSpan } from './trace.ts';

const NONE = -1;

export class Steps {
  readonly trace: TraceDocument;
  readonly spans: readonly TraceSpan[];
  /** How many steps there are. */
  readonly count: number;
  /** The spans that nothing called, in order. */
  readonly roots: readonly number[];
  /** When the last thing happened, in microseconds. */
  readonly lastTime: number;
  readonly #span: Int32Array;
  readonly #isEnd: Uint8Array;
  readonly #begins: Int32Array;
  readonly #ends: Int32Array;
  readonly #parent: Int32Array;
  readonly #depth: Int32Array;
  readonly #sibling: Int32Array;
  readonly #children: number[][];

  constructor(trace: TraceDocument) {
    this.trace = trace;
    this.spans = trace.spans;
    const size = trace.spans.length;
    const indexes = new Map(trace.spans.map((span, index) => [span.id, index]));
    this.#parent = Int32Array.from(trace.spans, ({ parent }) => (parent === null ? NONE : indexes.get(parent)!));
    this.#depth = new Int32Array(size);
    this.#sibling = new Int32Array(size).fill(NONE);
    this.#children = trace.spans.map(() => []);
    const roots: number[] = [];
    for (let i = 0; i < size; i++) {
      const parent = this.#parent[i]!;
      const siblings = parent === NONE ? roots : this.#children[parent]!;
      if (parent !== NONE) this.#depth[i] = this.#depth[parent]! + 1;
      if (siblings.length > 0) this.#sibling[siblings.at(-1)!] = i;
      siblings.push(i);
    }
    this.roots = roots;
    const order = this.#order();
    this.count = order.length;
    this.#span = Int32Array.from(order, (event) => event >> 1);
    this.#isEnd = Uint8Array.from(order, (event) => event & 1);
    this.#begins = new Int32Array(size);
    this.#ends = new Int32Array(size).fill(NONE);
    for (let step = 0; step < this.count; step++) {
      (this.#isEnd[step] ? this.#ends : this.#begins)[this.#span[step]!] = step;
    }
    this.lastTime = this.time(this.count - 1);
  }

  /**
   * All begins and ends in the order in which they happened; an event is `2 * span`, and one more if it is the end.
   *
   * The clock is coarse, so that many events have one time: among these a call begins before the calls that it makes
   * and ends after them, and what began first ends first.
   */
  #order(): number[] {
    const { spans } = this;
    const timed: number[] = [];
    spans.forEach(({ end }, i) => {
      timed.push(i * 2);
      if (end !== null) timed.push(i * 2 + 1);
    });
    const timeOf = (event: number) => (event & 1 ? spans[event >> 1]!.end! : spans[event >> 1]!.start);
    timed.sort((a, b) => timeOf(a) - timeOf(b) || a - b);
    const order: number[] = [];
    for (let from = 0; from < timed.length; ) {
      let to = from + 1;
      while (to < timed.length && timeOf(timed[to]!) === timeOf(timed[from]!)) to++;
      if (to - from === 1) order.push(timed[from]!);
      else this.#orderTied(timed.slice(from, to), order);
      from = to;
    }
    return order;
  }

  #orderTied(events: number[], order: number[]): void {
    const tied = new Set(events);
    // How much each span's end has to wait for: its own begin, and its calls' begins and ends.
    const awaited = new Map<number, number>();
    const add = (span: number, by: number) => awaited.set(span, (awaited.get(span) ?? 0) + by);
    for (const event of events) {
      const span = event >> 1;
      if (!(event & 1)) add(span, 1);
      if (this.#parent[span] !== NONE) add(this.#parent[span]!, 1);
    }
    const emit = (first: number) => {
      for (let event = first; ; ) {
        order.push(event);
        const span = event >> 1;
        const parent = this.#parent[span]!;
        if (parent !== NONE) add(parent, -1);
        if (!(event & 1)) add(span, -1);
        const end = (of: number) => (of !== NONE && tied.has(of * 2 + 1) && awaited.get(of) === 0 ? of * 2 + 1 : NONE);
        const next = event & 1 ? end(parent) : end(span);
        if (next === NONE) return;
        event = next;
      }
    };
    // Ends that wait for nothing come first: what ended and what began at this time had begun before.
    const readyEnds = events.filter((event) => event & 1 && (awaited.get(event >> 1) ?? 0) === 0);
    for (const event of readyEnds) emit(event);
    for (const event of events) if (!(event & 1)) emit(event);
  }

  /** The span that begins or ends at this step. */
  spanAt(step: number): number {
    return this.#span[step]!;
  }

  isEnd(step: number): boolean {
    return this.#isEnd[step] === 1;
  }

  /** When it happened, in microseconds from the start of the trace. */
  time(step: number): number {
    const span = this.spans[this.#span[step]!]!;
    return this.#isEnd[step] ? span.end! : span.start;
  }

  /** The step at which the span begins. */
  beginOf(span: number): number {
    return this.#begins[span]!;
  }

  /** The step at which it ends; null if it never did. */
  endOf(span: number): number | null {
    const step = this.#ends[span]!;
    return step === NONE ? null : step;
  }

  parentOf(span: number): number | null {
    const parent = this.#parent[span]!;
    return parent === NONE ? null : parent;
  }

  childrenOf(span: number): readonly number[] {
    return this.#children[span]!;
  }

  depthOf(span: number): number {
    return this.#depth[span]!;
  }

  /** The span is the first of a task that its parent spawned. */
  isSpawned(span: number): boolean {
    const parent = this.#parent[span]!;
    return parent !== NONE && this.spans[parent]!.task !== this.spans[span]!.task;
  }

  /** What calls it has had, outermost first, itself last. */
  pathTo(span: number): number[] {
    const path: number[] = [];
    for (let at = span; at !== NONE; at = this.#parent[at]!) path.push(at);
    return path.reverse();
  }

  /** `ahead`: it hasn't begun at this step; `open`: it is going on; `over`: it has ended. */
  stateOf(span: number, step: number): 'ahead' | 'open' | 'over' {
    if (this.#begins[span]! > step) return 'ahead';
    const end = this.#ends[span]!;
    return end === NONE || end > step ? 'open' : 'over';
  }

  clamp(step: number): number {
    return Math.max(0, Math.min(this.count - 1, Math.trunc(step) || 0));
  }

  /** Step in: the next call that begins, whoever makes it. At the last one: the end of the trace. */
  into(step: number): number {
    for (let at = step + 1; at < this.count; at++) if (!this.#isEnd[at]) return at;
    return this.count - 1;
  }

  /** Back: the call that began before. */
  back(step: number): number {
    for (let at = step - 1; at >= 0; at--) if (!this.#isEnd[at]) return at;
    return 0;
  }

  /**
   * Step over: the next call in the tree that is no part of this one. The caller's later calls first, then its
   * caller's. Where there is none, to the end of this call, and where that is past, nowhere.
   */
  over(step: number): number {
    const span = this.#span[step]!;
    for (let at = span; at !== NONE; at = this.#parent[at]!) {
      for (let next = this.#sibling[at]!; next !== NONE; next = this.#sibling[next]!) {
        if (this.#begins[next]! > step) return this.#begins[next]!;
      }
    }
    return Math.max(step, this.#ends[span]!);
  }

  /** Out: the call that made this one; at the end of a call, its begin first if nothing called it. */
  out(step: number): number {
    const span = this.#span[step]!;
    const parent = this.#parent[span]!;
    return parent === NONE ? this.#begins[span]! : this.#begins[parent]!;
  }

  /** The calls of a function by Pingora's name, in order. */
  callsOf(fn: string): number[] {
    return this.spans.flatMap((span, index) => (span.fn === fn ? [index] : []));
  }
}

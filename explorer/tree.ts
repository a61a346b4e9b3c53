/** The rows of the call tree: which spans show, given the level and what is folded. */
import type { Steps } from './steps.ts';

const NONE = -1;

export class Tree {
  readonly steps: Steps;
  /** The spans that show, from the top. */
  rows: Int32Array = new Int32Array(0);
  #shows: (span: number) => boolean = () => true;
  /** A span that shows although its level doesn't: the current one. */
  #also = NONE;
  readonly #folded = new Set<number>();
  /** The row of each span; -1 for one that doesn't show. */
  readonly #rowOf: Int32Array;
  /** Of those that show at this level: where among its siblings, how many these are, how deep, how many below. */
  readonly #position: Int32Array;
  readonly #siblings: Int32Array;
  readonly #depth: Int32Array;
  readonly #below: Int32Array;
  readonly #firstOfTask: ReadonlySet<number>;

  constructor(steps: Steps) {
    this.steps = steps;
    const size = steps.spans.length;
    this.#rowOf = new Int32Array(size);
    this.#position = new Int32Array(size);
    this.#siblings = new Int32Array(size);
    this.#depth = new Int32Array(size);
    this.#below = new Int32Array(size);
    const first = new Map<number, number>();
    steps.spans.forEach(({ task }, span) => {
      if (!first.has(task)) first.set(task, span);
    });
    this.#firstOfTask = new Set(first.values());
    this.#measure();
    this.#layOut();
  }

  /** Show only spans for which this is true, and the current one. */
  setLevel(shows: (span: number) => boolean): void {
    this.#shows = shows;
    this.#measure();
    this.#layOut();
  }

  /** Whether the span shows at this level. */
  shows(span: number): boolean {
    return span === this.#also || this.#shows(span);
  }

  /** The nearest call above that shows; null if there is none. */
  callerOf(span: number): number | null {
    let at = this.steps.parentOf(span);
    while (at !== null && !this.shows(at)) at = this.steps.parentOf(at);
    return at;
  }

  /** Depths, siblings and what is below, of all that shows at this level. */
  #measure(): void {
    const { steps } = this;
    const size = steps.spans.length;
    const groups = new Map<number, number[]>();
    // parents come before their children: one pass is enough
    const shownParent = new Int32Array(size);
    for (let span = 0; span < size; span++) {
      const parent = steps.parentOf(span);
      shownParent[span] = parent === null ? NONE : this.shows(parent) ? parent : shownParent[parent]!;
      this.#below[span] = 0;
      if (!this.shows(span)) continue;
      const above = shownParent[span]!;
      this.#depth[span] = above === NONE ? 0 : this.#depth[above]! + 1;
      if (above !== NONE) this.#below[above]!++;
      const group = groups.get(above);
      if (group) group.push(span);
      else groups.set(above, [span]);
    }
    for (const group of groups.values()) {
      group.forEach((span, i) => {
        this.#position[span] = i + 1;
        this.#siblings[span] = group.length;
      });
    }
  }

  #layOut(): void {
    const rows: number[] = [];
    this.#rowOf.fill(NONE);
    const todo = [...this.steps.roots].reverse();
    for (let span = todo.pop(); span !== undefined; span = todo.pop()) {
      if (this.shows(span)) {
        this.#rowOf[span] = rows.length;
        rows.push(span);
        if (this.#folded.has(span)) continue;
      }
      const children = this.steps.childrenOf(span);
      for (let i = children.length - 1; i >= 0; i--) todo.push(children[i]!);
    }
    this.rows = Int32Array.from(rows);
  }

  rowOf(span: number): number | null {
    const row = this.#rowOf[span]!;
    return row < 0 ? null : row;
  }

  depthOf(span: number): number {
    return this.#depth[span]!;
  }

  isFolded(span: number): boolean {
    return this.#folded.has(span);
  }

  canFold(span: number): boolean {
    return this.#below[span]! > 0;
  }

  /** No call before it is of its task. */
  isFirstOfTask(span: number): boolean {
    return this.#firstOfTask.has(span);
  }

  /** Where it stands among its siblings, from 1, and how many they are. */
  placeOf(span: number): { position: number; of: number } {
    return { position: this.#position[span]!, of: this.#siblings[span]! };
  }

  /** Fold or unfold. Returns whether anything changed. */
  fold(span: number, folded = !this.#folded.has(span)): boolean {
    if (!this.canFold(span) || this.#folded.has(span) === folded) return false;
    if (folded) this.#folded.add(span);
    else this.#folded.delete(span);
    this.#layOut();
    return true;
  }

  unfold(): void {
    this.#folded.clear();
    this.#layOut();
  }

  /** Show the span whatever hides it: a fold, or the level. Returns whether anything changed. */
  reveal(span: number): boolean {
    let changed = false;
    for (let at = this.steps.parentOf(span); at !== null; at = this.steps.parentOf(at)) {
      changed = this.#folded.delete(at) || changed;
    }
    const also = this.#shows(span) ? NONE : span;
    if (also !== this.#also) {
      this.#also = also;
      this.#measure();
      changed = true;
    }
    if (changed) this.#layOut();
    return changed;
  }
}

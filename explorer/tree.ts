/** The rows of the call tree: which spans show, given what is folded. */
import type { Steps } from './steps.ts';

export class Tree {
  readonly steps: Steps;
  /** The spans that show, from the top. */
  rows: Int32Array = new Int32Array(0);
  readonly #folded = new Set<number>();
  /** The row of each span; -1 for one that is inside a fold. */
  readonly #rowOf: Int32Array;
  readonly #position: Int32Array;
  readonly #firstOfTask: ReadonlySet<number>;

  constructor(steps: Steps) {
    this.steps = steps;
    this.#rowOf = new Int32Array(steps.spans.length);
    this.#position = new Int32Array(steps.spans.length);
    const number = (siblings: readonly number[]) => {
      for (let i = 0; i < siblings.length; i++) this.#position[siblings[i]!] = i + 1;
    };
    number(steps.roots);
    for (let span = 0; span < steps.spans.length; span++) number(steps.childrenOf(span));
    const first = new Map<number, number>();
    steps.spans.forEach(({ task }, span) => {
      if (!first.has(task)) first.set(task, span);
    });
    this.#firstOfTask = new Set(first.values());
    this.#layOut();
  }

  #layOut(): void {
    const rows: number[] = [];
    this.#rowOf.fill(-1);
    const todo = [...this.steps.roots].reverse();
    for (let span = todo.pop(); span !== undefined; span = todo.pop()) {
      this.#rowOf[span] = rows.length;
      rows.push(span);
      if (this.#folded.has(span)) continue;
      const children = this.steps.childrenOf(span);
      for (let i = children.length - 1; i >= 0; i--) todo.push(children[i]!);
    }
    this.rows = Int32Array.from(rows);
  }

  rowOf(span: number): number | null {
    const row = this.#rowOf[span]!;
    return row < 0 ? null : row;
  }

  isFolded(span: number): boolean {
    return this.#folded.has(span);
  }

  canFold(span: number): boolean {
    return this.steps.childrenOf(span).length > 0;
  }

  /** No call before it is of its task. */
  isFirstOfTask(span: number): boolean {
    return this.#firstOfTask.has(span);
  }

  /** Where it stands among its siblings, from 1, and how many they are. */
  placeOf(span: number): { position: number; of: number } {
    const parent = this.steps.parentOf(span);
    const siblings = parent === null ? this.steps.roots : this.steps.childrenOf(parent);
    return { position: this.#position[span]!, of: siblings.length };
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

  /** Unfold whatever hides the span. Returns whether anything changed. */
  reveal(span: number): boolean {
    let changed = false;
    for (let at = this.steps.parentOf(span); at !== null; at = this.steps.parentOf(at)) {
      changed = this.#folded.delete(at) || changed;
    }
    if (changed) this.#layOut();
    return changed;
  }
}

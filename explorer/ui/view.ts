/** What the panels share: the trace that is open, and the way to go to a step of it. */
import type { Steps } from '../steps.ts';
import type { StatePart } from '../tours.ts';
import type { Tree } from '../tree.ts';

export interface Opened {
  steps: Steps;
  tree: Tree;
}

export interface Host {
  /** The trace that is open. */
  readonly opened: Opened | null;
  /** The current step. */
  readonly step: number;
  /** Go there. `jump`: the way back in the browser's history leads here. */
  go(step: number, how?: 'walk' | 'jump'): void;
  /** To another stop of the tour; 1: the next one. */
  tour(by: number): void;
  endTour(): void;
  /** Back to the step of the tour's stop. */
  returnToStop(): void;
  /** The chapter that the tour's stop is about, if it has one of its own. */
  chapterOfStop(): string | undefined;
  /** The part of the state that the tour's stop is about. */
  partOfStop(): StatePart | undefined;
}

export interface View {
  /** Another trace was opened. */
  open(opened: Opened): void;
  /** Another step is the current one. */
  update(step: number): void;
  /** Draw again: the panel has another size or the page other colours. */
  refresh(): void;
}

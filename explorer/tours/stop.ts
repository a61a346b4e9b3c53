/** What a tour is made of. */

/** A part of the state, as its panel shows them. */
export type StatePart = 'tasks' | 'channels' | 'machines' | 'pool' | 'connections';

export interface Stop {
  /** Pingora's name of the function. */
  fn: string;
  /** Which of its calls, from 1. Default: the first. */
  n?: number;
  /** Stop where the call returns rather than where it begins. */
  end?: boolean;
  title: string;
  text: string;
  /** The part of the state that the words are about: it is scrolled to and marked. */
  look?: StatePart;
  /** The chapter that explains what the words are about, where it isn't the function's own (`chapters.ts`). */
  chapter?: string;
}

export interface Tour {
  scenario: string;
  title: string;
  /** What one knows after it. */
  about: string;
  stops: readonly Stop[];
  /** Where the last stop leads: the trace beside another one. */
  onwards?: { title: string; with: string };
}

export const stop = (fn: string, title: string, text: string, more: Partial<Stop> = {}): Stop => ({
  fn,
  title,
  text,
  ...more,
});

export const END = { end: true } as const;

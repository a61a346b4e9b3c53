/** Finding a function by a part of its name, or by some of its letters; and values that calls have. */
import type { Steps } from './steps.ts';
import type { TraceSpan } from './trace.ts';

/** A function that was found, and its calls in order. */
export interface Found {
  fn: string;
  score: number;
  /** Which letters of the name matched. */
  at: number[];
  /** The name holds what was typed as it stands, not only its letters one after the other. */
  exact: boolean;
  calls: number[];
  /** A value that was found, instead of a function's name. */
  isValue?: boolean;
}

/** Values shorter than this are no help to whoever searches. */
const SHORTEST_VALUE = 3;
/** So many values are listed below the functions. */
const VALUES_SHOWN = 12;

const isWordStart = (text: string, at: number) =>
  at === 0 || !/[A-Za-z0-9]/.test(text[at - 1]!) || (/[A-Z]/.test(text[at]!) && /[a-z]/.test(text[at - 1]!));

/**
 * How well `query` matches `text`; null: not at all. Letters must come in order, in either case; spaces don't count.
 * A name that holds the query as it stands wins over one that only has its letters, and a match at the beginning of
 * a word over one inside.
 */
export function fuzzy(query: string, text: string): { score: number; at: number[]; exact: boolean } | null {
  const wanted = query.toLowerCase().replace(/\s+/g, '');
  const low = text.toLowerCase();
  if (wanted === '') return null;
  let best: number | null = null;
  for (let at = low.indexOf(wanted); at >= 0; at = low.indexOf(wanted, at + 1)) {
    if (best === null || (isWordStart(text, at) && !isWordStart(text, best))) best = at;
  }
  if (best !== null) {
    const whole = low.length === wanted.length ? 100 : 0;
    const score = 1000 + whole + (isWordStart(text, best) ? 50 : 0) - text.length / 10;
    return { score, at: Array.from(wanted, (_, i) => best + i), exact: true };
  }
  // The last word that fits, from the end of the name to its front: people type the end of a path.
  const at: number[] = [];
  let from = 0;
  for (const letter of wanted) {
    let next = low.indexOf(letter, from);
    if (next < 0) return null;
    const follows = at.length > 0 && next === at.at(-1)! + 1;
    for (let start = next; !follows && start >= 0; start = low.indexOf(letter, start + 1)) {
      const restFits = () => isSubsequence(wanted.slice(at.length + 1), low, start + 1);
      if (isWordStart(text, start) && restFits()) {
        next = start;
        break;
      }
    }
    at.push(next);
    from = next + 1;
  }
  let score = -text.length / 10;
  at.forEach((index, i) => {
    if (isWordStart(text, index)) score += 8;
    if (i > 0 && index === at[i - 1]! + 1) score += 6;
  });
  return { score, at, exact: false };
}

function isSubsequence(letters: string, text: string, from: number): boolean {
  let at = from;
  for (const letter of letters) {
    at = text.indexOf(letter, at) + 1;
    if (at === 0) return false;
  }
  return true;
}

/** The functions of a trace, to be searched again and again. */
export class Search {
  readonly #calls = new Map<string, number[]>();
  readonly #values = new Map<string, number[]>();

  constructor(steps: Steps) {
    steps.spans.forEach(({ fn }, index) => {
      const calls = this.#calls.get(fn);
      if (calls) calls.push(index);
      else this.#calls.set(fn, [index]);
    });
    steps.spans.forEach((span, index) => {
      for (const value of valuesOf(span)) {
        const calls = this.#values.get(value);
        if (calls === undefined) this.#values.set(value, [index]);
        else if (calls.at(-1) !== index) calls.push(index);
      }
    });
  }

  /** Values that hold the query as it stands, in either case. */
  #findValues(query: string): Found[] {
    const wanted = query.trim().toLowerCase();
    if (wanted.length < SHORTEST_VALUE) return [];
    const found: Found[] = [];
    for (const [value, calls] of this.#values) {
      const from = value.toLowerCase().indexOf(wanted);
      if (from < 0) continue;
      const at = Array.from(wanted, (_, i) => from + i);
      found.push({ fn: value, score: -from, at, exact: true, calls, isValue: true });
      if (found.length === VALUES_SHOWN) break;
    }
    return found;
  }

  /** What matches, best first. Functions that only have the letters show up only if none has the words. */
  find(query: string, limit = 50): Found[] {
    const found: Found[] = [];
    for (const [fn, calls] of this.#calls) {
      const match = fuzzy(query, fn);
      if (match) found.push({ fn, calls, ...match });
    }
    found.sort((a, b) => b.score - a.score || a.calls[0]! - b.calls[0]!);
    const exact = found.filter((one) => one.exact);
    const values = this.#findValues(query);
    return [...(exact.length > 0 || values.length > 0 ? exact : found).slice(0, limit), ...values];
  }
}

/** All calls of these functions, in order: what n and N go through. */
export function callsIn(found: readonly Found[]): number[] {
  return found.flatMap(({ calls }) => calls).sort((a, b) => a - b);
}

/** The call after (or before) the span, going round at the end; null if there are none. */
export function neighbour(calls: readonly number[], span: number, direction: 1 | -1): number | null {
  if (calls.length === 0) return null;
  if (direction === 1) return calls.find((call) => call > span) ?? calls[0]!;
  return calls.findLast((call) => call < span) ?? calls.at(-1)!;
}

/** All texts that a call has: what went in and came out, what changed, why it failed. */
function* valuesOf({ in: given = {}, out = {}, changed = [], error, attributes }: TraceSpan): Generator<string> {
  for (const value of [...Object.values(given), ...Object.values(out), ...Object.values(attributes)]) {
    if (typeof value === 'string') yield value;
    else if (Array.isArray(value)) yield* value;
  }
  for (const { what, from, to } of changed) yield `${what}: ${to ?? from}`;
  for (let at = error; at !== undefined; at = at.cause) {
    yield [at.type, at.context ?? at.message].filter(Boolean).join(': ');
  }
}

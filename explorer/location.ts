/**
 * The address of a step: `#trace=tls-h2&step=123`, or by a function's name and which of its calls,
 * `#trace=tls-h2&fn=HttpProxy::process_request&n=1` (`&end` for its return). The second survives a new recording, so
 * chapters use it. `#trace=h1&tour=3` is the third stop of a scenario's tour, `&step=40` after it a step to which one
 * has gone on from there; `#trace=h1&with=keepalive` is two traces beside each other.
 */
import type { Steps } from './steps.ts';
import type { Stop } from './tours.ts';

export interface Place {
  /** A trace of the list; null: whatever is open. */
  trace: string | null;
  /** From 1, as the page shows it. */
  step?: number;
  /** Pingora's name of a function. */
  fn?: string;
  /** Which call of `fn`, from 1. */
  n?: number;
  /** Where that call returns. */
  end?: boolean;
  /** A stop of the tour, from 1. */
  tour?: number;
  /** The trace that it is compared with. */
  with?: string;
}

const wholeNumber = (text: string | null): number | undefined =>
  text !== null && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;

/** Reads a location's hash. What makes no sense in it is left out. */
export function parsePlace(hash: string): Place {
  const fields = new URLSearchParams(hash.replace(/^#/, ''));
  const place: Place = { trace: fields.get('trace') || null };
  const step = wholeNumber(fields.get('step'));
  const fn = fields.get('fn');
  if (fn) {
    place.fn = fn;
    place.n = wholeNumber(fields.get('n')) ?? 1;
    if (fields.has('end')) place.end = true;
  } else if (step !== undefined) place.step = step;
  const tour = wholeNumber(fields.get('tour'));
  if (tour !== undefined) place.tour = tour;
  const other = fields.get('with');
  if (other) place.with = other;
  return place;
}

/** Colons and slashes stay readable; what would end a link in Markdown doesn't stay. */
const encode = (text: string) =>
  encodeURIComponent(text)
    .replace(/%3A/g, ':')
    .replace(/%2F/g, '/')
    .replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);

export function formatPlace(place: Place): string {
  const fields: string[] = [];
  if (place.trace !== null) fields.push(`trace=${encode(place.trace)}`);
  if (place.with !== undefined) fields.push(`with=${encode(place.with)}`);
  else if (place.tour !== undefined) {
    fields.push(`tour=${place.tour}`);
    if (place.step !== undefined) fields.push(`step=${place.step}`);
  } else if (place.fn !== undefined)
    fields.push(`fn=${encode(place.fn)}`, `n=${place.n ?? 1}${place.end ? '&end' : ''}`);
  else if (place.step !== undefined) fields.push(`step=${place.step}`);
  return fields.length === 0 ? '' : `#${fields.join('&')}`;
}

/** The step that a place means, from 0. Throws an error of one line if the trace has no such call. */
export function stepOf(place: Place, steps: Steps): number {
  if (place.fn === undefined) return steps.clamp((place.step ?? 1) - 1);
  const calls = steps.callsOf(place.fn);
  const { scenario } = steps.trace;
  if (calls.length === 0) throw new Error(`no call of ${place.fn} in ${scenario}`);
  const call = calls[(place.n ?? 1) - 1];
  if (call === undefined) {
    throw new Error(`${place.fn} is called ${calls.length === 1 ? 'once' : `${calls.length} times`} in ${scenario}`);
  }
  return place.end ? (steps.endOf(call) ?? steps.beginOf(call)) : steps.beginOf(call);
}

/** Where a tour stops. */
export function placeOfStop(trace: string | null, { fn, n = 1, end = false }: Stop): Place {
  return { trace, fn, n, ...(end && { end }) };
}

/** The place of a step by its function's name; the end of a call has no name, only a number. */
export function placeByName(trace: string | null, step: number, steps: Steps): Place {
  if (steps.isEnd(step)) return { trace, step: step + 1 };
  const span = steps.spanAt(step);
  const { fn } = steps.spans[span]!;
  return { trace, fn, n: steps.callsOf(fn).indexOf(span) + 1 };
}

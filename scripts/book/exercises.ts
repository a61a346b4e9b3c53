/**
 * What a page says of traces in its own text, held against the runs: exercises, and sentences with an unseen `shows`.
 *
 * ````md
 * <!-- exercise: keepalive -->
 * **1.** Two requests on one connection. How often is `process_new` called?
 *
 * ```sh
 * npm run trace -- keepalive --only services,apps
 * ```
 *
 * <details><summary>Answer</summary>
 *
 * Three times: once for each request, and once to wait for a third one.
 * <!-- shows: call="<T as ServerApp>::process_new" times=3 -->
 *
 * </details>
 * <!-- end exercise -->
 * ````
 *
 * Outside of an exercise a `shows` names its scenario first: `<!-- shows: h1 absent="SslStream::accept" -->`. It takes
 * what `shows.json` takes; `overlap` has its two functions with a semicolon between them.
 */
import type { TraceDocument } from '../../src/tracing/model.ts';
import { commands } from './check.ts';
import { argumentsOf } from './directives.ts';
import { missing, type Show } from './shows.ts';

/** A chapter has so many at least. */
export const EXERCISES = 2;

const EXERCISE = /<!-- exercise: (\S+) -->\n([\s\S]*?)<!-- end exercise -->/g;
const SHOWS = /<!-- shows: ((?:[^-]|-(?!->))*) -->/g;
const WORDS = ['never', 'once', 'twice', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven'];
const OTHER_WORDS: Record<number, string[]> = { 0: ['no', 'none', 'nothing', 'nobody'], 1: ['one'], 2: ['two'] };

/** A page's `shows`, with the scenario that each is held against. */
export interface Said {
  scenario: string;
  show: Show;
}

/** What `shows` says. Throws for what can't be read. */
export function readShow(text: string, scenario: string | undefined): Said {
  const { words, pairs } = argumentsOf(text);
  const of = scenario ?? words[0];
  if (of === undefined) throw new Error(`shows: ${text}: of which scenario?`);
  if (words.length > (scenario === undefined ? 1 : 0)) throw new Error(`shows: ${text}: what is ${words.at(-1)}?`);
  const show: Record<string, unknown> = {};
  for (const [key, value] of pairs) {
    if (key === 'times') show[key] = Number(value);
    else show[key] = key === 'overlap' ? value.split(';').map((fn) => fn.trim()) : value;
  }
  return { scenario: of, show: show as unknown as Show };
}

/** Whether a text names a number, as a digit or as a word. */
function names(text: string, number: number): boolean {
  const words = [String(number), WORDS[number], ...(OTHER_WORDS[number] ?? [])].filter((word) => word !== undefined);
  return words.some((word) => new RegExp(`\\b${word}\\b`, 'i').test(text));
}

/** What of one exercise is wrong in itself, and what it says of its scenario's trace. */
function readExercise(scenario: string, text: string): { wrong: string[]; said: Said[] } {
  const wrong: string[] = [];
  const [question, answer, more] = text.split('<details><summary>Answer</summary>\n\n');
  if (question === undefined || answer === undefined || more !== undefined || !answer.includes('</details>')) {
    return { wrong: ['has no answer that is folded away'], said: [] };
  }
  const run = commands(question);
  if (run.length === 0) wrong.push('has no command');
  const runs = (one: string) => one.includes(` -- ${scenario}`) || one === `npm run ${scenario}`;
  for (const one of run) if (!runs(one)) wrong.push(`doesn't run ${scenario}: ${one}`);
  const said = [...answer.matchAll(SHOWS)].map(([, show]) => readShow(show!, scenario));
  if (said.length === 0) wrong.push('has an answer that no run is held against');
  const prose = answer.replace(/<!--[\s\S]*?-->/g, '').replace(/^```[\s\S]*?^```/gm, '');
  for (const { show } of said) {
    const number = 'times' in show ? show.times : undefined;
    if (number !== undefined && !names(prose, number)) wrong.push(`has an answer that doesn't say ${number}`);
  }
  return { wrong, said };
}

/** Everything that a page says of traces, and what can be seen to be wrong without running anything. */
export function readSaid(markdown: string): { wrong: string[]; said: Said[]; exercises: number } {
  const wrong: string[] = [];
  const said: Said[] = [];
  const opened = [...markdown.matchAll(/<!-- exercise:/g)].length;
  const found = [...markdown.matchAll(EXERCISE)];
  if (opened !== found.length) throw new Error(`${opened} exercises begin and ${found.length} end`);
  for (const [index, [, scenario, text]] of found.entries()) {
    const one = readExercise(scenario!, text!);
    wrong.push(...one.wrong.map((why) => `exercise ${index + 1} ${why}`));
    if (!text!.startsWith(`**${index + 1}.** `)) wrong.push(`exercise ${index + 1} doesn't begin with its number`);
    said.push(...one.said);
  }
  for (const [, show] of markdown.replace(EXERCISE, '').matchAll(SHOWS)) said.push(readShow(show!, undefined));
  return { wrong, said, exercises: found.length };
}

/** What of a page's exercises and `shows` isn't so. */
export async function checkSaid(
  markdown: string,
  page: string,
  trace: (scenario: string) => Promise<TraceDocument>,
): Promise<string[]> {
  const { wrong, said } = readSaid(markdown);
  for (const { scenario, show } of said) {
    const why = missing(await trace(scenario), show);
    if (why !== null) wrong.push(`${scenario}: ${why}`);
  }
  return wrong.map((one) => `${page}: ${one}`);
}

/**
 * Compares a trace with the calls recorded from Pingora 0.1.0.
 *
 * A recorded call is its path from the root of its task. It is reached when some span has that path at the end of its
 * own ancestry (functions that the record doesn't know left out), and the path's root is where a task begins.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TraceSpan } from './model.ts';
import { projectRoot } from './sites.ts';

/** A call that Pingora made, and what it called. */
export interface RecordedCall {
  fn: string;
  /** `file:line` in Pingora's repository, or `app`. */
  at: string;
  /** It depends on the scheduler and may be missing. */
  optional?: boolean;
  calls?: RecordedCall[];
}

/** What Pingora did in one scenario. */
export interface CallRecord {
  scenario: string;
  /** How often some functions were entered. */
  entered?: Record<string, number>;
  startup?: RecordedCall[];
  request?: RecordedCall[];
  shutdown?: RecordedCall[];
}

export interface Comparison {
  /** How many recorded calls must be reached. */
  recorded: number;
  reached: number;
  /** Recorded paths that no span has. */
  missing: string[];
  /** Spans of recorded functions on a path that the record doesn't have, with how many there are. */
  misplaced: { path: string; spans: number }[];
  /** Sibling calls whose first occurrences come in another order than recorded. */
  disorder: string[];
  /** Functions entered more or less often than recorded. */
  miscounted: string[];
}

const SEPARATOR = ' > ';
const PHASES = ['startup', 'request', 'shutdown'] as const;

/**
 * Their callees have no fixed order: the two halves of a proxied request poll their branches at random, and
 * `run_service` stands for the tasks of several runtimes.
 */
const UNORDERED =
  /#(?:HttpProxy::(?:proxy_handle_downstream|proxy_handle_upstream|bidirection_1to2)|Server::run_service)$/;

/** A function whose name also stands for the task that it spawns: the record has it as a root as well. */
const SPAWNING_ROOT = 'pingora-core/src/server/mod.rs#Server::run_service';

/** The record of a scenario; null if there is none. */
export function loadRecord(scenario: string): CallRecord | null {
  if (!/^[\w-]+$/.test(scenario)) return null;
  try {
    return JSON.parse(
      readFileSync(join(projectRoot, `src/tracing/pingora-0.1.0/calls/${scenario}.json`), 'utf8'),
    ) as CallRecord;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** A record, by path. The phases are one: a call that waits for the request shows in two of them. */
class Recorded {
  /** Path to whether it must be reached. */
  readonly required = new Map<string, boolean>();
  readonly functions = new Set<string>();
  /** Path to the functions called there, in the order of their first calls. */
  readonly order = new Map<string, string[]>();

  constructor(record: CallRecord) {
    for (const phase of PHASES) this.#add(record[phase] ?? [], '', true);
  }

  #add(calls: RecordedCall[], parent: string, required: boolean): void {
    for (const { fn, at, optional, calls: below } of calls) {
      const key = `${at.replace(/:\d+$/, '')}#${fn}`;
      const path = parent === '' ? key : parent + SEPARATOR + key;
      const must = required && optional !== true;
      this.functions.add(key);
      if (!this.required.has(path) && parent !== '') {
        const siblings = this.order.get(parent);
        if (siblings) siblings.push(key);
        else this.order.set(parent, [key]);
      }
      this.required.set(path, must || this.required.get(path) === true);
      this.#add(below ?? [], path, must);
    }
  }
}

const keyOf = (span: TraceSpan) => (span.rust === null ? '' : `${span.rust.file}#${span.fn}`);

interface Step {
  key: string;
  task: number;
}

/** Whether the step at `from` is where a task begins. */
function beginsTask(line: Step[], from: number): boolean {
  const step = line[from]!;
  const below = line[from + 1];
  if (step.key === SPAWNING_ROOT && below !== undefined && below.task !== step.task) return true;
  return from === 0 || line[from - 1]!.task !== step.task;
}

/** Compare the spans of a trace with a record. Throws if the spans aren't a trace. */
export function compare(record: CallRecord, spans: readonly TraceSpan[]): Comparison {
  const known = new Recorded(record);
  const byId = new Map<number, TraceSpan>();
  const reached = new Map<string, number>();
  const misplaced = new Map<string, number>();
  let last = Number.NEGATIVE_INFINITY;

  for (const [index, span] of spans.entries()) {
    if (byId.has(span.id)) throw new Error(`span ${span.id}: the id is taken`);
    if (span.parent !== null && !byId.has(span.parent)) {
      throw new Error(`span ${span.id}: its parent ${span.parent} doesn't come before it`);
    }
    if (span.start < last) throw new Error(`span ${span.id}: starts before the one above it`);
    last = span.start;
    byId.set(span.id, span);
    if (!known.functions.has(keyOf(span))) continue;

    const line: Step[] = [];
    for (let at: TraceSpan | undefined = span; at; at = at.parent === null ? undefined : byId.get(at.parent)) {
      const key = keyOf(at);
      if (known.functions.has(key)) line.unshift({ key, task: at.task });
    }
    const keys = line.map((step) => step.key);
    let found = false;
    for (let from = 0; from < keys.length; from++) {
      const path = keys.slice(from).join(SEPARATOR);
      if (!known.required.has(path) || !beginsTask(line, from)) continue;
      found = true;
      if (!reached.has(path)) reached.set(path, index);
    }
    if (!found) {
      const path = keys.slice(-3).join(SEPARATOR);
      misplaced.set(path, (misplaced.get(path) ?? 0) + 1);
    }
  }

  const required = [...known.required].filter(([, must]) => must).map(([path]) => path);
  const missing = required.filter((path) => !reached.has(path));
  return {
    recorded: required.length,
    reached: required.length - missing.length,
    missing,
    misplaced: [...misplaced].map(([path, count]) => ({ path, spans: count })),
    disorder: disorder(known.order, reached),
    miscounted: Object.entries(record.entered ?? {}).flatMap(([fn, times]) => {
      const got = spans.filter((span) => span.rust !== null && span.fn === fn).length;
      return got === times ? [] : [`${fn}: entered ${got} times, recorded ${times}`];
    }),
  };
}

function disorder(order: Map<string, string[]>, reached: Map<string, number>): string[] {
  const wrong: string[] = [];
  for (const [parent, keys] of order) {
    if (UNORDERED.test(parent)) continue;
    let before: { key: string; at: number } | null = null;
    for (const key of keys) {
      const at = reached.get(parent + SEPARATOR + key);
      if (at === undefined) continue;
      if (before !== null && at < before.at) {
        wrong.push(`${parent.split(SEPARATOR).at(-1)}: ${key} before ${before.key}`);
      }
      before = { key, at };
    }
  }
  return wrong;
}

/** Whether nothing differs. */
export function isEqual(result: Comparison): boolean {
  return result.missing.length + result.misplaced.length + result.disorder.length + result.miscounted.length === 0;
}

/** What differs, a line each. */
export function differences(result: Comparison): string[] {
  return [
    ...result.missing.map((path) => `missing    ${path.split(SEPARATOR).slice(-2).join(SEPARATOR)}`),
    ...result.misplaced.map(({ path, spans }) => `misplaced  ${path} (${spans})`),
    ...result.disorder.map((line) => `disorder   ${line}`),
    ...result.miscounted.map((line) => `miscounted ${line}`),
  ];
}

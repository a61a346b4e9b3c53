/**
 * What is shown of a call: {@link table} says it per function, and this asks it while a trace is recorded. Nothing here
 * is loaded, and nothing made, while tracing is off.
 */
import type { EventLog } from '../tracing/events.ts';
import type { Facts } from '../tracing/model.ts';
import type { Span, Values } from '../tracing/recorder.ts';
import { changes, failure, stateOfHead } from './show.ts';
import { type Call, type Row, table } from './table.ts';

const rows: ReadonlyMap<string, Row> = new Map(Object.entries(table));

/** What a call was like when it began, for who compares it with its end. */
const BEFORE = new WeakMap<Span, { heads: (string[] | undefined)[] }>();

export interface ValueOptions {
  /** Show secrets too. Default: they are left out. */
  secrets?: boolean;
}

/** The values of calls, by the table. */
export function values({ secrets = false }: ValueOptions = {}): Values {
  const call = (self: unknown, args: readonly unknown[], result: unknown, log: EventLog | null): Call => ({
    self,
    args,
    result,
    log,
    secrets,
  });
  return {
    in(span, self, args, log) {
      const row = rows.get(span.site.fn);
      if (row === undefined) return;
      const now = call(self, args, undefined, log);
      span.in = ask(row.in, now);
      const heads = row.changes === undefined ? undefined : ask(row.changes, now);
      if (heads !== undefined) BEFORE.set(span, { heads: heads.map((head) => stateOfHead(head, secrets)) });
    },
    out(span, self, args, result, log) {
      const row = rows.get(span.site.fn);
      if (row === undefined) return;
      const now = call(self, args, result, log);
      span.out = ask(row.out, now);
      const before = BEFORE.get(span);
      if (before === undefined) return;
      const after = ask(row.changes!, now)!.map((head) => stateOfHead(head, secrets));
      const changed = after.flatMap((lines, i) => {
        const was = before.heads[i];
        return lines === undefined || was === undefined ? [] : changes(was, lines);
      });
      if (changed.length > 0) span.changed = changed;
    },
    failed(span, _self, _args, error) {
      span.error = failure(error);
    },
  };
}

/** A trace must not fail what it watches: what can't be shown isn't. */
function ask<T>(show: ((call: Call) => T | undefined) | undefined, call: Call): T | undefined {
  if (show === undefined) return undefined;
  try {
    const shown = show(call);
    return isEmpty(shown) ? undefined : shown;
  } catch {
    return undefined;
  }
}

const isEmpty = (shown: unknown) =>
  typeof shown === 'object' && shown !== null && !Array.isArray(shown) && Object.keys(shown as Facts).length === 0;

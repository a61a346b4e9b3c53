/** Prints two traces as one tree: what both called, what only the first did (`-`) and what only the second (`+`). */
import { createColors } from 'picocolors';
import type { TraceDocument, TraceSpan } from '../tracing/model.ts';
import { type Aligned, type AlignOptions, align, differences } from './align.ts';
import { isShownAt, type Level } from './levels.ts';
import { summaryOf } from './summary.ts';

export interface ComparisonOptions extends AlignOptions {
  width?: number;
  colour?: boolean;
  level?: Level | undefined;
}

const clip = (text: string, width: number) =>
  text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they must not steer the terminal
const printable = (text: string) => text.replace(/[\x00-\x1f\x7f-\x9f]/g, '·');

/** Addresses, times and numbers that differ in any two runs. */
const sameBut = (text: string | undefined) => text?.replace(/\d+/g, '0');

function line({ depth, a, b, times }: Aligned, width: number): { mark: string; text: string } {
  const span = (a ?? b)!;
  const mark = b === null ? '-' : a === null ? '+' : ' ';
  const count = times[0] === times[1] || a === null || b === null ? Math.max(...times) : times.join(' and ');
  const many = count === 1 ? '' : ` ×${count}`;
  const words = [a && summaryOf(a), b && summaryOf(b)];
  const differ = words[0] && words[1] && sameBut(words[0]) !== sameBut(words[1]);
  const said = differ ? `${words[0]} | ${words[1]}` : (words[0] ?? words[1]);
  const head = `${mark} ${'  '.repeat(Math.min(depth, 20))}${span.fn}${many}`;
  return { mark: differ ? '~' : mark, text: clip(printable(said ? `${head}  ${said}` : head), width) };
}

/** The two as one tree. */
export function printComparison(a: TraceDocument, b: TraceDocument, options: ComparisonOptions = {}): string {
  const { width = 100, colour = false, level = 'all', counts = () => true, once = false } = options;
  const c = createColors(colour);
  const shown = (span: TraceSpan) => counts(span) && isShownAt(span, level);
  const rows = align(a, b, { once, counts: shown });
  const paint: Record<string, (text: string) => string> = {
    '-': c.red,
    '+': c.green,
    '~': c.yellow,
    ' ': (text) => text,
  };
  const lines = rows.map((row) => {
    const { mark, text } = line(row, width);
    return Object.hasOwn(paint, mark) ? paint[mark]!(text) : text;
  });
  const { onlyA, onlyB } = differences(rows);
  const rest = rows.length - onlyA - onlyB;
  return [
    clip(
      `- only ${a.scenario}   + only ${b.scenario}   what both called but with other values: ${a.scenario} | ${b.scenario}`,
      width,
    ),
    '',
    ...lines,
    '',
    `${rest} calls in both, ${onlyA} only in ${a.scenario}, ${onlyB} only in ${b.scenario}`,
    '',
  ].join('\n');
}

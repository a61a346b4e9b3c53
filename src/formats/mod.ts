/** What a trace can be printed as. */

import { compare, loadRecord } from '../tracing/compare.ts';
import type { TraceDocument } from '../tracing/model.ts';
import type { Level } from './levels.ts';
import { printMermaid } from './mermaid.ts';
import { withOpenTelemetry } from './open-telemetry.ts';
import { printPerfetto } from './perfetto.ts';
import { printStack, printTree } from './tree.ts';

/** How the output is to look; formats take from it what they know. */
export interface FormatOptions {
  /** Whether to colour it for a terminal. */
  colour: boolean;
  /** Whether places are links of a terminal. */
  links: boolean;
  /** Only calls of these module folders, and what leads there. */
  only?: readonly string[] | undefined;
  /** So many levels of calls in each task. */
  depth?: number | undefined;
  /** How much is shown: `main`, `phases` or `all`. */
  level?: Level | undefined;
  /** Only what is below this function. */
  from?: string | undefined;
  /** Whether to show Pingora's places too. */
  rust?: boolean | undefined;
  /** Whether to show the bytes that were read and written. */
  wire?: boolean | undefined;
  /** Whether to show the frames of HTTP/2. */
  frames?: boolean | undefined;
  /** Columns of the terminal. */
  width?: number | undefined;
  /** What the trace is of, for its head. */
  about?: string | undefined;
}

/** A way to print a trace. */
export interface Format {
  /** What it is, in a line. */
  about: string;
  /** The trace as text. */
  print(trace: TraceDocument, options: FormatOptions): string | Promise<string>;
}

/** The formats by their names, as `trace --format` takes them. */
export const formats: Readonly<Record<string, Format>> = {
  tree: {
    about: 'the calls, a task at a time',
    print: (trace, options) => {
      const record = loadRecord(trace.scenario);
      return printTree(trace, {
        ...options,
        width: options.width ?? 100,
        comparison: record && compare(record, trace.spans),
      });
    },
  },
  stack: {
    about: 'the call stack from run_forever down to process_new_http',
    print: (trace, options) => printStack(trace, { ...options, width: options.width ?? 100 }),
  },
  mermaid: {
    about: 'a Mermaid sequence diagram: tasks and modules, calls between them, spawns',
    print: printMermaid,
  },
  perfetto: {
    about: "Chrome's trace events, for https://ui.perfetto.dev",
    print: printPerfetto,
  },
  otlp: {
    about: 'OTLP/JSON, for a collector of OpenTelemetry; --endpoint sends it there',
    print: async (trace) => (await withOpenTelemetry(() => import('./otlp.ts'))).printOtlp(trace),
  },
  json: {
    about: 'the trace itself (format version 2)',
    print: (trace) => `${JSON.stringify(trace, null, 1)}\n`,
  },
};

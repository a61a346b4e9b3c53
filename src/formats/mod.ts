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
  colour: boolean;
  links: boolean;
  only?: readonly string[] | undefined;
  depth?: number | undefined;
  level?: Level | undefined;
  from?: string | undefined;
  rust?: boolean | undefined;
  wire?: boolean | undefined;
  frames?: boolean | undefined;
  /** Columns of the terminal. */
  width?: number | undefined;
  about?: string | undefined;
}

export interface Format {
  about: string;
  print(trace: TraceDocument, options: FormatOptions): string | Promise<string>;
}

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

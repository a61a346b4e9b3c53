/**
 * Sends traces to a collector, with the exporter of OpenTelemetry's SDK: OTLP over HTTP, in protobuf. Import it through
 * `openTelemetry` of `endpoint.ts`.
 *
 * Headers, certificates, compression and the time allowed are what the standard variables say
 * (`OTEL_EXPORTER_OTLP_HEADERS`, `…_CERTIFICATE`, `…_COMPRESSION`, `…_TIMEOUT`); the exporter reads them.
 */
import { DiagLogLevel, diag } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { OtlpError, reasonOf } from '../formats/open-telemetry.ts';
import { type ReadableSpan, toSpans } from '../formats/otlp.ts';
import { Log } from '../log.ts';
import { spawn } from '../runtime/lib.ts';
import type { TraceDocument } from '../tracing/model.ts';
import { lose } from '../utils/losses.ts';
import type { Sample } from './sampler.ts';

const log = new Log('pingora_traced::collector');

/** So many spans go in one request; collectors refuse bodies of more than some megabytes. */
const BATCH = 2048;
/** So many traces wait for the collector; then the oldest is lost. */
const WAITING = 100;

/** A collector's address. */
export class Collector {
  readonly url: URL;
  private readonly exporter: OTLPTraceExporter;

  /** `url`: where to post, with its path. `warn` gets what the SDK complains of, as spans that were refused. */
  constructor(url: URL, warn: (message: string) => void = (message) => log.warn(message)) {
    this.url = url;
    const say = (message: string, ...more: unknown[]) => warn([message, ...more].join(' '));
    const quiet = () => {};
    diag.setLogger(
      { error: say, warn: say, info: quiet, debug: quiet, verbose: quiet },
      { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
    );
    this.exporter = new OTLPTraceExporter({ url: url.href });
  }

  /** Send a trace; returns how many spans it has. Throws {@link OtlpError} when it doesn't arrive. */
  async send(trace: TraceDocument): Promise<number> {
    const spans = toSpans(trace);
    for (let at = 0; at < spans.length; at += BATCH) await this.post(spans.slice(at, at + BATCH));
    return spans.length;
  }

  private async post(spans: ReadableSpan[]): Promise<void> {
    const { code, error } = await new Promise<ExportResult>((done) => this.exporter.export(spans, done));
    if (code !== 0) throw new OtlpError(`${this.url.href}: ${complaintOf(error)}`);
  }

  /** Give the connections back. */
  async close(): Promise<void> {
    await this.exporter.shutdown();
  }
}

type ExportResult = Parameters<Parameters<OTLPTraceExporter['export']>[1]>[0];

/** The exporter gives the status of an answer as the error's `code`, and the answer's body as `data`. */
function complaintOf(error: (Error & { code?: unknown; data?: unknown }) | undefined): string {
  if (typeof error?.code !== 'number') return error === undefined ? 'the export failed' : reasonOf(error);
  const [line = ''] = typeof error.data === 'string' ? error.data.trim().split('\n') : [];
  const said = /^[\x20-\x7e]{1,200}$/.test(line) ? `: ${line}` : '';
  const hint = error.code === 404 ? '; is the path right?' : '';
  return `the collector answered ${error.code} ${error.message}${said}${hint}`;
}

/**
 * Takes the traces of a server that serves, one after the other, so that no request waits for the collector. What can't
 * be sent is lost, and the log says so once until it is better; so is what still waits when the process ends.
 */
export function intoCollector(collector: Collector): (sample: Sample) => void {
  const waiting: TraceDocument[] = [];
  let sending = false;
  let failing = false;
  const send = async () => {
    for (let trace = waiting.shift(); trace !== undefined; trace = waiting.shift()) {
      try {
        await collector.send(trace);
        if (failing) log.info(() => `${collector.url.href}: traces are taken again`);
        failing = false;
      } catch (error) {
        if (!failing) log.warn(() => `a trace could not be sent: ${reasonOf(error)}`);
        failing = true;
        lose('trace');
      }
    }
    sending = false;
  };
  return ({ trace }) => {
    if (waiting.length >= WAITING) {
      waiting.shift();
      lose('trace');
    }
    waiting.push(trace);
    if (sending) return;
    sending = true;
    spawn('send traces', send);
  };
}

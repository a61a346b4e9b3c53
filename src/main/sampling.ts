/** Tracing of live requests for `npm start`: its modules are loaded only where it is asked for. */
import type { HttpServerApp } from '../apps/mod.ts';
import type { Sample } from '../live/sampler.ts';
import { onAsk } from '../runtime/process-link.ts';
import { askOwner, workerNumber } from '../runtime/worker.ts';
import { lose } from '../utils/losses.ts';
import { checkAddress } from './addresses.ts';
import { Complaint } from './complaint.ts';
import type { Options } from './options.ts';
import { say } from './say.ts';

/** Trace live requests, if that is asked for: to files, to the explorer, to a collector. */
export async function sampling(options: Options): Promise<((app: HttpServerApp) => HttpServerApp) | undefined> {
  const { trace, traceUi, traceOtlp } = options;
  if (trace === undefined && traceUi === undefined && traceOtlp === undefined) return undefined;
  const { Sampler } = await import('../live/sampler.ts');
  if (workerNumber() > 0) {
    // files and pictures are the business of the process that was started
    const sampler = new Sampler(trace ?? 1, (sample) => {
      askOwner('sample', sample).catch(() => lose('trace'));
    });
    return (app) => sampler.wrap(app);
  }
  const takers: ((sample: Sample) => void)[] = [];
  const traceDir = options.traceDir ?? (traceOtlp === undefined ? 'traces' : undefined);
  if (trace !== undefined && traceDir !== undefined) {
    try {
      const { intoFolder } = await import('../live/folder.ts');
      takers.push(intoFolder(traceDir, options.traceKeep === 0 ? Number.POSITIVE_INFINITY : options.traceKeep));
    } catch (error) {
      throw new Complaint(`--trace-dir ${traceDir}: can't write there: ${(error as Error).message}`);
    }
    say(`tracing one request in ${trace} to ${traceDir}/`);
  }
  if (traceUi !== undefined) {
    const { host, port } = checkAddress('--trace-ui', traceUi);
    const { TraceUi } = await import('../live/ui.ts');
    const { explorer } = await import('./explorer.ts');
    const ui = await TraceUi.start(host, port, await explorer());
    takers.push((sample) => ui.add(sample));
    say(`trace explorer on ${ui.url}`);
  }
  if (traceOtlp !== undefined) {
    const { OtlpError, openTelemetry, tracesEndpoint } = await import('../live/endpoint.ts');
    try {
      const url = tracesEndpoint('--trace-otlp', traceOtlp)!;
      const { Collector, intoCollector } = await openTelemetry();
      takers.push(intoCollector(new Collector(url)));
      say(`tracing one request in ${trace ?? 1} to ${url.href}`);
    } catch (error) {
      throw error instanceof OtlpError ? new Complaint(error.message, 2) : error;
    }
  }
  let samples = 0;
  const take = (sample: Sample) => {
    const numbered = { ...sample, id: ++samples };
    for (const taker of takers) taker(numbered);
  };
  onAsk('sample', take);
  const sampler = new Sampler(trace ?? 1, take);
  return (app) => sampler.wrap(app);
}

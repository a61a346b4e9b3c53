/** Where traces are sent, and whether they can be: all that needs none of OpenTelemetry's packages. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { OtlpError, reasonOf, withOpenTelemetry } from '../formats/open-telemetry.ts';
import type { Sample } from './sampler.ts';

export { OtlpError };

const PATH = 'v1/traces';

/**
 * The address to post traces to: `given` with `flag`, else what `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or
 * `OTEL_EXPORTER_OTLP_ENDPOINT` say; undefined if none says any. `/v1/traces` is added to `given`, unless it ends so,
 * and to the last one, as OpenTelemetry's specification has it. Throws {@link OtlpError} for what is no http(s)
 * address.
 */
export function tracesEndpoint(flag: string, given: string | undefined, env = process.env): URL | undefined {
  if (given !== undefined) return addressOf(flag, given, !new RegExp(`/${PATH}/?$`).test(given));
  const { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: traces, OTEL_EXPORTER_OTLP_ENDPOINT: any } = env;
  if (traces) return addressOf('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', traces, false);
  return any ? addressOf('OTEL_EXPORTER_OTLP_ENDPOINT', any, true) : undefined;
}

function addressOf(name: string, text: string, isBase: boolean): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new OtlpError(`${name} ${text}: not an address; write http://host:port, as http://127.0.0.1:4318`);
  }
  if (url.port === '0') {
    throw new OtlpError(`${name} ${text}: nothing listens on port 0; write the collector's, as http://127.0.0.1:4318`);
  }
  if (isBase) url.pathname = `${url.pathname.replace(/\/$/, '')}/${PATH}`;
  return url;
}

/**
 * Try whether anybody listens there. The exporter would find out too, but only after it has tried again and again for
 * ten seconds. Throws {@link OtlpError}.
 */
export async function tryConnect(url: URL): Promise<void> {
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  const socket = connect({ host: url.hostname.replace(/^\[|\]$/g, ''), port, timeout: 5000 });
  try {
    const timedOut = once(socket, 'timeout').then(() => Promise.reject(new Error('no answer in 5 s')));
    await Promise.race([once(socket, 'connect'), timedOut]);
  } catch (error) {
    throw new OtlpError(`${url.href}: can't connect: ${reasonOf(error)}; does a collector listen there?`);
  } finally {
    socket.destroy();
  }
}

/** Printing and sending, loaded when they are needed. Throws {@link OtlpError} if their packages are missing. */
export function openTelemetry() {
  return withOpenTelemetry(async () => ({
    ...(await import('../formats/otlp.ts')),
    ...(await import('./collector.ts')),
  }));
}

/**
 * Takes samples of a {@link Sampler} and sends them to the collector of OpenTelemetry at `url`, as
 * `http://127.0.0.1:4318`. What can't be sent is lost, and the log says so. Throws {@link OtlpError} for what is no
 * address, or if OpenTelemetry's packages are missing.
 */
export async function intoOtlp(url: string): Promise<(sample: Sample) => void> {
  const { Collector, intoCollector } = await openTelemetry();
  return intoCollector(new Collector(tracesEndpoint('intoOtlp', url)!));
}

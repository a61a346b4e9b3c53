/**
 * Serves the process's metrics to Prometheus.
 *
 * Port of `pingora-core/src/apps/prometheus_http_app.rs`.
 */
import { ResponseHeader } from '../http/lib.ts';
import { ResponseCompressionBuilder } from '../modules/http/compression.ts';
import type { Session as ServerSession } from '../protocols/http/server.ts';
import { ported, traced } from '../tracing/span.ts';
import { optional } from '../utils/optional.ts';
import { HttpServer, type Response, ServeHttp } from './http-app.ts';
import { answerForMetrics, metricsOfAll, type Registry } from './prometheus-workers.ts';

export type { Registry } from './prometheus-workers.ts';

const rust = ported('pingora-core/src/apps/prometheus_http_app.rs');

let registry: Registry | undefined;

/** Serve the metrics of this registry. Default: prom-client's of the process, loaded when it is first asked for. */
export function setRegistry(given: Registry | undefined): void {
  registry = given;
}

async function current(): Promise<Registry> {
  registry ??= optional<typeof import('prom-client')>('prom-client', 'metrics').register;
  return registry;
}

answerForMetrics(current);

/** The metrics of the registry, in whatever format it writes. */
@traced
export class PrometheusHttpApp extends ServeHttp {
  /** The registry's metrics, with its content type. */
  @rust.method('<PrometheusHttpApp as ServeHttp>::response')
  async response(_session: ServerSession): Promise<Response> {
    const shown = await current();
    const { contentType } = shown;
    const body = Buffer.from(await metricsOfAll(shown));
    const head = ResponseHeader.build(200);
    head.insertHeader('Content-Type', contentType);
    head.insertHeader('Content-Length', body.length);
    return { head, body };
  }
}

const newServer = rust.fn('PrometheusServer::new', (): PrometheusServer => {
  const server = HttpServer.newApp(new PrometheusHttpApp());
  server.addModule(ResponseCompressionBuilder.enable(7));
  return server;
});

/** Serves {@link PrometheusHttpApp}, compressed with gzip where the client accepts that. */
export type PrometheusServer = HttpServer<PrometheusHttpApp>;
/** Serves {@link PrometheusHttpApp}, compressed with gzip where the client accepts that. */
export const PrometheusServer = { new: newServer };

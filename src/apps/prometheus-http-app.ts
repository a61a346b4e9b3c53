/**
 * Serves the process's metrics to Prometheus.
 *
 * Port of `pingora-core/src/apps/prometheus_http_app.rs`.
 */
import { ResponseHeader } from '../http/lib.ts';
import { ResponseCompressionBuilder } from '../modules/http/compression.ts';
import type { Session as ServerSession } from '../protocols/http/server.ts';
import { ported } from '../trace/span.ts';
import { HttpServer, type Response, ServeHttp } from './http-app.ts';

const rust = ported('pingora-core/src/apps/prometheus_http_app.rs');

/** What a registry of metrics has to be able to do; `prom-client`'s is one. */
export interface Registry {
  readonly contentType: string;
  metrics(): Promise<string>;
}

let registry: Registry | undefined;

/** Serve the metrics of this registry. Default: prom-client's of the process, loaded when it is first asked for. */
export function setRegistry(given: Registry | undefined): void {
  registry = given;
}

/** The metrics of the registry, in whatever format it writes. */
export class PrometheusHttpApp extends ServeHttp {
  @rust.method('<PrometheusHttpApp as ServeHttp>::response')
  async response(_session: ServerSession): Promise<Response> {
    registry ??= (await import('prom-client')).register;
    const { contentType } = registry;
    const body = Buffer.from(await registry.metrics());
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
export const PrometheusServer = { new: newServer };

/**
 * Serves the process's metrics to Prometheus.
 *
 * Port of `pingora-core/src/apps/prometheus_http_app.rs`.
 */
import { ResponseHeader } from '../http/lib.ts';
import { ported } from '../trace/span.ts';
import { type Response, ServeHttp } from './http-app.ts';

const rust = ported('pingora-core/src/apps/prometheus_http_app.rs');

/** What a registry of metrics has to be able to do; `prom-client`'s is one. */
export interface Registry {
  readonly contentType: string;
  metrics(): Promise<string>;
}

let registry: Registry = { contentType: 'text/plain; version=0.0.4; charset=utf-8', metrics: async () => '' };

/** Serve the metrics of this registry. */
export function setRegistry(given: Registry): void {
  registry = given;
}

/** The metrics of the registry, in whatever format it writes. */
export class PrometheusServer extends ServeHttp {
  @rust.method('PrometheusServer::new')
  static new(): PrometheusServer {
    return new PrometheusServer();
  }

  async response(): Promise<Response> {
    const body = Buffer.from(await registry.metrics());
    const head = ResponseHeader.build(200);
    head.insertHeader('Content-Type', registry.contentType);
    head.insertHeader('Content-Length', body.length);
    return { head, body };
  }
}

/**
 * Metrics for Prometheus: what a proxy counts, and the registry that Pingora's metrics service shows.
 *
 * Needs the package `prom-client`, which is loaded when the first metric is made or asked for.
 *
 * @module pingora-traced/metrics
 */
export { PrometheusHttpApp, PrometheusServer, type Registry, setRegistry } from '../apps/prometheus-http-app.ts';
export { ProxyMetrics, type ProxyMetricsOptions, proxyMetrics } from '../proxy/metrics.ts';

/**
 * Metrics for Prometheus, and one request in so many traced, call by call, for a collector of OpenTelemetry. Both are
 * optional packages: npm install prom-client @opentelemetry/api @opentelemetry/exporter-trace-otlp-proto
 * @opentelemetry/otlp-transformer @opentelemetry/resources
 *
 *   COLLECTOR=http://127.0.0.1:4318 npm run example examples/observability.ts
 *   curl http://127.0.0.1:6203/ && curl http://127.0.0.1:6204/metrics
 */
import { HttpPeer, httpProxyService, Opt, ProxyHttp, Server, Service, type Session } from 'pingora-traced';
import { proxyMetrics } from 'pingora-traced/metrics';
import { intoOtlp, Sampler } from 'pingora-traced/tracing';
import { Counter } from 'prom-client';

const LISTEN = process.env.LISTEN ?? '127.0.0.1:6203';
const METRICS = process.env.METRICS ?? '127.0.0.1:6204';
const ORIGIN = process.env.ORIGIN ?? '127.0.0.1:8080';
const COLLECTOR = process.env.COLLECTOR ?? 'http://127.0.0.1:4318';
const ONE_IN = Number(process.env.ONE_IN ?? 100);

/** A metric of the application's own, in the same registry. */
const logins = new Counter({ name: 'my_logins_total', help: 'Requests to /login' });

class Gateway extends ProxyHttp {
  newCtx(): undefined {}

  override requestFilter(session: Session): boolean {
    if (session.reqHeader().path === '/login') logins.inc();
    return false;
  }

  upstreamPeer(): HttpPeer {
    return HttpPeer.new(ORIGIN, false, '');
  }
}

const server = Server.new(Opt.fromArgs());
await server.bootstrap();

const sampler = new Sampler(ONE_IN, await intoOtlp(COLLECTOR));
const gateway = httpProxyService(server.configuration, new Gateway(), {
  metrics: proxyMetrics(),
  wrap: (app) => sampler.wrap(app),
});
gateway.addTcp(LISTEN);
gateway.events = { onListening: ({ bound }) => console.log(`listening on ${bound}`) };

const metrics = Service.prometheusHttpService();
metrics.addTcp(METRICS);
metrics.events = { onListening: ({ bound }) => console.log(`metrics on ${bound}`) };

server.addService(gateway);
server.addService(metrics);
await server.runForever();

/**
 * `npm start` and `pingora-traced serve`: a proxy made of this port, to be run as it is.
 */
import { readFileSync } from 'node:fs';
import { CommanderError } from 'commander';
import { PingoraError } from './error/lib.ts';
import { splitAddress } from './listeners/l4.ts';
import { TlsSettings } from './listeners/tls.ts';
import { setLog } from './log.ts';
import { checkAddress, checkTarget, tryBind, tryUds } from './main/addresses.ts';
import { Complaint } from './main/complaint.ts';
import { DEMO } from './main/demo.ts';
import { Gateway } from './main/gateway.ts';
import { logger } from './main/logger.ts';
import { checkNeeds, type Options, program } from './main/options.ts';
import { Origins } from './main/origins.ts';
import { endWithNpm } from './main/parent.ts';
import { sampling } from './main/sampling.ts';
import { complain, say, serving } from './main/say.ts';
import type { BodyRate } from './protocols/http/pace.ts';
import { httpProxyService } from './proxy/lib.ts';
import type { ProxyMetrics } from './proxy/metrics.ts';
import { shared, workerNumber } from './runtime/worker.ts';
import { Opt } from './server/configuration/mod.ts';
import { Server } from './server/mod.ts';
import { backgroundService } from './services/background.ts';
import { Service } from './services/listening.ts';
import { losses } from './utils/losses.ts';
import { MissingPackage, optional } from './utils/optional.ts';
import { isProgram } from './utils/program.ts';
import { refusals } from './utils/refusals.ts';
import { selfSigned } from './utils/self-signed.ts';

function tlsSettings(options: Options): TlsSettings {
  const { cert, key } = options;
  try {
    const settings = TlsSettings.intermediate(cert!, key!);
    if (options.h2) settings.enableH2();
    return settings;
  } catch (error) {
    throw error instanceof PingoraError ? new Complaint(`--cert, --key: ${error.context}`) : error;
  }
}

async function certificate(options: Options): Promise<() => TlsSettings> {
  const { cert: certFile, key: keyFile } = options;
  if (certFile !== undefined && keyFile !== undefined) {
    const given = await shared('certificate given', () => {
      tlsSettings(options); // says what is wrong with them
      return { cert: readFileSync(certFile, 'latin1'), key: readFileSync(keyFile, 'latin1') };
    });
    // a thread of a daemon may be somebody who can't read them
    return () => (workerNumber() === 0 ? tlsSettings(options) : fromPem(given, options));
  }
  const hosts = options.tlsListen.map((address) => splitAddress(address)?.host ?? '');
  const { cert, key } = await shared('certificate', () => selfSigned(hosts));
  return () => fromPem({ cert, key }, options);
}

function fromPem({ cert, key }: { cert: string; key: string }, options: Options): TlsSettings {
  const settings = TlsSettings.fromPem(cert, key);
  if (options.h2) settings.enableH2();
  return settings;
}

/** One line a listener when it listens, and one when all do. */
function announce(service: Service, options: Options, listeners: number): void {
  let bound = 0;
  const kind = options.cert === undefined ? 'self-signed certificate' : 'certificate given';
  service.events = {
    onListening: ({ bound: address, tls }) => {
      serving();
      const h2 = tls ? ` (${options.h2 ? 'HTTP/2 and HTTP/1.1' : 'HTTP/1.1'}, ${kind})` : '';
      say(
        `listening on ${address.startsWith('/') ? `unix:${address}` : `${tls ? 'https' : 'http'}://${address}`}${h2}`,
      );
      if (++bound === listeners) say(`ready, forwarding to ${options.upstream.join(', ')}; Ctrl-C ends it`);
    },
    onListenFailed,
  };
}

/** Loaded only where it is asked for. */
async function metricsFor(options: Options): Promise<ProxyMetrics | undefined> {
  if (options.prometheus === undefined) return undefined;
  const { collectDefaultMetrics, Counter } = optional<typeof import('prom-client')>('prom-client', '--prometheus');
  const { proxyMetrics } = await import('./proxy/metrics.ts');
  collectDefaultMetrics();
  new Counter({
    name: 'pingora_traced_lost_total',
    help: 'Log lines and traces that could not be written, by what they were',
    labelNames: ['what'],
    collect() {
      this.reset();
      for (const [what, count] of losses()) this.inc({ what }, count);
    },
  });
  new Counter({
    name: 'pingora_traced_refused_total',
    help: 'Connections and requests that went over a limit, by the limit',
    labelNames: ['limit'],
    collect() {
      this.reset();
      for (const [limit, count] of refusals()) this.inc({ limit }, count);
    },
  });
  return proxyMetrics();
}

/** 0 on the command line is no limit. */
function rate(bytesPerSecond: number): BodyRate | undefined {
  return bytesPerSecond === 0 ? undefined : { bytesPerSecond };
}

/** The service that shows what {@link metricsFor} counts. */
function prometheus(address: string): Service {
  const service = Service.prometheusHttpService();
  service.addTcp(address);
  service.events = { onListening: ({ bound }) => say(`metrics on http://${bound}/metrics`), onListenFailed };
  return service;
}

function onListenFailed(address: string, error: PingoraError): void {
  complain(`${address}: can't listen there: ${error.rootCause().message}`);
  process.exit(1);
}

async function main(argv: string[], name: string): Promise<void> {
  const command = program(name);
  command.parse(argv, { from: 'user' });
  const options = command.opts<Options>();
  // commander would say how many there are, and not which
  if (command.args.length > 0) throw new Complaint(`${command.args[0]}: unexpected; flags only, see --help`, 2);

  const opt = new Opt({ upgrade: options.upgrade, daemon: options.daemon, test: options.test });
  if (options.conf !== undefined) opt.conf = options.conf;
  let server: Server;
  try {
    server = Server.new(opt);
  } catch (error) {
    throw error instanceof PingoraError ? new Complaint(error.context ?? error.toString()) : error;
  }
  if (options.threads !== undefined) server.configuration.threads = options.threads;
  if (options.gracePeriod !== undefined) server.configuration.gracePeriodSeconds = options.gracePeriod / 1000;
  const log = logger(server.configuration.errorLog);
  setLog(options.logLevel, log);

  const listeners = options.listen.length + options.tlsListen.length + options.uds.length;
  for (const address of options.listen) checkAddress('--listen', address);
  for (const address of options.tlsListen) checkAddress('--tls-listen', address);
  for (const address of options.upstream) if (address !== DEMO) checkTarget('--upstream', address);
  if (options.prometheus !== undefined) checkAddress('--prometheus', options.prometheus);
  if (!options.test || listeners > 0 || options.upstream.length > 0) {
    if (options.upstream.length === 0)
      throw new Complaint(
        '--upstream is missing: where to forward to, as --upstream 127.0.0.1:8080, or demo to try it',
        2,
      );
    if (listeners === 0) throw new Complaint('nowhere to listen: give --listen, --tls-listen or --uds', 2);
  }
  checkNeeds(options);
  const settings = options.tlsListen.length > 0 ? await certificate(options) : undefined;
  const tls = settings === undefined ? [] : options.tlsListen.map((address) => ({ address, settings: settings() }));

  // what is wrong with an address is said before anything else is
  if (!options.upgrade && !options.test && workerNumber() === 0) {
    const twice = options.uds.find((path, i) => options.uds.indexOf(path) !== i);
    if (twice !== undefined) throw new Complaint(`--uds ${twice}: given twice`, 2);
    const { listen, tlsListen, prometheus, traceUi } = options;
    const wanted = Object.entries({ listen, 'tls-listen': tlsListen, prometheus, 'trace-ui': traceUi });
    await tryBind(wanted.flatMap(([flag, at = []]) => [at].flat().map((address) => ({ flag: `--${flag}`, address }))));
    for (const path of options.uds) await tryUds(path);
  }
  const origins = await Origins.of(options);
  if (workerNumber() === 0 && !server.configuration.daemon) endWithNpm();
  const wrap = options.test ? undefined : await sampling(options);
  const metrics = await metricsFor(options);
  await server.bootstrap();
  const proxy = httpProxyService(
    server.configuration,
    new Gateway(origins, options, options.accessLog ? log : undefined),
    {
      wrap,
      metrics,
      h2: { h2c: options.h2c },
      requestsPerConnection: options.maxRequests || undefined,
      halfClose: options.halfClose,
      bodyRates: { request: rate(options.minRequestRate), response: rate(options.minResponseRate) },
    },
  );
  const { maxConnections, maxAddressConnections } = options;
  proxy.limits = { connections: maxConnections || undefined, perAddress: maxAddressConnections || undefined };
  for (const address of options.listen) proxy.addTcp(address);
  for (const { address, settings: endpoint } of tls) proxy.addTlsWithSettings(address, undefined, endpoint);
  for (const path of options.uds) proxy.addUds(path);
  announce(proxy, options, listeners);
  server.addService(proxy);
  if (options.healthCheck !== undefined) server.addService(backgroundService('health check', origins.balancer));
  if (options.prometheus !== undefined) server.addService(prometheus(options.prometheus));
  try {
    await server.runForever();
  } catch (error) {
    throw error instanceof PingoraError ? new Complaint(error.context ?? error.toString()) : error;
  }
}

/** Run the proxy with these flags, under this name in what it says. Ends the process when it can't. */
export async function serve(argv: string[], name: string): Promise<void> {
  try {
    await main(argv, name);
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode !== 0) {
        const message = error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');
        complain(`${message}; see ${name} --help`);
      }
      process.exit(error.exitCode === 0 ? 0 : 2);
    }
    if (argv.includes('--stack') && error instanceof Error) complain(error.stack ?? error.message);
    else if (error instanceof Complaint || error instanceof MissingPackage) complain(error.message);
    else if (error instanceof PingoraError && error.context !== undefined) complain(error.context);
    else complain(`${error instanceof Error ? error.message : error} (--stack shows where)`);
    process.exit(error instanceof Complaint ? error.status : 1);
  }
}

if (isProgram(import.meta.url)) await serve(process.argv.slice(2), 'npm start --');

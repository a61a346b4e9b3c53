/**
 * `npm start`: a proxy made of this port, to be run as it is.
 */
import { existsSync, lstatSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { hostname } from 'node:os';
import { Command, CommanderError, Option } from 'commander';
import { type DestinationStream, type Logger, pino } from 'pino';
import { PinoPretty } from 'pino-pretty';
import type { HttpServerApp } from './apps/mod.ts';
import { PingoraError } from './error/lib.ts';
import { splitAddress } from './listeners/l4.ts';
import { TlsSettings } from './listeners/tls.ts';
import { LoadBalancer } from './load-balancing/lib.ts';
import { RoundRobin } from './load-balancing/selection/mod.ts';
import { isLevel, type Level, setLog } from './log.ts';
import { httpProxyService, ProxyHttp, type Session } from './proxy/lib.ts';
import type { ProxyMetrics } from './proxy/metrics.ts';
import { onAsk } from './runtime/channel.ts';
import { askOwner, shared, threadNumber } from './runtime/thread.ts';
import { Opt } from './server/configuration/mod.ts';
import { Server } from './server/mod.ts';
import { Service } from './services/listening.ts';
import type { Sample } from './trace/sampler.ts';
import { HttpPeer } from './upstreams/peer.ts';
import { selfSigned } from './utils/self-signed.ts';

/** What a user did wrong: one line that names the culprit and a mend, no stack trace. */
class Complaint extends Error {
  /** 2 for a command line that can't be understood, 1 for one that can't be done. */
  readonly status: number;
  constructor(message: string, status = 1) {
    super(message);
    this.status = status;
  }
}

interface Options {
  listen: string[];
  tlsListen: string[];
  uds: string[];
  upstream: string[];
  cert?: string;
  key?: string;
  h2: boolean;
  upstreamTls: boolean;
  sni: string;
  insecure: boolean;
  accessLog: boolean;
  prometheus?: string;
  /** One request in so many is traced. */
  trace?: number;
  traceDir?: string;
  traceUi?: string;
  /** A collector's address. */
  traceOtlp?: string;
  conf?: string;
  test: boolean;
  daemon: boolean;
  upgrade: boolean;
  threads?: number;
  logLevel: Level;
  stack: boolean;
}

const collect = (value: string, before: string[]): string[] => [...before, ...value.split(',').filter((v) => v !== '')];

function program(): Command {
  const level = (value: string): Level => {
    if (!isLevel(value)) throw new Complaint(`--log-level ${value}: use trace, debug, info, warn, error or silent`, 2);
    return value;
  };
  const oneIn = (value: string): number => {
    const every = Number(/^1\/(\d+)$/.exec(value)?.[1] ?? 0);
    if (every === 0) throw new Complaint(`--trace ${value}: write 1/N, as 1/100 for one request in a hundred`, 2);
    return every;
  };
  const count = (value: string): number => {
    if (/^[1-9]\d{0,3}$/.test(value)) return Number(value);
    throw new Complaint(`--threads ${value}: write a whole number from 1, as --threads 2`, 2);
  };
  return new Command('npm start --')
    .description('Proxy HTTP/1.1 and HTTP/2 to one or more origins, round robin.')
    .option('--listen <address>', 'listen for HTTP on host:port; may be repeated', collect, [])
    .option('--tls-listen <address>', 'listen for HTTPS on host:port; may be repeated', collect, [])
    .option('--uds <path>', 'listen for HTTP on a Unix socket; may be repeated', collect, [])
    .option('--upstream <address>', 'an origin, host:port; several with commas or by repeating', collect, [])
    .option('--cert <file>', 'PEM certificate chain for --tls-listen; without it one is made on the spot')
    .option('--key <file>', 'PEM key of --cert')
    .option('--h2', 'offer HTTP/2 on --tls-listen', false)
    .option('--upstream-tls', 'connect to the origins with TLS', false)
    .option('--sni <name>', 'the name that the origins are asked for and checked against, with --upstream-tls', '')
    .option('--insecure', "don't check the origins' certificates", false)
    .option('--access-log', 'log a line a request', false)
    .addOption(new Option('--trace <1/N>', 'trace one request in N, for the trace explorer').argParser(oneIn))
    .option(
      '--trace-dir <folder>',
      'where --trace writes its traces, a file each (default: "traces", or nowhere with --trace-otlp)',
    )
    .option('--trace-ui <address>', 'serve the trace explorer there, each new trace as it ends')
    .option('--trace-otlp <url>', 'send the traces to a collector of OpenTelemetry, as http://127.0.0.1:4318')
    .option('--prometheus <address>', 'serve metrics on host:port, for Prometheus to read')
    .option('-c, --conf <file>', "Pingora's configuration file (YAML)")
    .option('-t, --test', 'check the configuration and end', false)
    .option('-d, --daemon', 'run in the background', false)
    .option('-u, --upgrade', 'take the sockets over from the server that runs now', false)
    .addOption(
      new Option('--threads <n>', 'serve with so many processes (default: as --conf says, or 1)').argParser(count),
    )
    .addOption(new Option('--log-level <level>', 'what to log').default('info').argParser(level))
    .option('--stack', 'show a stack trace when something is wrong with the start', false)
    .allowExcessArguments()
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
}

/** The proxy: any request to the next origin. */
class Gateway extends ProxyHttp<{ start: number }> {
  private readonly upstreams: LoadBalancer<RoundRobin>;
  private readonly options: Options;
  private readonly accessLog: Logger | undefined;

  constructor(upstreams: LoadBalancer<RoundRobin>, options: Options, accessLog: Logger | undefined) {
    super();
    this.upstreams = upstreams;
    this.options = options;
    this.accessLog = accessLog;
  }

  newCtx(): { start: number } {
    return { start: this.accessLog === undefined ? 0 : performance.now() };
  }

  upstreamPeer(): HttpPeer {
    const backend = this.upstreams.select('', 256);
    if (backend === undefined) throw new Error('no origin is ready');
    const { upstreamTls, sni, insecure } = this.options;
    const peer = HttpPeer.new(backend, upstreamTls, sni);
    if (insecure) {
      peer.options.verifyCert = false;
      peer.options.verifyHostname = false;
    }
    return peer;
  }

  override logging(session: Session, error: PingoraError | undefined, ctx: { start: number }): void {
    if (this.accessLog === undefined) return;
    const request = session.reqHeader();
    this.accessLog.info(
      {
        method: request.method,
        path: request.rawPath(),
        status: session.responseWritten()?.status ?? 0,
        bytes: session.downstreamSession.bodyBytesSent(),
        ms: Math.round((performance.now() - ctx.start) * 10) / 10,
        ...(error === undefined ? {} : { error: error.toString() }),
      },
      'request',
    );
  }
}

/** On a terminal for people, elsewhere one JSON object a line. */
function logger(level: Level, file: string | undefined): Logger {
  const base = { pid: process.pid, hostname: hostname(), ...(threadNumber() > 0 ? { thread: threadNumber() } : {}) };
  if (file !== undefined) {
    return pino({ level, base }, pino.destination({ dest: file, append: true, mkdir: true, sync: true }));
  }
  const colorize = process.stderr.hasColors?.() === true && process.env.NO_COLOR === undefined;
  const messageFormat = `${threadNumber() > 0 ? `thread ${threadNumber()}, ` : ''}{target}: {msg}`;
  const to: DestinationStream = process.stderr.isTTY
    ? PinoPretty({ colorize, destination: 2, sync: true, ignore: 'pid,hostname,thread', messageFormat })
    : pino.destination({ fd: 2, sync: true });
  return pino({ level, base }, to);
}

function checkAddress(flag: string, address: string): { host: string; port: number } {
  const parts = splitAddress(address);
  if (parts === undefined) {
    throw new Complaint(`${flag} ${address}: not an address; write host:port, as 127.0.0.1:6188`, 2);
  }
  return parts;
}

/** What can be known before the server runs, so that it need not be found out by retrying for half a minute. */
async function tryBind(flag: string, address: string): Promise<void> {
  const { host, port } = checkAddress(flag, address);
  if (port === 0) return;
  const probe = createServer();
  const error = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    probe.once('error', resolve);
    probe.listen({ host: host === '' ? '::' : host, port }, () => probe.close(() => resolve(undefined)));
  });
  if (error === undefined) return;
  switch (error.code) {
    case 'EADDRINUSE':
      throw new Complaint(`${flag} ${address}: the port is in use; stop what listens there or choose another port`);
    case 'EACCES':
      throw new Complaint(`${flag} ${address}: no right to listen there; a port from 1024 up needs none`);
    case 'EADDRNOTAVAIL':
      throw new Complaint(`${flag} ${address}: ${host} is no address of this machine; 0.0.0.0 is all of them`);
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      throw new Complaint(`${flag} ${address}: the name ${host} can't be resolved; write an IP address`);
    default:
      throw new Complaint(`${flag} ${address}: can't listen there: ${error.message}`);
  }
}

async function tryUds(path: string): Promise<void> {
  if (!existsSync(path)) return;
  if (!lstatSync(path).isSocket()) {
    throw new Complaint(`--uds ${path}: the file exists and is not a socket; remove it or choose another path`);
  }
  const served = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (served) throw new Complaint(`--uds ${path}: another process serves it; stop it or choose another path`);
}

function tlsSettings(options: Options): TlsSettings {
  const { cert, key } = options;
  if ((cert === undefined) !== (key === undefined)) {
    throw new Complaint(`--${cert === undefined ? 'key' : 'cert'} needs --${cert === undefined ? 'cert' : 'key'}`, 2);
  }
  try {
    const settings = TlsSettings.intermediate(cert!, key!);
    if (options.h2) settings.enableH2();
    return settings;
  } catch (error) {
    throw error instanceof PingoraError ? new Complaint(`--cert, --key: ${error.context}`) : error;
  }
}

async function certificate(options: Options): Promise<() => TlsSettings> {
  if (options.cert !== undefined || options.key !== undefined) return () => tlsSettings(options);
  const hosts = options.tlsListen.map((address) => splitAddress(address)?.host ?? '');
  const { cert, key } = await shared('certificate', () => selfSigned(hosts));
  return () => {
    const settings = TlsSettings.fromPem(cert, key);
    if (options.h2) settings.enableH2();
    return settings;
  };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** One line a listener when it listens, and one when all do. */
function announce(service: Service, options: Options, listeners: number): void {
  let bound = 0;
  const kind = options.cert === undefined ? 'self-signed certificate' : 'certificate given';
  service.events = {
    onListening: ({ bound: address, tls }) => {
      const h2 = tls ? ` (${options.h2 ? 'HTTP/2 and HTTP/1.1' : 'HTTP/1.1'}, ${kind})` : '';
      say(
        `listening on ${address.startsWith('/') ? `unix:${address}` : `${tls ? 'https' : 'http'}://${address}`}${h2}`,
      );
      if (++bound === listeners) say(`ready, forwarding to ${options.upstream.join(', ')}; Ctrl-C ends it`);
    },
    onListenFailed,
  };
}

/** Trace live requests, if that is asked for: to files, to the explorer, to a collector. */
async function sampling(options: Options): Promise<((app: HttpServerApp) => HttpServerApp) | undefined> {
  const { trace, traceUi, traceOtlp } = options;
  if (trace === undefined && traceUi === undefined && traceOtlp === undefined) return undefined;
  const { Sampler, intoFolder } = await import('./trace/sampler.ts');
  if (threadNumber() > 0) {
    // files and pictures are the business of the process that was started
    const sampler = new Sampler(trace ?? 1, (sample) => {
      askOwner('sample', sample).catch(() => {});
    });
    return (app) => sampler.wrap(app);
  }
  const takers: ((sample: Sample) => void)[] = [];
  const traceDir = options.traceDir ?? (traceOtlp === undefined ? 'traces' : undefined);
  if (trace !== undefined && traceDir !== undefined) {
    try {
      takers.push(intoFolder(traceDir));
    } catch (error) {
      throw new Complaint(`--trace-dir ${traceDir}: can't write there: ${(error as Error).message}`);
    }
    say(`tracing one request in ${trace} to ${traceDir}/`);
  }
  if (traceUi !== undefined) {
    const { host, port } = checkAddress('--trace-ui', traceUi);
    await tryBind('--trace-ui', traceUi);
    const { TraceUi } = await import('./trace/ui.ts');
    const ui = await TraceUi.start(host, port);
    takers.push((sample) => ui.add(sample));
    say(`trace explorer on ${ui.url}`);
  }
  if (traceOtlp !== undefined) {
    const { OtlpError, openTelemetry, tracesEndpoint } = await import('./trace/endpoint.ts');
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

function complain(message: string): void {
  process.stderr.write(`${message}\n`);
}

/** Loaded only where it is asked for. */
async function metricsFor(options: Options): Promise<ProxyMetrics | undefined> {
  if (options.prometheus === undefined) return undefined;
  const [{ proxyMetrics }, { collectDefaultMetrics }] = await Promise.all([
    import('./proxy/metrics.ts'),
    import('prom-client'),
  ]);
  collectDefaultMetrics();
  return proxyMetrics();
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

async function main(argv: string[]): Promise<void> {
  const command = program();
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
  const log = logger(options.logLevel, server.configuration.errorLog);
  setLog(options.logLevel, log);

  const listeners = options.listen.length + options.tlsListen.length + options.uds.length;
  for (const address of options.listen) checkAddress('--listen', address);
  for (const address of options.tlsListen) checkAddress('--tls-listen', address);
  for (const address of options.upstream) checkAddress('--upstream', address);
  if (options.prometheus !== undefined) checkAddress('--prometheus', options.prometheus);
  if (!options.test || listeners > 0 || options.upstream.length > 0) {
    if (options.upstream.length === 0)
      throw new Complaint('--upstream is missing: where to forward to, as --upstream 127.0.0.1:8080', 2);
    if (listeners === 0) throw new Complaint('nowhere to listen: give --listen, --tls-listen or --uds', 2);
  }
  if (options.h2 && options.tlsListen.length === 0)
    throw new Complaint('--h2 needs --tls-listen: HTTP/2 is agreed on in the TLS handshake', 2);
  const settings = options.tlsListen.length > 0 ? await certificate(options) : undefined;
  const tls = settings === undefined ? [] : options.tlsListen.map((address) => ({ address, settings: settings() }));

  // what is wrong with an address is said before anything else is
  if (!options.upgrade && !options.test && threadNumber() === 0) {
    for (const address of options.listen) await tryBind('--listen', address);
    for (const address of options.tlsListen) await tryBind('--tls-listen', address);
    for (const path of options.uds) await tryUds(path);
    if (options.prometheus !== undefined) await tryBind('--prometheus', options.prometheus);
  }
  let upstreams: LoadBalancer<RoundRobin>;
  try {
    upstreams = await LoadBalancer.tryFromIter(options.upstream, RoundRobin);
  } catch (error) {
    throw new Complaint(`--upstream ${options.upstream.join(',')}: ${error instanceof Error ? error.message : error}`);
  }
  const wrap = options.test ? undefined : await sampling(options);
  await server.bootstrap();
  const proxy = httpProxyService(
    server.configuration,
    new Gateway(upstreams, options, options.accessLog ? log : undefined),
    { wrap, metrics: await metricsFor(options) },
  );
  for (const address of options.listen) proxy.addTcp(address);
  for (const { address, settings: endpoint } of tls) proxy.addTlsWithSettings(address, undefined, endpoint);
  for (const path of options.uds) proxy.addUds(path);
  announce(proxy, options, listeners);
  server.addService(proxy);
  if (options.prometheus !== undefined) server.addService(prometheus(options.prometheus));
  try {
    await server.runForever();
  } catch (error) {
    throw error instanceof PingoraError ? new Complaint(error.context ?? error.toString()) : error;
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (error instanceof CommanderError) {
    if (error.exitCode !== 0) {
      const message = error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');
      complain(`${message}; see npm start -- --help`);
    }
    process.exit(error.exitCode === 0 ? 0 : 2);
  }
  if (process.argv.includes('--stack') && error instanceof Error) complain(error.stack ?? error.message);
  else if (error instanceof Complaint) complain(error.message);
  else complain(`${error instanceof Error ? error.message : error} (--stack shows where)`);
  process.exit(error instanceof Complaint ? error.status : 1);
}

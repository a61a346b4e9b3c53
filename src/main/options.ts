/** What `npm start` can be told, and how it says what is wrong with that. */
import { Command, Option } from 'commander';
import { Complaint } from './complaint.ts';
import { count, filter, healthPath, number, oneIn, seconds, serverName, size, viaName } from './values.ts';

/** The command line, as it was understood. */
export interface Options {
  listen: string[];
  tlsListen: string[];
  uds: string[];
  upstream: string[];
  cert?: string;
  key?: string;
  h2: boolean;
  h2c: boolean;
  upstreamTls: boolean;
  sni: string;
  insecure: boolean;
  /** How many other origins are tried. */
  retries: number;
  /** Milliseconds between two checks. */
  healthCheck?: number;
  healthCheckPath?: string;
  /** In milliseconds; 0: none. */
  connectTimeout: number;
  readTimeout: number;
  writeTimeout: number;
  idleTimeout: number;
  /** In bytes; `Infinity`: none. */
  maxBody: number;
  maxOriginRequests: number;
  /** In characters; 0: none. */
  maxTarget: number;
  /** In milliseconds; 0: no. */
  halfClose: number;
  /** At a time; 0: no limit. */
  maxConnections: number;
  maxAddressConnections: number;
  /** After so many a connection takes no more; 0: no limit. */
  maxRequests: number;
  /** Bytes a second of bodies; 0: no limit. */
  minRequestRate: number;
  minResponseRate: number;
  via?: string;
  accessLog: boolean;
  prometheus?: string;
  /** One request in so many is traced. */
  trace?: number;
  traceDir?: string;
  /** So many files stay in it; 0: all. */
  traceKeep: number;
  traceUi?: string;
  /** A collector's address. */
  traceOtlp?: string;
  conf?: string;
  test: boolean;
  daemon: boolean;
  upgrade: boolean;
  threads?: number;
  /** In milliseconds. */
  gracePeriod?: number;
  /** A level, or what `PINGORA_LOG` may be. */
  logLevel: string;
  stack: boolean;
}

const collect = (value: string, before: string[]): string[] => [...before, ...value.split(',').filter((v) => v !== '')];

const EXAMPLES = `
Examples:
  $ --listen 127.0.0.1:8080 --upstream demo
  $ --listen 127.0.0.1:8080 --upstream 127.0.0.1:3000,127.0.0.1:3001
  $ --tls-listen 127.0.0.1:8443 --h2 --upstream 127.0.0.1:3000 --access-log
  $ --listen :8080 --upstream example.com:443 --upstream-tls --sni example.com
  $ --listen :8080 --upstream 127.0.0.1:3000 --trace 1/100 --trace-ui 127.0.0.1:6189
  $ --conf pingora.yaml --test

PINGORA_LOG says what is logged, by module, as RUST_LOG does: PINGORA_LOG=warn,pingora_proxy=debug
`;

/** Flags that mean nothing without another one. */
const NEEDS: readonly (readonly [keyof Options, string, string, (options: Options) => boolean])[] = [
  ['h2', '--h2', '--tls-listen: HTTP/2 is agreed on in the TLS handshake', ({ tlsListen }) => tlsListen.length > 0],
  ['h2c', '--h2c', '--listen or --uds', ({ listen, uds }) => listen.length + uds.length > 0],
  ['cert', '--cert', '--tls-listen', ({ tlsListen }) => tlsListen.length > 0],
  ['key', '--key', '--tls-listen', ({ tlsListen }) => tlsListen.length > 0],
  ['cert', '--cert', '--key', ({ key }) => key !== undefined],
  ['key', '--key', '--cert', ({ cert }) => cert !== undefined],
  ['sni', '--sni', '--upstream-tls', ({ upstreamTls }) => upstreamTls],
  ['insecure', '--insecure', '--upstream-tls', ({ upstreamTls }) => upstreamTls],
  ['traceDir', '--trace-dir', '--trace, as --trace 1/100', ({ trace }) => trace !== undefined],
  ['healthCheckPath', '--health-check-path', '--health-check', ({ healthCheck }) => healthCheck !== undefined],
];

/** Throws a {@link Complaint} for a flag that another one has to come with. */
export function checkNeeds(options: Options): void {
  for (const [name, flag, needed, has] of NEEDS) {
    const given = options[name];
    if (given === undefined || given === false || given === '' || has(options)) continue;
    throw new Complaint(`${flag} needs ${needed}`, 2);
  }
}

/** How long origins may take, and how much they get. */
const originOptions = (command: Command): Command =>
  command
    .addOption(number('retries', 'when an origin cannot be reached, try so many others', 2))
    .addOption(seconds('health-check', 'see every so many seconds whether each origin accepts connections'))
    .option(
      '--health-check-path <path>',
      'with --health-check: see whether it answers GET of this path with 200',
      healthPath,
    )
    .addOption(seconds('connect-timeout', 'an origin has so long to accept a connection', 10))
    .addOption(seconds('read-timeout', 'an origin may be silent for so long in an exchange', 60))
    .addOption(seconds('write-timeout', 'an origin may read nothing for so long', 60))
    .addOption(seconds('idle-timeout', 'keep an unused connection to an origin for so long', 60))
    .addOption(
      new Option('--max-body <size>', 'refuse larger request bodies with 413; k, m, g; 0: no limit')
        .default(10 * 1024 ** 3, '10g')
        .argParser(size),
    )
    .addOption(number('max-origin-requests', 'requests that an origin may have at a time; more get 503', 10_000));

/** What clients may do. */
const clientOptions = (command: Command): Command =>
  command
    .addOption(
      seconds(
        'half-close',
        'answer a client of HTTP/1 that ends its side after a request, unless its origin is silent for so long; 0: it has left',
        undefined,
        true,
      ).default(2000, '2'),
    )
    .addOption(number('max-connections', 'connections of clients at a time; more get 503; 0: no limit', 20_000))
    .addOption(
      number('max-address-connections', 'connections from one address at a time; more get 503; 0: no limit', 15_000),
    )
    .addOption(
      number('max-requests', 'after so many requests a connection of a client takes no more; 0: no limit', 10_000_000),
    )
    .addOption(number('min-request-rate', 'bytes a second of a request body; 408 for who is slower; 0: no limit', 240))
    .addOption(number('min-response-rate', 'bytes a second that a client takes of a response body; 0: no limit', 240))
    .addOption(number('max-target', 'refuse longer targets of requests with 414; 0: no limit', 16_384));

/** What is to be seen of it, and how it runs. */
const operatingOptions = (command: Command): Command =>
  command
    .option('--via <name>', 'add this name to Via of requests and responses', viaName)
    .option('--access-log', 'log a line a request', false)
    .addOption(new Option('--trace <1/N>', 'trace one request in N, for the trace explorer').argParser(oneIn))
    .option(
      '--trace-dir <folder>',
      'where --trace writes its traces, a file each (default: "traces", or nowhere with --trace-otlp)',
    )
    .addOption(number('trace-keep', 'so many traces stay in --trace-dir, the oldest go; 0: all', 1000))
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
    .addOption(
      new Option('--log-level <level>', 'what to log, as PINGORA_LOG')
        .default('info')
        .env('PINGORA_LOG')
        .argParser(filter),
    )
    .addOption(
      seconds(
        'grace-period',
        'after SIGTERM requests may go on for so long; less if none is left (default: as --conf says, or 300)',
        undefined,
        true,
      ),
    )
    .option('--stack', 'show a stack trace when something is wrong with the start', false);

/** The command line of the proxy; `name` is what is typed to start it. */
export function program(name: string): Command {
  const command = new Command(name)
    .description('Proxy HTTP/1.1 and HTTP/2 to one or more origins, round robin.')
    .option('--listen <address>', 'listen for HTTP on host:port; may be repeated', collect, [])
    .option('--tls-listen <address>', 'listen for HTTPS on host:port; may be repeated', collect, [])
    .option('--uds <path>', 'listen for HTTP on a Unix socket; may be repeated', collect, [])
    .option(
      '--upstream <address>',
      'an origin, host:port; several with commas or by repeating; demo: one that is built in',
      collect,
      [],
    )
    .option('--cert <file>', 'PEM certificate chain for --tls-listen; without it one is made on the spot')
    .option('--key <file>', 'PEM key of --cert')
    .option('--h2', 'offer HTTP/2 on --tls-listen', false)
    .option('--h2c', 'take HTTP/2 on --listen and --uds from clients that begin with it (prior knowledge)', false)
    .option('--upstream-tls', 'connect to the origins with TLS', false)
    .option(
      '--sni <name>',
      'the name that the origins are asked for and checked against, with --upstream-tls',
      serverName,
      '',
    )
    .option('--insecure', "don't check the origins' certificates", false);
  originOptions(command);
  clientOptions(command);
  return operatingOptions(command)
    .addHelpText('after', EXAMPLES.replaceAll('$', name))
    .allowExcessArguments()
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
}

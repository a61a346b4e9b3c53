/** What `npm start` can be told, and how it says what is wrong with that. */
import { Command, Option } from 'commander';
import { isLevel, type Level } from '../log.ts';

/** What a user did wrong: one line that names the culprit and a mend, no stack trace. */
export class Complaint extends Error {
  /** 2 for a command line that can't be understood, 1 for one that can't be done. */
  readonly status: number;
  constructor(message: string, status = 1) {
    super(message);
    this.status = status;
  }
}

/** The command line, as it was understood. */
export interface Options {
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

const EXAMPLES = `
Examples:
  $ --listen 127.0.0.1:8080 --upstream 127.0.0.1:3000,127.0.0.1:3001
  $ --tls-listen 127.0.0.1:8443 --h2 --upstream 127.0.0.1:3000 --access-log
  $ --listen :8080 --upstream example.com:443 --upstream-tls --sni example.com
  $ --listen :8080 --upstream 127.0.0.1:3000 --trace 1/100 --trace-ui 127.0.0.1:6189
  $ --conf pingora.yaml --test

PINGORA_LOG says what is logged, by module, as RUST_LOG does: PINGORA_LOG=warn,pingora_proxy=debug
`;

/** The command line of the proxy; `name` is what is typed to start it. */
export function program(name: string): Command {
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
  return new Command(name)
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
    .addHelpText('after', EXAMPLES.replaceAll('$', name))
    .allowExcessArguments()
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
}

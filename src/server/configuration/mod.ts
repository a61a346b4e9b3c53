/**
 * A server's configuration: a YAML file, and what the command line says beside it.
 *
 * Port of `pingora-core/src/server/configuration/mod.rs`. The original ignores keys that it doesn't know; here they
 * are errors, because most of them are mistyped.
 */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import type { Document, LineCounter } from 'yaml';
import { ErrorType, PingoraError } from '../../error/lib.ts';
import { Log } from '../../log.ts';
import { nearest } from '../../utils/nearest.ts';
import { lazily } from '../../utils/optional.ts';
import type { TransferOptions } from '../transfer-fd/mod.ts';

const log = new Log('pingora_core::server::configuration');

/** Loaded when a file is read: its 72 modules are a quarter of what loading the port takes. */
const yaml = lazily<typeof import('yaml')>('yaml');

type Kind = 'boolean' | 'count' | 'thread count' | 'string' | 'seconds' | 'IPv4 addresses' | 'IPv6 addresses';

/** Each key of the file: the field that it sets, and what it may be. Optional ones may be null. */
const KEYS: Record<string, { field: keyof ServerConf; kind: Kind; optional?: true }> = {
  version: { field: 'version', kind: 'count' },
  daemon: { field: 'daemon', kind: 'boolean' },
  error_log: { field: 'errorLog', kind: 'string', optional: true },
  pid_file: { field: 'pidFile', kind: 'string' },
  upgrade_sock: { field: 'upgradeSock', kind: 'string' },
  user: { field: 'user', kind: 'string', optional: true },
  group: { field: 'group', kind: 'string', optional: true },
  threads: { field: 'threads', kind: 'thread count' },
  work_stealing: { field: 'workStealing', kind: 'boolean' },
  ca_file: { field: 'caFile', kind: 'string', optional: true },
  client_bind_to_ipv4: { field: 'clientBindToIpv4', kind: 'IPv4 addresses' },
  client_bind_to_ipv6: { field: 'clientBindToIpv6', kind: 'IPv6 addresses' },
  upstream_keepalive_pool_size: { field: 'upstreamKeepalivePoolSize', kind: 'count' },
  upstream_connect_offload_threadpools: {
    field: 'upstreamConnectOffloadThreadpools',
    kind: 'count',
    optional: true,
  },
  upstream_connect_offload_thread_per_pool: {
    field: 'upstreamConnectOffloadThreadPerPool',
    kind: 'count',
    optional: true,
  },
  grace_period_seconds: { field: 'gracePeriodSeconds', kind: 'seconds' },
  min_grace_period_seconds: { field: 'minGracePeriodSeconds', kind: 'seconds' },
  graceful_shutdown_timeout_seconds: { field: 'gracefulShutdownTimeoutSeconds', kind: 'seconds' },
  close_timeout_seconds: { field: 'closeTimeoutSeconds', kind: 'seconds' },
  upgrade_sock_connect_accept_max_retries: { field: 'upgradeSockConnectAcceptMaxRetries', kind: 'count' },
  upgrade_sock_retry_interval_seconds: { field: 'upgradeSockRetryIntervalSeconds', kind: 'seconds' },
};

const KINDS: Record<Kind, { text: string; valid: (value: unknown) => boolean }> = {
  boolean: { text: 'true or false', valid: (value) => typeof value === 'boolean' },
  count: { text: 'a whole number from 0', valid: (value) => Number.isSafeInteger(value) && (value as number) >= 0 },
  'thread count': {
    text: 'a whole number from 1',
    valid: (value) => Number.isSafeInteger(value) && (value as number) >= 1,
  },
  string: { text: 'a string', valid: (value) => typeof value === 'string' && value !== '' },
  seconds: { text: 'a number of seconds', valid: (value) => Number.isFinite(value) && (value as number) >= 0 },
  'IPv4 addresses': { text: 'a list of IPv4 addresses', valid: (value) => isListOfIp(value, 4) },
  'IPv6 addresses': { text: 'a list of IPv6 addresses', valid: (value) => isListOfIp(value, 6) },
};

function isListOfIp(value: unknown, family: number): boolean {
  return Array.isArray(value) && value.every((ip) => typeof ip === 'string' && isIP(ip) === family);
}

/** The line of a key of the file's; undefined if it has none of its own. */
function lineOf(document: Document, key: string, lines: LineCounter): number | undefined {
  const { isMap, isScalar } = yaml();
  if (!isMap(document.contents)) return undefined;
  for (const pair of document.contents.items) {
    if (isScalar(pair.key) && String(pair.key.value) === key && pair.key.range) {
      return lines.linePos(pair.key.range[0]).line;
    }
  }
  return undefined;
}

/** Aliases of YAML can make a list its own member. */
function shown(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    return 'something that contains itself';
  }
}

function fail(message: string): PingoraError {
  return PingoraError.explain(ErrorType.ReadError, message);
}

/** What the command line can say. Port of `Opt`. */
export class Opt {
  /** Take the listening sockets over from the server that runs now. `-u`, `--upgrade`. Default: false. */
  upgrade = false;
  /** Run in the background. `-d`, `--daemon`. Default: false. */
  daemon = false;
  /** Without effect, as in the original. */
  nocapture = false;
  /** End with status 0 once the configuration was read. `-t`, `--test`. Default: false. */
  test = false;
  /** The configuration's file. `-c`, `--conf`. Default: none. */
  conf: string | undefined = undefined;

  /** The defaults, with these in their place. */
  constructor(options: Partial<Opt> = {}) {
    Object.assign(this, options);
  }

  /**
   * What the command line says, as the original's `Opt::from_args` reads it: a flag that it doesn't know ends the
   * process with status 2 and one line.
   */
  static fromArgs(args: readonly string[] = process.argv.slice(2)): Opt {
    const flag = (short?: string) => ({ type: 'boolean' as const, ...(short === undefined ? {} : { short }) });
    try {
      const { values } = parseArgs({
        args: [...args],
        options: {
          upgrade: flag('u'),
          daemon: flag('d'),
          nocapture: flag(),
          test: flag('t'),
          conf: { type: 'string', short: 'c' },
        },
      });
      return new Opt(values);
    } catch (error) {
      const [line] = (error as Error).message.split('. ');
      process.stderr.write(`${line}; the flags are --upgrade, --daemon, --test and --conf FILE\n`);
      process.exit(2);
    }
  }
}

/**
 * The configuration. Each field's key in the file is its name in snake_case; durations are seconds.
 *
 * ```ts
 * const conf = ServerConf.fromYaml('threads: 2\ngrace_period_seconds: 10');
 * console.log(conf.threads, conf.gracePeriodSeconds, conf.upstreamKeepalivePoolSize); // 2 10 128
 * console.log(ServerConf.fromYaml(conf.toYaml()).threads); // 2
 * ```
 */
export class ServerConf {
  /** Of the file's format; nobody looks at it. Default: 0; 1 in a generated one. */
  version = 0;
  /** Run in the background. Default: false. */
  daemon = false;
  /** The file for the log; standard error if there is none. Default: none. */
  errorLog: string | undefined = undefined;
  /** Where a daemon writes its process id. Default: `/tmp/pingora.pid`. */
  pidFile = '/tmp/pingora.pid';
  /** The Unix socket over which listening sockets are handed over. Default: `/tmp/pingora_upgrade.sock`. */
  upgradeSock = '/tmp/pingora_upgrade.sock';
  /** The user that a daemon becomes. Default: it stays who it is. */
  user: string | undefined = undefined;
  /** The group that a daemon becomes. Default: it stays what it is. */
  group: string | undefined = undefined;
  /** How many threads each service gets. Default: 1. */
  threads = 1;
  /** Whether the threads of a service take work from each other. Default: true. */
  workStealing = true;
  /** A PEM file of the CAs to trust. Default: those that the system trusts. */
  caFile: string | undefined = undefined;
  /** Local addresses to connect to IPv4 origins from. Default: the system chooses. */
  clientBindToIpv4: string[] = [];
  /** Local addresses to connect to IPv6 origins from. Default: the system chooses. */
  clientBindToIpv6: string[] = [];
  /** How many idle connections to origins are kept. Default: 128. */
  upstreamKeepalivePoolSize = 128;
  /** Read for compatibility; connecting isn't offloaded here. */
  upstreamConnectOffloadThreadpools: number | undefined = undefined;
  /** Read for compatibility; connecting isn't offloaded here. */
  upstreamConnectOffloadThreadPerPool: number | undefined = undefined;
  /**
   * How long requests may go on after a graceful end began (SIGTERM, SIGQUIT), in seconds. The process ends sooner, as
   * soon as nothing is left to do: see {@link ServerConf.minGracePeriodSeconds}. Keep it below the time that a
   * supervisor gives, as systemd's `TimeoutStopSec`. A constant of the original. Default: 300.
   */
  gracePeriodSeconds = 300;
  /**
   * How much of the grace period is waited for even if nothing is left to do, in seconds. The original waits for all of
   * it: give both the same number for that. Default: 0.
   */
  minGracePeriodSeconds = 0;
  /**
   * How long the runtimes may take to end after that, in seconds. So long, too, kept connections wait for another
   * request in a grace period in which nothing else is left. A constant of the original. Default: 5.
   */
  gracefulShutdownTimeoutSeconds = 5;
  /** How long an old server goes on to accept after it handed its sockets over. A constant there. Default: 5. */
  closeTimeoutSeconds = 5;
  /** How often the old server and the new one try again to reach each other. A constant there. Default: 5. */
  upgradeSockConnectAcceptMaxRetries = 5;
  /** How many seconds lie between two such tries. A constant there. Default: 1. */
  upgradeSockRetryIntervalSeconds = 1;

  /** The defaults, as a file with nothing but a version gives them. */
  static new(): ServerConf {
    return ServerConf.fromYaml('---\nversion: 1', 'the built-in configuration');
  }

  /** The defaults, with what the command line says in their place. */
  static newWithOptOverride(opt: Opt): ServerConf {
    const conf = ServerConf.new();
    if (opt.daemon) conf.daemon = true;
    return conf;
  }

  /** Throws `ReadError`, naming the file, and the line or field that is wrong. */
  static loadFromYaml(path: string): ServerConf {
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const reason = code === 'ENOENT' ? 'there is no such file' : (error as Error).message;
      throw fail(`Unable to read conf file from ${path}: ${reason}`);
    }
    log.debug(() => `Conf file read from ${path}`);
    return ServerConf.fromYaml(text, path);
  }

  /** The file that `opt` names, with what else it says. Throws `ReadError`. */
  static loadYamlWithOptOverride(opt: Opt): ServerConf {
    if (opt.conf === undefined) throw fail('No path specified');
    const conf = ServerConf.loadFromYaml(opt.conf);
    if (opt.daemon) conf.daemon = true;
    return conf;
  }

  /** Throws `ReadError`. `name` is what the text is called in errors. */
  static fromYaml(text: string, name = 'the configuration'): ServerConf {
    const { LineCounter, parseDocument } = yaml();
    const lineCounter = new LineCounter();
    const document = parseDocument(text, { prettyErrors: true, lineCounter });
    const [problem] = document.errors;
    if (problem !== undefined) {
      throw fail(`Unable to parse yaml conf ${name}: ${problem.message.split('\n')[0]?.replace(/:$/, '')}`);
    }
    let values: unknown;
    try {
      values = document.toJS({ mapAsMap: true }) ?? new Map();
    } catch (error) {
      // aliases that lead nowhere, or to too much
      throw fail(`Unable to parse yaml conf ${name}: ${(error as Error).message}`);
    }
    if (!(values instanceof Map)) {
      throw fail(`Unable to parse yaml conf ${name}: it must hold keys and values, as "threads: 2"`);
    }
    const where = (key: string) => {
      const line = lineOf(document, key, lineCounter);
      return line === undefined ? name : `${name}, line ${line}`;
    };
    const conf = new ServerConf();
    for (const [given, value] of values) {
      const key = String(given);
      const known = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
      if (known === undefined) {
        const [guess] = nearest(key, Object.keys(KEYS));
        const mend = guess === undefined ? `the keys are ${Object.keys(KEYS).join(', ')}` : `did you mean "${guess}"?`;
        throw fail(`${where(key)}: unknown field ${JSON.stringify(key)}: ${mend}`);
      }
      if (known.optional && value === null) continue;
      const { text: expected, valid } = KINDS[known.kind];
      if (!valid(value)) throw fail(`${where(key)}: "${key}" must be ${expected}, not ${shown(value)}`);
      (conf as Record<string, any>)[known.field] = value;
    }
    return conf.validate();
  }

  /** How long two servers wait for each other when one hands its sockets to the other. */
  transferOptions(): TransferOptions {
    return {
      maxRetry: this.upgradeSockConnectAcceptMaxRetries,
      retryIntervalSeconds: this.upgradeSockRetryIntervalSeconds,
    };
  }

  /** The configuration as a file that reads back the same. Throws `ReadError` for a value that no file may have. */
  toYaml(): string {
    const lines = Object.entries(KEYS).map(([key, { field, kind, optional }]) => {
      const value = this[field];
      if (!(optional && value === undefined) && !KINDS[kind].valid(value)) {
        throw fail(
          `"${key}" must be ${KINDS[kind].text}, not ${typeof value === 'string' ? JSON.stringify(value) : value}`,
        );
      }
      // JSON is YAML, and each value stays on its line
      return `${key}: ${JSON.stringify(value ?? null)}\n`;
    });
    return lines.join('');
  }

  /** What can't be said of one field alone: nothing so far. */
  validate(): this {
    return this;
  }
}

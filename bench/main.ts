/**
 * What a request costs: CPU time of the proxy's process, user and system, by its own accounting, beside other proxies
 * on the same machine at the same time.
 *
 * CPU time rather than requests a second, ratios rather than microseconds, alternating rounds and their median rather
 * than one long run: each is what noise moves less. Ends with 1 if the port costs more than {@link LIMIT} times
 * fast-proxy.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import pc from 'picocolors';
import { type Case, cases } from './cases.ts';
import {
  bundled,
  fastProxy,
  http2Undici,
  httpProxy,
  makeTls,
  nginx,
  pingora,
  port,
  portToH2,
  relay,
  tracedInSteps,
  withoutTracing,
} from './contestants.ts';
import { besideOther, type Cost, costs, Failed, median } from './measure.ts';
import { idleConnections, lasting } from './memory.ts';
import { type Contestant, endAll, Load, notPinned, output, Running } from './processes.ts';
import { markdown, PORT, type Row, row } from './report.ts';
import { benchThreads } from './threads.ts';

/** What `--write` writes. */
const PAGE = fileURLToPath(new URL('../BENCHMARKS.md', import.meta.url));

/** The port may cost at most this, as a multiple of fast-proxy. */
const LIMIT = 0.6;

interface Options {
  rounds: number;
  seconds: number;
  connections: number;
  only?: string[];
  quick?: boolean;
  h2?: boolean;
  tracing?: boolean;
  traced?: boolean;
  bundled?: boolean;
  wrk?: boolean;
  threads?: boolean;
  cases?: string[] | true;
  write?: boolean;
  idle?: number | true;
  lasting?: number | true;
}

const positive = (text: string) => {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above zero.');
  return value;
};

const command = new Command('npm run bench --')
  .description("CPU time a request: the port beside other proxies, as multiples of the first one's")
  .option('--rounds <n>', 'measure each proxy so often (default: 7, with --cases 5, with --quick 3)', positive)
  .option('--seconds <s>', 'for so long each time (default: 3, with --cases 2, with --quick 1)', positive)
  .option('--connections <n>', 'with so many connections (default: 32; with --h2 4, each with 16 streams)', positive)
  .option('--only <names...>', 'only the proxies whose names begin with one of these')
  .option('--quick', 'fewer and shorter rounds')
  .option('--h2', 'HTTP/2 over TLS, beside node:http2 with undici')
  .option(
    '--cases [names...]',
    `a row for each kind of load, or for these: ${cases.map(({ name }) => name).join(', ')}`,
  )
  .option('--write', 'with --cases: write BENCHMARKS.md, of which what is measured changes')
  .option('--tracing', 'the port, tracing off, beside a build of it in which nothing can be traced')
  .option('--traced', 'the port, tracing off, beside one that records each request: calls, values, bytes')
  .option('--bundled', 'add the port as one bundled file')
  .option('--threads', 'requests a second of a hook that computes: two threads beside one')
  .option('--idle [n]', 'memory of so many idle connections of HTTP/2 (default: 2,000), beside node:http2', positive)
  .option(
    '--lasting [n]',
    'memory while one connection of HTTP/2 serves so many requests (default: 5,000,000)',
    positive,
  )
  .option('--wrk', 'make the load with wrk, which has to be installed')
  .addHelpText(
    'after',
    '\nPINGORA_BIN names a program of Pingora 0.1.0, which is measured too (how it is started: bench/contestants.ts).\n' +
      'nginx is measured with --cases where it is installed.',
  );

function parse(): Options {
  const given = command.parse().opts<Partial<Options>>();
  const { quick, h2 } = given;
  const [rounds, seconds] = quick ? [3, 1] : given.cases === undefined ? [7, 3] : [5, 2];
  const options = { rounds, seconds, connections: h2 ? 4 : 32, ...given };
  if (Array.isArray(options.cases)) {
    for (const name of options.cases) {
      if (!cases.some((each) => each.name === name)) command.error(`error: there is no case '${name}'`);
    }
  }
  return options;
}

/** The first one is what the others are compared with. */
async function contestants(options: Options, directory: string): Promise<Contestant[]> {
  if (options.tracing) return withoutTracing();
  if (options.traced) return tracedInSteps();
  if (options.h2) {
    const tls = await makeTls(directory);
    return [http2Undici(tls), port(tls)];
  }
  const list = [fastProxy(), port()];
  if (options.bundled) list.push(await bundled());
  return [...list, httpProxy()];
}

interface Result {
  readonly name: string;
  readonly costs: readonly Cost[];
  readonly ratios: readonly number[];
}

function table(results: readonly Result[]): void {
  const width = Math.max(...results.map(({ name }) => name.length));
  const cell = (text: string) => text.padStart(8);
  console.log(
    `${''.padEnd(width)}${['min', 'median', 'max'].map(cell).join('')}${pc.dim(`${cell('µs')}${cell('user')}${cell('system')}`)}`,
  );
  for (const { name, costs, ratios } of results) {
    const figures = [Math.min(...ratios), median(ratios), Math.max(...ratios)].map((ratio) => cell(ratio.toFixed(2)));
    const parts = (['total', 'user', 'system'] as const).map((part) => median(costs.map((each) => each[part])));
    const absolute = pc.dim(parts.map((part) => cell(part.toFixed(1))).join(''));
    console.log(`${name.padEnd(width)}${figures.join('')}${absolute}`);
  }
}

function pinning(): string {
  return notPinned === undefined
    ? 'the proxy on core 0, load and origin on core 1'
    : pc.yellow(`processes are not pinned to cores: ${notPinned}`);
}

/** One kind of load, the proxies in Node beside each other. */
async function one(options: Options, directory: string): Promise<number> {
  const load = new Load();
  const origin = await load.origin();
  const { only } = options;
  const proxies: Running[] = [];
  for (const contestant of await contestants(options, directory)) {
    if (only !== undefined && !only.some((prefix) => contestant.name.startsWith(prefix))) continue;
    proxies.push(await Running.start(contestant, origin));
  }
  if (proxies.length === 0) throw new Error('no proxy has such a name');
  const kind = {
    ...cases.find(({ name }) => name === (options.h2 ? 'h2' : 'h1-32'))!,
    connections: options.connections,
  };
  console.log(
    `${options.h2 ? 'HTTP/2 over TLS' : 'HTTP/1.1'}, ${options.connections} connections${options.h2 ? ' of 16 streams' : ''}, ` +
      `64-byte answers; ${options.rounds} rounds of ${options.seconds} s each, Node ${process.version}`,
  );
  console.log(pinning());
  const measured = await costs(proxies, load, kind, options);
  const results = proxies.map(
    ({ name }, i): Result => ({
      name,
      costs: measured[i]!,
      ratios: measured[i]!.map(({ total }, round) => total / measured[0]![round]!.total),
    }),
  );
  console.log(`\nCPU time a request, as multiples of ${results[0]!.name}:\n`);
  table(results);
  const mine = results.find(({ name }) => name === PORT);
  if (options.h2 || mine === undefined || !results[0]!.name.startsWith('fast-proxy')) return 0;
  const ratio = median(mine.ratios);
  if (ratio <= LIMIT) return 0;
  console.error(pc.red(`\npingora-traced costs ${ratio.toFixed(2)} times fast-proxy: more than ${LIMIT}`));
  return 1;
}

/** What is measured in bytes, if anything is. */
async function inBytes({ idle, lasting: requests }: Options, directory: string): Promise<boolean> {
  if (idle === undefined && requests === undefined) return false;
  const tls = await makeTls(directory);
  if (idle !== undefined) await idleConnections(tls, idle === true ? 2000 : idle);
  if (requests !== undefined) await lasting(tls, requests === true ? 5_000_000 : requests);
  return true;
}

/** The proxies of a kind of connection, and the origin behind them. */
interface Started {
  readonly load: Load;
  readonly proxies: readonly Running[];
}

type Tls = Awaited<ReturnType<typeof makeTls>>;

async function startFor(kind: Case, directory: string, tls: Tls, without: readonly string[]): Promise<Started> {
  const secure = kind.tls ? tls : undefined;
  const load = new Load();
  const origin = await load.origin(kind.originH2 ? tls : undefined);
  const inNode = kind.streams > 0 ? [http2Undici(tls)] : [...(kind.tls ? [] : [fastProxy()]), relay(secure)];
  const candidates = kind.originH2
    ? [portToH2(tls), http2Undici(tls, true)]
    : [pingora(secure), port(secure), nginx(directory, secure), ...inNode];
  const proxies: Running[] = [];
  for (const contestant of candidates) {
    if (contestant === undefined || without.includes(contestant.name)) continue;
    proxies.push(await Running.start(contestant, origin));
  }
  return { load, proxies };
}

/** A kind of load after the other: the port beside Pingora, nginx and proxies in Node. */
async function all(options: Options, directory: string): Promise<number> {
  const tls = await makeTls(directory);
  const chosen = cases.filter(({ name }) => options.cases === true || options.cases!.includes(name));
  console.log(`${options.rounds} rounds of ${options.seconds} s each, Node ${process.version}; ${pinning()}`);
  const rows: Row[] = [];
  let running: Started | undefined;
  let before: Case | undefined;
  for (const kind of chosen) {
    const sameProxies =
      before?.tls === kind.tls && before.streams > 0 === kind.streams > 0 && before.originH2 === kind.originH2;
    if (!sameProxies) running = undefined;
    const { found, proxies } = await rowOf(kind, running, directory, tls, options);
    before = kind;
    running = proxies;
    rows.push(found);
    console.log(found.text);
    // at once: all of them take half an hour
    if (options.write) writeFileSync(PAGE, markdown(rows, options, existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : ''));
  }
  return 0;
}

/** The row of a kind of load. Proxies that don't do it are left out of it; then there are none for the next row. */
async function rowOf(
  kind: Case,
  before: Started | undefined,
  directory: string,
  tls: Tls,
  options: Options,
): Promise<{ found: Row; proxies: Started | undefined }> {
  const without: string[] = [];
  for (let running = before; ; running = undefined) {
    if (running === undefined) {
      await endAll();
      running = await startFor(kind, directory, tls, without);
    }
    try {
      const found = await measured(kind, running, options);
      return { found, proxies: without.length === 0 ? running : undefined };
    } catch (error) {
      if (!(error instanceof Failed) || error.proxy === PORT) throw error;
      console.log(pc.yellow(`${kind.name} without ${error.message.split('\n')[0]}`));
      without.push(error.proxy);
    }
  }
}

async function measured(kind: Case, { proxies, load }: Started, options: Options): Promise<Row> {
  const names = proxies.map(({ name }) => name);
  const all = await costs(proxies, load, kind, options);
  const other = cases.find(({ name }) => name === kind.beside);
  const ratios = other && (await besideOther(proxies[names.indexOf(PORT)]!, load, kind, other, options));
  return row(kind, names, all, ratios);
}

const options = parse();
const directory = mkdtempSync(join(tmpdir(), 'bench-'));
const interrupted = () => process.exit(130); // the others end when this process does
process.on('SIGINT', interrupted);
process.on('SIGTERM', interrupted);
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
try {
  if (options.threads) await benchThreads(options);
  else if (!(await inBytes(options, directory)))
    process.exitCode = await (options.cases === undefined ? one : all)(options, directory);
} catch (error) {
  console.error(pc.red(`${error instanceof Error ? error.message : error}`));
  console.error(output());
  process.exitCode = 2;
} finally {
  await endAll();
}

/**
 * What a request costs: CPU time of the proxy's process, user and system, by its own accounting, beside other proxies
 * in Node on the same machine at the same time.
 *
 * CPU time rather than requests a second, ratios rather than microseconds, alternating rounds and their median rather
 * than one long run: each is what noise moves less. Ends with 1 if the port costs more than {@link LIMIT} times
 * fast-proxy.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { build, type Plugin } from 'esbuild';
import pc from 'picocolors';
import { generate } from 'selfsigned';
import { type Contestant, endAll, Load, notPinned, output, Running, wrk } from './processes.ts';
import { benchThreads } from './threads.ts';

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
}

const root = fileURLToPath(new URL('..', import.meta.url));
const positive = (text: string) => {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above zero.');
  return value;
};

const command = new Command('npm run bench --')
  .description("CPU time a request: the port beside other proxies in Node, as multiples of the first one's")
  .option('--rounds <n>', 'measure each proxy so often (default: 7; with --quick 3)', positive)
  .option('--seconds <s>', 'for so long each time (default: 3; with --quick 1)', positive)
  .option('--connections <n>', 'with so many connections (default: 32; with --h2 4, each with 16 streams)', positive)
  .option('--only <names...>', 'only the proxies whose names begin with one of these')
  .option('--quick', 'fewer and shorter rounds')
  .option('--h2', 'HTTP/2 over TLS, beside node:http2 with undici')
  .option('--tracing', 'the port, tracing off, beside a build of it in which nothing can be traced')
  .option('--traced', 'the port, tracing off, beside one that records each request: calls, values, bytes')
  .option('--bundled', 'add the port as one bundled file')
  .option('--threads', 'requests a second of a hook that computes: two threads beside one')
  .option('--wrk', 'make the load with wrk, which has to be installed');

function parse(): Options {
  const given = command.parse().opts<Partial<Options>>();
  const { quick, h2 } = given;
  const defaults = { rounds: quick ? 3 : 7, seconds: quick ? 1 : 3, connections: h2 ? 4 : 32 };
  return { ...defaults, ...given };
}

/** Functions stay as they are. */
const untraced: Plugin = {
  name: 'untraced',
  setup(bundle) {
    bundle.onResolve({ filter: /\/span\.ts$/ }, () => ({ path: join(root, 'bench/untraced.ts') }));
  },
};

/** The port as one file, its dependencies beside it. */
async function bundle(name: string, plugins: Plugin[]): Promise<string> {
  // inside node_modules, so that the dependencies are found and no tool looks at it
  const directory = join(root, 'node_modules/.cache/bench');
  mkdirSync(directory, { recursive: true });
  const outfile = join(directory, `${name}.mjs`);
  await build({
    entryPoints: [join(root, 'src/main.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'error',
    plugins,
  });
  return outfile;
}

function port(name: string, file: string, tls: readonly string[]): Contestant {
  return {
    name,
    args: (listen, origin) => {
      const address = `127.0.0.1:${listen}`;
      const listener = tls.length === 0 ? ['--listen', address] : ['--tls-listen', address, '--h2'];
      if (tls.length > 0) listener.push('--cert', tls[0]!, '--key', tls[1]!);
      return [file, ...listener, '--upstream', `127.0.0.1:${origin}`, '--log-level', 'error'];
    },
  };
}

const other = (name: string, file: string, more: readonly string[] = []): Contestant => ({
  name,
  args: (listen, origin) => [join(root, 'bench/proxies', file), String(listen), String(origin), ...more],
});

/** The first one is what the others are compared with. */
async function contestants(options: Options, directory: string): Promise<Contestant[]> {
  let tls: string[] = [];
  if (options.h2) {
    const made = await generate([{ name: 'commonName', value: 'localhost' }], { keySize: 2048 });
    tls = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
    writeFileSync(tls[0]!, made.cert);
    writeFileSync(tls[1]!, made.private);
  }
  if (options.tracing) {
    return [
      port('untraceable build', await bundle('untraced', [untraced]), tls),
      port('pingora-traced, tracing off', await bundle('main', []), tls),
    ];
  }
  if (options.traced) {
    return [
      other('tracing off', 'traced.ts', ['off']),
      other('beside a request that is traced', 'traced.ts', ['others']),
      other('calls', 'traced.ts', ['spans']),
      other('calls and values', 'traced.ts', ['values']),
      other('calls, values and bytes', 'traced.ts', ['bytes']),
    ];
  }
  const list = options.h2
    ? [other('node:http2 + undici', 'http2-undici.ts', tls)]
    : [other('fast-proxy (undici)', 'fast-proxy.ts')];
  list.push(port('pingora-traced', join(root, 'src/main.ts'), tls));
  if (options.bundled) list.push(port('pingora-traced, bundled', await bundle('main', []), tls));
  if (!options.h2) list.push(other('http-proxy', 'http-proxy.ts'));
  const { only } = options;
  return only === undefined ? list : list.filter(({ name }) => only.some((prefix) => name.startsWith(prefix)));
}

const sleep = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Microseconds a request. */
interface Cost {
  readonly user: number;
  readonly system: number;
  readonly total: number;
}

function cost(before: NodeJS.CpuUsage, after: NodeJS.CpuUsage, requests: number): Cost {
  const user = (after.user - before.user) / requests;
  const system = (after.system - before.system) / requests;
  return { user, system, total: user + system };
}

/** Requests until V8 has compiled what it will compile; a proxy that isn't there yet costs several times as much. */
const WARM_UP = 40_000;

async function warmUp(proxy: Running, load: Load, options: Options): Promise<void> {
  const patience = performance.now() + (options.quick ? 3_000 : 15_000);
  await load.start(proxy.port, options.connections, options.h2 ? 16 : 0);
  while ((await load.count()) < WARM_UP && performance.now() < patience) await sleep(0.05);
  await load.stop();
}

/** One round of one proxy. */
async function measure(proxy: Running, load: Load, options: Options, seconds: number): Promise<Cost> {
  if (options.wrk) {
    const before = await proxy.cpu();
    const answers = await wrk(proxy.port, options.connections, Math.ceil(seconds));
    return cost(before, await proxy.cpu(), answers);
  }
  await load.start(proxy.port, options.connections, options.h2 ? 16 : 0);
  await sleep(0.2); // connections, to both sides, are there
  const [answered, before] = await Promise.all([load.count(), proxy.cpu()]);
  await sleep(seconds);
  const [answers, after] = await Promise.all([load.count(), proxy.cpu()]);
  await load.stop();
  if (answers === answered) throw new Error(`${proxy.name} answered nothing in ${seconds} s`);
  return cost(before, after, answers - answered);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

interface Result {
  readonly name: string;
  readonly costs: Cost[];
  readonly ratios: number[];
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

async function run(options: Options, directory: string): Promise<number> {
  if (options.threads) {
    await benchThreads(options);
    return 0;
  }
  const load = new Load();
  const origin = await load.origin();
  const proxies: Running[] = [];
  for (const contestant of await contestants(options, directory)) {
    proxies.push(await Running.start(contestant, origin));
  }
  if (proxies.length === 0) throw new Error('no proxy has such a name');
  const what = options.h2
    ? `HTTP/2 over TLS, ${options.connections} connections of 16 streams`
    : `HTTP/1.1, ${options.connections} keepalive connections`;
  console.log(
    `${what}, 64-byte answers; ${options.rounds} rounds of ${options.seconds} s each, Node ${process.version}`,
  );
  console.log(
    notPinned === undefined
      ? 'the proxy on core 0, load and origin on core 1'
      : pc.yellow(`processes are not pinned to cores: ${notPinned}`),
  );
  for (const proxy of proxies) await warmUp(proxy, load, options);
  const results = proxies.map(({ name }): Result => ({ name, costs: [], ratios: [] }));
  for (let round = 0; round < options.rounds; round++) {
    for (const [i, proxy] of proxies.entries()) {
      const measured = await measure(proxy, load, options, options.seconds);
      results[i]!.costs.push(measured);
      results[i]!.ratios.push(measured.total / results[0]!.costs[round]!.total);
    }
  }
  console.log(`\nCPU time a request, as multiples of ${results[0]!.name}:\n`);
  table(results);
  const mine = results.find(({ name }) => name === 'pingora-traced');
  if (options.h2 || mine === undefined || !results[0]!.name.startsWith('fast-proxy')) return 0;
  const ratio = median(mine.ratios);
  if (ratio <= LIMIT) return 0;
  console.error(pc.red(`\npingora-traced costs ${ratio.toFixed(2)} times fast-proxy: more than ${LIMIT}`));
  return 1;
}

const options = parse();
const directory = mkdtempSync(join(tmpdir(), 'bench-'));
const interrupted = () => process.exit(130); // the others end when this process does
process.on('SIGINT', interrupted);
process.on('SIGTERM', interrupted);
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
try {
  process.exitCode = await run(options, directory);
} catch (error) {
  console.error(pc.red(`${error instanceof Error ? error.message : error}`));
  console.error(output());
  process.exitCode = 2;
} finally {
  await endAll();
}

/** `npm run trace -- NAME`, `pingora-traced trace NAME`: run a scenario and print its trace. Only the trace goes to stdout. */
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { closest, distance } from 'fastest-levenshtein';
import { printComparison } from '../formats/comparison.ts';
import { LEVELS, type Level } from '../formats/levels.ts';
import { type FormatOptions, formats } from '../formats/mod.ts';
import { asRecorded, traceOfRecord } from '../formats/record.ts';
import { onlyFrom } from '../formats/tree.ts';
import type { Collector } from '../live/collector.ts';
import { OtlpError, openTelemetry, tracesEndpoint, tryConnect } from '../live/endpoint.ts';
import { loadRecord } from '../tracing/compare.ts';
import type { TraceDocument } from '../tracing/model.ts';
import { moduleNames } from '../tracing/sites.ts';
import { isProgram } from '../utils/program.ts';
import { findScenario, scenarios } from './index.ts';
import { runScenario, ScenarioError } from './run.ts';
import type { Scenario } from './scenario.ts';

interface Options {
  format: string;
  only?: string[];
  depth?: number;
  out?: string;
  endpoint?: string;
  stack?: boolean;
  list?: boolean;
  level?: Level;
  from?: string;
  rust?: boolean;
  wire?: boolean;
  frames?: boolean;
  compare?: boolean;
}

function modules(text: string): string[] {
  const known = moduleNames();
  return text.split(',').map((given) => {
    const name = given.trim().replaceAll('_', '-');
    if (!known.includes(name)) throw new InvalidArgumentError(`The modules are ${known.join(', ')}.`);
    return name;
  });
}

function levels(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 1.');
  return Number(text);
}

/** Colours go to a terminal, and elsewhere only if FORCE_COLOR asks for them; NO_COLOR turns them off. */
function wantsColour(): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if (NO_COLOR) return false;
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '') return FORCE_COLOR !== '0' && FORCE_COLOR !== 'false';
  return process.stdout.isTTY === true && TERM !== 'dumb';
}

/** The terminal's columns; elsewhere the tree has its usual width. */
function columns(): number | undefined {
  const { columns: wide } = process.stdout;
  return process.stdout.isTTY === true && wide > 0 ? Math.max(40, Math.min(wide, 200)) : undefined;
}

function nearest(name: string): string {
  const names = scenarios.map((scenario) => scenario.name);
  const near = names
    .filter((known) => distance(name, known) <= Math.max(1, name.length / 3) || known.includes(name))
    .sort((a, b) => distance(name, a) - distance(name, b));
  return (near.length === 0 ? [closest(name, names)] : near.slice(0, 3)).join(', ');
}

/** The scenarios, a line each. */
export function listScenarios(): string {
  const width = Math.max(...scenarios.map(({ name }) => name.length));
  const line = ({ name, about, unavailable }: Scenario) =>
    `${name.padEnd(width)}  ${unavailable === undefined ? about : `(not available: ${unavailable})`}`;
  return `${scenarios.map(line).join('\n')}\n`;
}

async function write(text: string, file: string | undefined): Promise<void> {
  try {
    if (file !== undefined) return await pipeline([text], createWriteStream(file));
    await new Promise<void>((resolve, reject) => {
      const done = (error?: NodeJS.ErrnoException | null) => {
        // Whoever reads may stop early (`| head`): that is no failure.
        if (error === null || error === undefined || error.code === 'EPIPE') resolve();
        else reject(error);
      };
      process.stdout.once('error', done);
      process.stdout.write(text, done);
    });
  } catch (error) {
    const where = file === undefined ? 'standard output' : `--out ${file}`;
    throw new OutputError(`${where}: can't write there: ${(error as Error).message}`, { cause: error });
  }
}

function fail(message: string, code: number): void {
  process.stderr.write(`${message}\n`);
  process.exitCode = code;
}

/** The collector to send to, if the format is OTLP and no file is named; tried before anything is run. */
async function collectorFor({ stack, out, endpoint, ...options }: Options): Promise<Collector | undefined> {
  const format = stack ? 'stack' : options.format;
  if (endpoint !== undefined && format !== 'otlp') throw new OtlpError('--endpoint goes with --format otlp');
  if (endpoint !== undefined && out !== undefined) throw new OtlpError('--endpoint sends, --out writes: give one');
  const url = format === 'otlp' && out === undefined ? tracesEndpoint('--endpoint', endpoint) : undefined;
  if (format === 'otlp') await openTelemetry();
  if (url === undefined) return undefined;
  await tryConnect(url);
  const { Collector: Otlp } = await openTelemetry();
  return new Otlp(url, (message) => process.stderr.write(`${message}\n`));
}

async function send(trace: TraceDocument, collector: Collector): Promise<void> {
  const { traceIdOf } = await openTelemetry();
  const spans = await collector.send(trace);
  await collector.close();
  await write(
    `${spans} spans of ${trace.scenario} sent to ${collector.url.href}, trace ${traceIdOf(trace)}\n`,
    undefined,
  );
}

/** 128 and the signal's number, as shells have it. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** What stands for Pingora's record of a scenario where a scenario is asked for. */
const RECORD = 'pingora';

/** What was printed could not be written. */
class OutputError extends Error {}

/** A wrong command line, in one line. */
class UsageError extends Error {}

function scenarioNamed(name: string): Scenario {
  const scenario = findScenario(name);
  if (scenario === undefined) {
    throw new UsageError(`no scenario '${name}'; nearest: ${nearest(name)} (--list names all)`);
  }
  if (scenario.unavailable !== undefined) throw new UsageError(`${name} can't be run: ${scenario.unavailable}`);
  return scenario;
}

/** Both as one tree; the second may be Pingora's record of the first. */
async function compared(name: string, other: string, options: Options, signal: AbortSignal): Promise<string> {
  const scenario = scenarioNamed(name);
  const record = other === RECORD ? loadRecord(name) : null;
  if (other === RECORD && record === null) throw new UsageError(`Pingora's calls in ${name} were not recorded`);
  const second = record === null ? scenarioNamed(other) : null;
  const a = await runScenario(scenario, { signal });
  const b = second === null ? traceOfRecord(record!) : await runScenario(second, { signal });
  const view = { colour: options.out === undefined && wantsColour(), width: columns() ?? 100, level: options.level };
  return record === null ? printComparison(a, b, view) : printComparison(asRecorded(a, b), b, { ...view, once: true });
}

async function trace(name: string | undefined, other: string | undefined, options: Options): Promise<void> {
  if (options.list) return write(listScenarios(), undefined);
  if (name === undefined) return fail('which scenario? --list names them', 2);
  if (options.compare && other === undefined) {
    return fail(`compare ${name} with what? Name a second scenario, or ${RECORD} for Pingora's record`, 2);
  }
  if (!options.compare && other !== undefined) {
    return fail(`one scenario at a time: ${name} or ${other}? --compare shows the two beside each other`, 2);
  }
  const scenario = scenarioNamed(name);

  const collector = await collectorFor(options);
  const stop = new AbortController();
  let interrupted: keyof typeof SIGNALS | null = null;
  const handlers = (Object.keys(SIGNALS) as (keyof typeof SIGNALS)[]).map((signal) => {
    const handler = () => {
      interrupted = signal;
      stop.abort(new Error(signal));
    };
    process.once(signal, handler);
    return () => process.off(signal, handler);
  });
  try {
    if (other !== undefined) return await write(await compared(name, other, options, stop.signal), options.out);
    const document = await runScenario(scenario, { signal: stop.signal });
    const { from } = options;
    if (from !== undefined && onlyFrom(document, from).spans.length === 0) {
      throw new UsageError(`--from ${from}: ${name} calls no such function; its names are in the tree`);
    }
    if (collector !== undefined) return await send(document, collector);
    const colour = options.out === undefined && wantsColour();
    const view: FormatOptions = {
      colour,
      links: colour && process.stdout.isTTY === true,
      only: options.only,
      depth: options.depth,
      level: options.level,
      from: options.from,
      rust: options.rust,
      wire: options.wire,
      frames: options.frames,
      width: options.out === undefined ? columns() : undefined,
      about: scenario.about,
    };
    const { print } = new Map(Object.entries(formats)).get(options.stack ? 'stack' : options.format)!;
    await write(await print(document, view), options.out);
  } catch (error) {
    if (interrupted !== null) process.exitCode = SIGNALS[interrupted];
    else if (error instanceof UsageError) fail(error.message, 2);
    else if (error instanceof ScenarioError) {
      if (error.log !== '') process.stderr.write(`${error.log.trimEnd()}\n`);
      fail(`${name} failed at: ${error.message}`, 1);
    } else throw error;
  } finally {
    for (const remove of handlers) remove();
  }
}

const EXAMPLES = `
Examples:
  $ h1                                  the calls of one plain request
  $ h1 --level main --wire              the main path, and the bytes
  $ retry --from proxy_to_upstream      each try to reach an origin
  $ --compare h1 keepalive              what a second request on a connection has no need of
  $ tls-h2 --only services,apps,proxy   of these modules alone
  $ h1 --format perfetto --out h1.json  for https://ui.perfetto.dev
  $ grpc --endpoint http://127.0.0.1:4318
`;

/** The command line of the scenarios; `name` is what is typed to start it. */
export function traceProgram(name: string): Command {
  return new Command(name)
    .configureOutput({ writeErr: (text) => process.stderr.write(`${text.trimEnd().replace(/\s*\n\s*/g, ' ')}\n`) })
    .description(
      'Run a scenario on a real server and print the calls it made, from run_forever to the origin and back.',
    )
    .argument('[scenario]', 'which one; --list names them')
    .argument('[other]', `with --compare: a second one, or ${RECORD} for what the original was recorded to call`)
    .addOption(new Option('--format <format>', 'what to print').choices(Object.keys(formats)).default('tree'))
    .option(
      '--only <modules>',
      'only calls of these module folders, as server,services,proxy, and what leads there',
      modules,
    )
    .addOption(new Option('--level <level>', 'how much: the main path, the phases of a request, all').choices(LEVELS))
    .option('--from <function>', 'only the calls of this function and what is below, as process_request')
    .option('--depth <levels>', 'so many levels of calls in each task', levels)
    .option('--rust', "name Pingora's files and lines instead of the port's")
    .option('--wire', 'show the bytes and frames that each call read and wrote')
    .option('--frames', 'show only the frames of HTTP/2 that each call read and wrote')
    .option('--compare', 'run two scenarios and show what only one of them calls')
    .option('--stack', 'only the call stack from run_forever down to process_new_http')
    .option('--out <file>', 'write to a file instead of stdout')
    .addOption(
      new Option(
        '--endpoint <url>',
        'send to a collector of OpenTelemetry, as http://127.0.0.1:4318; OTEL_EXPORTER_OTLP_* count too',
      ).implies({ format: 'otlp' }),
    )
    .option('--list', 'name the scenarios')
    .action(async (name: string | undefined, other: string | undefined, options: Options) => {
      try {
        await trace(name, other, options);
      } catch (error) {
        if (error instanceof UsageError) return fail(error.message, 2);
        if (!(error instanceof OtlpError || error instanceof OutputError)) throw error;
        fail(error.message, 1);
      }
    })
    .addHelpText('after', EXAMPLES.replaceAll('$', name));
}

if (isProgram(import.meta.url)) await traceProgram('npm run trace --').parseAsync();

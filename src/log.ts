/**
 * Logging, as Pingora does it with the `log` crate: a message has a level and a target (the module), and the process
 * decides what is printed. The writing is pino's.
 *
 * Levels are pino's names. A message that isn't printed costs two comparisons; where building it costs more than that,
 * pass a function.
 *
 * What is printed is said as `env_logger` has it, in `PINGORA_LOG` where that has `RUST_LOG`: a level for all, and
 * levels for targets that begin with a name, the longest one first: `warn,pingora_proxy=debug`.
 */
import type { Logger } from 'pino';
import { Lines } from './utils/lines.ts';
import { lazily } from './utils/optional.ts';

const pino = lazily<typeof import('pino')>('pino');

/** From everything to nothing: a level prints itself and all that come after it. */
export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

const VALUE: Record<Level, number> = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, silent: 100 };

/** The levels of targets by the beginnings of their names, the longest first; the last is '', which is all. */
type Filter = readonly (readonly [prefix: string, level: Level])[];

/** Whether `name` is one of {@link Level}. */
export function isLevel(name: string): name is Level {
  return Object.hasOwn(VALUE, name);
}

/**
 * What a filter says: `warn`, `pingora_proxy=debug`, or several of them with commas between. A target alone is all that
 * it says; `off` is `silent`; what isn't named is printed from `error` on. Throws a `RangeError` that names what isn't
 * understood.
 */
export function parseFilter(text: string): Filter {
  const levels = new Map<string, Level>([['', 'error']]);
  for (const part of text.split(',').map((each) => each.trim())) {
    if (part === '') continue;
    const [target = '', given, ...more] = part.split('=').map((each) => each.trim());
    const name = (given ?? target).toLowerCase();
    const level = name === 'off' ? 'silent' : name;
    if (more.length === 0 && isLevel(level)) levels.set(given === undefined ? '' : target, level);
    // a word without `_` or `::` is a mistyped level rather than a target
    else if (given === undefined && /^[\w:]*(?:_|::)[\w:]*$/.test(target)) levels.set(target, 'trace');
    else throw new RangeError(`${part}: use trace, debug, info, warn, error or silent, or TARGET=LEVEL`);
  }
  return [...levels].sort(([a], [b]) => b.length - a.length);
}

interface State {
  filter: Filter;
  /** Counts how often the filter was set, for those who keep what it says of them. */
  turn: number;
  sink: Logger | null;
  base: object;
  /** What is wrong with `PINGORA_LOG`: the first thing that is printed. */
  problem: string | undefined;
}

function initial(): State {
  const state: State = { filter: [['', 'error']], turn: 0, sink: null, base: {}, problem: undefined };
  try {
    state.filter = parseFilter(process.env.PINGORA_LOG ?? '');
  } catch (error) {
    state.problem = `PINGORA_LOG is ignored: ${(error as Error).message}`;
  }
  return state;
}

const state = initial();

/**
 * Print what `filter` lets through: a level, for all, or what `PINGORA_LOG` may be, as `warn,pingora_proxy=debug`.
 * Without this call `PINGORA_LOG` decides, and without that errors are printed.
 *
 * `sink` writes it. Default: to stderr, one JSON object a line. Throws a `RangeError` that names what isn't understood.
 */
export function setLog(filter: string, sink?: Logger): void {
  state.filter = parseFilter(filter);
  state.problem = undefined;
  state.turn++;
  if (sink) state.sink = sink;
  // whoever is named most lets the most through
  if (state.sink)
    state.sink.level = state.filter.reduce(
      (least, [, level]) => (VALUE[level] < VALUE[least] ? level : least),
      'silent' as Level,
    );
}

/** Say with each line which thread's it is. Only for lines that no sink of {@link setLog} takes. */
export function setLogWorker(thread: number): void {
  state.base = { thread };
}

function sink(): Logger {
  const base = { pid: process.pid, ...state.base };
  state.sink ??= pino()({ level: 'trace', base }, new Lines(2, 'log line'));
  const { problem } = state;
  state.problem = undefined;
  if (problem !== undefined) state.sink.error({ target: 'pingora_traced::log' }, problem);
  return state.sink;
}

/**
 * The messages of one module.
 *
 * ```ts
 * const log = new Log('my_proxy::routes');
 * setLog('error,my_proxy=info');
 * log.debug(() => 'not built, for nobody prints it');
 * ```
 */
export class Log {
  /** The module, under the name of Pingora's: `pingora_core::server`. */
  readonly target: string;
  #turn = -1;
  #level = 0;

  /** Messages of the module `target`, by which they are filtered, as `my_proxy::routes`. */
  constructor(target: string) {
    this.target = target;
  }

  /** From which level on it is printed. */
  #least(): number {
    if (this.#turn !== state.turn) {
      this.#turn = state.turn;
      this.#level = VALUE[state.filter.find(([prefix]) => this.target.startsWith(prefix))![1]];
    }
    return this.#level;
  }

  #write(level: Exclude<Level, 'silent'>, message: string | (() => string)): void {
    sink()[level]({ target: this.target }, typeof message === 'string' ? message : message());
  }

  /** Log at `trace`: for following one request. */
  trace(message: string | (() => string)): void {
    if (this.#least() <= VALUE.trace) this.#write('trace', message);
  }

  /** Log at `debug`: what is decided on the way. */
  debug(message: string | (() => string)): void {
    if (this.#least() <= VALUE.debug) this.#write('debug', message);
  }

  /** Log at `info`: what an operator wants to see come and go. */
  info(message: string | (() => string)): void {
    if (this.#least() <= VALUE.info) this.#write('info', message);
  }

  /** Log at `warn`: it was dealt with, and should not happen often. */
  warn(message: string | (() => string)): void {
    if (this.#least() <= VALUE.warn) this.#write('warn', message);
  }

  /** Log at `error`: a request, a task or the start failed. */
  error(message: string | (() => string)): void {
    if (this.#least() <= VALUE.error) this.#write('error', message);
  }
}

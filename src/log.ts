/**
 * Logging, as Pingora does it with the `log` crate: a message has a level and a target (the module), and the process
 * decides what is printed. The writing is pino's.
 *
 * Levels are pino's names. A message that isn't printed costs a comparison; where building it costs more than that,
 * pass a function.
 */
import { type Logger, pino } from 'pino';
import { Lines } from './utils/lines.ts';

/** From everything to nothing: a level prints itself and all that come after it. */
export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

const VALUE: Record<Level, number> = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, silent: 100 };

const state: { level: number; sink: Logger | null; base: object } = { level: VALUE.error, sink: null, base: {} };

/** Whether `name` is one of {@link Level}. */
export function isLevel(name: string): name is Level {
  return Object.hasOwn(VALUE, name);
}

/**
 * Print messages of `level` and above with `sink`. Without this call errors go to stderr, one JSON object a line.
 */
export function setLog(level: Level, sink?: Logger): void {
  state.level = VALUE[level];
  if (sink) state.sink = sink;
  if (state.sink) state.sink.level = level;
}

/** Say with each line which thread's it is. Only for lines that no sink of {@link setLog} takes. */
export function setLogWorker(thread: number): void {
  state.base = { thread };
}

function sink(): Logger {
  const base = { pid: process.pid, ...state.base };
  state.sink ??= pino({ level: 'trace', base }, new Lines(2, 'log line'));
  return state.sink;
}

type Message = string | (() => string);

/** The messages of one module. */
export class Log {
  /** The module, under the name of Pingora's: `pingora_core::server`. */
  readonly target: string;

  constructor(target: string) {
    this.target = target;
  }

  #write(level: Exclude<Level, 'silent'>, message: Message): void {
    sink()[level]({ target: this.target }, typeof message === 'string' ? message : message());
  }

  /** Log at `trace`: for following one request. */
  trace(message: Message): void {
    if (state.level <= VALUE.trace) this.#write('trace', message);
  }

  /** Log at `debug`: what is decided on the way. */
  debug(message: Message): void {
    if (state.level <= VALUE.debug) this.#write('debug', message);
  }

  /** Log at `info`: what an operator wants to see come and go. */
  info(message: Message): void {
    if (state.level <= VALUE.info) this.#write('info', message);
  }

  /** Log at `warn`: it was dealt with, and should not happen often. */
  warn(message: Message): void {
    if (state.level <= VALUE.warn) this.#write('warn', message);
  }

  /** Log at `error`: a request, a task or the start failed. */
  error(message: Message): void {
    if (state.level <= VALUE.error) this.#write('error', message);
  }
}

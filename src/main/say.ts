/** What is for people rather than for the log. */
import { hostname } from 'node:os';
import { Lines } from '../utils/lines.ts';

const out = new Lines(1, 'standard output', (message) => complain(`standard output ${message}`));
const err = new Lines(2, 'standard error');

/** A line on standard output: what was asked for has come to pass. */
export function say(line: string): void {
  out.write(`${line}\n`);
}

let isServing = false;

/**
 * The server runs: where there is no terminal, what is printed on standard error from now on is JSON, as the log is,
 * Node's own warnings too.
 */
export function serving(): void {
  if (isServing || process.stderr.isTTY) return;
  isServing = true;
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) => err.write(asJson(40, 'node', `${name}: ${message}`)));
}

/** As a line of the log: its levels are pino's. */
function asJson(level: number, target: string, msg: string): string {
  return `${JSON.stringify({ level, time: Date.now(), pid: process.pid, hostname: hostname(), target, msg })}\n`;
}

/** A line on standard error: what is wrong. */
export function complain(message: string): void {
  err.write(isServing ? asJson(50, 'pingora_traced', message) : `${message}\n`);
}

/** What is for people rather than for the log. */
import { Lines } from '../utils/lines.ts';

const out = new Lines(1, 'standard output', (message) => complain(`standard output ${message}`));
const err = new Lines(2, 'standard error');

/** A line on standard output: what was asked for has come to pass. */
export function say(line: string): void {
  out.write(`${line}\n`);
}

/** A line on standard error: what is wrong. */
export function complain(message: string): void {
  err.write(`${message}\n`);
}

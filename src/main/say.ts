/** What is for people rather than for the log. */

/** A line on standard output: what was asked for has come to pass. */
export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A line on standard error: what is wrong. */
export function complain(message: string): void {
  process.stderr.write(`${message}\n`);
}

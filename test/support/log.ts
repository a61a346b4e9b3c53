/** What the port logs during a test. */
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { type Level, setLog } from '../../src/log.ts';

export interface Logged {
  readonly level: number;
  readonly target: string;
  readonly msg: string;
}

/** Keep what is logged at `level` and above until the test ends. */
export function captureLog(level: Level = 'error'): Logged[] {
  const lines: Logged[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()) as Logged);
      done();
    },
  });
  setLog(level, pino({ level: 'trace' }, sink));
  onTestFinished(() => setLog('silent'));
  return lines;
}

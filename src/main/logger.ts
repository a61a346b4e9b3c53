/** Where `npm start` logs to, and in which form. */
import { fstatSync, openSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { Writable } from 'node:stream';
import { type Logger, pino } from 'pino';
import { PinoPretty } from 'pino-pretty';
import { workerNumber } from '../runtime/worker.ts';
import { makeFolder } from '../utils/folder.ts';
import { Lines } from '../utils/lines.ts';
import { Complaint } from './complaint.ts';
import { complain } from './say.ts';

/** On a terminal for people, elsewhere one JSON object a line. `file`: the configuration's `error_log`. */
export function logger(file: string | undefined): Logger {
  const thread = workerNumber();
  const base = { pid: process.pid, hostname: hostname(), ...(thread > 0 ? { thread } : {}) };
  if (file !== undefined) return pino({ base }, intoFile(file));
  const lines = new Lines(2, 'log line');
  if (!process.stderr.isTTY) return pino({ base }, lines);
  const colorize = process.stderr.hasColors?.() === true && process.env.NO_COLOR === undefined;
  const messageFormat = `${thread > 0 ? `thread ${thread}, ` : ''}{target}: {msg}`;
  const destination = new Writable({
    write(line: Buffer, _encoding, done) {
      lines.write(line.toString());
      done();
    },
  });
  return pino({ base }, PinoPretty({ colorize, destination, ignore: 'pid,hostname,thread', messageFormat }));
}

function intoFile(file: string): Lines {
  let fd: number;
  try {
    makeFolder(dirname(file));
    fd = openSync(file, 'a');
  } catch (error) {
    // A thread of a daemon that gave up its rights: its standard error is the log, which was opened before.
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' && workerNumber() > 0 && fstatSync(2).isFile()) return new Lines(2, 'log line');
    throw new Complaint(`error_log ${file}: can't write there: ${(error as Error).message}`);
  }
  return new Lines(fd, 'log line', (message) => complain(`error_log ${file} ${message}`));
}

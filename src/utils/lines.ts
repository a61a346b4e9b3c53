/**
 * Writes lines to a descriptor that may be full, closed or read by nobody. None of that throws, waits or ends the
 * process: lines that can't be written are dropped, counted, and spoken of once.
 *
 * pino's own destination ends the process with an error that nobody hears when the disk is full, and stops it while
 * nobody reads the pipe.
 */
import { fstatSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { isatty } from 'node:tty';
import { lose } from './losses.ts';

/** So many bytes wait for a reader that doesn't read; what comes then is dropped. */
const WAITING = 1024 * 1024;

/** A descriptor that lines are written to. */
export class Lines {
  private readonly fd: number;
  private readonly what: string;
  private readonly complain: (message: string) => void;
  /** Pipes, sockets and terminals; undefined: a file, which is written to at once. */
  private readonly stream: NodeJS.WriteStream | Socket | undefined;
  private failing = false;
  private closed = false;
  /** Since it began to fail. */
  private lost = 0;

  /** `what`: what is counted when it is lost. `complain`: gets one line when writing begins to fail, and when it ends. */
  constructor(fd: number, what: string, complain: (message: string) => void = () => {}) {
    this.fd = fd;
    this.what = what;
    this.complain = complain;
    this.stream = streamOf(fd);
    this.stream?.on('error', (error) => {
      // a socket that has failed once is closed; a terminal that hung up, too
      this.closed = true;
      this.failed(error.message);
    });
  }

  /** Write a line, which brings its end of line along. */
  write(line: string): void {
    if (this.stream !== undefined) {
      if (this.closed || this.stream.destroyed) this.drop('nobody reads it any more');
      else if (this.stream.writableLength > WAITING) this.drop('nobody reads it');
      else {
        this.recovered();
        this.stream.write(line);
      }
      return;
    }
    try {
      const bytes = Buffer.from(line);
      for (let at = 0; at < bytes.length; ) at += writeSync(this.fd, bytes, at);
      this.recovered();
    } catch (error) {
      this.drop((error as Error).message);
    }
  }

  private drop(why: string): void {
    this.lost++;
    lose(this.what);
    this.failed(why);
  }

  private failed(why: string): void {
    if (this.failing) return;
    this.failing = true;
    this.complain(`can't be written: ${why}; lines are lost until it can`);
  }

  private recovered(): void {
    if (!this.failing) return;
    this.failing = false;
    this.complain(`is written again; ${this.lost} lines were lost`);
    this.lost = 0;
  }
}

function streamOf(fd: number): NodeJS.WriteStream | Socket | undefined {
  try {
    const found = fstatSync(fd);
    if (found.isFile() || (found.isCharacterDevice() && !isatty(fd))) return undefined;
    // Node has made these two already, or would make them a second time
    if (fd === 1) return process.stdout;
    if (fd === 2) return process.stderr;
    return new Socket({ fd, readable: false, writable: true });
  } catch {
    // closed from the start, as by `2>&-`: each write says so
    return undefined;
  }
}

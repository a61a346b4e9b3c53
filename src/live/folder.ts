/**
 * Writes each trace to a file of its own, `0001.json` and on, for the explorer to open.
 *
 * What can't be written is lost: the log says so once until it is better, and the server goes on serving.
 */
import { closeSync, openSync, readdirSync, rmSync, write, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Log } from '../log.ts';
import { spawn } from '../runtime/lib.ts';
import type { TraceDocument } from '../tracing/model.ts';
import { makeFolder } from '../utils/folder.ts';
import { lose } from '../utils/losses.ts';
import { piecesOf } from './pieces.ts';
import type { Sample } from './sampler.ts';

const writeLater = promisify(write);
const log = new Log('pingora_traced::folder');

/** So many traces stay in a folder unless its owner wants another number. */
const KEPT = 1000;
/** So many traces wait to be written; then the newest is lost. */
const WAITING = 100;

/** A trace that is being written. */
class Writing {
  private readonly pieces: Iterator<string, void>;
  /** What isn't surely in the file yet, and where it goes. */
  private piece: Buffer | undefined;
  private position = 0;

  constructor(trace: TraceDocument) {
    this.pieces = piecesOf(trace);
  }

  private next(): Buffer | undefined {
    const { value, done } = this.pieces.next();
    this.piece = done ? undefined : Buffer.from(value as string);
    return this.piece;
  }

  private wrote(bytes: number): void {
    this.position += bytes;
    this.piece = this.piece!.subarray(bytes);
  }

  async to(fd: number): Promise<void> {
    for (let piece = this.next(); piece !== undefined; piece = this.next()) {
      while (this.piece!.length > 0) {
        this.wrote((await writeLater(fd, this.piece!, 0, this.piece!.length, this.position)).bytesWritten);
      }
    }
  }

  /** The rest at once. A piece that was on its way is written again to its place. */
  toSync(fd: number): void {
    for (let piece = this.piece ?? this.next(); piece !== undefined; piece = this.next()) {
      while (this.piece!.length > 0) this.wrote(writeSync(fd, this.piece!, 0, this.piece!.length, this.position));
    }
  }
}

class Folder {
  private readonly path: string;
  private readonly keep: number;
  /** The numbers of those in the folder, the oldest first. */
  private readonly there: number[];
  private last: number;
  private readonly waiting: Writing[] = [];
  private current: { writing: Writing; fd: number } | undefined;
  private busy = false;
  private failing = false;
  private lost = 0;

  constructor(path: string, keep: number) {
    this.path = path;
    this.keep = keep;
    makeFolder(path);
    // traces of an earlier start stay as long as there is room
    this.there = readdirSync(path)
      .flatMap((name) => /^(\d{4,15})\.json$/.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
    this.last = this.there.at(-1) ?? 0;
    // it must be possible to write there
    const probe = join(path, `.${process.pid}`);
    closeSync(openSync(probe, 'w'));
    rmSync(probe);
    process.once('exit', () => this.finish());
  }

  take(trace: TraceDocument): void {
    if (this.waiting.length >= WAITING) {
      this.failed('they come faster than they can be written');
      return;
    }
    this.waiting.push(new Writing(trace));
    if (this.busy) return;
    this.busy = true;
    spawn('write traces', () => this.write());
  }

  private async write(): Promise<void> {
    for (let writing = this.waiting.shift(); writing !== undefined; writing = this.waiting.shift()) {
      try {
        await this.writeOne(writing);
        this.recovered();
      } catch (error) {
        this.failed((error as Error).message);
      }
    }
    this.busy = false;
  }

  private async writeOne(writing: Writing): Promise<void> {
    const { fd, path } = this.create();
    this.current = { writing, fd };
    try {
      await writing.to(fd);
    } catch (error) {
      // half a trace is of no use
      rmSync(path, { force: true });
      throw error;
    } finally {
      this.current = undefined;
      closeSync(fd);
    }
  }

  private pathOf(number: number): string {
    return join(this.path, `${String(number).padStart(4, '0')}.json`);
  }

  /** Make room for one more. */
  private makeRoom(): void {
    while (this.there.length >= this.keep) rmSync(this.pathOf(this.there.shift()!), { force: true });
  }

  /** A file that nobody else has: another server may write to the same folder. */
  private create(): { fd: number; path: string } {
    this.makeRoom();
    for (let missing = false; ; ) {
      const path = this.pathOf(++this.last);
      try {
        const fd = openSync(path, 'wx');
        this.there.push(this.last);
        return { fd, path };
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EEXIST') continue;
        this.last--;
        // somebody tidied up
        if (code !== 'ENOENT' || missing) throw error;
        missing = true;
        makeFolder(this.path);
      }
    }
  }

  /** The process ends: what has been taken is written all the same. */
  private finish(): void {
    try {
      this.current?.writing.toSync(this.current.fd);
      for (const writing of this.waiting) {
        const { fd } = this.create();
        writing.toSync(fd);
        closeSync(fd);
      }
    } catch (error) {
      this.failed((error as Error).message);
    }
  }

  private failed(why: string): void {
    this.lost++;
    lose('trace');
    if (!this.failing) log.error(() => `${this.path}: a trace can't be written: ${why}; traces are lost until it can`);
    this.failing = true;
  }

  private recovered(): void {
    if (!this.failing) return;
    this.failing = false;
    log.info(() => `${this.path}: traces are written again, ${this.lost} were lost`);
    this.lost = 0;
  }
}

/**
 * Write to `path`, which is made if it isn't there. The newest `keep` traces stay in it, those of earlier starts
 * counted. Throws what the file system does.
 */
export function intoFolder(path: string, keep = KEPT): (sample: Sample) => void {
  const folder = new Folder(path, keep);
  return ({ trace }) => folder.take(trace);
}

/** The process of a scenario's server, as its runner sees it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Addresses } from './client.ts';
import { type Control, connectControl } from './control.ts';
import type { Command, Report, ServerPlan } from './messages.ts';

/** How much of what a server prints is kept, in characters. */
const LOG_SIZE = 64 * 1024;

type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never;

/** One that runs in the background is started by a child of the runner, which ends once that has settled in. */
export class ServerProcess {
  readonly #plan: ServerPlan;
  readonly #child: ChildProcess;
  readonly #control: Promise<Control> | undefined;
  readonly #waiting = new Map<number, () => void>();
  #lastId = 0;
  /** What it printed, the last of it. */
  log = '';
  readonly ready: Promise<Addresses>;
  /** Resolves with the exit code; null if a signal killed it. */
  readonly exited: Promise<number | null>;
  /** Rejects if it ends. */
  readonly #gone: Promise<never>;

  constructor(plan: ServerPlan, inBackground: boolean, program?: string) {
    this.#plan = plan;
    // built JavaScript runs as it is
    const isSource = program === undefined && import.meta.url.endsWith('.ts');
    const loader = isSource ? ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href] : [];
    const entry = program ?? fileURLToPath(new URL(isSource ? './server.ts' : './server.js', import.meta.url));
    // A process group of its own: Ctrl-C in the terminal reaches the runner, which ends the server by its own means.
    this.#child = spawn(process.execPath, [...loader, entry, JSON.stringify(plan)], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true,
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    const keep = (chunk: Buffer) => {
      this.log = (this.log + chunk.toString()).slice(-LOG_SIZE);
    };
    this.#child.stdout!.on('data', keep);
    this.#child.stderr!.on('data', keep);
    const childEnded = new Promise<number | null>((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (code) => resolve(code));
    });
    let take = (_report: Report) => {};
    this.ready = new Promise((resolve) => {
      take = (report) => {
        if ('ready' in report) resolve(report.ready);
        else this.#waiting.get(report.done)?.();
      };
    });
    if (inBackground) {
      this.#control = childEnded.then((code) => {
        if (code !== 0) throw new Error(`the server did not go to the background (exit code ${code})`);
        return connectControl(join(plan.dir, 'control.sock'), take);
      });
      // it writes its trace when it ends well
      this.exited = this.#control.then(({ closed }) => closed.then(() => (existsSync(plan.trace) ? 0 : null)));
    } else {
      this.#control = undefined;
      this.exited = childEnded;
      this.#child.on('message', take);
    }
    this.#gone = this.exited.then((code) => {
      throw new Error(`the server ended (exit code ${code})`);
    });
    this.#gone.catch(() => {});
  }

  /** Wait for `what`, or for the end of the process, which is an error. */
  whileRunning<T>(what: Promise<T>): Promise<T> {
    return Promise.race([what, this.#gone]);
  }

  async tell(command: WithoutId<Command>): Promise<void> {
    const id = ++this.#lastId;
    const done = new Promise<void>((resolve) => this.#waiting.set(id, resolve));
    const whole = { ...command, id } as Command;
    if (this.#control === undefined) this.#child.send(whole);
    else (await this.#control).send(whole);
    await this.whileRunning(done).finally(() => this.#waiting.delete(id));
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#control === undefined) this.#child.kill(signal);
    else process.kill(Number(readFileSync(pidFile(this.#plan), 'utf8')), signal);
  }

  kill(): void {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
    if (this.#control === undefined) return;
    try {
      this.signal('SIGKILL');
    } catch {
      // it has not come so far, or has ended
    }
  }
}

/** Where a server in the background leaves its process number. */
export function pidFile({ dir }: ServerPlan): string {
  return join(dir, 'server.pid');
}

/** Programs of the project run as processes of their own, and what they print. */
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import { loader, running } from './built.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Whether a program of the project can be run as nobody, which takes root, and a place that is not only root's. */
export function runsAsNobody(): boolean {
  if (process.getuid?.() !== 0) return false;
  const reads = spawnSync(
    process.execPath,
    ['-e', `require('fs').readFileSync(${JSON.stringify(fileURLToPath(loader[1]!))})`],
    {
      cwd: '/',
      uid: 65534,
      gid: 65534,
    },
  );
  return reads.status === 0;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

// Not when a test ends: tests that start processes run beside each other.
const programs = new Set<Program>();
afterAll(() => {
  for (const program of programs) program.child.kill('SIGKILL');
});

/** A process, killed when the file's tests have ended if it is still there. */
export class Program {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  stdout = '';
  stderr = '';
  readonly ended: Promise<Ended>;
  #over = false;
  #changed: (() => void)[] = [];

  constructor(
    entry: string,
    args: readonly string[],
    options: { uid?: number; gid?: number; env?: NodeJS.ProcessEnv; detached?: boolean; installed?: string } = {},
  ) {
    const { env, installed, ...identity } = options;
    this.child = spawn(process.execPath, [...(installed === undefined ? running(entry) : [entry]), ...args], {
      cwd: installed ?? root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1', ...env },
      ...identity,
    });
    this.child.stdout.on('data', (chunk: Buffer) => {
      this.stdout += chunk.toString();
      this.#wake();
    });
    this.child.stderr.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
      this.#wake();
    });
    this.ended = new Promise((resolve, reject) => {
      this.child.once('error', reject);
      this.child.once('close', (code, signal) => {
        this.#over = true;
        programs.delete(this);
        this.#wake();
        resolve({ code, signal });
      });
    });
    programs.add(this);
  }

  #wake(): void {
    const waiting = this.#changed;
    this.#changed = [];
    for (const wake of waiting) wake();
  }

  /** Wait until it has printed what matches; throws if it ends before. */
  async until(pattern: RegExp): Promise<RegExpMatchArray> {
    for (;;) {
      const found = pattern.exec(`${this.stdout}\n${this.stderr}`);
      if (found !== null) return found;
      if (this.#over) throw new Error(`it ended without ${pattern}:\n${this.stdout}\n${this.stderr}`);
      await new Promise<void>((resolve) => this.#changed.push(resolve));
    }
  }

  /** The messages that it logged under `target`, in order. */
  logged(target: string): string[] {
    return this.stderr
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as { target: string; msg: string })
      .filter((line) => line.target === target)
      .map(({ msg }) => msg);
  }
}

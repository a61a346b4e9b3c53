/** The processes of a measurement: each on its own core, each ended with the bench. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type AddressInfo, connect, createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Case } from './cases.ts';
import type { Counted, LoadCommand, LoadReport } from './load.ts';

/** Waiting for a process longer than this, in milliseconds, is an error. */
const PATIENCE = 20_000;

const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** Why processes can't be pinned; undefined if they can. */
export const notPinned: string | undefined =
  availableParallelism() < 2
    ? 'this machine has one core'
    : spawnSync('taskset', ['--version']).error
      ? 'taskset is not installed'
      : undefined;

const running = new Set<Child>();

/** A process that talks to the bench. */
export class Child {
  readonly #process: ChildProcess;
  readonly #name: string;
  /** What it printed, the last of it. */
  output = '';
  #ended: Promise<void>;
  /** The answers that are waited for. */
  #waiting: ((message: any, error?: Error) => void)[] = [];

  /** `core`: 0 for what is measured, 1 for what measures; undefined: all cores. */
  constructor(name: string, core: 0 | 1 | undefined, program: Program) {
    this.#name = name;
    const pin = notPinned === undefined && core !== undefined ? ['taskset', '-c', String(core)] : [];
    const [command, ...args] = [...pin, program.command, ...program.args];
    const { cwd, env, talks } = program;
    this.#process = spawn(command!, args, {
      stdio: ['ignore', 'pipe', 'pipe', ...(talks ? ['ipc' as const] : [])],
      ...(cwd !== undefined && { cwd }),
      env: { ...process.env, ...env },
    });
    running.add(this);
    const keep = (chunk: Buffer) => {
      this.output = (this.output + chunk.toString()).slice(-8192);
    };
    this.#process.stdout!.on('data', keep);
    this.#process.stderr!.on('data', keep);
    this.#process.on('message', (message) => {
      const failed = (message as Partial<{ failed: string }>).failed;
      if (failed === undefined) this.#waiting.shift()?.(message);
      else this.#fail(new Error(`${this.#name}: ${failed}`));
    });
    this.#ended = new Promise((resolve) => {
      this.#process.once('error', (error) => {
        this.#fail(error);
        resolve();
      });
      this.#process.once('close', (code, signal) => {
        running.delete(this);
        this.#fail(new Error(`${this.#name} ended (${signal ?? code}):\n${this.output}`));
        resolve();
      });
    });
  }

  #failure: Error | null = null;

  #fail(error: Error): void {
    this.#failure ??= error;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const answer of waiting) answer(undefined, error);
  }

  /** Throws if the process has ended or reported a failure. */
  check(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  /** The next message, after sending `question` if there is one. */
  ask<T>(question?: object | string): Promise<T> {
    this.check();
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${this.#name} does not answer:\n${this.output}`)), PATIENCE);
      this.#waiting.push((message, error) => {
        clearTimeout(timer);
        if (error === undefined) resolve(message as T);
        else reject(error);
      });
      if (question !== undefined) this.#process.send(question);
    });
  }

  /** Microseconds of CPU time that the process has used, by the system's accounting, in steps of ten milliseconds. */
  usage(): NodeJS.CpuUsage {
    this.check();
    const stat = readFileSync(`/proc/${this.#process.pid}/stat`, 'latin1');
    const [user, system] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13)
      .map(Number);
    return { user: user! * 10_000, system: system! * 10_000 };
  }

  /** End it and wait until it is gone. */
  async end(): Promise<void> {
    if (!running.has(this)) return;
    this.#process.kill('SIGKILL');
    await this.#ended;
  }
}

/** What the processes have printed. */
export function output(): string {
  return Array.from(running, (child) => child.output).join('');
}

/** End all processes. */
export async function endAll(): Promise<void> {
  await Promise.all(Array.from(running, (child) => child.end()));
}

/** A program that is started. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** It is one of Node's, which talks to the bench. */
  readonly talks: boolean;
}

/** A program of Node's: its sources may be TypeScript. */
export function inNode(args: readonly string[]): Program {
  return { command: process.execPath, args: ['--import', tsx, ...args], talks: true };
}

/** A proxy that is measured. */
export interface Contestant {
  readonly name: string;
  /** Where it listens, if that can't be chosen. */
  readonly port?: number;
  /** How it is started, given where to listen and where the origin is. */
  program(listen: number, origin: number): Program;
}

/** A proxy of Node's, which can collect its garbage when it is asked for its memory. */
export function nodeContestant(name: string, args: (listen: number, origin: number) => readonly string[]): Contestant {
  const preload = ['--expose-gc', '--import', pathToFileURL(here('./report-cpu.ts')).href];
  return { name, program: (listen, origin) => inNode([...preload, ...args(listen, origin)]) };
}

/** A proxy that runs. */
export class Running {
  readonly name: string;
  readonly port: number;
  /** It has had some other load. */
  isWarm = false;
  readonly #child: Child;
  readonly #talks: boolean;

  private constructor(name: string, port: number, child: Child, talks: boolean) {
    this.name = name;
    this.port = port;
    this.#child = child;
    this.#talks = talks;
  }

  /** `pinned`: on core 0. */
  static async start(contestant: Contestant, origin: number, pinned = true): Promise<Running> {
    const port = contestant.port ?? (await freePort());
    const program = contestant.program(port, origin);
    const child = new Child(contestant.name, pinned ? 0 : undefined, program);
    const deadline = Date.now() + PATIENCE;
    while (!(await accepts(port))) {
      child.check();
      if (Date.now() > deadline) throw new Error(`${contestant.name} does not listen`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return new Running(contestant.name, port, child, program.talks);
  }

  /** Microseconds of CPU time that the process has used. */
  async cpu(): Promise<NodeJS.CpuUsage> {
    return this.#talks ? this.#child.ask('cpu') : this.#child.usage();
  }

  /** What memory a process of Node's uses once all garbage is gone. */
  memory(): Promise<NodeJS.MemoryUsage> {
    return this.#child.ask('memory');
  }

  end(): Promise<void> {
    return this.#child.end();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** The load generator, and the origin. */
export class Load {
  readonly #child: Child;

  /** `pinned`: on core 1. */
  constructor(pinned = true) {
    this.#child = new Child('the load generator', pinned ? 1 : undefined, inNode([here('./load.ts')]));
  }

  /** Start the origin, with `tls` one of HTTP/2; returns its port. */
  async origin(tls?: { readonly cert: string; readonly key: string }): Promise<number> {
    return (await this.#send<{ port: number }>({ origin: tls ?? true })).port;
  }

  /** Begin. */
  async start(port: number, load: Case): Promise<void> {
    await this.#send({ start: { port, load } });
  }

  /** What has been answered since the start. */
  count(): Promise<Counted> {
    return this.#send<Counted>({ count: true });
  }

  async stop(): Promise<void> {
    await this.#send({ stop: true });
  }

  /** Send no more requests, and keep the connections. */
  async pause(): Promise<void> {
    await this.#send({ pause: true });
  }

  end(): Promise<void> {
    return this.#child.end();
  }

  #send<T extends LoadReport>(command: LoadCommand): Promise<T> {
    return this.#child.ask(command);
  }
}

/** Run wrk for `seconds`; returns how many answers it got. */
export async function wrk(port: number, connections: number, seconds: number): Promise<number> {
  const pin = notPinned === undefined ? ['taskset', '-c', '1'] : [];
  const url = `http://127.0.0.1:${port}/bench`;
  const [command, ...args] = [...pin, 'wrk', '-t', '1', '-c', String(connections), '-d', `${seconds}s`, url];
  const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  await new Promise<void>((resolve, reject) => {
    child.once('error', () => reject(new Error('wrk is not installed')));
    child.once('close', () => resolve());
  });
  const requests = /(\d+) requests in/.exec(output);
  if (requests === null || /Non-2xx|Socket errors/.test(output)) throw new Error(`wrk failed:\n${output}`);
  return Number(requests[1]);
}

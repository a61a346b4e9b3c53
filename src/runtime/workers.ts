/**
 * The processes behind `threads`: workers, which run the same program as the process that starts them.
 *
 * A worker that ends is started again. The connections that it served are lost; those of other workers, and those that
 * nobody has accepted yet, are not. The port's own: the original's are threads of the system.
 *
 * Why not `node:cluster`: it closes a listening socket when its last worker ends, so that a server whose only worker
 * crashes refuses connections until the next one listens; and the process that was started never sees the sockets, so
 * that it can't hand them to the process that upgrades it. A test shows both (`test/runtime/cluster.test.ts`). Taking
 * it would save starting processes and sharing sockets, some 60 lines; questions and answers, starting again with
 * pauses and handing out connections at random would stay.
 */
import { type ChildProcess, spawn as startProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Log } from '../log.ts';
import { disown } from '../node/disown.ts';
import { Gone, onAsk, ProcessLink } from './process-link.ts';
import { WORKER_MARK } from './worker.ts';

const log = new Log('pingora_runtime');

/** A worker that served for less than this, in milliseconds, has ended early: it is started again after a pause. */
const SOON_MS = 5_000;
/** The first pause, in milliseconds. Each early end in a row doubles it. */
const FIRST_PAUSE_MS = 100;
/** The longest pause, in milliseconds. */
const LONGEST_PAUSE_MS = 10_000;
/** How long a worker that is told to end may take, in milliseconds; then it is killed. */
const LAST_MOMENT_MS = 2_000;

/** Node fires a timer that is set for longer than this at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1000;

/** From where the program was started: a daemon goes elsewhere. */
const CWD = cwd();

function cwd(): string {
  try {
    return process.cwd();
  } catch {
    // the folder was removed
    return '/';
  }
}

/** A connection on its way to a worker. */
interface Parcel {
  readonly key: string;
  /** How many workers its service has. */
  readonly workers: number;
  /** Which of them it is for. */
  readonly worker: number;
  readonly socket: Socket;
}

/** A listening socket that workers share. It stays open whether any of them lives or not. */
interface Held {
  readonly workers: number;
  readonly handle: object;
  /** Each worker that has the socket, with a promise that resolves when it accepts. */
  readonly given: Map<Worker, Promise<void>>;
}

/** One worker, over all the processes that it is one after the other. */
class Worker {
  readonly number: number;
  readonly workers: Workers;
  private process: ChildProcess | undefined;
  private channel: ProcessLink | undefined;
  /** It has started its services. */
  ready = false;
  /** It has, or has failed to. */
  tried = false;
  private readySince = 0;
  private early = 0;
  private restarting: NodeJS.Timeout | undefined;
  private reason: string | undefined;
  private queue: Parcel[] = [];
  private delivering = false;

  constructor(number: number, workers: Workers) {
    this.number = number;
    this.workers = workers;
  }

  start(): void {
    const execArgv = process.execArgv.filter((arg) => !arg.startsWith('--inspect'));
    const child = startProcess(process.execPath, [...execArgv, ...process.argv.slice(1)], {
      cwd: CWD,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, [WORKER_MARK]: String(this.number) },
    });
    this.process = child;
    this.channel = new ProcessLink(child, this.number);
    this.reason = undefined;
    let over = false;
    const ended = (how: string) => {
      if (over) return;
      over = true;
      this.ended(child, how);
    };
    child.on('error', (error) => {
      if (child.pid === undefined) ended(`can't be started: ${error.message}`);
    });
    // after `exit` and what it had still said
    child.once('close', (code, signal) => ended(signal ?? `exit status ${code}`));
  }

  get pid(): number | undefined {
    return this.process?.pid;
  }

  /** Whether it is still to be handed connections. */
  get owed(): boolean {
    return this.delivering || this.queue.length > 0;
  }

  ask<T>(topic: string, data?: unknown, passed?: object): Promise<T> {
    return this.channel!.ask<T>(topic, data, passed);
  }

  /** It says that it serves. */
  serves(): void {
    this.ready = true;
    this.tried = true;
    this.readySince = performance.now();
    log.info(`thread ${this.number} runs as process ${this.pid}`);
  }

  /** It says why it is about to end. */
  crashed(why: string): void {
    this.reason = why;
  }

  private ended(child: ChildProcess, how: string): void {
    const { ready } = this;
    this.ready = false;
    this.tried = true;
    this.delivering = false;
    this.process = undefined;
    const undelivered = this.queue.splice(0);
    if (!this.workers.ending) {
      const again = this.workers.shutDown ? 'the server ends too' : this.restart(ready);
      const why = this.reason === undefined ? how : `${how}, ${this.reason}`;
      log.error(`thread ${this.number} (process ${child.pid}) ended: ${why}; its connections are lost, ${again}`);
    }
    this.workers.ended(this);
    for (const parcel of undelivered) this.workers.give(parcel);
  }

  /** Have it started again; says when. */
  private restart(served: boolean): string {
    const soon = !served || performance.now() - this.readySince < SOON_MS;
    this.early = soon ? this.early + 1 : 0;
    const pause = this.early < 2 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (this.early - 2), LONGEST_PAUSE_MS);
    this.restarting = setTimeout(() => this.start(), pause);
    return pause === 0 ? 'it is started again' : `it is started again in ${pause / 1000} s`;
  }

  /** Hand a connection over, after those before it: a worker that is busy gets the next when it comes to it. */
  give(parcel: Parcel): void {
    this.queue.push(parcel);
    this.deliver();
  }

  private deliver(): void {
    // of a process that has ended, what waits goes to the others
    if (this.delivering || !this.ready || !this.process?.connected) return;
    const parcel = this.queue.shift();
    if (parcel === undefined) return;
    const { key, socket } = parcel;
    this.delivering = true;
    disown(socket);
    const process = this.process;
    const next = () => {
      socket.destroy();
      if (this.process !== process) return;
      this.delivering = false;
      this.deliver();
      this.workers.wake();
    };
    this.ask('connection', key, socket).then(next, next);
  }

  /** End it, by force if need be. */
  async end(): Promise<void> {
    clearTimeout(this.restarting);
    const child = this.process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    // one that doesn't serve yet has nothing to finish
    if (this.ready) this.ask('end').catch(() => {});
    else child.kill('SIGKILL');
    const lastly = setTimeout(() => child.kill('SIGKILL'), LAST_MOMENT_MS);
    await gone;
    clearTimeout(lastly);
  }

  kill(): void {
    this.process?.kill('SIGKILL');
  }
}

/** The workers of this process's server: services share them, each as many as it has. */
class Workers {
  private readonly all: Worker[] = [];
  private readonly held = new Map<string, Held>();
  private waiting: Parcel[] = [];
  /** The server shuts down. */
  shutDown = false;
  private changed: (() => void)[] = [];
  /** Workers that end are not missed any more. */
  ending = false;

  /** Have at least so many. */
  atLeast(count: number): void {
    if (this.all.length === 0) process.once('exit', () => this.kill());
    while (this.all.length < count) {
      const worker = new Worker(this.all.length + 1, this);
      this.all.push(worker);
      worker.start();
    }
  }

  get count(): number {
    return this.all.length;
  }

  /** The numbers of the first `workers` that serve. */
  ready(workers = this.all.length): number[] {
    return this.all.slice(0, workers).flatMap(({ ready, number }) => (ready ? [number] : []));
  }

  /** @internal A worker has started its services, and has to catch up with the others. */
  async serves(number: number): Promise<void> {
    const worker = this.all[number - 1]!;
    worker.serves();
    if (this.shutDown) await worker.ask('shutdown');
    for (const [key, held] of this.held) {
      if (number <= held.workers) this.share(worker, key, held).catch(() => {});
    }
    for (const parcel of this.waiting.splice(0)) this.give(parcel);
    this.wake();
  }

  /** @internal */
  crashed(number: number, why: string): void {
    this.all[number - 1]?.crashed(why);
  }

  /** @internal */
  ended(worker: Worker): void {
    for (const { given } of this.held.values()) given.delete(worker);
    this.wake();
  }

  /** @internal Something is as others wait for. */
  wake(): void {
    for (const wake of this.changed.splice(0)) wake();
  }

  /** Ask each worker that serves; those that end in between don't answer. */
  async askAll<T>(topic: string, data?: unknown, workers = this.all.length): Promise<{ worker: number; value: T }[]> {
    const asked = this.all.slice(0, workers).filter(({ ready }) => ready);
    const answers = await Promise.allSettled(asked.map((worker) => worker.ask<T>(topic, data)));
    return answers.flatMap((answer, i) =>
      answer.status === 'fulfilled' ? [{ worker: asked[i]!.number, value: answer.value }] : [],
    );
  }

  /** Wait until the first `workers` have started, or failed to. */
  async started(workers: number): Promise<void> {
    while (!this.all.slice(0, workers).every(({ tried }) => tried)) await this.change();
  }

  private change(): Promise<void> {
    return new Promise((resolve) => this.changed.push(resolve));
  }

  private share(worker: Worker, key: string, { handle, given }: Held): Promise<void> {
    let listening = given.get(worker);
    if (listening === undefined) {
      listening = worker.ask<void>('listen', key, handle);
      listening.catch((error: Error) => {
        if (!(error instanceof Gone)) log.error(`thread ${worker.number} can't listen: ${error.message}`);
      });
      given.set(worker, listening);
    }
    return listening;
  }

  /**
   * Have the first `workers` accept from a listening socket, now and whenever one is started again. Resolves when the
   * first of them does, or later, if others are still starting; throws what kept it from it.
   */
  async hold(key: string, workers: number, handle: object): Promise<void> {
    const held: Held = { workers, handle, given: new Map() };
    this.held.set(key, held);
    await this.started(workers);
    for (;;) {
      const ready = this.all.slice(0, workers).filter((worker) => worker.ready);
      try {
        if (ready.length > 0) await Promise.any(ready.map((worker) => this.share(worker, key, held)));
        if (ready.length > 0) return;
      } catch (error) {
        const [why] = (error as AggregateError).errors.filter((each) => !(each instanceof Gone));
        if (why !== undefined) throw why;
      }
      await this.change();
    }
  }

  /** Have them accept no more from it. `shared`: another server has it too, and takes what waits. */
  async release(key: string, shared: boolean): Promise<void> {
    this.held.delete(key);
    await this.askAll('close', { key, shared });
  }

  /** Hand a connection to its worker; while that doesn't serve to another one, and while none does, wait. */
  give(parcel: Parcel): void {
    const ready = this.ready(parcel.workers);
    if (ready.length === 0) {
      if (this.ending) parcel.socket.destroy();
      else this.waiting.push(parcel);
      return;
    }
    const number = ready.includes(parcel.worker) ? parcel.worker : ready[Math.floor(Math.random() * ready.length)]!;
    this.all[number - 1]!.give(parcel);
  }

  /** The server begins to shut down. */
  shutdown(): void {
    this.shutDown = true;
    this.askAll('shutdown').catch(() => {});
  }

  /**
   * Resolves when no worker has anything left to do (`workDone`). Nothing may be given to them from now on. Those that
   * don't serve, or end, have nothing.
   */
  async workDone(restMs: number): Promise<void> {
    while (this.waiting.length > 0 || this.all.some((worker) => worker.ready && worker.owed)) await this.change();
    await this.askAll('work done', restMs);
  }

  /** End all, and wait until they are gone: who waits there ends at once, who works has so many seconds. */
  async endWithin(seconds: number): Promise<void> {
    this.ending = true;
    if (seconds > 0) {
      await this.askAll('timeout');
      await sleep(Math.min(seconds * 1000, LONGEST_TIMER_MS));
    }
    await this.end();
  }

  /** End all at once, and wait until they are gone. */
  async end(): Promise<void> {
    this.ending = true;
    await Promise.all(this.all.map((worker) => worker.end()));
  }

  private kill(): void {
    for (const worker of this.all) worker.kill();
  }
}

/** The workers of this process's server; none until a service has more than one. */
export const workers = new Workers();

onAsk('ready', (_data, _passed, worker) => workers.serves(worker));
onAsk('crash', (why: string, _passed, worker) => workers.crashed(worker, why));

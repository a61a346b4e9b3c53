/**
 * The threads of a server, as the process sees that starts them: processes that run the same program.
 *
 * One is started again when it ends. What it was serving is lost with it; what others serve, and what waits, is not.
 * The port's own: the original's are threads of the system.
 */
import { type ChildProcess, spawn as startProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Log } from '../log.ts';
import { disown } from '../node/disown.ts';
import { Channel, Gone, onAsk } from './channel.ts';
import { THREAD_MARK } from './thread.ts';

const log = new Log('pingora_runtime');

/** A thread that ends sooner than so many milliseconds after it began to serve, or before, is started again later … */
const SOON_MS = 5_000;
/** … by so many milliseconds, twice as many each time … */
const FIRST_PAUSE_MS = 100;
/** … up to so many. */
const LONGEST_PAUSE_MS = 10_000;
/** A thread that is told to end has so many milliseconds for it. */
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

/** A connection on its way to a thread. */
interface Parcel {
  readonly key: string;
  /** How many threads its service has, … */
  readonly threads: number;
  /** … and which of them it is for. */
  readonly thread: number;
  readonly socket: Socket;
}

/** A listening socket that threads share. */
interface Held {
  readonly threads: number;
  readonly handle: object;
  /** Who has it, once that accepts. */
  readonly given: Map<Thread, Promise<void>>;
}

/** One thread, over all the processes that it is one after the other. */
class Thread {
  readonly number: number;
  readonly threads: Threads;
  private process: ChildProcess | undefined;
  private channel: Channel | undefined;
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

  constructor(number: number, threads: Threads) {
    this.number = number;
    this.threads = threads;
  }

  start(): void {
    const execArgv = process.execArgv.filter((arg) => !arg.startsWith('--inspect'));
    const child = startProcess(process.execPath, [...execArgv, ...process.argv.slice(1)], {
      cwd: CWD,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, [THREAD_MARK]: String(this.number) },
    });
    this.process = child;
    this.channel = new Channel(child, this.number);
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
    child.once('exit', (code, signal) => ended(signal ?? `exit status ${code}`));
  }

  get pid(): number | undefined {
    return this.process?.pid;
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
    if (!this.threads.ending) {
      const again = this.threads.shutDown ? 'the server ends too' : this.restart(ready);
      const why = this.reason === undefined ? how : `${how}, ${this.reason}`;
      log.error(`thread ${this.number} (process ${child.pid}) ended: ${why}; its connections are lost, ${again}`);
    }
    this.threads.ended(this);
    for (const parcel of undelivered) this.threads.give(parcel);
  }

  /** Have it started again; says when. */
  private restart(served: boolean): string {
    const soon = !served || performance.now() - this.readySince < SOON_MS;
    this.early = soon ? this.early + 1 : 0;
    const pause = this.early < 2 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (this.early - 2), LONGEST_PAUSE_MS);
    this.restarting = setTimeout(() => this.start(), pause);
    return pause === 0 ? 'it is started again' : `it is started again in ${pause / 1000} s`;
  }

  /** Hand a connection over, after those before it: a thread that is busy gets the next when it comes to it. */
  give(parcel: Parcel): void {
    this.queue.push(parcel);
    this.deliver();
  }

  private deliver(): void {
    if (this.delivering || !this.ready) return;
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

/** The threads of this process's server: services share them, each as many as it has. */
export class Threads {
  private readonly all: Thread[] = [];
  private readonly held = new Map<string, Held>();
  private waiting: Parcel[] = [];
  /** The server shuts down. */
  shutDown = false;
  private changed: (() => void)[] = [];
  /** Threads that end are not missed any more. */
  ending = false;

  /** Have at least so many. */
  atLeast(count: number): void {
    if (this.all.length === 0) process.once('exit', () => this.kill());
    while (this.all.length < count) {
      const thread = new Thread(this.all.length + 1, this);
      this.all.push(thread);
      thread.start();
    }
  }

  get count(): number {
    return this.all.length;
  }

  /** The numbers of the first `threads` that serve. */
  ready(threads = this.all.length): number[] {
    return this.all.slice(0, threads).flatMap(({ ready, number }) => (ready ? [number] : []));
  }

  /** @internal A thread has started its services, and has to catch up with the others. */
  async serves(number: number): Promise<void> {
    const thread = this.all[number - 1]!;
    thread.serves();
    if (this.shutDown) await thread.ask('shutdown');
    for (const [key, held] of this.held) {
      if (number <= held.threads) this.share(thread, key, held).catch(() => {});
    }
    for (const parcel of this.waiting.splice(0)) this.give(parcel);
    this.wake();
  }

  /** @internal */
  crashed(number: number, why: string): void {
    this.all[number - 1]?.crashed(why);
  }

  /** @internal */
  ended(thread: Thread): void {
    for (const { given } of this.held.values()) given.delete(thread);
    this.wake();
  }

  private wake(): void {
    for (const wake of this.changed.splice(0)) wake();
  }

  /** Ask each thread that serves; those that end in between don't answer. */
  async askAll<T>(topic: string, data?: unknown, threads = this.all.length): Promise<{ thread: number; value: T }[]> {
    const asked = this.all.slice(0, threads).filter(({ ready }) => ready);
    const answers = await Promise.allSettled(asked.map((thread) => thread.ask<T>(topic, data)));
    return answers.flatMap((answer, i) =>
      answer.status === 'fulfilled' ? [{ thread: asked[i]!.number, value: answer.value }] : [],
    );
  }

  /** Wait until the first `threads` have started, or failed to. */
  async started(threads: number): Promise<void> {
    while (!this.all.slice(0, threads).every(({ tried }) => tried)) await this.change();
  }

  private change(): Promise<void> {
    return new Promise((resolve) => this.changed.push(resolve));
  }

  private share(thread: Thread, key: string, { handle, given }: Held): Promise<void> {
    let listening = given.get(thread);
    if (listening === undefined) {
      listening = thread.ask<void>('listen', key, handle);
      listening.catch((error: Error) => {
        if (!(error instanceof Gone)) log.error(`thread ${thread.number} can't listen: ${error.message}`);
      });
      given.set(thread, listening);
    }
    return listening;
  }

  /**
   * Have the first `threads` accept from a listening socket, now and whenever one is started again. Resolves when the
   * first of them does, or later, if others are still starting; throws what kept it from it.
   */
  async hold(key: string, threads: number, handle: object): Promise<void> {
    const held: Held = { threads, handle, given: new Map() };
    this.held.set(key, held);
    await this.started(threads);
    for (;;) {
      const ready = this.all.slice(0, threads).filter((thread) => thread.ready);
      try {
        if (ready.length > 0) await Promise.any(ready.map((thread) => this.share(thread, key, held)));
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

  /** Hand a connection to its thread; while that doesn't serve to another one, and while none does, wait. */
  give(parcel: Parcel): void {
    const ready = this.ready(parcel.threads);
    if (ready.length === 0) {
      if (this.ending) parcel.socket.destroy();
      else this.waiting.push(parcel);
      return;
    }
    const number = ready.includes(parcel.thread) ? parcel.thread : ready[Math.floor(Math.random() * ready.length)]!;
    this.all[number - 1]!.give(parcel);
  }

  /** The server begins to shut down. */
  shutdown(): void {
    this.shutDown = true;
    this.askAll('shutdown').catch(() => {});
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
    await Promise.all(this.all.map((thread) => thread.end()));
  }

  private kill(): void {
    for (const thread of this.all) thread.kill();
  }
}

/** The threads of this process's server; none until a service has more than one. */
export const threads = new Threads();

onAsk('ready', (_data, _passed, thread) => threads.serves(thread));
onAsk('crash', (why: string, _passed, thread) => threads.crashed(thread, why));

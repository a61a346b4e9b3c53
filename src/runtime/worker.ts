/**
 * Which of a server's processes this is, and what they have in common.
 *
 * With more than one thread a server is several processes. The one that was started starts the same program once for
 * each thread: a worker, which runs `main` up to `run_forever` and there does its share of the services. The port's
 * own; `workers.ts` is the side of the process that was started.
 */
import { Log, setLogWorker } from '../log.ts';
import { onAsk, ProcessLink } from './process-link.ts';

/** Tells a process which worker it is. */
export const WORKER_MARK = 'PINGORA_TRACED_WORKER';

/** Of signals that reach a whole group of processes, as Ctrl-C does, only the first process makes something. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP'] as const;

function begin(): { number: number; owner: ProcessLink | undefined } {
  const number = Number(process.env[WORKER_MARK] ?? 0);
  if (number > 0) setLogWorker(number);
  // a process that this one starts is no worker
  delete process.env[WORKER_MARK];
  if (number === 0 || process.send === undefined) return { number: 0, owner: undefined };
  for (const signal of SIGNALS) process.on(signal, () => {});
  process.once('disconnect', () => {
    new Log('pingora_runtime').error('the process that started it is gone, ending');
    process.exit(1);
  });
  return { number, owner: new ProcessLink(process, 0) };
}

const self = begin();

/**
 * Which worker this process is: 1 to the number of threads. 0 for the process that was started, which without threads
 * is the only one. The program's `main` runs once in each process; this says which one may do what is done once.
 */
export function workerNumber(): number {
  return self.number;
}

/** Ask the process that was started. */
export function askOwner<T>(topic: string, data?: unknown): Promise<T> {
  if (self.owner === undefined) throw new Error('this process is no worker of a server');
  return self.owner.ask<T>(topic, data);
}

/** End this worker now, and have the process that was started log why. */
export function endWith(why: string): never {
  self.owner?.tell('crash', why);
  process.exit(1);
}

const values = new Map<string, Promise<unknown>>();

/**
 * A value that is the same in each worker: `make` runs in the process that was started, and its workers are given what
 * it returned there, as JSON brings it over. For what is made at random, a key for example.
 */
export function shared<T>(name: string, make: () => T | Promise<T>): Promise<T> {
  if (self.owner !== undefined) return self.owner.ask<T>('shared', name);
  let value = values.get(name) as Promise<T> | undefined;
  if (value === undefined) {
    value = (async () => make())();
    values.set(name, value);
  }
  return value;
}

onAsk('shared', (name: string) => {
  const value = values.get(name);
  if (value === undefined) throw new Error(`the process that was started has made no '${name}'`);
  return value;
});

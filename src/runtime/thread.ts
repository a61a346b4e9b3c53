/**
 * Which thread of a server this process is, and what its threads have in common.
 *
 * A thread is a process: the program, started once more by the process that `run_forever` was called in. It comes to
 * `run_forever` by itself, and there does its share. The port's own; `threads.ts` is the other side.
 */
import { Log, setLogThread } from '../log.ts';
import { Channel, onAsk } from './channel.ts';

/** Tells a process which thread it is. */
export const THREAD_MARK = 'PINGORA_TRACED_THREAD';

/** Of signals that reach a whole group of processes, as Ctrl-C does, only the first process makes something. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGQUIT'] as const;

function begin(): { number: number; owner: Channel | undefined } {
  const number = Number(process.env[THREAD_MARK] ?? 0);
  if (number > 0) setLogThread(number);
  // what this process starts is something else
  delete process.env[THREAD_MARK];
  if (number === 0 || process.send === undefined) return { number: 0, owner: undefined };
  for (const signal of SIGNALS) process.on(signal, () => {});
  process.once('disconnect', () => {
    new Log('pingora_runtime').error('the process that started it is gone, ending');
    process.exit(1);
  });
  return { number, owner: new Channel(process, 0) };
}

const self = begin();

/**
 * Which thread of the server this process is: 1 and up; 0 for the process that was started, which is all there is
 * without threads. The program's `main` runs once in each; what only one of them may do, ask this first.
 */
export function threadNumber(): number {
  return self.number;
}

/** Ask the process that was started. */
export function askOwner<T>(topic: string, data?: unknown): Promise<T> {
  if (self.owner === undefined) throw new Error('this process is no thread of a server');
  return self.owner.ask<T>(topic, data);
}

const values = new Map<string, Promise<unknown>>();

/**
 * A value that is the same in each thread: `make` runs in the process that was started, and its threads are given what
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

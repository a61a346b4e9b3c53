/** What is done to sockets, deadlines and tasks, told from below: no recorder is there. */
import { Socket } from 'node:net';
import { Task } from '../../src/runtime/task.ts';
import { Deadline } from '../../src/timeout/lib.ts';

/** Told before each is done. */
export interface Witness {
  /** `bytes`: of a write, as latin1. */
  socket(socket: Socket, what: 'write' | 'end' | 'destroy', bytes: string): void;
  deadline(): void;
  task(task: object): void;
}

/** Put what `make` makes of a method in its place. Returns what puts the method back. */
export function replace(
  home: object,
  name: string,
  make: (method: any) => (this: any, ...args: any[]) => any,
): () => void {
  const method: unknown = Reflect.get(home, name);
  Reflect.set(home, name, make(method));
  return () => void Reflect.set(home, name, method);
}

/** Tell `witness` from now on. Returns what ends that. */
export function watchDeeds(witness: Witness): () => void {
  const undo = [
    replace(
      Socket.prototype,
      'write',
      (write) =>
        function (data: string | Uint8Array, ...rest) {
          witness.socket(this, 'write', typeof data === 'string' ? data : Buffer.from(data).toString('latin1'));
          return write.call(this, data, ...rest);
        },
    ),
    replace(
      Socket.prototype,
      'end',
      (end) =>
        function (...args) {
          witness.socket(this, 'end', '');
          return end.apply(this, args);
        },
    ),
    replace(
      Socket.prototype,
      'destroy',
      (destroy) =>
        function (...args) {
          if (!this.destroyed) witness.socket(this, 'destroy', '');
          return destroy.apply(this, args);
        },
    ),
    replace(
      Deadline.prototype,
      'set',
      (set) =>
        function (ms: number) {
          witness.deadline();
          return set.call(this, ms);
        },
    ),
    replace(
      Task.prototype,
      'poll',
      (poll) =>
        function () {
          witness.task(this);
          return poll.call(this);
        },
    ),
  ];
  return () => {
    for (const putBack of undo) putBack();
  };
}

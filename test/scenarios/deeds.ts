/**
 * What a process does to its sockets, and beside them: noted from below, where no recorder is, so that a traced run can
 * be held against one that isn't.
 *
 * Noted are: what the port takes from a connection (one entry however many reads it came in, for that is the network's
 * doing), each `write`, `end` and `destroy` with its bytes, how often deadlines were set and timers armed, and how many
 * tasks were polled. Under TLS the bytes are those inside of it. Dates stand still. What the control of a scenario says
 * to its runner isn't noted, nor what is printed.
 */
import { Server as NetServer, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { Stream } from '../../src/protocols/l4/stream.ts';
import { timersArmed } from '../../src/timeout/lib.ts';
import { replace, watchDeeds } from '../support/deeds.ts';

/** Of one process. */
export interface Deeds {
  /** For each connection which side it is on, and what was done to it: a word, and bytes as latin1. */
  readonly sockets: (readonly [side: string, deeds: [what: string, bytes: string][]])[];
  deadlines: number;
  timers: number;
  tasks: number;
}

const deeds: Deeds = { sockets: [], deadlines: 0, timers: 0, tasks: 0 };
const tasks = new Set<object>();

interface Handle {
  _parent?: Handle;
}
/** By what the system has: another `Socket` may take a connection over. */
const lists = new WeakMap<Handle, [what: string, bytes: string][]>();
const sides = new WeakMap<Handle, string>();

function sideOf(handle: Handle): string | undefined {
  const below = handle._parent ?? handle;
  const side = sides.get(below) ?? sides.get(handle);
  return side === undefined ? undefined : handle._parent === undefined ? side : `${side} in TLS`;
}

function log(socket: Socket, what: string, bytes: string | Uint8Array = ''): void {
  const { _handle: handle } = socket as { _handle?: Handle | null };
  if (handle == null) return; // another one has taken its connection over, or it is closed
  const side = sideOf(handle);
  if (side === undefined) return;
  let list = lists.get(handle);
  if (list === undefined) {
    list = [];
    lists.set(handle, list);
    deeds.sockets.push([side, list]);
  }
  const text = typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('latin1');
  const last = list.at(-1);
  if (what === 'read' && last?.[0] === 'read') last[1] += text;
  else list.push([what, text]);
}

/** Note everything from now on. */
export function noteDeeds(): void {
  watchDeeds({
    socket: log,
    deadline: () => {
      deeds.deadlines++;
    },
    task: (task) => void tasks.add(task),
  });
  // whose connection it is
  replace(
    Socket.prototype,
    'connect',
    (connect) =>
      function (...args) {
        const connected = connect.apply(this, args);
        const note = () => {
          const { _handle: handle } = this as { _handle?: Handle | null };
          if (handle != null) sides.set(handle, 'origin');
        };
        note();
        this.prependOnceListener('connect', note);
        return connected;
      },
  );
  replace(
    Stream.prototype,
    'consume',
    (consume) =>
      function (n: number) {
        log(this.socket, 'read', (this as { chunk: Buffer }).chunk.subarray(0, n));
        return consume.call(this, n);
      },
  );
  // the accepted ones, before anybody has done anything to them
  const given = new WeakSet<object>();
  replace(
    NetServer.prototype,
    'emit',
    (emit) =>
      function (event: string, ...args) {
        const [socket] = args as [unknown];
        if (event === 'connection' && socket instanceof Socket && !(socket instanceof TLSSocket)) {
          const at = this.address() as unknown;
          const { _handle: handle } = socket as { _handle?: Handle | null };
          if (handle != null && !(typeof at === 'string' && at.endsWith('control.sock'))) sides.set(handle, 'client');
        }
        return emit.call(this, event, ...args);
      },
  );
  // HTTP/2 over TLS reads the socket itself
  replace(
    Stream.prototype,
    'intoSocket',
    (intoSocket) =>
      function () {
        given.add(this.socket);
        return intoSocket.call(this);
      },
  );
  replace(
    TLSSocket.prototype,
    'emit',
    (emit) =>
      function (event: string, ...args) {
        if (event === 'data' && given.has(this)) log(this, 'read', args[0] as Uint8Array);
        return emit.call(this, event, ...args);
      },
  );
}

/** What was done so far. */
export function doneSoFar(): Deeds {
  return { ...deeds, timers: timersArmed(), tasks: tasks.size };
}

/** It is always the same time of day: dates are among what is sent, and compressed in HTTP/2. */
export function stopDates(): void {
  const at = Date.UTC(2026, 0, 1);
  const Real = Date;
  globalThis.Date = class extends Real {
    constructor(...args: unknown[]) {
      super(...((args.length === 0 ? [at] : args) as [number]));
    }
    static override now(): number {
      return at;
    }
  } as DateConstructor;
}

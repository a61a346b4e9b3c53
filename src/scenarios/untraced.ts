/**
 * Follows a scenario's server that isn't traced, so far as the runner has to wait for it: the few functions that it asks
 * for tell of their begin and end, as a debugger's breakpoints would.
 */
import { ListenerEndpoint } from '../listeners/l4.ts';
import { Backends } from '../load-balancing/lib.ts';
import { ConnectionPool } from '../pool/connection.ts';
import { Listener } from '../protocols/l4/listener.ts';
import { HttpProxy } from '../proxy/lib.ts';
import { Server } from '../server/mod.ts';
import { Service } from '../services/listening.ts';
import type { Progress } from './progress.ts';

type Method = (this: unknown, ...args: unknown[]) => unknown;

/** Have `progress` told of these functions. Returns where the server listens, in the order in which it began to. */
export function follow(progress: Progress): readonly string[] {
  const listening: string[] = [];
  /** Put what `make` makes of the method in its place. */
  const replace = (home: object, name: string, make: (method: Method) => Method) => {
    Reflect.set(home, name, make(Reflect.get(home, name) as Method));
  };
  const future = (fn: string) => (method: Method) =>
    function* (this: unknown, ...args: unknown[]) {
      progress.note(fn, 'begin');
      try {
        return yield* method.apply(this, args) as Generator<void, unknown, void>;
      } finally {
        progress.note(fn, 'end');
      }
    };
  const promise = (fn: string) => (method: Method) =>
    async function (this: unknown, ...args: unknown[]) {
      progress.note(fn, 'begin');
      try {
        return await method.apply(this, args);
      } finally {
        progress.note(fn, 'end');
      }
    };
  replace(HttpProxy.prototype, 'processRequest', future('HttpProxy::process_request'));
  replace(HttpProxy.prototype, 'finish', future('HttpProxy::finish'));
  replace(HttpProxy.prototype, 'processSubrequest', future('<HttpProxy as Subrequest>::process_subrequest'));
  replace(Service, 'handleEvent', future('Service::handle_event'));
  replace(ConnectionPool.prototype, 'idlePoll', future('ConnectionPool::idle_poll'));
  replace(ConnectionPool.prototype, 'idleTimeout', future('ConnectionPool::idle_timeout'));
  replace(Backends.prototype, 'runHealthCheck', promise('Backends::run_health_check'));
  replace(Server.prototype, 'mainLoop', promise('Server::main_loop'));
  const accepting = new WeakSet<object>();
  replace(
    Listener.prototype,
    'accept',
    (method) =>
      function (this: unknown, ...args: unknown[]) {
        if (!accepting.has(this as object)) progress.note('Listener::accept', 'begin');
        accepting.add(this as object);
        return method.apply(this, args);
      },
  );
  replace(
    ListenerEndpoint.prototype,
    'listen',
    (method) =>
      async function (this: unknown, ...args: unknown[]) {
        const index = listening.push('') - 1;
        await method.apply(this, args);
        const { listener } = this as { listener?: Listener };
        listening[index] = listener!.localAddress();
      },
  );
  return listening;
}

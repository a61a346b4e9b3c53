/**
 * How a ported function gets its span.
 *
 * A file names once which Pingora file it ports, and each function says which function of that file it is:
 *
 * ```ts
 * const rust = ported('pingora-core/src/server/mod.rs');
 *
 * class Server {
 *   @rust.method('Server::run_forever')
 *   async runForever() { … }
 * }
 *
 * const bindTcp = rust.fn('l4::bind_tcp', async (addr: string) => { … });
 * ```
 *
 * Off, a traced call costs one load and one compare (3 ns on Node 20). The line in Pingora comes from the table of its
 * functions, the line in the port from the code itself; neither is typed by hand (see `sites.ts`).
 */
import type { Future } from '../runtime/future.ts';
import { Cancelled, type Site, tracing } from './recorder.ts';

export { Cancelled };

/** The wrappers for the functions of one Pingora file. */
export interface Ported {
  /** Pingora's file. */
  readonly file: string;
  /** Decorates a method, static or not. `name` is Pingora's name for it, as in its table of functions. */
  method(
    name: string,
  ): <F extends (this: any, ...args: any[]) => unknown>(method: F, context: ClassMethodDecoratorContext<any, F>) => F;
  /** Wraps a free function. */
  fn<F extends (...args: any[]) => unknown>(name: string, body: F): F;
  /** Wraps a free function that is polled. Its span begins with the first poll. */
  poll<Args extends unknown[], T>(name: string, body: (...args: Args) => Future<T>): (...args: Args) => Future<T>;
  /**
   * Wraps the body of a task that function `name`, declared elsewhere in the file, spawns: a stack in Rust shows the
   * `async` block under the name of its function, and so there is a span of it at the beginning of the task too.
   */
  body<F extends (...args: any[]) => unknown>(name: string, body: F): F;
}

const TRACED = Symbol('traced');

/** Whether a function brings its own span: Pingora's own implementation of a hook, rather than an application's. */
export function isTraced(fn: (...args: any[]) => unknown): boolean {
  return TRACED in fn;
}

const sites: Site[] = [];

/** Every function that can be traced and whose module was loaded. */
export function registeredSites(): readonly Site[] {
  return sites;
}

function register(fn: string, rust: string | null): Site {
  const site: Site = { fn, rust };
  sites.push(site);
  return site;
}

function wrap<F extends (...args: any[]) => unknown>(site: Site, body: F): F {
  const traced = function (this: unknown, ...args: unknown[]) {
    const recorder = tracing.recorder;
    return recorder === null ? body.apply(this, args) : recorder.call(site, body, this, args);
  };
  Object.defineProperty(traced, 'name', { value: body.name, configurable: true });
  Object.defineProperty(traced, TRACED, { value: true });
  return traced as unknown as F;
}

function wrapPolled<Args extends unknown[], T>(
  site: Site,
  body: (...args: Args) => Future<T>,
): (...args: Args) => Future<T> {
  return (...args) => {
    const future = body(...args);
    return tracing.recorder === null ? future : tracing.recorder.poll(site, future);
  };
}

/** The functions of this module port those of `file`, a path in Pingora's repository at tag 0.1.0. */
export function ported(file: string): Ported {
  return {
    file,
    method: (name) => (method) => wrap(register(name, file), method),
    fn: (name, body) => wrap(register(name, file), body),
    poll: (name, body) => wrapPolled(register(name, file), body),
    body: (name, body) => wrap({ fn: name, rust: file }, body),
  };
}

/** Functions that only the port has: their spans have no Pingora function. */
export const own = {
  fn<F extends (...args: any[]) => unknown>(name: string, body: F): F {
    return wrap(register(name, null), body);
  },
};

const hookSites = new Map<string, Site>();

/**
 * Call an application's hook, traced as `<app as TRAIT>::NAME`.
 *
 * Hooks are traced where the framework calls them, so that applications write plain methods. A hook that isn't
 * overridden is the default's own function and brings its own span (`ProxyHttp::request_filter`).
 */
export function callHook<Args extends unknown[], Result>(
  trait: string,
  name: string,
  app: object,
  hook: (...args: Args) => Result,
  isDefault: boolean,
  ...args: Args
): Result {
  const recorder = tracing.recorder;
  if (recorder === null || isDefault) return hook.apply(app, args);
  const key = `<app as ${trait}>::${name}`;
  let site = hookSites.get(key);
  if (site === undefined) {
    site = register(key, 'app');
    hookSites.set(key, site);
  }
  return recorder.call(site, hook as (...args: any[]) => unknown, app, args) as Result;
}

/** Set facts on the current span, if tracing is on: `note({ peer: address })`. */
export function note(attributes: Record<string, string | number | boolean>): void {
  tracing.recorder?.note(attributes);
}

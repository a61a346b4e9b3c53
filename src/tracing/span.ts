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
 * Off, a traced function costs one load and one compare (3 ns on Node 20), a method nothing. The line in Pingora comes
 * from the table of its functions, the line in the port from the code itself; neither is typed by hand (see
 * `sites.ts`).
 */
import { type Polled, type Site, tracing } from './recorder.ts';

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
  poll<Args extends unknown[], T>(name: string, body: (...args: Args) => Polled<T>): (...args: Args) => Polled<T>;
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

function mark(traced: object, body: (...args: any[]) => unknown): void {
  Object.defineProperty(traced, 'name', { value: body.name, configurable: true });
  Object.defineProperty(traced, TRACED, { value: true });
  Object.defineProperty(body, TRACED, { value: true });
}

/** Eight parameters, more than any function has: an array of arguments would be made with each call. */
function wrap<F extends (...args: any[]) => unknown>(site: Site, body: F): F {
  const traced = (
    a?: unknown,
    b?: unknown,
    c?: unknown,
    d?: unknown,
    e?: unknown,
    f?: unknown,
    g?: unknown,
    h?: unknown,
  ) => {
    const { recorder } = tracing;
    return recorder === null
      ? body(a, b, c, d, e, f, g, h)
      : recorder.call(site, body, undefined, [a, b, c, d, e, f, g, h]);
  };
  mark(traced, body);
  return traced as unknown as F;
}

/**
 * A method stands aside for the one that it traces: the first call that finds tracing off puts that in its place, and
 * attaching a recorder undoes it. (Left in place, the wrappers of the 60 or so calls of a request cost 1 to 2 µs.)
 */
function wrapMethod<F extends (...args: any[]) => unknown>(site: Site, body: F, key: string | symbol): F {
  const traced = function (this: unknown, ...args: unknown[]) {
    const { recorder } = tracing;
    if (recorder !== null) return recorder.call(site, body, this, args);
    standAside(this, key, traced, body);
    return body.apply(this, args);
  };
  mark(traced, body);
  return traced as unknown as F;
}

function standAside(self: unknown, key: string | symbol, traced: unknown, body: unknown): void {
  let home = self as object | null | undefined;
  while (home != null && Object.getOwnPropertyDescriptor(home, key)?.value !== traced)
    home = Object.getPrototypeOf(home);
  if (home == null) return;
  const put = (value: unknown) => Object.defineProperty(home, key, { value, configurable: true, writable: true });
  put(body);
  tracing.aside.push(() => put(traced));
}

function wrapPolled<Args extends unknown[], T>(
  site: Site,
  body: (...args: Args) => Polled<T>,
): (...args: Args) => Polled<T> {
  return (...args) => {
    const future = body(...args);
    return tracing.recorder === null ? future : tracing.recorder.poll(site, future, args);
  };
}

/** The functions of this module port those of `file`, a path in Pingora's repository at tag 0.1.0. */
export function ported(file: string): Ported {
  return {
    file,
    method: (name) => (method, context) => wrapMethod(register(name, file), method, context.name),
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

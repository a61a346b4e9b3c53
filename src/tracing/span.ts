/**
 * How a ported function gets its span.
 *
 * A file names once which Pingora file it ports, and each function says that it is one of that file's. A method has
 * Pingora's name by its class and its own (`Server.runForever` is `Server::run_forever`, and so is `_runForever`); a
 * trait's implementation and a free function say theirs:
 *
 * ```ts
 * const rust = ported('pingora-core/src/server/mod.rs');
 *
 * @traced
 * class Server {
 *   @rust.method
 *   async runForever() { … }
 *
 *   @rust.method('<Server as Trait>::cleanup')
 *   cleanup() { … }
 * }
 *
 * const bindTcp = rust.fn('l4::bind_tcp', async (addr: string) => { … });
 * ```
 *
 * The line in Pingora comes from the table of its functions, the line in the port from the code itself; neither is
 * typed by hand (see `sites.ts`).
 */
import { currentContext, tracedFuture, tracing } from './recorder.ts';
import { type AnyFunction, type Future, register, type Site } from './registry.ts';

/** Decorates a method. */
type MethodDecorator = <F extends (this: any, ...args: any[]) => unknown>(
  method: F,
  context: ClassMethodDecoratorContext<any, F>,
) => F;

/** The wrappers for the functions of one Pingora file. */
export interface Ported {
  /** Pingora's file. */
  readonly file: string;
  /**
   * Marks a method, static or not. With a name, that is Pingora's for it, as in its table of functions; without one the
   * name follows from class and method.
   */
  method: MethodDecorator & ((name: string) => MethodDecorator);
  /** Wraps a free function. */
  fn<F extends (...args: any[]) => unknown>(name: string, body: F): F;
  /**
   * Wraps the body of a task that function `name`, declared elsewhere in the file, spawns: a stack in Rust shows the
   * `async` block under the name of its function, and so there is a span of it at the beginning of the task too.
   */
  body<F extends (...args: any[]) => unknown>(name: string, body: F): F;
}

const TRACED = Symbol('traced');

/** Whether a function brings its own span: Pingora's own implementation of a hook, rather than an application's. */
export function isTraced(fn: AnyFunction): boolean {
  return TRACED in fn;
}

const GeneratorFunction = Object.getPrototypeOf(function* () {}) as object;

/** `body`, in a span of `site` wherever whoever calls it is traced. */
function wrap(site: Site, body: AnyFunction): AnyFunction {
  const polled = Object.getPrototypeOf(body) === GeneratorFunction;
  const traced = function (this: unknown, ...args: unknown[]) {
    const context = currentContext();
    if (context === null) return body.apply(this, args);
    if (polled) return tracedFuture(site, body.apply(this, args) as Future<unknown>, this, args);
    return context.recorder.call(site, context, this, args, () => body.apply(this, args));
  };
  Object.defineProperty(traced, 'name', { value: body.name, configurable: true });
  Object.defineProperty(traced, TRACED, { value: true });
  return traced;
}

/** A function whose callers hold it by a variable: they call what this calls on. Eight parameters, more than any has. */
function forward<F extends AnyFunction>(site: Site, body: F): F {
  let target: AnyFunction = body;
  const forwarder = (
    a?: unknown,
    b?: unknown,
    c?: unknown,
    d?: unknown,
    e?: unknown,
    f?: unknown,
    g?: unknown,
    h?: unknown,
  ) => target(a, b, c, d, e, f, g, h);
  Object.defineProperty(forwarder, 'name', { value: body.name, configurable: true });
  Object.defineProperty(forwarder, TRACED, { value: true });
  const traced = wrap(site, body);
  register(
    () => {
      target = traced;
    },
    () => {
      target = body;
    },
  );
  return forwarder as unknown as F;
}

/** A method of the class that is being defined. */
interface Method {
  readonly key: string | symbol;
  readonly isStatic: boolean;
  readonly body: AnyFunction;
  /** What stands in its place while a recorder is attached, given the name of the class. */
  readonly traced: (className: string) => AnyFunction;
}

let methods: Method[] = [];

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Pingora's name for a method: `Server::run_forever` for `runForever` or `_runForever` of `Server`. */
export function pingoraName(className: string, method: string): string {
  return `${className}::${snake(method.replace(/^_/, ''))}`;
}

/** Decorates a class with traced methods: its methods are wrapped while a recorder is attached. */
export function traced(
  type: { readonly prototype: object },
  context: { readonly kind: 'class'; readonly name: string | undefined },
): void {
  for (const { key, isStatic, body, traced: tracedIn } of methods) {
    const traced = tracedIn(context.name!);
    const home = isStatic ? type : type.prototype;
    const put = (value: AnyFunction) =>
      Object.defineProperty(home, key, { value, configurable: true, writable: true, enumerable: false });
    register(
      () => put(traced),
      () => put(body),
    );
  }
  methods = [];
}

/** What is marked: the context of its decorator. */
interface Marked {
  readonly name: string | symbol;
  readonly static: boolean;
}

/** The functions of this module port those of `file`, a path in Pingora's repository at tag 0.1.0. */
export function ported(file: string): Ported {
  const mark = <F extends AnyFunction>(body: F, { name: key, static: isStatic }: Marked, name?: string): F => {
    Object.defineProperty(body, TRACED, { value: true });
    const site = (className: string) => ({ fn: name ?? pingoraName(className, String(key)), rust: file });
    methods.push({ key, isStatic, body, traced: (className) => wrap(site(className), body) });
    return body;
  };
  function method(name: string): MethodDecorator;
  function method<F extends AnyFunction>(body: F, context: Marked): F;
  function method<F extends AnyFunction>(nameOrBody: string | F, context?: Marked): F | MethodDecorator {
    if (typeof nameOrBody === 'function') return mark(nameOrBody, context!);
    return <G extends AnyFunction>(body: G, marked: Marked): G => mark(body, marked, nameOrBody);
  }
  return {
    file,
    method,
    fn: (name, body) => forward({ fn: name, rust: file }, body),
    body: (name, body) => forward({ fn: name, rust: file }, body),
  };
}

/** Functions that only the port has: their spans have no Pingora function. */
export const own = {
  fn<F extends (...args: any[]) => unknown>(name: string, body: F): F {
    return forward({ fn: name, rust: null }, body);
  },
};

/** Who calls an application's hooks: {@link hooksOf}. */
interface CallsHooks {
  /** Whether the application has left the hook as it is: then it is a function of the port's own. */
  inherits(method: string): boolean;
}

/**
 * Decorates the methods that call an application's hooks on: each is traced as `<app as TRAIT>::NAME`.
 *
 * Hooks are traced where the framework calls them, so that applications write plain methods. A hook that isn't
 * overridden is the default's own function and brings its own span (`ProxyHttp::request_filter`).
 */
export function hooksOf(trait: string) {
  return <F extends AnyFunction>(body: F, context: ClassMethodDecoratorContext): F => {
    const method = String(context.name);
    const site = hookSite(trait, snake(method));
    const traced = function (this: CallsHooks, ...args: unknown[]) {
      const now = currentContext();
      if (now === null || this.inherits(method)) return body.apply(this, args);
      return now.recorder.call(site, now, undefined, args, () => body.apply(this, args));
    };
    methods.push({ key: context.name, isStatic: false, body, traced: () => traced });
    return body;
  };
}

const hookSites = new Map<string, Site>();

function hookSite(trait: string, name: string): Site {
  const key = `<app as ${trait}>::${name}`;
  let site = hookSites.get(key);
  if (site === undefined) {
    site = { fn: key, rust: 'app' };
    hookSites.set(key, site);
  }
  return site;
}

/** Call an application's hook where no {@link hooksOf} stands before it. `isDefault`: it brings its own span. */
export function callHook<Args extends unknown[], Result>(
  trait: string,
  name: string,
  app: object,
  hook: (...args: Args) => Result,
  isDefault: boolean,
  ...args: Args
): Result {
  const context = tracing.recorder === null || isDefault ? null : currentContext();
  if (context === null) return hook.apply(app, args);
  return context.recorder.call(hookSite(trait, name), context, app, args, () => hook.apply(app, args)) as Result;
}

/** Set facts on the current span, if tracing is on: `note({ peer: address })`. */
export function note(attributes: Record<string, string | number | boolean>): void {
  tracing.recorder?.note(attributes);
}

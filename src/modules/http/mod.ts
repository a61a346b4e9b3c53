/**
 * HTTP modules: steps that every request and response of a server passes, in an order of their own.
 *
 * Port of `pingora-core/src/modules/http/mod.rs`.
 */
import type { RequestHeader } from '../../http/lib.ts';
import type { HttpTask } from '../../protocols/http/mod.ts';
import { ported, traced } from '../../tracing/span.ts';

const rust = ported('pingora-core/src/modules/http/mod.rs');

/** What a module does with one request and its response. Each request has a module of its own. */
export interface HttpModule {
  /** Look at the request's head, or change it. What this throws ends the request. */
  requestHeaderFilter?(req: RequestHeader): void;
  /** Look at a piece of the request's body (undefined: there is none); what is returned takes its place. */
  requestBodyFilter?(body: Buffer | undefined): Buffer | undefined;
  /** Look at a piece of the response; heads are changed in place. What is returned, if anything, takes its place. */
  responseFilter?(task: HttpTask): HttpTask | undefined;
}

/** Makes the module of each request. */
export interface HttpModuleBuilder {
  /** Modules with a higher order come first. Default: 0. */
  order?(): number;
  /** The module of a new request. */
  init(): HttpModule;
}

/** The modules of a server. */
@traced
export class HttpModules {
  private readonly modules: HttpModuleBuilder[] = [];
  /** A context was built: what is added now would miss requests. */
  private built = false;

  private constructor() {}

  /** No modules. */
  @rust.method
  static new(): HttpModules {
    return new HttpModules();
  }

  /** Add a module. Throws once a request was served. */
  @rust.method
  addModule(builder: HttpModuleBuilder): void {
    if (this.built) throw new Error('cannot add module after ctx is already built');
    this.modules.push(builder);
    this.modules.sort((a, b) => (b.order?.() ?? 0) - (a.order?.() ?? 0));
  }

  /** The modules of a new request. Throws if two of them are of one class. */
  @rust.method
  buildCtx(): HttpModuleCtx {
    const modules = this.modules.map((builder) => builder.init());
    if (!this.built) {
      if (new Set(modules.map((module) => module.constructor)).size < modules.length) {
        throw new Error('duplicated filters found');
      }
      this.built = true;
    }
    return new HttpModuleCtx(modules);
  }
}

/** The modules of one request. */
@traced
export class HttpModuleCtx {
  private readonly modules: readonly HttpModule[];

  /** These modules, in the order in which they are passed. */
  constructor(modules: readonly HttpModule[]) {
    this.modules = modules;
  }

  /** Without modules. */
  static empty(): HttpModuleCtx {
    return new HttpModuleCtx([]);
  }

  /** The module of this class, if there is one. */
  get<T extends HttpModule>(type: abstract new (...args: any[]) => T): T | undefined {
    return this.modules.find((module): module is T => module instanceof type);
  }

  /** Pass the request's head. Throws what a module throws. */
  @rust.method
  requestHeaderFilter(req: RequestHeader): void {
    for (const module of this.modules) module.requestHeaderFilter?.(req);
  }

  /** Pass a piece of the request's body. */
  @rust.method
  requestBodyFilter(body: Buffer | undefined): Buffer | undefined {
    let passed = body;
    for (const module of this.modules) {
      if (module.requestBodyFilter !== undefined) passed = module.requestBodyFilter(passed);
    }
    return passed;
  }

  /** Pass a piece of the response. */
  @rust.method
  responseFilter(task: HttpTask): HttpTask {
    let passed = task;
    for (const module of this.modules) passed = module.responseFilter?.(passed) ?? passed;
    return passed;
  }
}

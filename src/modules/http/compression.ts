/**
 * The module that compresses responses.
 *
 * Port of `pingora-core/src/modules/http/compression.rs`.
 */
import type { RequestHeader } from '../../http/lib.ts';
import { ResponseCompressionCtx } from '../../protocols/http/compression/mod.ts';
import type { HttpTask } from '../../protocols/http/mod.ts';
import { ported, traced } from '../../tracing/span.ts';
import type { HttpModule, HttpModuleBuilder } from './mod.ts';

const rust = ported('pingora-core/src/modules/http/compression.rs');

/** Compresses the response to one request. */
@traced
export class ResponseCompression implements HttpModule {
  private readonly ctx: ResponseCompressionCtx;

  /** Compresses as `ctx` decides. */
  constructor(ctx: ResponseCompressionCtx) {
    this.ctx = ctx;
  }

  /** See what the client accepts. */
  @rust.method('<ResponseCompression as HttpModule>::request_header_filter')
  requestHeaderFilter(req: RequestHeader): void {
    this.ctx.requestFilter(req);
  }

  /** Compress the head's announcement, then the body, piece by piece. */
  @rust.method('<ResponseCompression as HttpModule>::response_filter')
  responseFilter(task: HttpTask): HttpTask | undefined {
    return this.ctx.responseFilter(task);
  }
}

/** Makes {@link ResponseCompression} modules. */
@traced
export class ResponseCompressionBuilder implements HttpModuleBuilder {
  private readonly level: number;

  private constructor(level: number) {
    this.level = level;
  }

  /** Compress with this level, as the coding has them (gzip: 1 to 9); 0 doesn't compress. */
  @rust.method
  static enable(level: number): HttpModuleBuilder {
    return new ResponseCompressionBuilder(level);
  }

  /** The module of a new request. */
  @rust.method('<ResponseCompressionBuilder as HttpModuleBuilder>::init')
  init(): HttpModule {
    return new ResponseCompression(ResponseCompressionCtx.new(this.level, false));
  }

  /** Late: what other modules have made is compressed too. */
  order(): number {
    return -16384;
  }
}

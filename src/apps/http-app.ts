/**
 * Applications that make a response of a request.
 *
 * Port of `pingora-core/src/apps/http_app.rs`.
 */
import { PingoraError } from '../error/lib.ts';
import type { ResponseHeader } from '../http/lib.ts';
import { Log } from '../log.ts';
import { type HttpModuleBuilder, HttpModules } from '../modules/http/mod.ts';
import { HttpTask } from '../protocols/http/mod.ts';
import type { Session as ServerSession } from '../protocols/http/server.ts';
import type { Stream } from '../protocols/l4/stream.ts';
import { type Future, settle } from '../runtime/future.ts';
import { PENDING } from '../runtime/poll.ts';
import type { ShutdownWatch } from '../runtime/sync.ts';
import { callHook, isTraced, ported, traced } from '../tracing/span.ts';
import { HttpAsServerApp, type HttpServerApp, type ServerApp } from './mod.ts';

const rust = ported('pingora-core/src/apps/http_app.rs');
const log = new Log('pingora_core::apps::http_app');

/** A connection is kept so long for another request, in seconds. */
const KEEPALIVE_SECONDS = 60;

/** A whole response. */
export interface Response {
  /** Should have a `Content-Length`: without one the connection is closed after the body. */
  readonly head: ResponseHeader;
  /** The whole body; left out for none. */
  readonly body?: Buffer | undefined;
}

/** Makes a response of a request. The whole of it: for streaming, implement `HttpServerApp`. */
export abstract class ServeHttp {
  /** The request's head has been read; its body, if any, is to be read here. */
  abstract response(session: ServerSession): Promise<Response> | Response;
}

/** What can be served: an application of connections, of HTTP sessions, or of requests and responses. */
export type App = ServerApp | HttpServerApp | ServeHttp;

/** Whether `app` is a {@link ServeHttp}, or has its method. */
function isServeHttp(app: App): app is ServeHttp {
  return 'response' in app && !('processNewHttp' in app);
}

/** How every {@link ServeHttp} is an HTTP application: `impl<SV: ServeHttp> HttpServerApp for SV`. */
@traced
class ServeHttpApp implements HttpServerApp {
  private readonly app: ServeHttp;

  constructor(app: ServeHttp) {
    this.app = app;
  }

  @rust.method('<SV as HttpServerApp>::process_new_http')
  *processNewHttp(http: ServerSession, shutdown: ShutdownWatch): Future<Stream | undefined> {
    let reusable: Stream | undefined;
    try {
      if (!(yield* readRequest(http, shutdown))) return undefined;
      const { head, body } = yield* settle(callHook('ServeHttp', 'response', this.app, this.app.response, false, http));
      tellOfUnread(http);
      yield* attempt(http, () => {
        http.writeResponseHeader(head);
        log.debug('HTTP response header done.');
        if (body !== undefined && body.length > 0) {
          // what it is too slow for, `attempt` waits for
          http.writeResponseBody(body)?.catch(() => {});
          log.debug('HTTP response written.');
        }
      });
      reusable = finish(http);
      return reusable;
    } finally {
      if (reusable === undefined) http.close();
    }
  }
}

/** Any application as one of connections. */
export function intoServerApp(app: App): ServerApp {
  if ('processNew' in app) return app;
  return new HttpAsServerApp(isServeHttp(app) ? new ServeHttpApp(app) : app);
}

/** An HTTP application around a {@link ServeHttp}, with modules that each request and response passes. */
@traced
export class HttpServer<SV extends ServeHttp = ServeHttp> implements HttpServerApp {
  private readonly app: SV;
  private readonly modules = HttpModules.new();

  private constructor(app: SV) {
    this.app = app;
  }

  /** Without modules. */
  @rust.method
  static newApp<SV extends ServeHttp>(app: SV): HttpServer<SV> {
    return new HttpServer(app);
  }

  /** Add a module. Throws once a request was served. */
  @rust.method
  addModule(module: HttpModuleBuilder): void {
    this.modules.addModule(module);
  }

  /** Serve one request. Returns the connection if it can serve another. Called by the service. */
  @rust.method('<HttpServer as HttpServerApp>::process_new_http')
  *processNewHttp(http: ServerSession, shutdown: ShutdownWatch): Future<Stream | undefined> {
    let reusable: Stream | undefined;
    try {
      if (!(yield* readRequest(http, shutdown))) return undefined;
      const modules = this.modules.buildCtx();
      if (!passes(() => modules.requestHeaderFilter(http.reqHeader()))) return undefined;
      const { app } = this;
      const { head, body } = yield* settle(
        callHook('ServeHttp', 'response', app, app.response, isTraced(app.response), http),
      );
      tellOfUnread(http);
      const last = body !== undefined && body.length > 0 ? body : undefined;
      for (const task of [HttpTask.Header(head, last === undefined), HttpTask.Body(last, true)]) {
        let passed = task;
        if (
          !passes(() => {
            passed = modules.responseFilter(task);
          })
        ) {
          return undefined;
        }
        yield* attempt(http, () => {
          http.responseDuplexVec([passed]);
          log.debug(() => `HTTP response ${task.type === 'Header' ? 'header done' : 'written'}.`);
        });
      }
      reusable = finish(http);
      return reusable;
    } finally {
      if (reusable === undefined) http.close();
    }
  }
}

/** False: a module refused. The original ends the request without a word then; here the log says why. */
function passes(filter: () => void): boolean {
  try {
    filter();
    return true;
  } catch (error) {
    log.error(`HTTP module failed: ${error}`);
    return false;
  }
}

/** Read the request's head and settle whether the connection is kept. False: there is none, or it was refused. */
function* readRequest(http: ServerSession, shutdown: ShutdownWatch): Future<boolean> {
  try {
    if (!(yield* http.readRequest())) {
      log.debug('Failed to read request header');
      return false;
    }
  } catch (error) {
    log.error(`HTTP server fails to read from downstream: ${error}`);
    // the original says nothing to a client whose request it can't read
    const { name, code } = errorType(error);
    if (name === 'InvalidHTTPHeader') http.respondError(400);
    else if (name === 'HTTPStatus') http.respondError(code ?? 500);
    return false;
  }
  log.debug('Successfully get a new request');
  http.setKeepalive(shutdown.borrow() ? undefined : KEEPALIVE_SECONDS);
  return true;
}

/**
 * RFC 9112 9.6: what the application has not read of the request's body by now is read by nobody, and the connection
 * closes for it; its client is told, and sends nothing more that would be lost.
 */
function tellOfUnread(http: ServerSession): void {
  if (http.asHttp1()?.leavesBody() === true) http.setKeepalive(undefined);
}

function errorType(error: unknown): { name: string; code?: number | undefined } {
  return error instanceof PingoraError ? error.etype() : { name: '' };
}

/**
 * Write, and wait until the client has taken it; what goes wrong with its connection is logged, and comes up again when
 * the session ends.
 */
function* attempt(http: ServerSession, write: () => void): Future<void> {
  try {
    write();
    while (http.pollDrained() === PENDING) yield;
  } catch (error) {
    log.error(`HTTP server fails to write to downstream: ${error}, ${http.requestSummary()}`);
  }
}

/** End the session. Returns the connection if it can serve another request. */
function finish(http: ServerSession): Stream | undefined {
  try {
    return http.finish();
  } catch (error) {
    log.error(`HTTP server fails to finish the request: ${error}`);
    return undefined;
  }
}

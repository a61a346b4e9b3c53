/** The application of `npm start`. */
import type { Logger } from 'pino';
import { ErrorType, PingoraError } from '../error/lib.ts';
import type { RequestHeader, ResponseHeader } from '../http/lib.ts';
import type { Backend } from '../load-balancing/lib.ts';
import { Log } from '../log.ts';
import { addVia, answerMaxForwards, countForward } from '../proxy/forwarding.ts';
import { ProxyHttp, type Session } from '../proxy/lib.ts';
import { HttpPeer } from '../upstreams/peer.ts';
import { countRefusal } from '../utils/refusals.ts';
import type { Options } from './options.ts';
import type { Origins } from './origins.ts';

const log = new Log('pingora_traced::gateway');

/** So much of a request is said in a line. */
const SUMMARY_SIZE = 300;

/** What is known of a request while it is served. */
interface Ctx {
  /** When it began, if that is logged. */
  readonly start: number;
  /** The origins that could not be reached. */
  failed: Backend[];
  /** The one that has it now. */
  origin: Backend | undefined;
  /** Of the request's body, so far. */
  bytes: number;
}

/** The proxy: any request to the next origin. */
export class Gateway extends ProxyHttp<Ctx> {
  private readonly origins: Origins;
  private readonly options: Options;
  private readonly accessLog: Logger | undefined;

  constructor(origins: Origins, options: Options, accessLog: Logger | undefined) {
    super();
    this.origins = origins;
    this.options = options;
    this.accessLog = accessLog;
  }

  newCtx(): Ctx {
    return { start: this.accessLog === undefined ? 0 : performance.now(), failed: [], origin: undefined, bytes: 0 };
  }

  override requestFilter(session: Session): boolean | Promise<boolean> {
    const { maxTarget } = this.options;
    if (maxTarget > 0 && session.reqHeader().rawPath().length > maxTarget) return refuse(session, 414);
    const length = Number(session.getHeader('content-length') ?? 0);
    if (length > this.options.maxBody) return refuse(session, 413);
    return answerMaxForwards(session);
  }

  override requestBodyFilter(session: Session, body: Buffer | undefined, _end: boolean, ctx: Ctx): undefined {
    // what goes through a tunnel is no body
    if (session.downstreamSession.wasUpgraded()) return;
    ctx.bytes += body?.length ?? 0;
    if (ctx.bytes > this.options.maxBody) {
      countRefusal('body');
      throw PingoraError.explain(ErrorType.HTTPStatus(413), 'the body is larger than --max-body allows').intoDown();
    }
  }

  upstreamPeer(_session: Session, ctx: Ctx): HttpPeer {
    this.letGo(ctx);
    ctx.bytes = 0;
    const backend = this.origins.choose(ctx.failed);
    if (backend === undefined && this.origins.hasOther(ctx.failed)) countRefusal('requests of the origins');
    if (backend === undefined) throw PingoraError.explain(ErrorType.HTTPStatus(503), 'no origin is ready').intoIn();
    ctx.origin = backend;
    const { upstreamTls, insecure, connectTimeout, readTimeout, writeTimeout, idleTimeout } = this.options;
    const peer = HttpPeer.new(backend, upstreamTls, this.origins.nameOf(backend));
    const { options } = peer;
    if (insecure) {
      options.verifyCert = false;
      options.verifyHostname = false;
    }
    options.connectionTimeout = limit(connectTimeout);
    options.totalConnectionTimeout = limit(connectTimeout);
    options.readTimeout = limit(readTimeout);
    options.writeTimeout = limit(writeTimeout);
    options.idleTimeout = limit(idleTimeout);
    return peer;
  }

  /** Nothing was sent yet: the next origin may have the request. */
  override failToConnect(_session: Session, _peer: HttpPeer, ctx: Ctx, error: PingoraError): PingoraError {
    if (ctx.origin === undefined) return error;
    this.origins.rest(ctx.origin);
    ctx.failed.push(ctx.origin);
    if (ctx.failed.length <= this.options.retries && this.origins.hasOther(ctx.failed)) error.setRetry(true);
    return error;
  }

  override upstreamRequestFilter(session: Session, request: RequestHeader): void {
    countForward(request);
    if (this.options.via !== undefined) addVia(request, session.reqHeader().version, this.options.via);
  }

  override upstreamResponseFilter(_session: Session, response: ResponseHeader): void {
    if (this.options.via !== undefined) addVia(response, response.version, this.options.via);
  }

  override logging(session: Session, error: PingoraError | undefined, ctx: Ctx): void {
    this.letGo(ctx);
    if (this.accessLog === undefined) return;
    const request = session.reqHeader();
    this.accessLog.info(
      {
        method: request.method,
        path: request.rawPath(),
        status: session.responseWritten()?.status ?? 0,
        bytes: session.downstreamSession.bodyBytesSent(),
        ms: Math.round((performance.now() - ctx.start) * 10) / 10,
        ...(error === undefined ? {} : { error: error.toString() }),
      },
      'request',
    );
  }

  private letGo(ctx: Ctx): void {
    if (ctx.origin !== undefined) this.origins.done(ctx.origin);
    ctx.origin = undefined;
  }
}

/** 0 on the command line is no limit. */
function limit(ms: number): number | undefined {
  return ms === 0 ? undefined : ms;
}

async function refuse(session: Session, status: 413 | 414): Promise<boolean> {
  countRefusal(status === 413 ? 'body' : 'target');
  log.warn(`request refused with ${status}: ${session.requestSummary().slice(0, SUMMARY_SIZE)}`);
  // what is still to come of the body isn't read
  session.setKeepalive(undefined);
  await session.respondError(status);
  return true;
}

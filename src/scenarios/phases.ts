/** The application of the scenario `phases`: every hook of a request that is answered, one after the other at work. */
import type { PingoraError } from '../error/lib.ts';
import type { HMap, RequestHeader, ResponseHeader } from '../http/lib.ts';
import { ProxyHttp, type Session } from '../proxy/lib.ts';
import { HttpPeer } from '../upstreams/peer.ts';

interface Ctx {
  /** The hooks that were called. */
  phases: string[];
}

export class Phases extends ProxyHttp<Ctx> {
  readonly #origin: string;
  /** A port where nothing listens, for the first try. */
  readonly #closed: string;

  constructor(origin: number, closed: number) {
    super();
    this.#origin = `127.0.0.1:${origin}`;
    this.#closed = `127.0.0.1:${closed}`;
  }

  newCtx(): Ctx {
    return { phases: [] };
  }

  override requestFilter(_session: Session, ctx: Ctx): boolean {
    ctx.phases.push('request_filter');
    return false;
  }

  override requestCacheFilter(_session: Session, ctx: Ctx): void {
    ctx.phases.push('request_cache_filter');
  }

  override proxyUpstreamFilter(_session: Session, ctx: Ctx): boolean {
    ctx.phases.push('proxy_upstream_filter');
    return true;
  }

  upstreamPeer(_session: Session, ctx: Ctx): HttpPeer {
    const tried = ctx.phases.includes('upstream_peer');
    ctx.phases.push('upstream_peer');
    return HttpPeer.new(tried ? this.#origin : this.#closed, false, '');
  }

  override failToConnect(_session: Session, _peer: HttpPeer, ctx: Ctx, error: PingoraError): PingoraError {
    ctx.phases.push('fail_to_connect');
    error.setRetry(true);
    return error;
  }

  override connectedToUpstream(
    _session: Session,
    _reused: boolean,
    _peer: HttpPeer,
    _connectionId: number,
    _digest: unknown,
    ctx: Ctx,
  ): void {
    ctx.phases.push('connected_to_upstream');
  }

  override upstreamRequestFilter(_session: Session, request: RequestHeader, ctx: Ctx): void {
    ctx.phases.push('upstream_request_filter');
    request.insertHeader('X-Forwarded-Proto', 'http');
  }

  override requestBodyFilter(_session: Session, _body: Buffer | undefined, _end: boolean, ctx: Ctx): undefined {
    ctx.phases.push('request_body_filter');
  }

  override upstreamResponseFilter(_session: Session, _response: ResponseHeader, ctx: Ctx): void {
    ctx.phases.push('upstream_response_filter');
  }

  override responseFilter(_session: Session, response: ResponseHeader, ctx: Ctx): void {
    ctx.phases.push('response_filter');
    response.insertHeader('X-Phases', ctx.phases.join(' '));
  }

  override upstreamResponseBodyFilter(
    _session: Session,
    _body: Buffer | undefined,
    _end: boolean,
    ctx: Ctx,
  ): undefined {
    ctx.phases.push('upstream_response_body_filter');
  }

  override responseBodyFilter(_session: Session, _body: Buffer | undefined, ctx: Ctx): undefined {
    ctx.phases.push('response_body_filter');
  }

  override responseTrailerFilter(_session: Session, trailers: HMap, ctx: Ctx): undefined {
    ctx.phases.push('response_trailer_filter');
    trailers.insertUnchecked('X-Phases', String(ctx.phases.length));
  }

  override logging(_session: Session, _error: PingoraError | undefined, ctx: Ctx): void {
    ctx.phases.push('logging');
  }
}

/** The application of `npm start`. */
import type { Logger } from 'pino';
import type { PingoraError } from '../error/lib.ts';
import type { LoadBalancer } from '../load-balancing/lib.ts';
import type { RoundRobin } from '../load-balancing/selection/mod.ts';
import { ProxyHttp, type Session } from '../proxy/lib.ts';
import { HttpPeer } from '../upstreams/peer.ts';
import type { Options } from './options.ts';

/** The proxy: any request to the next origin. */
export class Gateway extends ProxyHttp<{ start: number }> {
  private readonly upstreams: LoadBalancer<RoundRobin>;
  private readonly options: Options;
  private readonly accessLog: Logger | undefined;

  constructor(upstreams: LoadBalancer<RoundRobin>, options: Options, accessLog: Logger | undefined) {
    super();
    this.upstreams = upstreams;
    this.options = options;
    this.accessLog = accessLog;
  }

  newCtx(): { start: number } {
    return { start: this.accessLog === undefined ? 0 : performance.now() };
  }

  upstreamPeer(): HttpPeer {
    const backend = this.upstreams.select('', 256);
    if (backend === undefined) throw new Error('no origin is ready');
    const { upstreamTls, sni, insecure } = this.options;
    const peer = HttpPeer.new(backend, upstreamTls, sni);
    if (insecure) {
      peer.options.verifyCert = false;
      peer.options.verifyHostname = false;
    }
    return peer;
  }

  override logging(session: Session, error: PingoraError | undefined, ctx: { start: number }): void {
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
}

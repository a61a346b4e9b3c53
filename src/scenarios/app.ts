/** The application that all scenarios run: a load-balancing proxy, and an echo service beside it. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Response, ServeHttp } from '../apps/http-app.ts';
import type { PingoraError } from '../error/lib.ts';
import { ResponseHeader } from '../http/lib.ts';
import type { LoadBalancer } from '../load-balancing/lib.ts';
import type { RoundRobin } from '../load-balancing/selection/mod.ts';
import type { Session as ServerSession } from '../protocols/http/server.ts';
import { ProxyHttp, type Session } from '../proxy/lib.ts';
import { HttpPeer } from '../upstreams/peer.ts';
import type { AppOptions } from './scenario.ts';

interface Ctx {
  tries: number;
}

export class LB extends ProxyHttp<Ctx> {
  readonly #lb: LoadBalancer<RoundRobin>;
  readonly #options: AppOptions;
  /** A port where nothing listens. */
  readonly #closed: number;
  /** Where it tells the client that it computes, and is told to stop. */
  protected readonly dir: string;

  constructor(lb: LoadBalancer<RoundRobin>, options: AppOptions, closed: number, dir: string) {
    super();
    this.dir = dir;
    this.#lb = lb;
    this.#options = options;
    this.#closed = closed;
  }

  newCtx(): Ctx {
    return { tries: 0 };
  }

  override async requestFilter(session: Session): Promise<boolean> {
    if (this.#options.deny && session.reqHeader().path.startsWith('/deny')) {
      await session.respondError(403);
      return true;
    }
    if (this.#options.busy && session.reqHeader().path.startsWith('/busy')) compute(this.dir);
    // compression is a matter of the request: it is off until an application turns it on
    if (this.#options.compress) session.downstreamCompression.adjustLevel(6);
    return false;
  }

  upstreamPeer(_session: Session, ctx: Ctx): HttpPeer {
    if (this.#options.retry && ctx.tries === 0) {
      const peer = HttpPeer.new(`127.0.0.1:${this.#closed}`, false, '');
      peer.options.connectionTimeout = 500;
      return peer;
    }
    const backend = this.#lb.select('', 256);
    if (backend === undefined) throw new Error('no backend is ready');
    const peer = HttpPeer.new(backend, this.#options.tlsUpstream ?? false, 'localhost');
    peer.options.verifyCert = false;
    peer.options.verifyHostname = false;
    if (this.#options.h2Upstream) peer.options.setHttpVersion(2, this.#options.h1Too ? 1 : 2);
    peer.options.readTimeout = this.#options.readTimeout;
    return peer;
  }

  override failToConnect(_session: Session, _peer: HttpPeer, ctx: Ctx, error: PingoraError): PingoraError {
    if (this.#options.retry && ctx.tries === 0) {
      ctx.tries += 1;
      error.setRetry(true);
    }
    return error;
  }
}

/** Whose `logging` waits, for paths that begin with `/slow`, until the client says that it is enough. */
export class SlowToLog extends LB {
  override async logging(session: Session): Promise<void> {
    if (!session.reqHeader().path.startsWith('/slow')) return;
    const changes = watch(this.dir);
    while (!existsSync(join(this.dir, 'enough'))) await once(changes, 'change');
    changes.close();
  }
}

/** Keep the thread busy until the client has what it wanted, or is gone. */
function compute(dir: string): void {
  writeFileSync(join(dir, 'busy'), '');
  let hash = Buffer.alloc(32);
  while (existsSync(dir) && !existsSync(join(dir, 'enough'))) {
    for (let i = 0; i < 1000; i++) hash = createHash('sha256').update(hash).digest();
  }
}

export class Echo extends ServeHttp {
  async response(session: ServerSession): Promise<Response> {
    const pieces: Buffer[] = [];
    for (;;) {
      const piece = await session.readRequestBody();
      if (piece === undefined) break;
      pieces.push(piece);
    }
    const body = pieces.length === 0 ? Buffer.from('no body!') : Buffer.concat(pieces);
    const head = ResponseHeader.build(200);
    head.insertHeader('content-length', body.length);
    return { head, body };
  }
}

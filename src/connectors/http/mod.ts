/**
 * Sessions with HTTP servers, of whichever version.
 *
 * Port of `pingora-core/src/connectors/http/mod.rs`.
 */
import type { HttpSession as Http1Session } from '../../protocols/h1/client.ts';
import { HttpSession } from '../../protocols/http/client.ts';
import { type Future, isFuture } from '../../runtime/future.ts';
import { type AwaitableFuture, awaitable } from '../../runtime/task.ts';
import { ported, traced } from '../../tracing/span.ts';
import type { Peer } from '../../upstreams/peer.ts';
import type { ConnectorOptions } from '../mod.ts';
import { Connector as V1Connector } from './h1.ts';
import { Connector as V2Connector } from './h2.ts';

const rust = ported('pingora-core/src/connectors/http/mod.rs');

type Got = [session: HttpSession, reused: boolean];

function fromH1([h1, reused]: [Http1Session, boolean]): Got {
  return [HttpSession.H1(h1), reused];
}

/** Opens HTTP sessions and keeps their connections. */
@traced
export class Connector {
  private readonly h1: V1Connector;
  private readonly h2: V2Connector;

  private constructor(options: ConnectorOptions | undefined) {
    this.h1 = V1Connector.new(options);
    this.h2 = V2Connector.new(options);
  }

  /** Throws what Node throws for certificate files that can't be read or used. */
  @rust.method
  static new(options?: ConnectorOptions): Connector {
    return new Connector(options);
  }

  /**
   * @internal A session with `peer`. The boolean says whether its connection was used before.
   *
   * A peer that allows HTTP/2 gets a stream on a connection that is open, else an idle HTTP/1 connection if it allows
   * that too (the server may not speak HTTP/2 at all), else a new connection, on which the handshake decides.
   *
   * Throws as connecting does, and `HandshakeError` or `H2Error` where HTTP/2 can't begin.
   */
  @rust.method
  getHttpSession(peer: Peer): Got | AwaitableFuture<Got> {
    const alpn = peer.getPeerOptions?.()?.alpn;
    if (alpn === undefined || alpn.getMaxHttpVersion() === 1) {
      const got = this.h1.getHttpSession(peer);
      return isFuture(got) ? (this.newH1Session(got) as AwaitableFuture<Got>) : fromH1(got);
    }
    const reused = this.h2.reusedHttpSession(peer);
    if (reused !== undefined) return [HttpSession.H2(reused), true];
    const h2Only = alpn.getMinHttpVersion() === 2 && !this.h2.h1IsPreferred(peer);
    if (!h2Only) {
      const h1 = this.h1.reusedHttpSession(peer);
      if (h1 !== undefined) return [HttpSession.H1(h1), true];
    }
    return this.newH2Session(peer) as AwaitableFuture<Got>;
  }

  @awaitable
  private *newH1Session(got: Future<[Http1Session, boolean]>): Future<Got> {
    return fromH1(yield* got);
  }

  @awaitable
  private *newH2Session(peer: Peer): Future<Got> {
    return [yield* this.h2.newHttpSession(peer), false];
  }

  /** @internal The session is over: keep its connection for up to `idleTimeout` milliseconds, if it can be used again. */
  @rust.method
  releaseHttpSession(session: HttpSession, peer: Peer, idleTimeout: number | undefined): void {
    const { h1, h2 } = session;
    if (h1 !== undefined) this.h1.releaseHttpSession(h1, peer, idleTimeout);
    else if (h2 !== undefined) this.h2.releaseHttpSession(h2, peer, idleTimeout);
  }

  /** From now on offer nothing but HTTP/1.1 to `peer`. */
  @rust.method
  preferH1(peer: Peer): void {
    this.h2.preferH1(peer);
  }

  /** Close the connections that wait, and from now on those that are released: what dropping it does in Rust. */
  close(): void {
    this.h1.close();
    this.h2.close();
  }
}

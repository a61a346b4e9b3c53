/**
 * Sessions with HTTP/1 servers.
 *
 * Port of `pingora-core/src/connectors/http/v1.rs`.
 */
import { HttpSession } from '../../protocols/h1/client.ts';
import type { Stream } from '../../protocols/l4/stream.ts';
import { type Future, isFuture } from '../../runtime/future.ts';
import { type AwaitableFuture, awaitable } from '../../runtime/task.ts';
import { ported, traced } from '../../tracing/span.ts';
import type { Peer } from '../../upstreams/peer.ts';
import { type ConnectorOptions, TransportConnector } from '../mod.ts';

const rust = ported('pingora-core/src/connectors/http/v1.rs');

type Got = [session: HttpSession, reused: boolean];

function session([stream, reused]: [Stream, boolean]): Got {
  return [HttpSession.new(stream), reused];
}

/** Opens HTTP/1 sessions and keeps their connections. */
@traced
export class Connector {
  private readonly transport: TransportConnector;

  private constructor(options: ConnectorOptions | undefined) {
    this.transport = TransportConnector.new(options);
  }

  @rust.method
  static new(options?: ConnectorOptions): Connector {
    return new Connector(options);
  }

  /** How many connections wait for their next use. */
  get idle(): number {
    return this.transport.idle;
  }

  /** A session with `peer`. The boolean says whether its connection was used before. Throws as connecting does. */
  @rust.method
  getHttpSession(peer: Peer): Got | AwaitableFuture<Got> {
    const got = this.transport.getStream(peer);
    return isFuture(got) ? (this.newSession(got) as AwaitableFuture<Got>) : session(got);
  }

  @awaitable
  private *newSession(got: Future<[Stream, boolean]>): Future<Got> {
    return session(yield* got);
  }

  /** A session on a connection that was used before, if there is one. */
  @rust.method
  reusedHttpSession(peer: Peer): HttpSession | undefined {
    const stream = this.transport.reusedStream(peer);
    return stream === undefined ? undefined : HttpSession.new(stream);
  }

  /** The session is over: keep its connection for up to `idleTimeout` milliseconds, if it can be used again. */
  @rust.method
  releaseHttpSession(session: HttpSession, peer: Peer, idleTimeout: number | undefined): void {
    const stream = session.reuse();
    if (stream !== undefined) this.transport.releaseStream(stream, peer.reuseHash(), idleTimeout);
  }

  /** Close the connections that wait, and from now on those that are released. */
  close(): void {
    this.transport.close();
  }
}

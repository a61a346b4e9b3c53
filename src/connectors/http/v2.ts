/**
 * Sessions with HTTP/2 servers.
 *
 * Port of `pingora-core/src/connectors/http/v2.rs`.
 */
import { ErrorType, PingoraError } from '../../error/lib.ts';
import { HttpSession as Http1Session } from '../../protocols/h1/client.ts';
import type { Http2Session } from '../../protocols/h2/client.ts';
import { HttpSession } from '../../protocols/http/client.ts';
import { ALPN } from '../../protocols/mod.ts';
import { ported } from '../../trace/span.ts';
import type { Peer } from '../../upstreams/peer.ts';
import { type ConnectorOptions, TransportConnector } from '../mod.ts';

const rust = ported('pingora-core/src/connectors/http/v2.rs');

/** Opens HTTP/2 sessions. */
export class Connector {
  private readonly transport: TransportConnector;

  private constructor(options: ConnectorOptions | undefined) {
    this.transport = TransportConnector.new(options);
  }

  @rust.method('Connector::new')
  static new(options?: ConnectorOptions): Connector {
    return new Connector(options);
  }

  @rust.method('Connector::new_http_session')
  async newHttpSession(peer: Peer): Promise<HttpSession> {
    const stream = await this.transport.newStream(peer);
    if (stream.selectedAlpnProto() !== ALPN.H2) return HttpSession.H1(Http1Session.new(stream));
    stream.destroy();
    throw PingoraError.explain(ErrorType.H2Error, 'HTTP/2 to origins is not there yet');
  }

  @rust.method('Connector::reused_http_session')
  reusedHttpSession(_peer: Peer): Http2Session | undefined | Promise<Http2Session | undefined> {
    return undefined;
  }

  @rust.method('Connector::release_http_session')
  releaseHttpSession(_session: Http2Session, _peer: Peer, _idleTimeout: number | undefined): void {}

  @rust.method('Connector::prefer_h1')
  preferH1(peer: Peer): void {
    this.transport.preferH1(peer);
  }

  @rust.method('Connector::h1_is_preferred')
  h1IsPreferred(peer: Peer): boolean {
    return this.transport.preferredHttpVersion.get(peer) === ALPN.H1;
  }

  close(): void {
    this.transport.close();
  }
}

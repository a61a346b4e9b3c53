/**
 * A connection over TLS.
 *
 * Port of `pingora-core/src/protocols/ssl/mod.rs`. The bytes go through Node's `TLSSocket`, which is a socket like any
 * other to {@link Stream}; what this adds is the handshake and what is known of the layers.
 */
import type { TLSSocket } from 'node:tls';
import { unexpectedEnd, watchTlsEnd } from '../../node/tls-end.ts';
import { emitted, type Future } from '../../runtime/future.ts';
import { ported, traced } from '../../tracing/span.ts';
import type { SslDigest, TimingDigest } from '../digest.ts';
import { type IoError, Stream } from '../l4/stream.ts';
import { sslDigestFromSsl } from './digest.ts';

const rust = ported('pingora-core/src/protocols/ssl/mod.rs');

/** A TLS connection on top of another one. */
@traced
export class SslStream extends Stream {
  private readonly ssl: TLSSocket;
  private readonly lower: (TimingDigest | undefined)[];
  private digest: SslDigest | undefined = undefined;
  private timing: TimingDigest | undefined = undefined;
  private wasCut = (): boolean => false;

  private constructor(ssl: TLSSocket, lower: Stream) {
    super(ssl);
    this.ssl = ssl;
    this.side = lower.side;
    this.wire = lower.wire;
    this.lower = lower.getTimingDigest();
    const proxyDigest = lower.getProxyDigest();
    if (proxyDigest !== undefined) this.setProxyDigest(proxyDigest);
    // whoever watches the connection is told of the end of the whole
    this.tracer = lower.tracer;
    lower.tracer = undefined;
  }

  /**
   * The TLS layer of a connection whose lower layer was `lower`, which has given its socket to `ssl`. Before use, the
   * handshake has to be made: a client's with {@link SslStream.connect}; a server's (`SslStream::accept`) is in
   * `server.ts`, where the socket comes with its handshake done.
   */
  static new(ssl: TLSSocket, lower: Stream): SslStream {
    return new SslStream(ssl, lower);
  }

  /** Make the client's side of the handshake. Throws what Node's TLS throws; the connection is closed then. */
  @rust.method
  *connect(): Future<void> {
    const { ssl } = this;
    let connected = false;
    try {
      yield* emitted(ssl, 'secureConnect');
      connected = true;
    } finally {
      if (!connected) ssl.destroy();
    }
    this.handshakeDone();
    this.wasCut = watchTlsEnd(ssl);
  }

  /** RFC 9112 9.8: an answer that ends with the connection is cut short where TLS doesn't say that it ends. */
  protected override brokenEnd(): IoError | undefined {
    return super.brokenEnd() ?? (!this.believesEnd && this.wasCut() ? unexpectedEnd() : undefined);
  }

  /** Take down what is known now that the handshake is done. */
  handshakeDone(): void {
    this.timing = { establishedTs: Date.now() };
    this.digest = sslDigestFromSsl(this.ssl);
  }

  override getSsl(): TLSSocket {
    return this.ssl;
  }

  override getSslDigest(): SslDigest | undefined {
    return this.digest;
  }

  /** The lower layers' and, last, when the handshake was done. */
  override getTimingDigest(): (TimingDigest | undefined)[] {
    return [...this.lower, this.timing];
  }
}

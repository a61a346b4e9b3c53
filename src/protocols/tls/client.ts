/**
 * The client's side of a TLS handshake.
 *
 * Port of `pingora-core/src/protocols/ssl/client.rs`.
 */
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { ErrorType, PingoraError } from '../../error/lib.ts';
import type { Future } from '../../runtime/future.ts';
import { ported } from '../../tracing/span.ts';
import type { Stream } from '../l4/stream.ts';
import { SslStream } from './mod.ts';

const rust = ported('pingora-core/src/protocols/ssl/client.rs');

/**
 * Make the handshake on `io`. Throws `InvalidCert` when the server's certificate isn't what `config` asks for, and
 * `TLSHandshakeFailure` when anything else goes wrong; `io` is closed then, and when this is dropped.
 */
export const handshake = rust.fn(
  'client::handshake',
  function* (config: ConnectionOptions, domain: string, io: Stream): Future<SslStream> {
    if (io.bufferedLength > 0) {
      // a server doesn't speak first in TLS, and what was read from the socket can't be given back to it
      io.destroy();
      throw PingoraError.explain(ErrorType.TLSHandshakeFailure, 'ssl stream error: bytes before the handshake');
    }
    const socket = io.intoSocket();
    // Node would wait for ever for a socket that has gone
    if (socket.destroyed) {
      throw PingoraError.explain(ErrorType.TLSHandshakeFailure, `TLS connect() failed: closed, SNI: ${domain}`);
    }
    // what fails below the TLS socket is reported by it; nobody else listens here any more
    socket.on('error', () => {});
    let ssl: TLSSocket;
    try {
      ssl = connect({ ...config, socket });
    } catch (error) {
      socket.destroy();
      throw PingoraError.explain(ErrorType.TLSHandshakeFailure, `ssl config error: ${(error as Error).message}`);
    }
    const stream = SslStream.new(ssl, io);
    try {
      yield* stream.connect();
      return stream;
    } catch (error) {
      const context = `TLS connect() failed: ${(error as Error).message}, SNI: ${domain}`;
      // set by Node when it didn't accept the certificate or its name, and by nothing else
      const etype = ssl.authorizationError ? ErrorType.InvalidCert : ErrorType.TLSHandshakeFailure;
      throw PingoraError.explain(etype, context);
    }
  },
);

/**
 * The server's side of a TLS handshake.
 *
 * Port of `pingora-core/src/protocols/ssl/server.rs`.
 */
import type { Socket } from 'node:net';
import { createServer, type SecureContext, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { ErrorType, PingoraError } from '../../error/lib.ts';
import { parentOf } from '../../node/tls-parent.ts';
import { type Future, Oneshot } from '../../runtime/future.ts';
import { Elapsed, timeout } from '../../timeout/lib.ts';
import { note, ported } from '../../tracing/span.ts';
import type { Stream } from '../l4/stream.ts';
import { SslStream } from './mod.ts';

const rust = ported('pingora-core/src/protocols/ssl/server.rs');
const ssl = ported('pingora-core/src/protocols/ssl/mod.rs');

/** A handshake has to be done after so many milliseconds. The original waits for ever. */
const HANDSHAKE_TIMEOUT_MS = 60_000;

/** Chooses the certificate in the middle of a handshake, when the client's SNI is known. */
export interface TlsAccept {
  /**
   * The context to go on with: `tls.createSecureContext({ cert, key })`. Undefined: the endpoint's own.
   * Isn't called for a client that sends no SNI.
   */
  certificateCallback(servername: string): Promise<SecureContext | undefined> | SecureContext | undefined;
}

/**
 * Makes handshakes with one set of settings: OpenSSL's `SslAcceptor`.
 *
 * Sockets are given to a `tls.Server` that listens nowhere. A server-side `TLSSocket` made by hand completes its
 * handshake too, but `node:http2` hangs on it.
 */
export class SslAcceptor {
  readonly #server: Server;
  readonly #waiting = new Map<Socket, Oneshot<TLSSocket>>();

  constructor(options: TlsOptions) {
    this.#server = createServer({ ...options, handshakeTimeout: HANDSHAKE_TIMEOUT_MS });
    this.#server.on('secureConnection', (socket) => this.#settle(socket, undefined));
    this.#server.on('tlsClientError', (error, socket) => this.#settle(socket, error));
  }

  #settle(socket: TLSSocket, error: Error | undefined): void {
    const waiting = this.#waiting.get(parentOf(socket));
    if (waiting === undefined || error !== undefined) socket.destroy();
    else socket.allowHalfOpen = true;
    // in a microtask: Node isn't done with the event yet
    queueMicrotask(() => (error === undefined ? waiting?.resolve(socket) : waiting?.reject(error)));
  }

  /** Make the handshake on a socket that nobody has read from. The socket is closed if that fails, or is dropped. */
  *accept(raw: Socket): Future<TLSSocket> {
    const shaken = new Oneshot<TLSSocket>();
    this.#waiting.set(raw, shaken);
    // what fails below TLS after the handshake is reported by the TLS socket
    raw.on('error', () => {});
    raw.once('close', () => queueMicrotask(() => shaken.reject(new Error('the client left'))));
    // A client that ends its side in the middle of a handshake has left. Half-open, TLS would go on to wait for it.
    raw.allowHalfOpen = false;
    let accepted = false;
    try {
      this.#server.emit('connection', raw);
      const socket = yield* timeout(HANDSHAKE_TIMEOUT_MS, shaken.receive());
      accepted = true;
      return socket;
    } catch (error) {
      throw error instanceof Elapsed ? new Error('the handshake took too long') : error;
    } finally {
      this.#waiting.delete(raw);
      if (!accepted) raw.destroy();
    }
  }
}

const accept = ssl.fn('SslStream::accept', function* (acceptor: SslAcceptor, io: Stream): Future<SslStream> {
  const socket = yield* acceptor.accept(io.intoSocket());
  const stream = SslStream.new(socket, io);
  stream.handshakeDone();
  // a client's end is its end, however it comes; a stream to an origin has its end watched where this would read
  stream.readDirectly();
  const { alpnProtocol, servername } = socket as TLSSocket & { servername?: string | false };
  note({ alpn: alpnProtocol || 'none', sni: servername || 'none', tls: socket.getProtocol() ?? 'unknown' });
  return stream;
});

function* handshaken(acceptor: SslAcceptor, io: Stream): Future<SslStream> {
  try {
    return yield* accept(acceptor, io);
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim() : String(error);
    throw PingoraError.explain(ErrorType.TLSHandshakeFailure, `TLS accept() failed: ${reason}`);
  }
}

/** Make the handshake with a client. Throws `TLSHandshakeFailure`; the connection is closed then. */
export const handshake = rust.fn('server::handshake', handshaken);

/** As {@link handshake}, for an acceptor that asks a {@link TlsAccept} for the certificate. */
export const handshakeWithCallback = rust.fn('server::handshake_with_callback', handshaken);

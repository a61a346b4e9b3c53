/**
 * The server's side of a TLS handshake.
 *
 * Port of `pingora-core/src/protocols/ssl/server.rs`.
 */
import type { Socket } from 'node:net';
import { createServer, type SecureContext, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { ErrorType, PingoraError } from '../../error/lib.ts';
import { parentOf } from '../../node/tls-parent.ts';
import { type Armed, arm } from '../../timeout/lib.ts';
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

interface Waiting {
  done(error: Error | undefined, socket: TLSSocket | undefined): void;
}

/**
 * Makes handshakes with one set of settings: OpenSSL's `SslAcceptor`.
 *
 * Sockets are given to a `tls.Server` that listens nowhere. A server-side `TLSSocket` made by hand completes its
 * handshake too, but `node:http2` hangs on it.
 */
export class SslAcceptor {
  readonly #server: Server;
  readonly #waiting = new Map<Socket, Waiting>();

  constructor(options: TlsOptions) {
    this.#server = createServer({ ...options, handshakeTimeout: HANDSHAKE_TIMEOUT_MS });
    this.#server.on('secureConnection', (socket) => this.#settle(socket, undefined));
    this.#server.on('tlsClientError', (error, socket) => this.#settle(socket, error));
  }

  #settle(socket: TLSSocket, error: Error | undefined): void {
    const raw = parentOf(socket);
    const waiting = this.#waiting.get(raw);
    this.#waiting.delete(raw);
    if (waiting === undefined) socket.destroy();
    else waiting.done(error, socket);
  }

  /** Make the handshake on a socket that nobody has read from. The socket is closed if it fails. */
  accept(raw: Socket): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      let deadline: Armed | undefined;
      const fail = (error: Error) => {
        deadline?.cancel();
        this.#waiting.delete(raw);
        raw.destroy();
        reject(error);
      };
      this.#waiting.set(raw, {
        done(error, socket) {
          if (error !== undefined || socket === undefined) {
            socket?.destroy();
            fail(error ?? new Error('no socket'));
            return;
          }
          deadline?.cancel();
          socket.allowHalfOpen = true;
          resolve(socket);
        },
      });
      // what fails below TLS after the handshake is reported by the TLS socket
      raw.on('error', () => {});
      raw.once('close', () => {
        if (this.#waiting.has(raw)) fail(new Error('the client left'));
      });
      // A client that ends its side in the middle of a handshake has left. Half-open, TLS would go on to wait for it.
      raw.allowHalfOpen = false;
      deadline = arm(HANDSHAKE_TIMEOUT_MS, () => fail(new Error('the handshake took too long')));
      this.#server.emit('connection', raw);
    });
  }
}

const accept = ssl.fn('SslStream::accept', async (acceptor: SslAcceptor, io: Stream): Promise<SslStream> => {
  const socket = await acceptor.accept(io.intoSocket());
  const stream = SslStream.new(socket, io);
  stream.handshakeDone();
  // a client's end is its end, however it comes; a stream to an origin has its end watched where this would read
  stream.readDirectly();
  const { alpnProtocol, servername } = socket as TLSSocket & { servername?: string | false };
  note({ alpn: alpnProtocol || 'none', sni: servername || 'none', tls: socket.getProtocol() ?? 'unknown' });
  return stream;
});

async function handshaken(acceptor: SslAcceptor, io: Stream): Promise<SslStream> {
  try {
    return await accept(acceptor, io);
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim() : String(error);
    throw PingoraError.explain(ErrorType.TLSHandshakeFailure, `TLS accept() failed: ${reason}`);
  }
}

/** Make the handshake with a client. Throws `TLSHandshakeFailure`; the connection is closed then. */
export const handshake = rust.fn('server::handshake', handshaken);

/** As {@link handshake}, for an acceptor that asks a {@link TlsAccept} for the certificate. */
export const handshakeWithCallback = rust.fn('server::handshake_with_callback', handshaken);

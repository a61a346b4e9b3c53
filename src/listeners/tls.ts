/**
 * The TLS settings of a listening endpoint.
 *
 * Port of `pingora-core/src/listeners/tls.rs`.
 */
import { constants } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext, type TlsOptions } from 'node:tls';
import { ErrorType, PingoraError } from '../error/lib.ts';
import { Log } from '../log.ts';
import type { Stream } from '../protocols/l4/stream.ts';
import { ALPN } from '../protocols/mod.ts';
import type { SslStream } from '../protocols/tls/mod.ts';
import { handshake, handshakeWithCallback, SslAcceptor, type TlsAccept } from '../protocols/tls/server.ts';
import type { Future } from '../runtime/future.ts';
import { awaitable } from '../runtime/task.ts';
import { callHook, ported, traced } from '../tracing/span.ts';

const rust = ported('pingora-core/src/listeners/tls.rs');
const log = new Log('pingora_core::listeners::tls');

export { ALPN } from '../protocols/mod.ts';
export type { TlsAccept } from '../protocols/tls/server.ts';

/** Of what is wrong with certificate, key or settings. */
const TLS_CONF_ERR = ErrorType.new('TLSConfigError');

/** Mozilla's intermediate recommendation, version 5, as OpenSSL's `mozilla_intermediate_v5` has it. */
const INTERMEDIATE: TlsOptions = {
  minVersion: 'TLSv1.2',
  honorCipherOrder: false,
  ciphers: [
    'TLS_AES_128_GCM_SHA256',
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
    'DHE-RSA-AES128-GCM-SHA256',
    'DHE-RSA-AES256-GCM-SHA384',
    'DHE-RSA-CHACHA20-POLY1305',
  ].join(':'),
};

let ticketKeys: Buffer | undefined;

/** The keys of session tickets of endpoints that bring none: the same in each thread of a server. 48 bytes. */
export function setTicketKeys(keys: Buffer): void {
  ticketKeys = keys;
}

/** How an endpoint speaks TLS. */
@traced
export class TlsSettings {
  /** Node's options, to be adjusted before the server runs: `requestCert` and `ca` for client certificates, …. */
  readonly options: TlsOptions;
  private readonly callbacks: TlsAccept | undefined;
  private alpn: ALPN | undefined;

  private constructor(options: TlsOptions, callbacks: TlsAccept | undefined) {
    this.options = { ...INTERMEDIATE, ...options };
    this.callbacks = callbacks;
  }

  /**
   * Mozilla's intermediate settings with a certificate chain and its key, both PEM files.
   * Throws `TLSConfigError`, naming the file that can't be read or isn't what it should be.
   */
  @rust.method
  static intermediate(certPath: string, keyPath: string): TlsSettings {
    const key = read('key', keyPath);
    const cert = read('cert', certPath);
    check('key', keyPath, { key });
    check('cert', certPath, { cert });
    try {
      createSecureContext({ cert, key });
    } catch (error) {
      const context = `the key ${keyPath} doesn't belong to the certificate ${certPath}`;
      throw PingoraError.because(TLS_CONF_ERR, context, error);
    }
    return new TlsSettings({ cert, key }, undefined);
  }

  /** As {@link TlsSettings.intermediate}, with the certificate chain and the key themselves, PEM. The port's own. */
  static fromPem(cert: string | Buffer, key: string | Buffer): TlsSettings {
    try {
      createSecureContext({ cert, key });
    } catch (error) {
      throw PingoraError.because(TLS_CONF_ERR, 'certificate and key are not a pair', error);
    }
    return new TlsSettings({ cert, key }, undefined);
  }

  /** Mozilla's intermediate settings; `callbacks` gives the certificate of each handshake. */
  @rust.method
  static withCallbacks(callbacks: TlsAccept): TlsSettings {
    return new TlsSettings({}, callbacks);
  }

  /** Prefer HTTP/2, allow HTTP/1.1. Without this only HTTP/1.1 is spoken. */
  @rust.method
  enableH2(): void {
    this.setAlpn(ALPN.H2H1);
  }

  /**
   * Which protocols to agree on. A client that offers protocols, none of which is among them, is refused
   * (RFC 7301 3.2); one that offers none speaks HTTP/1.1, unless HTTP/2 is the only one allowed.
   */
  @rust.method
  setAlpn(alpn: ALPN): void {
    this.alpn = alpn;
  }

  /** @internal What makes the handshakes, with the settings as they are now; later changes don't reach it. */
  @rust.method
  build(): Acceptor {
    const options = { ...this.options };
    // RFC 9113 9.2.1: there is no renegotiation beneath HTTP/2. OpenSSL 3 refuses it by default, Node has it allow it.
    options.secureOptions = (options.secureOptions ?? 0) | constants.SSL_OP_NO_RENEGOTIATION;
    if (ticketKeys !== undefined) options.ticketKeys ??= ticketKeys;
    const callbacks = this.callbacks;
    const alpn = this.alpn;
    if (alpn !== undefined) {
      const preferred = alpn.toWireProtocols();
      options.ALPNCallback = ({ protocols }) => preferred.find((protocol) => protocols.includes(protocol));
    }
    if (callbacks !== undefined) {
      options.SNICallback = (servername, done) => {
        certificate(callbacks, servername).then(
          (context) => done(null, context),
          (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
        );
      };
    }
    return new Acceptor(new SslAcceptor(options), callbacks !== undefined);
  }
}

async function certificate(callbacks: TlsAccept, servername: string): Promise<SecureContext | undefined> {
  return callHook('TlsAccept', 'certificate_callback', callbacks, callbacks.certificateCallback, false, servername);
}

function read(what: 'cert' | 'key', path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw PingoraError.because(TLS_CONF_ERR, `fail to read ${what} file ${path}: ${(error as Error).message}`, error);
  }
}

function check(what: 'cert' | 'key', path: string, part: { cert: Buffer } | { key: Buffer }): void {
  try {
    createSecureContext(part);
  } catch (error) {
    if (/ENCRYPTED/.test('key' in part ? part.key.toString('latin1') : '')) {
      const context = `the key file ${path} has a pass phrase; write the key without one, as openssl pkey does`;
      throw PingoraError.because(TLS_CONF_ERR, context, error);
    }
    throw PingoraError.because(TLS_CONF_ERR, `the ${what} file ${path} holds no PEM ${what}`, error);
  }
}

/** Makes the handshakes of an endpoint. */
@traced
export class Acceptor {
  private readonly sslAcceptor: SslAcceptor;
  private readonly callbacks: boolean;

  constructor(sslAcceptor: SslAcceptor, callbacks: boolean) {
    this.sslAcceptor = sslAcceptor;
    this.callbacks = callbacks;
  }

  /** Throws `TLSHandshakeFailure`; the connection is closed then. */
  @awaitable
  @rust.method
  *tlsHandshake(stream: Stream): Future<SslStream> {
    log.debug('new ssl session');
    return yield* this.callbacks
      ? handshakeWithCallback(this.sslAcceptor, stream)
      : handshake(this.sslAcceptor, stream);
  }
}

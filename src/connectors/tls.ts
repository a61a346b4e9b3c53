/**
 * Speaking TLS with a server.
 *
 * Port of `pingora-core/src/connectors/tls.rs`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import {
  type ConnectionOptions,
  checkServerIdentity,
  createSecureContext,
  type PeerCertificate,
  type SecureContext,
  type SecureContextOptions,
} from 'node:tls';
import { ErrorType, orErr, PingoraError } from '../error/lib.ts';
import { Log } from '../log.ts';
import type { Stream } from '../protocols/l4/stream.ts';
import type { ALPN } from '../protocols/mod.ts';
import { handshake } from '../protocols/tls/client.ts';
import type { SslStream } from '../protocols/tls/mod.ts';
import type { Future } from '../runtime/future.ts';
import { Elapsed, timeout } from '../timeout/lib.ts';
import { ported, traced } from '../tracing/span.ts';
import { duration, type Peer, verifyCert, verifyHostname } from '../upstreams/peer.ts';
import { fingerprintOf } from '../utils/mod.ts';
import type { ConnectorOptions } from './options.ts';

const rust = ported('pingora-core/src/connectors/tls.rs');
const log = new Log('pingora_core::connectors::tls');

// The original's list in OpenSSL's names, without 3DES (RFC 8429) and the suites of TLS 1.0 only.
const CIPHER_LIST = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES128-SHA',
  'ECDHE-RSA-AES256-SHA384',
  'AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-SHA',
  'AES256-SHA',
].join(':');

// The original's list without SHA-1 (RFC 9155).
const SIGALG_LIST = [
  'ecdsa_secp256r1_sha256',
  'rsa_pss_rsae_sha256',
  'rsa_pkcs1_sha256',
  'ecdsa_secp384r1_sha384',
  'rsa_pss_rsae_sha384',
  'rsa_pkcs1_sha384',
  'rsa_pss_rsae_sha512',
  'rsa_pkcs1_sha512',
  'ecdsa_secp521r1_sha512',
].join(':');

/** Where systems keep the certificates that they trust: the places where `openssl-probe` looks. */
const SYSTEM_CA_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
];

let systemCa: { pem: string | undefined } | undefined;

/** The certificates that the system trusts; undefined where it has none, and then Node's own list counts. */
function defaultCa(): string | undefined {
  if (systemCa === undefined) {
    const file = process.env.SSL_CERT_FILE ?? SYSTEM_CA_FILES.find((path) => existsSync(path));
    systemCa = { pem: file === undefined ? undefined : readFileSync(file, 'latin1') };
  }
  return systemCa.pem;
}

const TLS_CONF_ERR = ErrorType.new('TLSConfigError');

/** The certificates of the configuration's `ca_file`. Node takes a file that has none, and then trusts nobody. */
function readCa(path: string): string {
  let pem: string;
  try {
    pem = readFileSync(path, 'latin1');
  } catch (error) {
    throw PingoraError.because(TLS_CONF_ERR, `ca_file ${path}: can't be read: ${(error as Error).message}`, error);
  }
  const certificates = pem.match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END/g) ?? [];
  if (certificates.length > 0) return pem;
  throw PingoraError.explain(TLS_CONF_ERR, `ca_file ${path}: it holds no PEM certificate; write the path of one`);
}

/** So many contexts are kept for peers with certificates or curves of their own. */
const CONTEXT_LIMIT = 256;

/** What the TLS connections of one connector have in common. */
@traced
export class Connector {
  private readonly options: SecureContextOptions;
  private readonly usesDefaultCa: boolean;
  private default: SecureContext | undefined = undefined;
  private readonly contexts = new Map<string, SecureContext>();

  private constructor(options: SecureContextOptions) {
    this.options = options;
    this.usesDefaultCa = options.ca === undefined;
    // a CA or key of the configuration that can't be used has to show now; the system's list is long and waits
    if (!this.usesDefaultCa || options.cert !== undefined) this.default = createSecureContext(this.withCa());
  }

  /** Throws `TLSConfigError` for a CA file that can't be used, and what Node throws for certificates and keys. */
  @rust.method
  static new(options: ConnectorOptions | undefined): Connector {
    const context: SecureContextOptions = {
      ciphers: CIPHER_LIST,
      sigalgs: SIGALG_LIST,
      // RFC 8996: no TLS 1.0 and 1.1
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.3',
    };
    if (options?.caFile !== undefined) context.ca = readCa(options.caFile);
    if (options?.certKeyFile !== undefined) {
      const [cert, key] = options.certKeyFile;
      context.cert = readFileSync(cert);
      context.key = readFileSync(key);
    }
    return new Connector(context);
  }

  private withCa(): SecureContextOptions {
    if (!this.usesDefaultCa) return this.options;
    const ca = defaultCa();
    return ca === undefined ? this.options : { ...this.options, ca };
  }

  /** The context for a peer: the common one unless it has a CA, a certificate or curves of its own. */
  context(peer: Peer): SecureContext {
    const options = peer.getPeerOptions?.();
    const ca = options?.ca;
    const curves = options?.curves;
    const keyPair = peer.getClientCertKey?.();
    if (ca === undefined && curves === undefined && keyPair === undefined) {
      this.default ??= createSecureContext(this.withCa());
      return this.default;
    }
    const key = `${ca && fingerprintOf(ca)}|${keyPair?.fingerprint}|${curves}`;
    let context = this.contexts.get(key);
    if (context === undefined) {
      const own: SecureContextOptions = ca === undefined ? { ...this.withCa() } : { ...this.options };
      if (ca !== undefined) own.ca = ca.map((cert) => cert.toString());
      if (keyPair !== undefined) {
        log.debug('setting client cert and key');
        Object.assign(own, keyPair.toPem());
      }
      if (curves !== undefined) own.ecdhCurve = curves;
      context = orErr(ErrorType.InternalError, 'invalid client cert, CA or curves', () => createSecureContext(own));
      if (this.contexts.size >= CONTEXT_LIMIT) {
        for (const oldest of this.contexts.keys()) {
          this.contexts.delete(oldest);
          break;
        }
      }
      this.contexts.set(key, context);
    }
    return context;
  }
}

/**
 * A host name that differs from `sni` in that the underscores of its first label are hyphens; undefined if there are
 * none, or no label but the first can be a wildcard's.
 *
 * RFC 1034 3.5 has no underscores in host names and OpenSSL matches none against a wildcard, yet they are in use.
 */
export const replaceLeftmostUnderscore = rust.fn(
  'tls::replace_leftmost_underscore',
  (sni: string): string | undefined => {
    const dot = sni.indexOf('.');
    if (dot < 0) return undefined;
    const leftmost = sni.slice(0, dot);
    const rest = sni.slice(dot + 1);
    if (!rest.includes('.') || !leftmost.includes('_')) return undefined;
    return `${leftmost.replaceAll('_', '-')}.${rest}`;
  },
);

/** The names of which the certificate must have one. */
function acceptedNames(peer: Peer): string[] {
  const names: string[] = [];
  for (const name of [peer.sni(), peer.getPeerOptions?.()?.alternativeCn]) {
    if (name === undefined || name === '') continue;
    names.push(name);
    const replaced = replaceLeftmostUnderscore(name);
    if (replaced !== undefined) names.push(replaced);
  }
  return names;
}

function verifyNames(names: readonly string[], cert: PeerCertificate): Error | undefined {
  let first: Error | undefined;
  for (const name of names) {
    const error = checkServerIdentity(name, cert);
    if (error === undefined) return undefined;
    first ??= error;
  }
  return first;
}

const anyName = (): undefined => undefined;

/**
 * Make a TLS connection of `stream`, verified as `peer` asks for. `alpnOverride` goes before the peer's own.
 *
 * Throws `InvalidCert`, `TLSHandshakeFailure`, `ConnectTimedout` after the peer's connection timeout, and `InternalError`
 * for settings that can't be used. `stream` is closed then, and when this is dropped.
 */
export const connect = rust.fn(
  'tls::connect',
  function* (stream: Stream, peer: Peer, alpnOverride: ALPN | undefined, tlsCtx: Connector): Future<SslStream> {
    const sni = peer.sni();
    // without a name nothing is verified, as the original has it from nginx
    const verify = sni !== '' && verifyCert(peer);
    const names = verify && verifyHostname(peer) ? acceptedNames(peer) : undefined;
    const alpn = alpnOverride ?? peer.getPeerOptions?.()?.alpn;
    let config: ConnectionOptions;
    try {
      config = {
        secureContext: tlsCtx.context(peer),
        rejectUnauthorized: verify,
        checkServerIdentity: names === undefined ? anyName : (_host, cert) => verifyNames(names, cert),
      };
    } catch (error) {
      stream.destroy();
      throw error;
    }
    // RFC 6066 3: no IP addresses as server names
    if (sni !== '' && isIP(sni) === 0) config.servername = sni;
    if (alpn !== undefined) config.ALPNProtocols = alpn.toWireProtocols();
    const limit = peer.getPeerOptions?.()?.connectionTimeout;
    try {
      return yield* timeout(limit, handshake(config, sni, stream));
    } catch (error) {
      if (!(error instanceof Elapsed)) throw error;
      throw PingoraError.explain(
        ErrorType.ConnectTimedout,
        `connecting to server ${peer}, timeout ${duration(limit!)}`,
      );
    }
  },
);

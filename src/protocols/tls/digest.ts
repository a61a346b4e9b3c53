/**
 * What is known of a TLS connection.
 *
 * Port of `pingora-core/src/protocols/ssl/digest.rs`.
 */
import { createHash } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { ported } from '../../tracing/span.ts';
import { getOrganization, getSerial } from '../../utils/mod.ts';
import type { SslDigest } from '../digest.ts';

const rust = ported('pingora-core/src/protocols/ssl/digest.rs');

/** The cipher, the version and the peer's certificate. The handshake must be done and the connection open. */
export const sslDigestFromSsl = rust.fn('SslDigest::from_ssl', (ssl: TLSSocket): SslDigest => {
  const cert = ssl.getPeerX509Certificate();
  return {
    cipher: ssl.getCipher()?.name ?? '',
    version: ssl.getProtocol() ?? 'unknown',
    organization: cert && getOrganization(cert),
    serialNumber: cert && getSerial(cert),
    certDigest: cert === undefined ? Buffer.alloc(0) : createHash('sha256').update(cert.raw).digest(),
  };
});

/**
 * What can be said of a connection beside its bytes.
 *
 * Port of `pingora-core/src/protocols/digest.rs` and `protocols/ssl/digest.rs`.
 */

/** When a layer of a connection was established. */
export interface TimingDigest {
  /** Milliseconds since the epoch. */
  readonly establishedTs: number;
}

/** Of a TLS connection. */
export interface SslDigest {
  /** The cipher suite's name, as `TLS_AES_256_GCM_SHA384`. */
  readonly cipher: string;
  /** The protocol version, as `TLSv1.3`. */
  readonly version: string;
  /** The organization in the peer's certificate. */
  readonly organization: string | undefined;
  /** The serial number of the peer's certificate, in hexadecimal. */
  readonly serialNumber: string | undefined;
  /** SHA-256 of the peer's certificate; empty if it sent none. */
  readonly certDigest: Buffer;
}

/** Of a connection through a CONNECT proxy. */
export interface ProxyDigest {
  /** The proxy's answer to CONNECT. */
  readonly response: import('../http/lib.ts').ResponseHeader;
}

/** Everything known of a connection. */
export interface Digest {
  /** Undefined without TLS. */
  readonly sslDigest: SslDigest | undefined;
  /** One a layer, the lowest first. */
  readonly timingDigest: readonly (TimingDigest | undefined)[];
  /** Undefined unless a CONNECT proxy is on the way. */
  readonly proxyDigest: ProxyDigest | undefined;
}

/**
 * Port of `ALPN` in `pingora-core/src/protocols/ssl/mod.rs`, in a file of its own: the lowest streams know it, and the
 * streams of TLS are made from those.
 */

/** Which HTTP versions a TLS handshake offers or accepts. */
export class ALPN {
  /** As it is logged: HTTP/1 only, HTTP/2 only, either. */
  readonly name: 'H1' | 'H2' | 'H2H1';
  /** The protocol names, in order of preference. */
  readonly protocols: readonly string[];

  private constructor(name: 'H1' | 'H2' | 'H2H1', protocols: readonly string[]) {
    this.name = name;
    this.protocols = protocols;
  }

  /** HTTP/1.1 only. */
  static readonly H1 = new ALPN('H1', ['http/1.1']);
  /** HTTP/2 only. */
  static readonly H2 = new ALPN('H2', ['h2']);
  /** HTTP/2 before HTTP/1.1. */
  static readonly H2H1 = new ALPN('H2H1', ['h2', 'http/1.1']);

  /** The ALPN for the highest and lowest HTTP version allowed: `new(2, 2)` is HTTP/2 only. */
  static new(max: number, min: number): ALPN {
    if (max === 1) return ALPN.H1;
    return min === 2 ? ALPN.H2 : ALPN.H2H1;
  }

  /** The ALPN that a handshake selected; undefined for none and for a protocol that isn't HTTP. */
  static fromWireSelected(protocol: string | false | null | undefined): ALPN | undefined {
    if (protocol === 'h2') return ALPN.H2;
    return protocol === 'http/1.1' ? ALPN.H1 : undefined;
  }

  /** The protocol names, in order of preference. */
  toWireProtocols(): string[] {
    return [...this.protocols];
  }

  /** The highest HTTP version that it allows. */
  getMaxHttpVersion(): 1 | 2 {
    return this === ALPN.H1 ? 1 : 2;
  }

  /** The lowest HTTP version that it allows. */
  getMinHttpVersion(): 1 | 2 {
    return this === ALPN.H2 ? 2 : 1;
  }

  /** {@link ALPN.name}. */
  toString(): string {
    return this.name;
  }
}

/**
 * How connections to servers are made.
 *
 * Port of `ConnectorOptions` in `pingora-core/src/connectors/mod.rs`.
 */
import { ErrorType, PingoraError } from '../error/lib.ts';
import { SocketAddr } from '../protocols/l4/socket.ts';
import { ported, traced } from '../tracing/span.ts';

const rust = ported('pingora-core/src/connectors/mod.rs');

/** What a server's configuration says about connecting. */
export interface ConnectorConf {
  /** A PEM file of the CAs to trust. Default: those that the system trusts. */
  readonly caFile?: string | undefined;
  /** How many idle connections are kept. */
  readonly upstreamKeepalivePoolSize: number;
  /** Local addresses to connect to IPv4 origins from, chosen at random. Empty: the system chooses. */
  readonly clientBindToIpv4: readonly string[];
  /** Local addresses to connect to IPv6 origins from, chosen at random. Empty: the system chooses. */
  readonly clientBindToIpv6: readonly string[];
}

/** The settings of a {@link TransportConnector}. */
@traced
export class ConnectorOptions {
  /** A PEM file of the CAs to trust. Default: those that the system trusts. */
  caFile: string | undefined = undefined;
  /** PEM files of the certificate to show to servers that ask for one, and of its key. A peer may bring its own. */
  certKeyFile: readonly [cert: string, key: string] | undefined = undefined;
  /** How many idle connections to keep. */
  keepalivePoolSize: number;
  /** The local IPv4 addresses to connect from, chosen at random. Default: the system chooses. */
  bindToV4: SocketAddr[] = [];
  /** The local IPv6 addresses to connect from, chosen at random. Default: the system chooses. */
  bindToV6: SocketAddr[] = [];

  private constructor(keepalivePoolSize: number) {
    this.keepalivePoolSize = keepalivePoolSize;
  }

  /** The settings that a server's configuration asks for. Throws `BindError` for an address that isn't one. */
  @rust.method
  static fromServerConf(conf: ConnectorConf): ConnectorOptions {
    const options = new ConnectorOptions(conf.upstreamKeepalivePoolSize);
    options.caFile = conf.caFile;
    options.bindToV4 = conf.clientBindToIpv4.map(sourceAddress);
    options.bindToV6 = conf.clientBindToIpv6.map(sourceAddress);
    return options;
  }

  /** Options with room for so many connections between two uses; all else as by default. */
  @rust.method
  static new(keepalivePoolSize: number): ConnectorOptions {
    return new ConnectorOptions(keepalivePoolSize);
  }
}

/** Port 0: the system chooses one. */
function sourceAddress(ip: string): SocketAddr {
  const address = SocketAddr.inet(ip, 0);
  if (address === undefined) throw PingoraError.explain(ErrorType.BindError, `invalid address to bind to: ${ip}`);
  return address;
}

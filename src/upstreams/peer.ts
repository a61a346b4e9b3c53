/**
 * Where to connect to, and how.
 *
 * Port of `pingora-core/src/upstreams/peer.rs`.
 */
import type { X509Certificate } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { ErrorType, orErr, PingoraError } from '../error/lib.ts';
import type { TcpKeepalive } from '../protocols/l4/ext.ts';
import { SocketAddr } from '../protocols/l4/socket.ts';
import type { Stream } from '../protocols/l4/stream.ts';
import { ALPN, type Tracer } from '../protocols/mod.ts';
import { ported, traced } from '../tracing/span.ts';
import { type CertKey, fingerprintOf, getOrganizationUnit } from '../utils/mod.ts';

export type { TcpKeepalive } from '../protocols/l4/ext.ts';
export { ALPN, type Tracer };

const rust = ported('pingora-core/src/upstreams/peer.rs');

/**
 * What the connectors have to know of a server.
 *
 * In the original most of these are methods with a default that looks into {@link PeerOptions}; here they are read
 * from `getPeerOptions()` by the functions of the same names beside this interface.
 */
export interface Peer {
  /** The address to connect to. */
  address(): SocketAddr;
  /** Whether to speak TLS. */
  tls(): boolean;
  /** The server's name, for TLS; empty for none, and then the certificate isn't verified either. */
  sni(): string;
  /** Peers with the same hash may use each other's connections. */
  reuseHash(): string | number;
  /** The proxy on the way to the server. */
  getProxy?(): Proxy | undefined;
  /** The preferences for connecting; without any no certificate is verified. */
  getPeerOptions?(): PeerOptions | undefined;
  /** The certificate to show to the server, and its key. */
  getClientCertKey?(): CertKey | undefined;
  /** Whether a connection leads to this peer. */
  matchesStream?(stream: Stream): boolean;
  /** Told of each connection to the peer. */
  getTracer?(): Tracer | undefined;
  /** For logs and errors. */
  toString(): string;
}

/** Whether the server's certificate is to be verified. */
export function verifyCert(peer: Peer): boolean {
  return peer.getPeerOptions?.()?.verifyCert ?? false;
}

/** Whether the name in the server's certificate is to be verified. */
export function verifyHostname(peer: Peer): boolean {
  return peer.getPeerOptions?.()?.verifyHostname ?? false;
}

/**
 * Whether a connection leads where the peer is. The original asks so because its hashes may collide; the port's keys
 * can't, and this is a second look. Node doesn't tell where a Unix socket leads.
 */
export function matchesStream(peer: Peer, stream: Stream): boolean {
  if (peer.matchesStream !== undefined) return peer.matchesStream(stream);
  return addressMatches(peer.address(), stream);
}

function addressMatches(address: SocketAddr, stream: Stream): boolean {
  if (address.kind === 'unix') return true;
  const peer = stream.peerAddress;
  if (peer === undefined || peer.port !== address.port) return false;
  return peer.ip === address.ip || (SocketAddr.inet(peer.ip, peer.port)?.equals(address) ?? false);
}

/** HTTP, or HTTP over TLS. */
export type Scheme = 'HTTP' | 'HTTPS';

/** The preferences for connecting to a server. All durations are milliseconds; undefined means no limit. */
@traced
export class PeerOptions {
  /** The local address to connect from. Port 0 lets the system choose one. Default: the system chooses. */
  bindTo: SocketAddr | undefined = undefined;
  /** For connecting and, again, for the TLS handshake; `ConnectTimedout` after it. */
  connectionTimeout: number | undefined = undefined;
  /** For connecting and the TLS handshake together; `ConnectTimedout` after it. */
  totalConnectionTimeout: number | undefined = undefined;
  /** For each read from the connection, not for a whole response; `ReadTimedout` after it. */
  readTimeout: number | undefined = undefined;
  /** How long a connection that isn't used is kept for the next request. */
  idleTimeout: number | undefined = undefined;
  /** For each write to the connection, not for a whole request; `WriteTimedout` after it. */
  writeTimeout: number | undefined = undefined;
  /** Whether the server's certificate must lead to a trusted CA. Has no effect without a server name. */
  verifyCert = true;
  /** Whether the server's certificate must have its name. Has no effect without `verifyCert`. */
  verifyHostname = true;
  /** Another name that the server's certificate may have instead. */
  alternativeCn: string | undefined = undefined;
  /** The HTTP versions to offer in the TLS handshake; see {@link PeerOptions.setHttpVersion}. Default: HTTP/1.1. */
  alpn: ALPN = ALPN.H1;
  /** The CAs to trust instead of the default ones. Don't change the list once it is in use: make another one. */
  ca: readonly X509Certificate[] | undefined = undefined;
  /** Default: off. */
  tcpKeepalive: TcpKeepalive | undefined = undefined;
  /** Over HTTP/2, don't end the stream with the head of a request without a body, but with an empty frame after it. */
  noHeaderEos = false;
  /** How often to send HTTP/2 pings on a connection. Default: never. */
  h2PingInterval: number | undefined = undefined;
  /** How many HTTP/2 streams to open at a time on one connection. */
  maxH2Streams = 1;
  /** Fields to add to the request to a proxy (`CONNECT`), by name. */
  extraProxyHeaders: Record<string, string> = {};
  /** The curves for the TLS handshake in OpenSSL's notation, as `X25519:P-256`. Default: OpenSSL's. */
  curves: string | undefined = undefined;
  /** A second key share for post-quantum curves. Node has no such setting: without effect. */
  secondKeyshare = true;
  /** Told of the connections made with these options. */
  tracer: Tracer | undefined = undefined;

  /** The defaults. */
  @rust.method
  static new(): PeerOptions {
    return new PeerOptions();
  }

  /** Allow the HTTP versions from `min` to `max`: 1 or 2. */
  setHttpVersion(max: 1 | 2, min: 1 | 2): void {
    this.alpn = ALPN.new(max, min);
  }

  /** A copy that can be changed by itself. The list of CAs is shared. */
  clone(): PeerOptions {
    const copy = Object.assign(new PeerOptions(), this);
    copy.extraProxyHeaders = { ...this.extraProxyHeaders };
    return copy;
  }

  /** What isn't at its default, in the original's notation, for logs. */
  toString(): string {
    let out = '';
    if (this.bindTo !== undefined) out += `bind_to: ${this.bindTo},`;
    if (this.connectionTimeout !== undefined) out += `conn_timeout: ${duration(this.connectionTimeout)},`;
    if (this.totalConnectionTimeout !== undefined) {
      out += `total_conn_timeout: ${duration(this.totalConnectionTimeout)},`;
    }
    if (this.verifyCert) out += 'verify_cert: true,';
    if (this.verifyHostname) out += 'verify_hostname: true,';
    if (this.alternativeCn !== undefined) out += `alt_cn: ${this.alternativeCn},`;
    out += `alpn: ${this.alpn},`;
    for (const ca of this.ca ?? []) out += `CA: ${getOrganizationUnit(ca) ?? ''}, expire: ${ca.validTo},`;
    if (this.tcpKeepalive !== undefined) {
      const { idle, interval, count } = this.tcpKeepalive;
      out += `tcp_keepalive: ${duration(idle)}/${duration(interval)}/${count},`;
    }
    if (this.noHeaderEos) out += 'no_header_eos: true,';
    if (this.h2PingInterval !== undefined) out += `h2_ping_interval: ${duration(this.h2PingInterval)},`;
    return out;
  }
}

/** Milliseconds as the original writes durations: `250ms`, `10s`, `1.5s`. */
export function duration(ms: number): string {
  return ms >= 1000 ? `${ms / 1000}s` : `${ms}ms`;
}

/** A TCP peer, or with a server name a TLS one, without many settings. */
@traced
export class BasicPeer implements Peer {
  /** Where to connect to. The underscore is the original's; {@link BasicPeer.address} reads it. */
  _address: SocketAddr;
  /** Set it to speak TLS. */
  serverName = '';
  /** How to connect. Default: those of {@link PeerOptions.new}. */
  options = new PeerOptions();

  private constructor(address: SocketAddr) {
    this._address = address;
  }

  /** `address` is an IP address and a port. Throws `BindError` for anything else. */
  @rust.method
  static new(address: string | SocketAddr): BasicPeer {
    return new BasicPeer(toInet(address));
  }

  /** Where to connect to. */
  address(): SocketAddr {
    return this._address;
  }

  /** Whether to speak TLS: whether there is a server name. */
  tls(): boolean {
    return this.serverName !== '';
  }

  /** The server's name, for TLS. Empty: none is sent. */
  sni(): string {
    return this.serverName;
  }

  /** Peers with the same one may use each other's connections. */
  reuseHash(): string {
    return reuseKey(this._address, this.tls(), this.serverName, undefined, undefined, this.options);
  }

  /** How to connect. */
  getPeerOptions(): PeerOptions {
    return this.options;
  }

  /** A copy that can be changed by itself, its options too. */
  clone(): BasicPeer {
    const copy = new BasicPeer(this._address);
    copy.serverName = this.serverName;
    copy.options = this.options.clone();
    return copy;
  }

  /** As it is logged. */
  toString(): string {
    return `BasicPeer { _address: ${this._address}, sni: "${this.serverName}", options: ${this.options} }`;
  }
}

const resolved = new Map<string, SocketAddr>();
/** So many texts are remembered: an application names few addresses, and names them for every request. */
const RESOLVED_LIMIT = 1024;

function toInet(address: string | { readonly addr: SocketAddr } | SocketAddr): SocketAddr {
  if (typeof address !== 'string') return 'addr' in address ? address.addr : address;
  let known = resolved.get(address);
  if (known === undefined) {
    // the one name that has its meaning without DNS: RFC 6761 6.3
    known = SocketAddr.parseInet(address.replace(/^localhost:/i, '127.0.0.1:'));
    if (known === undefined) {
      throw PingoraError.explain(
        ErrorType.BindError,
        `${address} is not an IP address and a port; HttpPeer.resolve looks names up`,
      );
    }
    if (resolved.size < RESOLVED_LIMIT) resolved.set(address, known);
  }
  return known;
}

/**
 * What two peers must have in common to share connections, as one string.
 *
 * It is made of parts that can't run into each other (each has its length before it), so it is never the same by
 * chance. A plain peer's is its address, which is a string already: this is asked two times a request.
 */
function reuseKey(
  address: SocketAddr,
  tls: boolean,
  sni: string,
  proxy: Proxy | undefined,
  clientCertKey: CertKey | undefined,
  options: PeerOptions,
): string {
  const { verifyCert, verifyHostname, alternativeCn, ca, bindTo, curves, extraProxyHeaders } = options;
  let key = address.kind === 'unix' ? `unix:${address.path.length}:${address.path}` : address.toString();
  if (tls) key += '|s';
  if (!verifyCert) key += '|c';
  if (!verifyHostname) key += '|h';
  if (sni !== '') key += part('n', sni);
  if (alternativeCn !== undefined) key += part('a', alternativeCn);
  if (bindTo !== undefined) key += part('b', bindTo.toString());
  if (clientCertKey !== undefined) key += part('k', clientCertKey.fingerprint);
  if (ca !== undefined) key += part('r', fingerprintOf(ca));
  if (curves !== undefined) key += part('e', curves);
  if (proxy !== undefined) {
    key += part('p', JSON.stringify([proxy.nextHop, proxy.host, proxy.port, proxy.headers, extraProxyHeaders]));
  }
  return key;
}

function part(name: string, value: string): string {
  return `|${name}${value.length}:${value}`;
}

/** A proxy on the way to a server; `CONNECT` over a Unix socket. */
// biome-ignore lint/suspicious/noShadowRestrictedNames: Pingora's name; JavaScript's Proxy has no place in this module
export class Proxy {
  /** The path of the proxy's Unix socket. */
  readonly nextHop: string;
  /** Where the proxy shall connect to: a host name or an IP address. */
  readonly host: string;
  /** The port of the server behind the proxy. */
  readonly port: number;
  /** Fields to add to the `CONNECT` request, by name. */
  readonly headers: Readonly<Record<string, string>>;

  /** The proxy at the Unix socket `nextHop`, for the server at `host` and `port`. */
  constructor(nextHop: string, host: string, port: number, headers: Readonly<Record<string, string>> = {}) {
    this.nextHop = nextHop;
    this.host = host;
    this.port = port;
    this.headers = headers;
  }

  /** As it is logged. */
  toString(): string {
    return `next_hop: ${this.nextHop}, host: ${this.host}, port: ${this.port}`;
  }
}

/** An HTTP server to connect to. */
@traced
export class HttpPeer implements Peer {
  /** Where to connect to. The underscore is the original's; {@link HttpPeer.address} reads it. */
  _address: SocketAddr;
  /** Whether to speak TLS; `HTTPS` does. */
  scheme: Scheme;
  /** The server's name, for TLS. Empty: none is sent, and the certificate isn't verified. */
  serverName: string;
  /** The proxy on the way; undefined: none. {@link HttpPeer.newProxy} sets it. */
  proxy: Proxy | undefined = undefined;
  /** The certificate to show to a server that asks for one, and its key. */
  clientCertKey: CertKey | undefined = undefined;
  /** How to connect. Default: those of {@link PeerOptions.new}. */
  options = new PeerOptions();

  private constructor(address: SocketAddr, tls: boolean, sni: string) {
    this._address = address;
    this.scheme = tls ? 'HTTPS' : 'HTTP';
    this.serverName = sni;
  }

  /**
   * A server at an IP address and a port (`127.0.0.1:80`, `[::1]:80`, `localhost:80`), an address or a backend.
   * Throws `BindError` for a name: {@link HttpPeer.resolve} looks names up.
   */
  @rust.method
  static new(address: string | SocketAddr | { readonly addr: SocketAddr }, tls: boolean, sni: string): HttpPeer {
    return new HttpPeer(toInet(address), tls, sni);
  }

  /**
   * A server at a name and a port (`example.com:443`): the first address that the system's resolver gives. Throws
   * `ConnectError` if it gives none.
   */
  static async resolve(address: string, tls: boolean, sni: string): Promise<HttpPeer> {
    const at = address.lastIndexOf(':');
    const port = Number(address.slice(at + 1));
    if (SocketAddr.parseInet(address) !== undefined || at <= 0) return HttpPeer.new(address, tls, sni);
    const found = await orErr(ErrorType.ConnectError, `failed to resolve ${address}`, () =>
      lookup(address.slice(0, at), { verbatim: true }),
    );
    const resolvedAddress = SocketAddr.inet(found.address, port);
    if (resolvedAddress === undefined) throw PingoraError.explain(ErrorType.ConnectError, `invalid port in ${address}`);
    return HttpPeer.new(resolvedAddress, tls, sni);
  }

  /** A server at a Unix socket. Throws `BindError` for a path that can't be one. */
  @rust.method
  static newUds(path: string, tls: boolean, sni: string): HttpPeer {
    return new HttpPeer(SocketAddr.unix(path), tls, sni);
  }

  /** A server behind a proxy that listens on the Unix socket `nextHop`. Throws `BindError` for an invalid address. */
  @rust.method
  static newProxy(
    nextHop: string,
    ip: string,
    port: number,
    tls: boolean,
    sni: string,
    headers: Readonly<Record<string, string>> = {},
  ): HttpPeer {
    const address = SocketAddr.inet(ip, port);
    if (address === undefined) throw PingoraError.explain(ErrorType.BindError, `invalid address ${ip} port ${port}`);
    const peer = new HttpPeer(address, tls, sni);
    peer.proxy = new Proxy(nextHop, address.ip, port, headers);
    return peer;
  }

  /** Whether {@link HttpPeer.scheme} is `HTTPS`. */
  isTls(): boolean {
    return this.scheme === 'HTTPS';
  }

  /** Where to connect to. */
  address(): SocketAddr {
    return this._address;
  }

  /** Whether to speak TLS. */
  tls(): boolean {
    return this.scheme === 'HTTPS';
  }

  /** The server's name, for TLS. Empty: none is sent. */
  sni(): string {
    return this.serverName;
  }

  /**
   * The address, the scheme, the proxy, the names, the certificates and how they are verified.
   *
   * The original leaves out the CAs, the address to bind to, the curves and the proxy's extra fields, and tells client
   * certificates apart by their serial numbers only: a connection that one peer trusted would be used for another
   * peer that wouldn't trust it.
   */
  reuseHash(): string {
    return reuseKey(this._address, this.tls(), this.serverName, this.proxy, this.clientCertKey, this.options);
  }

  /** How to connect. */
  getPeerOptions(): PeerOptions {
    return this.options;
  }

  /** The CONNECT proxy on the way, if there is one. */
  getProxy(): Proxy | undefined {
    return this.proxy;
  }

  /** The certificate to show to a server that asks for one. */
  getClientCertKey(): CertKey | undefined {
    return this.clientCertKey;
  }

  /** Who is told of connections. */
  getTracer(): Tracer | undefined {
    return this.options.tracer;
  }

  /** Whether a connection leads to this peer, or to the proxy on the way to it. */
  matchesStream(stream: Stream): boolean {
    return this.proxy !== undefined || addressMatches(this._address, stream);
  }

  /** A copy that can be changed by itself, its options too. */
  clone(): HttpPeer {
    const copy = new HttpPeer(this._address, this.isTls(), this.serverName);
    copy.proxy = this.proxy;
    copy.clientCertKey = this.clientCertKey;
    copy.options = this.options.clone();
    return copy;
  }

  /** As it is logged. */
  toString(): string {
    let out = `addr: ${this._address}, scheme: ${this.scheme},`;
    if (this.serverName !== '') out += `sni: ${this.serverName},`;
    if (this.proxy !== undefined) out += `proxy: ${this.proxy},`;
    if (this.clientCertKey !== undefined) out += `client cert: ${this.clientCertKey},`;
    return out;
  }
}

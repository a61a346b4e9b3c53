/**
 * What a service listens on: addresses, and what is built on each of them (TCP or Unix socket, TLS or not).
 *
 * Port of `pingora-core/src/listeners/mod.rs`.
 */
import type { Socket } from 'node:net';
import type { Stream } from '../protocols/l4/stream.ts';
import { PENDING, type Poll } from '../runtime/poll.ts';
import type { AwaitableFuture } from '../runtime/task.ts';
import type { ListenFds } from '../server/transfer-fd/mod.ts';
import { ported, traced } from '../tracing/span.ts';
import { ListenerEndpoint, type ServerAddress, type Sharing, type TcpSocketOptions } from './l4.ts';
import { type Acceptor, TlsSettings } from './tls.ts';

const rust = ported('pingora-core/src/listeners/mod.rs');

export type { ServerAddress, TcpSocketOptions } from './l4.ts';
export { ALPN, type TlsAccept, TlsSettings } from './tls.ts';

@traced
class TransportStackBuilder {
  private readonly l4: ServerAddress;
  private readonly tls: TlsSettings | undefined;

  constructor(l4: ServerAddress, tls: TlsSettings | undefined) {
    this.l4 = l4;
    this.tls = tls;
  }

  @rust.method
  build(upgradeListeners: ListenFds | undefined): TransportStack {
    return new TransportStack(ListenerEndpoint.new(this.l4), this.tls?.build(), upgradeListeners);
  }
}

/** One endpoint: a listening socket and what turns its connections into streams. */
@traced
export class TransportStack {
  private readonly l4: ListenerEndpoint;
  private readonly tls: Acceptor | undefined;
  private upgradeListeners: ListenFds | undefined;

  constructor(l4: ListenerEndpoint, tls: Acceptor | undefined, upgradeListeners: ListenFds | undefined) {
    this.l4 = l4;
    this.tls = tls;
    this.upgradeListeners = upgradeListeners;
  }

  asStr(): string {
    return this.l4.asStr();
  }

  /** Where it listens, with the port that the system gave. */
  localAddress(): string {
    return this.l4.localAddress();
  }

  /** Whether connections are over TLS. */
  get isTls(): boolean {
    return this.tls !== undefined;
  }

  /** Throws `BindError`. */
  @rust.method
  listen(sharing?: Sharing): Promise<void> {
    const fds = this.upgradeListeners;
    this.upgradeListeners = undefined;
    return this.l4.listen(fds, sharing);
  }

  /** What threads need in order to accept. */
  handle(): object {
    return this.l4.handle();
  }

  /** Let nobody new in, for threads to take what waits. True: another server has the socket too, and takes that. */
  async holdOff(): Promise<boolean> {
    await this.l4.holdOff();
    return this.l4.handedOver;
  }

  /** A connection that was accepted elsewhere. */
  adopt(stream: Stream): UninitializedStream {
    return new UninitializedStream(stream, this.tls);
  }

  /** The next connection, as it came. Throws `AcceptError`. */
  @rust.method
  accept(): Poll<UninitializedStream> {
    const stream = this.l4.accept();
    return stream === PENDING ? PENDING : new UninitializedStream(stream, this.tls);
  }

  /** Try no more to bind an address that is in use. */
  cancelListen(): void {
    this.l4.cancelListen();
  }

  /** The connections that wait to be accepted when it is time to stop. The original resets them. */
  async drain(shared?: boolean): Promise<UninitializedStream[]> {
    return (await this.l4.drain(shared)).map((stream) => new UninitializedStream(stream, this.tls));
  }

  /** Stop listening. The original leaves that to the scope's end. */
  @rust.method
  cleanup(): void {
    this.l4.close();
  }
}

/** A connection that was accepted and not yet looked at. */
@traced
export class UninitializedStream {
  private readonly l4: Stream;
  private readonly tls: Acceptor | undefined;

  constructor(l4: Stream, tls: Acceptor | undefined) {
    this.l4 = l4;
    this.tls = tls;
  }

  /** Give it up, unread, for a thread to look at. */
  intoSocket(): Socket {
    return this.l4.intoSocket();
  }

  /** The peer's IP address; `unix` over a Unix socket. */
  get address(): string {
    return this.l4.peerAddress?.ip ?? 'unix';
  }

  /**
   * It is one too many. The connection, to say so on it; undefined, and the connection is closed, where that would take
   * a TLS handshake: it costs more than what is refused.
   */
  intoRefused(): Stream | undefined {
    if (this.tls === undefined) return this.l4.readDirectly();
    this.l4.destroy();
    return undefined;
  }

  /** Make the TLS handshake, if there is one to make. Throws `TLSHandshakeFailure`; the connection is closed then. */
  @rust.method
  handshake(): Stream | AwaitableFuture<Stream> {
    const { l4, tls } = this;
    return tls === undefined ? l4.readDirectly() : (tls.tlsHandshake(l4) as AwaitableFuture<Stream>);
  }
}

/** The endpoints of a service. Nothing is bound before the service starts. */
@traced
export class Listeners {
  private readonly stacks: TransportStackBuilder[] = [];

  private constructor() {}

  /** No endpoints. */
  @rust.method
  static new(): Listeners {
    return new Listeners();
  }

  /** With one TCP endpoint: `127.0.0.1:6188`. */
  @rust.method
  static tcp(address: string): Listeners {
    const listeners = Listeners.new();
    listeners.addTcp(address);
    return listeners;
  }

  /** With one Unix socket. `permissions` of its file; default 0o666. */
  @rust.method
  static uds(path: string, permissions?: number): Listeners {
    const listeners = Listeners.new();
    listeners.addUds(path, permissions);
    return listeners;
  }

  /** With one TLS endpoint, intermediate settings. Throws `TLSConfigError`. */
  @rust.method
  static tls(address: string, certPath: string, keyPath: string): Listeners {
    const listeners = Listeners.new();
    listeners.addTls(address, certPath, keyPath);
    return listeners;
  }

  /** Add a TCP endpoint: `127.0.0.1:6188`. */
  @rust.method
  addTcp(address: string): void {
    this.addAddress({ type: 'tcp', address });
  }

  /** Add a TCP endpoint with socket options. */
  @rust.method
  addTcpWithSettings(address: string, options: TcpSocketOptions): void {
    this.addAddress({ type: 'tcp', address, options });
  }

  /** Add a Unix socket. `permissions` of its file; default 0o666. */
  @rust.method
  addUds(path: string, permissions?: number): void {
    this.addAddress({ type: 'uds', address: path, permissions });
  }

  /** Add a TLS endpoint, intermediate settings. Throws `TLSConfigError`. */
  @rust.method
  addTls(address: string, certPath: string, keyPath: string): void {
    this.addTlsWithSettings(address, undefined, TlsSettings.intermediate(certPath, keyPath));
  }

  /** Add a TLS endpoint. */
  @rust.method
  addTlsWithSettings(address: string, options: TcpSocketOptions | undefined, settings: TlsSettings): void {
    this.addEndpoint({ type: 'tcp', address, options }, settings);
  }

  /** Add an endpoint without TLS. */
  @rust.method
  addAddress(address: ServerAddress): void {
    this.addEndpoint(address, undefined);
  }

  /** Add an endpoint, with TLS if there are settings for it. */
  @rust.method
  addEndpoint(l4: ServerAddress, tls: TlsSettings | undefined): void {
    this.stacks.push(new TransportStackBuilder(l4, tls));
  }

  /** @internal A stack for each address, bound by nobody yet. `upgradeListeners`: sockets of the process that is replaced. */
  @rust.method
  build(upgradeListeners: ListenFds | undefined): TransportStack[] {
    return this.stacks.map((builder) => builder.build(upgradeListeners));
  }

  /** Does nothing: each stack that was built closes its own socket. */
  @rust.method
  cleanup(): void {
    // as in the original, nothing: each stack has stopped listening
  }
}

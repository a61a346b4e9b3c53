/**
 * Connecting to a peer, below TLS.
 *
 * Port of `pingora-core/src/connectors/l4.rs`.
 */
import type { Socket } from 'node:net';
import { ErrorType, PingoraError } from '../error/lib.ts';
import { Log } from '../log.ts';
import { connectUds, setTcpKeepalive, connect as tcpConnect } from '../protocols/l4/ext.ts';
import type { SocketAddr } from '../protocols/l4/socket.ts';
import { Stream } from '../protocols/l4/stream.ts';
import { generateConnectHeader, connect as rawConnect } from '../protocols/raw-connect.ts';
import { Cancelled } from '../runtime/cancelled.ts';
import { type Cancellation, withDeadline } from '../timeout/cancel.ts';
import { Elapsed } from '../timeout/lib.ts';
import { note, ported } from '../tracing/span.ts';
import { duration, type Peer } from '../upstreams/peer.ts';

const rust = ported('pingora-core/src/connectors/l4.rs');
const log = new Log('pingora_core::connectors::l4');

function open(peer: Peer, bindTo: SocketAddr | undefined, within: Cancellation | undefined): Promise<Socket> {
  const address = peer.address();
  return address.kind === 'unix' ? connectUds(address.path, within) : tcpConnect(address, bindTo, within);
}

/**
 * Connect to `peer`, or through its proxy, from `bindTo` if given.
 *
 * Throws `ConnectTimedout` after the peer's connection timeout, `InternalError` where the port's own side is at fault
 * (an address that can't be bound to), what `ext::connect` throws, and `Cancelled` when it is taken back.
 */
export const connect = rust.fn(
  'l4::connect',
  async (peer: Peer, bindTo: SocketAddr | undefined, cancellation?: Cancellation): Promise<Stream> => {
    note({ peer: peer.address().toString() });
    if (peer.getProxy?.() !== undefined) {
      try {
        return await proxyConnect(peer, cancellation);
      } catch (error) {
        if (!(error instanceof PingoraError)) throw error;
        throw error.moreContext(`Fail to establish CONNECT proxy: ${peer}`);
      }
    }
    const timeout = peer.getPeerOptions?.()?.connectionTimeout;
    let socket: Socket;
    try {
      socket = await (timeout === undefined
        ? open(peer, bindTo, cancellation)
        : withDeadline(timeout, cancellation, (within) => open(peer, bindTo, within)));
    } catch (error) {
      throw connectError(peer, timeout, error);
    }
    log.debug(() => `connected to new server: ${peer.address()}`);
    const stream = new Stream(socket);
    stream.side = 'upstream';
    try {
      const keepalive = peer.getPeerOptions?.()?.tcpKeepalive;
      if (keepalive !== undefined && peer.address().kind === 'inet') {
        log.debug('Setting tcp keepalive');
        setTcpKeepalive(socket, keepalive);
      }
      const tracer = peer.getTracer?.();
      if (tracer !== undefined) {
        tracer.onConnected();
        stream.tracer = tracer;
      }
      stream.setNodelay();
    } catch (error) {
      stream.destroy();
      throw error;
    }
    return stream;
  },
);

function connectError(peer: Peer, timeout: number | undefined, error: unknown): unknown {
  if (error instanceof Cancelled) return error;
  if (error instanceof Elapsed) {
    return PingoraError.because(
      ErrorType.ConnectTimedout,
      `timeout ${duration(timeout!)} connecting to server ${peer}`,
      error,
    );
  }
  const context = `Fail to connect to ${peer}`;
  if (!(error instanceof PingoraError)) return PingoraError.because(ErrorType.InternalError, context, error);
  const etype = error.etype();
  return etype.is(ErrorType.SocketError) || etype.is(ErrorType.BindError)
    ? PingoraError.because(ErrorType.InternalError, context, error)
    : error.moreContext(context);
}

function any(addresses: readonly SocketAddr[]): SocketAddr | undefined {
  return addresses.length < 2 ? addresses[0] : addresses[Math.floor(Math.random() * addresses.length)];
}

/** The local address to connect from: the peer's own choice, else any of the list of its family. */
export const bindToRandom = rust.fn(
  'l4::bind_to_random',
  (peer: Peer, v4: readonly SocketAddr[], v6: readonly SocketAddr[]): SocketAddr | undefined => {
    const selected = peer.getPeerOptions?.()?.bindTo;
    if (selected !== undefined) return selected;
    const { family } = peer.address();
    return family === undefined ? undefined : any(family === 4 ? v4 : v6);
  },
);

const proxyConnect = rust.fn(
  'l4::proxy_connect',
  async (peer: Peer, cancellation: Cancellation | undefined): Promise<Stream> => {
    const proxy = peer.getProxy!()!;
    const options = peer.getPeerOptions?.();
    const headers = { ...proxy.headers, ...options?.extraProxyHeaders };
    let socket: Socket;
    try {
      socket = await connectUds(proxy.nextHop, cancellation);
    } catch (error) {
      if (error instanceof Cancelled) throw error;
      throw PingoraError.because(ErrorType.ConnectError, `CONNECT proxy connect() error to "${proxy.nextHop}"`, error);
    }
    const stream = new Stream(socket);
    stream.side = 'upstream';
    try {
      const request = generateConnectHeader(proxy.host, proxy.port, headers);
      const digest = await withDeadline(options?.connectionTimeout, cancellation, (within) =>
        rawConnect(stream, request, within),
      );
      log.debug(() => `CONNECT proxy established: ${proxy}`);
      stream.setProxyDigest(digest);
      return stream;
    } catch (error) {
      stream.destroy();
      if (error instanceof Elapsed) {
        throw PingoraError.because(ErrorType.ConnectTimedout, 'establishing CONNECT proxy', error);
      }
      // the session leaves it open whether to try again, for a connection that was reused: this one is new
      if (error instanceof PingoraError) error.decideReuse(false);
      throw error;
    }
  },
);

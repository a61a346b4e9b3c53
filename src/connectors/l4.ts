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
import type { Future } from '../runtime/future.ts';
import { Elapsed, timeout } from '../timeout/lib.ts';
import { note, ported } from '../tracing/span.ts';
import { duration, type Peer } from '../upstreams/peer.ts';

const rust = ported('pingora-core/src/connectors/l4.rs');
const log = new Log('pingora_core::connectors::l4');

/**
 * Connect to `peer`, or through its proxy, from `bindTo` if given.
 *
 * Throws `ConnectTimedout` after the peer's connection timeout, `InternalError` where the port's own side is at fault
 * (an address that can't be bound to), and what `ext::connect` throws.
 */
export const connect = rust.fn('l4::connect', function* (peer: Peer, bindTo: SocketAddr | undefined): Future<Stream> {
  const address = peer.address();
  note({ peer: address.toString() });
  if (peer.getProxy?.() !== undefined) {
    try {
      return yield* proxyConnect(peer);
    } catch (error) {
      if (!(error instanceof PingoraError)) throw error;
      throw error.moreContext(`Fail to establish CONNECT proxy: ${peer}`);
    }
  }
  const connecting = address.kind === 'unix' ? connectUds(address.path) : tcpConnect(address, bindTo);
  const limit = peer.getPeerOptions?.()?.connectionTimeout;
  let socket: Socket;
  try {
    socket = yield* timeout(limit, connecting);
  } catch (error) {
    throw connectError(peer, limit, error);
  }
  log.debug(() => `connected to new server: ${address}`);
  const stream = new Stream(socket);
  stream.side = 'upstream';
  try {
    const keepalive = peer.getPeerOptions?.()?.tcpKeepalive;
    if (keepalive !== undefined && address.kind === 'inet') {
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
});

function connectError(peer: Peer, limit: number | undefined, error: unknown): unknown {
  if (error instanceof Elapsed) {
    return PingoraError.because(
      ErrorType.ConnectTimedout,
      `timeout ${duration(limit!)} connecting to server ${peer}`,
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

const proxyConnect = rust.fn('l4::proxy_connect', function* (peer: Peer): Future<Stream> {
  const proxy = peer.getProxy!()!;
  const options = peer.getPeerOptions?.();
  const headers = { ...proxy.headers, ...options?.extraProxyHeaders };
  let socket: Socket;
  try {
    socket = yield* connectUds(proxy.nextHop);
  } catch (error) {
    throw PingoraError.because(ErrorType.ConnectError, `CONNECT proxy connect() error to "${proxy.nextHop}"`, error);
  }
  const stream = new Stream(socket);
  stream.side = 'upstream';
  let established = false;
  try {
    const request = generateConnectHeader(proxy.host, proxy.port, headers);
    const digest = yield* timeout(options?.connectionTimeout, rawConnect(stream, request));
    log.debug(() => `CONNECT proxy established: ${proxy}`);
    stream.setProxyDigest(digest);
    established = true;
    return stream;
  } catch (error) {
    if (error instanceof Elapsed) {
      throw PingoraError.because(ErrorType.ConnectTimedout, 'establishing CONNECT proxy', error);
    }
    // the session leaves it open whether to try again, for a connection that was reused: this one is new
    if (error instanceof PingoraError) error.decideReuse(false);
    throw error;
  } finally {
    if (!established) stream.destroy();
  }
});

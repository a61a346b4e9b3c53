/**
 * Opening sockets.
 *
 * Port of `pingora-core/src/protocols/l4/ext.rs`. Left out is what Node has no way to: `TCP_INFO`,
 * `IP_BIND_ADDRESS_NO_PORT`, and interval and count of TCP keepalive.
 */
import { type NetConnectOpts, connect as netConnect, type Socket } from 'node:net';
import { ErrorType, PingoraError } from '../../error/lib.ts';
import { emitted, type Future } from '../../runtime/future.ts';
import { ported } from '../../tracing/span.ts';
import type { SocketAddr } from './socket.ts';
import type { IoError } from './stream.ts';

const rust = ported('pingora-core/src/protocols/l4/ext.rs');

/** The kernel's probes of connections on which nothing is sent. */
export interface TcpKeepalive {
  /** Milliseconds without traffic before the first probe; the kernel counts whole seconds. */
  readonly idle: number;
  /** Milliseconds between probes. Node can't set it (it is 1 s). */
  readonly interval: number;
  /** Probes without an answer until the connection is dropped. Node can't set it (it is 10). */
  readonly count: number;
}

/** The socket once it is connected. If that fails, or is dropped, it is closed. */
function* open(options: NetConnectOpts, explain: (error: IoError) => PingoraError): Future<Socket> {
  const socket = netConnect(options);
  let connected = false;
  try {
    yield* emitted(socket, 'connect');
    connected = true;
    return socket;
  } catch (error) {
    throw explain(error as IoError);
  } finally {
    if (!connected) {
      // an attempt that is taken back may still report its failure
      socket.on('error', () => {});
      socket.destroy();
    }
  }
}

/**
 * Connect to an Internet address, from `bindTo` if given. The socket can be half-closed: that the server sends no more
 * doesn't mean that it reads no more.
 *
 * Throws `ConnectRefused`, `ConnectTimedout`, `ConnectNoRoute`, `BindError`, `InternalError` or `ConnectError`.
 */
export const connect = rust.fn('ext::connect', function* (addr: SocketAddr, bindTo?: SocketAddr): Future<Socket> {
  const options = {
    host: addr.scopeId === 0 ? addr.ip : `${addr.ip}%${addr.scopeId}`,
    port: addr.port,
    family: addr.family,
    allowHalfOpen: true,
    autoSelectFamily: false,
    localAddress: bindTo?.ip,
    localPort: bindTo === undefined || bindTo.port === 0 ? undefined : bindTo.port,
  };
  return yield* open(options, (error) =>
    error.syscall === 'bind'
      ? PingoraError.because(ErrorType.BindError, `failed to bind to socket ${bindTo}`, error)
      : wrapOsConnectError(error, `Fail to connect to ${addr}`),
  );
});

/** Connect to a Unix socket. Throws as {@link connect} does. */
export const connectUds = rust.fn('ext::connect_uds', function* (path: string): Future<Socket> {
  return yield* open({ path, allowHalfOpen: true }, (error) => wrapOsConnectError(error, `Fail to connect to ${path}`));
});

/** The system's error as Pingora's, by its code. */
export function wrapOsConnectError(error: IoError, context: string): PingoraError {
  return PingoraError.because(connectErrorType(error.code), context, error);
}

function connectErrorType(code: string | undefined): ErrorType {
  switch (code) {
    case 'ECONNREFUSED':
      return ErrorType.ConnectRefused;
    case 'ETIMEDOUT':
      return ErrorType.ConnectTimedout;
    case 'EACCES':
    case 'EPERM':
    case 'EADDRINUSE':
    case 'EADDRNOTAVAIL':
      return ErrorType.InternalError;
    case 'ENETUNREACH':
    case 'EHOSTUNREACH':
      return ErrorType.ConnectNoRoute;
    default:
      return ErrorType.ConnectError;
  }
}

/** Turn the kernel's probes on. Throws `ConnectError`. */
export const setTcpKeepalive = rust.fn('ext::set_tcp_keepalive', (socket: Socket, keepalive: TcpKeepalive): void => {
  try {
    socket.setKeepAlive(true, keepalive.idle);
  } catch (error) {
    throw PingoraError.because(ErrorType.ConnectError, 'failed to set keepalive', error);
  }
});

/**
 * Opening sockets.
 *
 * Port of `pingora-core/src/protocols/l4/ext.rs`. Left out is what Node has no way to: `TCP_INFO`,
 * `IP_BIND_ADDRESS_NO_PORT`, and interval and count of TCP keepalive.
 */
import { type NetConnectOpts, connect as netConnect, type Socket } from 'node:net';
import { ErrorType, PingoraError } from '../../error/lib.ts';
import { Cancelled } from '../../runtime/cancelled.ts';
import type { Cancellation } from '../../timeout/cancel.ts';
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

function open(
  options: NetConnectOpts,
  cancellation: Cancellation | undefined,
  explain: (error: IoError) => PingoraError,
): Promise<Socket> {
  return new Promise<Socket>((resolve, reject) => {
    if (cancellation?.cancelled) {
      reject(new Cancelled());
      return;
    }
    const socket = netConnect(options);
    const settle = () => {
      socket.off('connect', connected);
      socket.off('error', failed);
      forget?.();
    };
    const connected = () => {
      settle();
      resolve(socket);
    };
    const failed = (error: IoError) => {
      settle();
      reject(explain(error));
    };
    socket.on('connect', connected);
    socket.on('error', failed);
    const forget = cancellation?.onCancel(() => {
      settle();
      // a connection attempt that is taken back may still report its failure
      socket.on('error', () => {});
      socket.destroy();
      reject(new Cancelled());
    });
  });
}

/**
 * Connect to an Internet address, from `bindTo` if given. The socket can be half-closed: that the server sends no more
 * doesn't mean that it reads no more.
 *
 * Throws `ConnectRefused`, `ConnectTimedout`, `ConnectNoRoute`, `BindError`, `InternalError` or `ConnectError`, and
 * `Cancelled` when it is taken back, with the socket closed.
 */
export const connect = rust.fn(
  'ext::connect',
  (addr: SocketAddr, bindTo: SocketAddr | undefined, cancellation?: Cancellation): Promise<Socket> =>
    open(
      {
        host: addr.scopeId === 0 ? addr.ip : `${addr.ip}%${addr.scopeId}`,
        port: addr.port,
        family: addr.family,
        allowHalfOpen: true,
        autoSelectFamily: false,
        localAddress: bindTo?.ip,
        localPort: bindTo === undefined || bindTo.port === 0 ? undefined : bindTo.port,
      },
      cancellation,
      (error) =>
        error.syscall === 'bind'
          ? PingoraError.because(ErrorType.BindError, `failed to bind to socket ${bindTo}`, error)
          : wrapOsConnectError(error, `Fail to connect to ${addr}`),
    ),
);

/** Connect to a Unix socket. Throws as {@link connect} does. */
export const connectUds = rust.fn(
  'ext::connect_uds',
  (path: string, cancellation?: Cancellation): Promise<Socket> =>
    open({ path, allowHalfOpen: true }, cancellation, (error) =>
      wrapOsConnectError(error, `Fail to connect to ${path}`),
    ),
);

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

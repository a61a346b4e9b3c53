/**
 * Listening on an address, and what comes before: resolving, binding, permissions.
 *
 * Port of `pingora-core/src/listeners/l4.rs`.
 */

import { lookup } from 'node:dns/promises';
import { chmodSync, lstatSync, renameSync } from 'node:fs';
import { createServer, isIP, type ListenOptions, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { ErrorType, orErr, PingoraError } from '../error/lib.ts';
import { Log } from '../log.ts';
import { createHeld } from '../node/held-server.ts';
import { Listener, SocketFile } from '../protocols/l4/listener.ts';
import type { Stream } from '../protocols/l4/stream.ts';
import { PENDING, type Poll } from '../runtime/poll.ts';
import type { ListenFds } from '../server/transfer-fd/mod.ts';
import { sleep } from '../timeout/lib.ts';
import { note, ported, traced } from '../tracing/span.ts';

const rust = ported('pingora-core/src/listeners/l4.rs');
const log = new Log('pingora_core::listeners');

/** An address that is in use is tried so often, … */
const TCP_LISTENER_MAX_TRY = 30;
/** … so many milliseconds apart. */
const TCP_LISTENER_TRY_STEP_MS = 1000;
/** So many connections may wait to be accepted; the system may allow fewer. */
const LISTENER_BACKLOG = 65535;
/** Read and write for everybody. */
const DEFAULT_UDS_MODE = 0o666;
/** So long may its path be, in bytes: Linux has room for 108, the last of them 0. Node would cut it off silently. */
export const LONGEST_UDS_PATH = 107;

/** Of a TCP socket, before it is bound. */
export interface TcpSocketOptions {
  /** Listen on IPv6 only. By default `[::]` takes IPv4 connections too. */
  readonly ipv6Only?: boolean;
}

/** Where to listen. */
export type ServerAddress =
  | {
      readonly type: 'tcp';
      /** `host:port`. */
      readonly address: string;
      /** What to set before binding. Default: the system's. */
      readonly options?: TcpSocketOptions | undefined;
    }
  | {
      readonly type: 'uds';
      /** The socket's path. */
      readonly address: string;
      /** Of the socket's file, as 0o660. Default: 0o666. */
      readonly permissions?: number | undefined;
    };

/** `host:port` in parts; the brackets of an IPv6 address are taken off. Undefined if it isn't one. */
export function splitAddress(address: string): { host: string; port: number } | undefined {
  const found = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(address);
  if (found === null) return undefined;
  const port = Number(found[3]);
  return port > 65535 ? undefined : { host: found[1] ?? found[2] ?? '', port };
}

/** `handle`: instead of binding, listen on what is bound. */
const createListening = (options: ListenOptions, handle?: object): Promise<Server> => {
  // Paused: not a byte is read before somebody has decided whether TLS is to read it.
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const listening = () => {
      server.off('error', reject);
      resolve(server);
    };
    if (handle === undefined) server.listen({ ...options, backlog: LISTENER_BACKLOG }, listening);
    else server.listen(handle, LISTENER_BACKLOG, listening);
  });
};

/** How a server comes to its socket. */
type Open = (options: ListenOptions) => Promise<Server>;

/** The next name for a socket that isn't in its place yet. */
let lastName = 0;

const bindUds = rust.fn(
  'uds::bind',
  async (path: string, permissions: number | undefined, keep: () => boolean, open: Open): Promise<Listener> => {
    const failed = `Bind() failed on ${path}`;
    if (Buffer.byteLength(path) > LONGEST_UDS_PATH) {
      const cause = new Error(`a socket's path has at most ${LONGEST_UDS_PATH} bytes`);
      throw PingoraError.because(ErrorType.BindError, failed, cause);
    }
    // The file of a socket outlives it. Only a socket is replaced: the original removes whatever has the name.
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found !== undefined && !found.isSocket()) {
      const cause = new Error('the file exists and is not a socket');
      throw PingoraError.because(ErrorType.BindError, failed, cause);
    }
    // Bound beside its place and moved there: permissions are right from the first moment, no client finds nothing
    // in between, and what Node removes when it closes the socket is a name that is long gone.
    const beside = join(dirname(path), `.${process.pid.toString(36)}-${(++lastName).toString(36)}`);
    const server = await orErr(ErrorType.BindError, failed, () => open({ path: beside }));
    try {
      chmodSync(beside, permissions ?? DEFAULT_UDS_MODE);
      renameSync(beside, path);
      return new Listener(server, new SocketFile(path, keep));
    } catch (error) {
      server.close();
      const context = `Fail to bind to ${path}, could not set permissions`;
      throw PingoraError.because(ErrorType.BindError, context, error);
    }
  },
);

const bindTcp = rust.fn(
  'l4::bind_tcp',
  async (address: string, options: TcpSocketOptions | undefined, stop: AbortSignal, open: Open): Promise<Listener> => {
    const parts = splitAddress(address);
    if (parts === undefined) throw PingoraError.explain(ErrorType.BindError, `Invalid listen address ${address}`);
    const { port } = parts;
    for (let tries = 1; ; tries++) {
      const host = await resolve(parts.host, address);
      try {
        const ipv6Only = options?.ipv6Only ?? false;
        return new Listener(await open({ host, port, ipv6Only }));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
          throw PingoraError.because(ErrorType.BindError, `bind() failed on ${address}`, error);
        }
        if (tries >= TCP_LISTENER_MAX_TRY) {
          const context = `bind() failed, after retries, ${address} still in use`;
          throw PingoraError.because(ErrorType.BindError, context, error);
        }
        log.warn(`${address} is in use, will try again`);
        await sleep(TCP_LISTENER_TRY_STEP_MS);
        if (stop.aborted) throw PingoraError.explain(ErrorType.BindError, `gave up binding ${address}: shutting down`);
      }
    }
  },
);

/** The first address of a name, as the original takes it. An empty name is every address. */
async function resolve(host: string, address: string): Promise<string> {
  if (host === '') return '::';
  if (isIP(host) > 0) return host;
  const context = `Invalid listen address ${address}`;
  return (await orErr(ErrorType.BindError, context, () => lookup(host, { verbatim: true }))).address;
}

const bind = rust.fn(
  'l4::bind',
  (address: ServerAddress, stop: AbortSignal, keep: () => boolean, open: Open): Promise<Listener> =>
    address.type === 'uds'
      ? bindUds(address.address, address.permissions, keep, open)
      : bindTcp(address.address, address.options, stop, open),
);

const fromRawFd = rust.fn(
  'l4::from_raw_fd',
  async (address: ServerAddress, fd: number, keep: () => boolean, open: Open): Promise<Listener> => {
    const context = `Listen() failed on ${address.address}`;
    const server = await orErr(ErrorType.BindError, context, () => open({ fd } as ListenOptions));
    if (address.type === 'tcp') return new Listener(server);
    try {
      chmodSync(address.address, address.permissions ?? DEFAULT_UDS_MODE);
      return new Listener(server, new SocketFile(address.address, keep));
    } catch (error) {
      server.close();
      throw PingoraError.because(ErrorType.BindError, context, error);
    }
  },
);

/** What threads have to do with a listening socket. */
export interface Sharing {
  readonly hold?: boolean;
  readonly inherited?: object;
}

/** One address to listen on. Nothing is bound before {@link ListenerEndpoint.listen}. */
@traced
export class ListenerEndpoint {
  private readonly address: ServerAddress;
  private listener: Listener | undefined;
  private fds: ListenFds | undefined;
  private readonly stop = new AbortController();

  private constructor(address: ServerAddress) {
    this.address = address;
  }

  @rust.method
  static new(address: ServerAddress): ListenerEndpoint {
    return new ListenerEndpoint(address);
  }

  asStr(): string {
    return this.address.address;
  }

  /** Where it listens, with the port that the system gave. */
  localAddress(): string {
    return this.listener?.localAddress() ?? this.asStr();
  }

  /**
   * Bind and listen, or take over the socket that the process before handed over. Throws `BindError`.
   * `hold`: accept nothing, threads will. `inherited`: the socket that a thread got for that.
   */
  @rust.method
  async listen(fds: ListenFds | undefined, { hold = false, inherited }: Sharing = {}): Promise<void> {
    if (this.listener !== undefined) return;
    if (inherited !== undefined) {
      const context = `Listen() failed on ${this.asStr()}`;
      const server = await orErr(ErrorType.BindError, context, () => createListening({}, inherited));
      this.listener = new Listener(server, undefined, true);
      return;
    }
    const open: Open = hold ? async (options) => createHeld(options) : createListening;
    const address = this.asStr();
    const handed = fds?.get(address);
    // whoever got the sockets has the files too
    const keep = () => fds?.handedOver ?? false;
    const listener =
      handed === undefined
        ? await bind(this.address, this.stop.signal, keep, open)
        : await fromRawFd(this.address, handed, keep, open);
    fds?.add(address, listener.asRawFd());
    this.fds = fds;
    this.listener = listener;
    note({ address: listener.localAddress() });
  }

  /** The next connection. Throws `AcceptError`. */
  @rust.method
  accept(): Poll<Stream> {
    if (this.listener === undefined) throw new Error('Need to call listen() first');
    let stream: Poll<Stream>;
    try {
      stream = this.listener.accept();
    } catch (error) {
      throw PingoraError.because(ErrorType.AcceptError, 'Fail to accept()', error);
    }
    if (stream !== PENDING) stream.setNodelay();
    return stream;
  }

  /** Try no more to bind an address that is in use. */
  cancelListen(): void {
    this.stop.abort();
  }

  /** What threads need in order to accept from it. */
  handle(): object {
    return this.listener!.handle();
  }

  /** Whether another server has got it. */
  get handedOver(): boolean {
    return this.fds?.handedOver ?? false;
  }

  /** Let nobody new in, so that what waits is all there is; not if another server has it too. */
  async holdOff(): Promise<void> {
    if (!this.handedOver) await this.listener?.holdOff();
  }

  /** The connections that wait to be accepted. {@link ListenerEndpoint.close} is to follow at once. */
  async drain(shared = this.handedOver): Promise<Stream[]> {
    const waiting = (await this.listener?.drain(shared)) ?? [];
    for (const stream of waiting) stream.setNodelay();
    return waiting;
  }

  /** Stop listening, or trying to. A Unix socket's file is removed. */
  close(): void {
    this.stop.abort();
    this.listener?.close();
    this.listener = undefined;
  }
}

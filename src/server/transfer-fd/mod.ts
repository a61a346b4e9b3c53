/**
 * The table of listening sockets, which a server hands to the one that replaces it.
 *
 * The new process waits on a Unix socket; the old one connects and sends, in one message, the addresses as text and
 * the sockets as ancillary data (`SCM_RIGHTS`, unix(7)). The two share the sockets from then on: no connection is
 * refused, and none is lost from the queue when the old one closes its copies.
 *
 * Port of `pingora-core/src/server/transfer_fd/mod.rs`. The original blocks its thread while it waits; here there is
 * one thread, which serves meanwhile.
 */
import { chmodSync, closeSync, rmSync } from 'node:fs';
import { ErrorType, PingoraError } from '../../error/lib.ts';
import { Log } from '../../log.ts';
import { sleep } from '../../timeout/lib.ts';
import { ported, traced } from '../../tracing/span.ts';
import { accept, bindUnix, connectUnix, listen, loadLibc, receiveFds, sendFds, unixSocket } from './libc.ts';

const rust = ported('pingora-core/src/server/transfer_fd/mod.rs');
const log = new Log('pingora_core::server::transfer_fd');

/** So many sockets fit into one message; Linux takes no more. 32 in the original. */
const MAX_FDS = 253;
/** So many bytes may the addresses have. 2048 in the original, which cuts the rest off. */
const MAX_PAYLOAD = 64 * 1024;
/** A connection or a message that isn't ready is tried so often, … */
const MAX_NONBLOCKING_POLLS = 20;
/** … so many milliseconds apart. */
const NONBLOCKING_POLL_INTERVAL_MS = 500;
/** Between two retries it is looked so often, in milliseconds, whether somebody came. */
const GLANCE_MS = 20;

/** How long the two processes wait for each other. */
export interface TransferOptions {
  /** So often is it tried again. Default: 5. */
  readonly maxRetry?: number;
  /** So many seconds lie between two tries. Default: 1. */
  readonly retryIntervalSeconds?: number;
}

interface Waits {
  readonly maxRetry: number;
  readonly retryIntervalMs: number;
}

function waits(options: TransferOptions): Waits {
  return { maxRetry: options.maxRetry ?? 5, retryIntervalMs: (options.retryIntervalSeconds ?? 1) * 1000 };
}

/** Which socket listens on which address. */
@traced
export class Fds {
  private readonly map = new Map<string, number>();
  /** Another process has the sockets: the files of those that are Unix sockets are its to remove. */
  handedOver = false;

  private constructor() {}

  /** No sockets. */
  static new(): Fds {
    return new Fds();
  }

  /** Keep a listening socket under its address. */
  add(address: string, fd: number): void {
    this.map.set(address, fd);
  }

  /** The descriptor of the socket that listens on an address; undefined if there is none. */
  get(address: string): number | undefined {
    return this.map.get(address);
  }

  /** Addresses and sockets, in the order in which they were added. */
  serialize(): { addresses: string[]; fds: number[] } {
    return { addresses: [...this.map.keys()], fds: [...this.map.values()] };
  }

  /** Keep sockets that were taken over: addresses and descriptors in the same order. */
  deserialize(addresses: readonly string[], fds: readonly number[]): void {
    for (const [i, address] of addresses.entries()) this.map.set(address, fds[i]!);
  }

  /** Hand the sockets to the process that waits at `path`, or will soon. Throws `SocketError`, `InternalError`. */
  @rust.method
  async sendToSock(path: string, options: TransferOptions = {}): Promise<number> {
    const { addresses, fds } = this.serialize();
    const payload = serializeVecString(addresses);
    if (fds.length > MAX_FDS || payload.length > MAX_PAYLOAD) {
      throw PingoraError.explain(ErrorType.SocketError, `${fds.length} sockets are too many for one message`);
    }
    const sent = await sendFdsTo(fds, payload, path, waits(options));
    this.handedOver = true;
    return sent;
  }

  /** Take the sockets over from the process that serves now: wait for it at `path`. Throws as {@link sendToSock}. */
  @rust.method
  async getFromSock(path: string, options: TransferOptions = {}): Promise<void> {
    const { payload, fds } = await getFdsFrom(path, waits(options));
    try {
      const addresses = deserializeVecString(payload);
      if (addresses.length !== fds.length) {
        const context = `${addresses.length} addresses came with ${fds.length} sockets over ${path}`;
        throw PingoraError.explain(ErrorType.SocketError, context);
      }
      this.deserialize(addresses, fds);
    } catch (error) {
      for (const fd of fds) closeSync(fd);
      throw error;
    }
  }
}

/** The table that all services of a server share. */
export type ListenFds = Fds;

/** Separated by spaces, as in the original; a space in a path is written as in a URI. */
export function serializeVecString(texts: readonly string[]): Buffer {
  return Buffer.from(texts.map((text) => text.replace(/[\s%]/g, encodeURIComponent)).join(' '));
}

/** Throws `SocketError` for what {@link serializeVecString} doesn't make. */
export function deserializeVecString(payload: Buffer): string[] {
  const texts = payload.toString().split(/\s+/);
  try {
    return texts.filter((text) => text !== '').map((text) => decodeURIComponent(text));
  } catch (error) {
    throw PingoraError.because(ErrorType.SocketError, 'the addresses of the sockets cannot be read', error);
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

const getFdsFrom = rust.fn(
  'transfer_fd::get_fds_from',
  async (path: string, { maxRetry, retryIntervalMs }: Waits): Promise<{ payload: Buffer; fds: number[] }> => {
    loadLibc();
    const context = `can't wait for sockets at ${path}`;
    let listening: number | undefined;
    let bound = false;
    let fd: number | undefined;
    try {
      listening = unixSocket();
      // of a process that waited before
      rmSync(path, { force: true });
      bindUnix(listening, path);
      bound = true;
      // this process may become another user yet, and the other may be one already
      chmodSync(path, 0o777);
      listen(listening, 8);
      fd = await acceptWithRetry(listening, maxRetry, retryIntervalMs, path);
      return await receive(fd);
    } catch (error) {
      if (error instanceof PingoraError) throw error;
      throw PingoraError.because(ErrorType.SocketError, context, error);
    } finally {
      if (fd !== undefined) closeSync(fd);
      if (listening !== undefined) closeSync(listening);
      if (bound) rmSync(path, { force: true });
    }
  },
);

/** The first message of a connection. Who connects sends at once. */
async function receive(fd: number): Promise<{ payload: Buffer; fds: number[] }> {
  const payload = Buffer.alloc(MAX_PAYLOAD);
  for (let polls = 0; ; polls++) {
    try {
      const { bytes, fds, cut } = receiveFds(fd, payload, MAX_FDS);
      if (cut) {
        for (const got of fds) closeSync(got);
        throw new Error('more sockets came than this process may have open');
      }
      return { payload: payload.subarray(0, bytes), fds };
    } catch (error) {
      if (codeOf(error) !== 'EAGAIN' || polls * GLANCE_MS >= MAX_NONBLOCKING_POLLS * NONBLOCKING_POLL_INTERVAL_MS) {
        throw error;
      }
      await sleep(GLANCE_MS);
    }
  }
}

const acceptWithRetry = rust.fn(
  'transfer_fd::accept_with_retry',
  async (listening: number, maxRetry: number, retryIntervalMs: number, path: string): Promise<number> => {
    let retried = 0;
    let until = performance.now() + retryIntervalMs;
    for (;;) {
      try {
        return accept(listening);
      } catch (error) {
        if (codeOf(error) !== 'EAGAIN') {
          log.error(`Error accepting socket transfer: ${error}`);
          throw error;
        }
        if (performance.now() >= until) {
          if (++retried > maxRetry) {
            log.error(`Giving up reading socket from: ${path}, error: ${error}`);
            throw PingoraError.explain(ErrorType.SocketError, `no server came to ${path} to hand its sockets over`);
          }
          log.error(`No incoming socket transfer, sleep ${retryIntervalMs / 1000}s and try again`);
          until += retryIntervalMs;
        }
        await sleep(Math.min(GLANCE_MS, retryIntervalMs));
      }
    }
  },
);

const sendFdsTo = rust.fn(
  'transfer_fd::send_fds_to',
  async (fds: readonly number[], payload: Buffer, path: string, waits: Waits): Promise<number> => {
    loadLibc();
    const fd = unixSocket();
    try {
      await connect(fd, path, waits);
      return await send(fd, payload, fds, path);
    } catch (error) {
      throw PingoraError.because(ErrorType.SocketError, `can't send sockets to ${path}`, error);
    } finally {
      closeSync(fd);
    }
  },
);

/** Connect, as soon as there is somebody to connect to. */
async function connect(fd: number, path: string, { maxRetry, retryIntervalMs }: Waits): Promise<void> {
  let retried = 0;
  let polls = 0;
  for (;;) {
    try {
      connectUnix(fd, path);
      return;
    } catch (error) {
      switch (codeOf(error)) {
        // ENOENT: the new process has not begun to wait yet. ECONNREFUSED: so far there is only the file of the one
        // before it. EACCES: it has bound the socket, and has not opened it to others yet.
        case 'ENOENT':
        case 'ECONNREFUSED':
        case 'EACCES':
          if (++retried > maxRetry) {
            log.error(`Max retry: ${maxRetry} reached. Giving up sending socket to: ${path}, error: ${error}`);
            throw error;
          }
          log.warn(`server not ready, will try again in ${retryIntervalMs / 1000}s`);
          await sleep(retryIntervalMs);
          break;
        // what a Unix socket says when there are too many others; the original knows TCP's word for it only
        case 'EAGAIN':
        case 'EINPROGRESS':
          if (++polls >= MAX_NONBLOCKING_POLLS) {
            log.error(`Connect() not ready after retries when sending socket to: ${path}`);
            throw error;
          }
          log.warn(`Connect() not ready, will try again in ${NONBLOCKING_POLL_INTERVAL_MS}ms`);
          await sleep(NONBLOCKING_POLL_INTERVAL_MS);
          break;
        default:
          log.error(`Error sending socket to: ${path}, error: ${error}`);
          throw error;
      }
    }
  }
}

async function send(fd: number, payload: Buffer, fds: readonly number[], path: string): Promise<number> {
  for (let polls = 0; ; ) {
    try {
      return sendFds(fd, payload, fds);
    } catch (error) {
      if (codeOf(error) !== 'EAGAIN') throw error;
      if (++polls >= MAX_NONBLOCKING_POLLS) {
        log.error(`Sendmsg() not ready after retries when sending socket to: ${path}`);
        throw error;
      }
      log.warn(`Sendmsg() not ready, will try again in ${NONBLOCKING_POLL_INTERVAL_MS}ms`);
      await sleep(NONBLOCKING_POLL_INTERVAL_MS);
    }
  }
}

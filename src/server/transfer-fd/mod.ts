/**
 * The table of listening sockets, which a server hands to the one that replaces it.
 *
 * Port of `pingora-core/src/server/transfer_fd/mod.rs`.
 */
import { ErrorType, PingoraError } from '../../error/lib.ts';

/** Which socket listens on which address. */
export class Fds {
  private readonly map = new Map<string, number>();
  /** Another process has the sockets: the files of those that are Unix sockets are its to remove. */
  handedOver = false;

  private constructor() {}

  static new(): Fds {
    return new Fds();
  }

  add(address: string, fd: number): void {
    this.map.set(address, fd);
  }

  get(address: string): number | undefined {
    return this.map.get(address);
  }

  /** Addresses and sockets, in the order in which they were added. */
  serialize(): { addresses: string[]; fds: number[] } {
    return { addresses: [...this.map.keys()], fds: [...this.map.values()] };
  }

  deserialize(addresses: readonly string[], fds: readonly number[]): void {
    for (const [i, address] of addresses.entries()) this.map.set(address, fds[i]!);
  }

  /** Hand the sockets to the process that waits at `path`. */
  async sendToSock(path: string): Promise<void> {
    throw unsupported(path);
  }

  /** Take the sockets over from the process that serves now. */
  async getFromSock(path: string): Promise<void> {
    throw unsupported(path);
  }
}

/** The table that all services of a server share. */
export type ListenFds = Fds;

function unsupported(path: string): PingoraError {
  return PingoraError.explain(ErrorType.InternalError, `handing over sockets at ${path} isn't supported yet`);
}

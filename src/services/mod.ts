/**
 * A service: something that a server runs until it ends.
 *
 * Port of `pingora-core/src/services/mod.rs`.
 */
import type { ShutdownWatch } from '../runtime/sync.ts';
import type { ListenFds } from '../server/transfer-fd/mod.ts';

/** What a server runs. */
export interface Service {
  /**
   * Run until done, or until `shutdown` turns true. `fds`: sockets handed over by the server before this one, and the
   * place for one's own, so that they can be handed on.
   */
  startService(fds: ListenFds | undefined, shutdown: ShutdownWatch): Promise<void>;

  /** For logs and the runtime's name. */
  name(): string;

  /** How many threads it wants; undefined: as many as the configuration says. */
  threads(): number | undefined;

  /**
   * What more threads are to it, which are processes. `connections`: each serves some of its connections. `copies`: it
   * runs once in each, whatever its own number, since what it finds out is memory, and each has its own. Undefined: it
   * runs once, in the process that was started.
   */
  readonly spread?: 'connections' | 'copies' | undefined;
}

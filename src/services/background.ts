/**
 * A service that listens to nobody: health checks, discovery, reports.
 *
 * Port of `pingora-core/src/services/background.rs`.
 */
import type { ShutdownWatch } from '../runtime/sync.ts';
import type { ListenFds } from '../server/transfer-fd/mod.ts';
import { ported, traced } from '../tracing/span.ts';
import type { Service } from './mod.ts';

const rust = ported('pingora-core/src/services/background.rs');

/** What runs in the background. */
export interface BackgroundService {
  /** Run as long as there is something to do, or until `shutdown` turns true. */
  start(shutdown: ShutdownWatch): Promise<void>;
}

/** Runs a {@link BackgroundService} as a service. */
@traced
export class GenBackgroundService<A extends BackgroundService> implements Service {
  private readonly _name: string;
  private readonly _task: A;
  /** How many threads it gets. Default: 1. */
  wantedThreads: number | undefined = 1;
  /**
   * With services that have threads it runs in each thread, and in the process that was started if that serves too:
   * what it finds out, the health of backends for example, is the memory of one process. Undefined: it runs once.
   */
  spread: 'copies' | undefined = 'copies';

  private constructor(name: string, task: A) {
    this._name = name;
    this._task = task;
  }

  /** A service of this name that runs `task`; {@link backgroundService} adds what its name begins with. */
  @rust.method
  static new<A extends BackgroundService>(name: string, task: A): GenBackgroundService<A> {
    return new GenBackgroundService(name, task);
  }

  /** What runs, to be shared with those who use what it finds out. */
  task(): A {
    return this._task;
  }

  /** Run the task until it ends by itself or the server shuts down. Called by the server. */
  @rust.method('<GenBackgroundService as Service>::start_service')
  startService(_fds: ListenFds | undefined, shutdown: ShutdownWatch): Promise<void> {
    return this._task.start(shutdown);
  }

  /** What the log calls it. */
  @rust.method('<GenBackgroundService as Service>::name')
  name(): string {
    return this._name;
  }

  /** How many threads it wants. Undefined: as many as the configuration says. */
  @rust.method('<GenBackgroundService as Service>::threads')
  threads(): number | undefined {
    return this.wantedThreads;
  }
}

/** A background service with a name for people. */
export const backgroundService = rust.fn(
  'background::background_service',
  <A extends BackgroundService>(name: string, task: A): GenBackgroundService<A> =>
    GenBackgroundService.new(`BG ${name}`, task),
);

/**
 * The server: a process with services, its signals, and its end.
 *
 * Port of `pingora-core/src/server/mod.rs`.
 */
import { Log } from '../log.ts';
import { Runtime, shutdownRuntimes, workDone } from '../runtime/lib.ts';
import { Notify, type ShutdownWatch, Watch } from '../runtime/sync.ts';
import { workerNumber } from '../runtime/worker.ts';
import { workers } from '../runtime/workers.ts';
import type { Service } from '../services/mod.ts';
import { ported, traced } from '../tracing/span.ts';
import { type Opt, ServerConf } from './configuration/mod.ts';
import { daemonize, inheritFds, isDaemon } from './daemon.ts';
import { Fds, type ListenFds } from './transfer-fd/mod.ts';
import { runWorker, sharesOf } from './workers.ts';

export type { ShutdownWatch } from '../runtime/sync.ts';
export type { ListenFds } from './transfer-fd/mod.ts';

const rust = ported('pingora-core/src/server/mod.rs');
const log = new Log('pingora_core::server');

/** Node fires a timer that is set for longer than this at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

type ShutdownType = 'Graceful' | 'Quick';
/** SIGHUP, of a terminal that goes, is not in the original: there the system ends the process in the middle. */
const SIGNALS = ['SIGQUIT', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const;
type Signal = (typeof SIGNALS)[number];

/** A server. A process has one. */
@traced
export class Server {
  private services: Service[] = [];
  private listenFds: ListenFds | undefined = undefined;
  private readonly watch = new Watch(false);
  private readonly shutdownRecv: ShutdownWatch = this.watch.subscribe();
  /** A SIGINT came after the first signal. */
  private readonly interrupted = new Notify();
  /** What the configuration file and the command line said. */
  readonly configuration: ServerConf;
  /** What the command line said. */
  readonly options: Opt | undefined;

  private constructor(configuration: ServerConf, options: Opt | undefined) {
    this.configuration = configuration;
    this.options = options;
  }

  /**
   * A server as the options say: with the file that they name, or with the defaults. Throws `ReadError`, in one line
   * that names what is wrong.
   */
  @rust.method
  static new(opt?: Opt): Server {
    if (opt === undefined) return new Server(ServerConf.new(), undefined);
    const conf = opt.conf === undefined ? ServerConf.newWithOptOverride(opt) : ServerConf.loadYamlWithOptOverride(opt);
    return new Server(conf, opt);
  }

  /** As {@link Server.new}, with a configuration made in the program. The port's own. */
  static withConf(configuration: ServerConf, options?: Opt): Server {
    return new Server(configuration, options);
  }

  /** Turns true when the server begins to shut down. */
  get shutdownWatch(): ShutdownWatch {
    return this.shutdownRecv.clone();
  }

  /** Wait for a signal, and do what comes before the end. */
  @rust.method
  private async mainLoop(): Promise<ShutdownType> {
    // For good: a second SIGTERM must not end the grace period by Node's default, which is to die of it.
    const signal = await new Promise<Signal>((resolve) => {
      for (const name of SIGNALS) process.on(name, () => resolve(name));
      process.on('SIGINT', () => this.interrupted.notifyWaiters());
    });
    switch (signal) {
      case 'SIGINT':
        log.info('SIGINT received, exiting');
        return 'Quick';
      case 'SIGTERM':
      case 'SIGHUP':
        log.info(`${signal} received, gracefully exiting`);
        this.broadcastShutdown();
        return 'Graceful';
      case 'SIGQUIT':
        log.info('SIGQUIT received, sending socks and gracefully exiting');
        if (this.listenFds === undefined) {
          log.info('No socks to send, shutting down.');
          return 'Graceful';
        }
        log.info('Trying to send socks');
        if (await this.unlessInterrupted(this.sendSocks(this.listenFds))) return 'Quick';
        if (await this.pause(this.configuration.closeTimeoutSeconds)) return 'Quick';
        this.broadcastShutdown();
        return 'Graceful';
    }
  }

  private broadcastShutdown(): void {
    log.info('Broadcasting graceful shutdown');
    this.watch.send(true);
    workers.shutdown();
    log.info('Graceful shutdown started!');
    log.info('Broadcast graceful shutdown complete');
  }

  private async sendSocks(fds: ListenFds): Promise<void> {
    try {
      await fds.sendToSock(this.configuration.upgradeSock, this.configuration.transferOptions());
      log.info('listener sockets sent');
    } catch (error) {
      log.error(`Unable to send listener sockets to new process: ${error}`);
    }
  }

  /** Wait for `done`; true if a SIGINT ended the wait. The original is deaf while it waits. */
  private async unlessInterrupted(done: Promise<void>): Promise<boolean> {
    let forget = () => {};
    const interrupted = new Promise<boolean>((resolve) => {
      forget = this.interrupted.onNotified(() => {
        log.info('SIGINT received, exiting');
        resolve(true);
      });
    });
    try {
      return await Promise.race([interrupted, done.then(() => false)]);
    } finally {
      forget();
    }
  }

  /** Wait so long, or less if `sooner` resolves; true if a SIGINT ended the wait. */
  private async pause(seconds: number, sooner: Promise<void> = NEVER): Promise<boolean> {
    const { promise, cancel } = delay(Math.min(seconds * 1000, LONGEST_TIMER_MS));
    const interrupted = await this.unlessInterrupted(Promise.race([promise, sooner]));
    cancel();
    return interrupted;
  }

  /**
   * Wait for the grace period, or until nothing is left to wait for; true if a SIGINT ended the wait. The original
   * waits for all of it.
   */
  private async gracePeriod(): Promise<boolean> {
    const { gracePeriodSeconds, minGracePeriodSeconds, gracefulShutdownTimeoutSeconds } = this.configuration;
    const atLeast = delay(Math.min(minGracePeriodSeconds * 1000, LONGEST_TIMER_MS));
    const sooner = Promise.all([atLeast.promise, everythingDone(gracefulShutdownTimeoutSeconds)]).then(() => {});
    const interrupted = await this.pause(gracePeriodSeconds, sooner);
    atLeast.cancel();
    return interrupted;
  }

  @rust.method
  private static runService(
    service: Service,
    fds: ListenFds | undefined,
    shutdown: ShutdownWatch,
    threads: number,
    workStealing: boolean,
    key: string,
  ): Runtime {
    const name = service.name();
    const runtime = Server.createRuntime(name, threads, workStealing, key);
    // nobody waits for its end, and it never rejects
    runtime
      .getHandle()
      .spawn(name, () => serviceTask(service, fds, shutdown))
      .catch(() => {});
    return runtime;
  }

  @rust.method
  private async loadFds(upgrade: boolean): Promise<void> {
    const fds = Fds.new();
    if (isDaemon()) inheritFds(fds);
    else if (upgrade) {
      log.debug('Trying to receive socks');
      await fds.getFromSock(this.configuration.upgradeSock, this.configuration.transferOptions());
    }
    this.listenFds = fds;
  }

  /** Add a service. */
  @rust.method
  addService(service: Service): void {
    this.services.push(service);
  }

  /** Add services. */
  @rust.method
  addServices(services: readonly Service[]): void {
    this.services.push(...services);
  }

  /**
   * Get ready to run: with `--test` the process ends here, with status 0; with `--upgrade` the listening sockets are
   * taken over from the server that runs now, and the process ends with status 1 if that fails. In a thread all that
   * has been done.
   */
  @rust.method
  async bootstrap(): Promise<void> {
    if (workerNumber() > 0) return;
    log.info('Bootstrap starting');
    log.debug(() => JSON.stringify(this.options));
    if (this.options?.test) {
      log.info('Server Test passed, exiting');
      process.exit(0);
    }
    try {
      await this.loadFds(this.options?.upgrade ?? false);
      log.info('Bootstrap done');
    } catch (error) {
      log.error(`Bootstrap failed on error: ${error}, exiting.`);
      process.exit(1);
    }
  }

  /**
   * Run the services until a signal ends the server. Never returns: it ends the process. Throws `InternalError` if it
   * is to run in the background and can't.
   *
   * SIGTERM and SIGHUP stop listening, let requests go on for up to `gracePeriodSeconds` and give the runtimes up to
   * `gracefulShutdownTimeoutSeconds` after that ({@link ServerConf}); both end as soon as nothing is left to wait for:
   * no request, service or task runs. SIGQUIT does the same after it has given the
   * listening sockets to the process that is started with `upgrade`. SIGINT (Ctrl-C) ends it at once, during the grace
   * period too. A service that can't bind logs an error and ends; the others go on.
   *
   * Services with more than one thread are run by as many processes more, each of which runs this program up to here.
   */
  @rust.method
  async runForever(): Promise<never> {
    const conf = this.configuration;
    if (workerNumber() > 0) await this.runWorker();
    log.info('Server starting');
    if (conf.daemon) {
      log.info('Daemonizing the server');
      const pid = await daemonize(conf, this.listenFds);
      if (pid !== undefined) {
        log.info(`running in the background as process ${pid}`);
        process.exit(0);
      }
    }

    const runtimes = this.runServices();

    const serverRuntime = Server.createRuntime('Server', 1, true);
    // Services may come to an end while the server doesn't: this keeps the process.
    const alive = setInterval(() => {}, LONGEST_TIMER_MS);
    let shutdownType = await serverRuntime.getHandle().blockOn(() => this.mainLoop());

    if (shutdownType === 'Graceful') {
      log.info(`Graceful shutdown: grace period ${conf.gracePeriodSeconds}s starts`);
      if (await this.gracePeriod()) shutdownType = 'Quick';
      log.info('Graceful shutdown: grace period ends');
    }

    const timeoutSeconds = shutdownType === 'Quick' ? 0 : conf.gracefulShutdownTimeoutSeconds;
    const exits: Promise<void>[] = [];
    for (const runtime of runtimes) {
      log.info('Waiting for runtimes to exit!');
      if (runtime.threads > 1) exits.push(runtime.shutdownTimeout(timeoutSeconds));
    }
    shutdownRuntimes();
    if (timeoutSeconds > 0) await this.pause(timeoutSeconds, everythingDone(0));
    // those that would take longer, too
    if (exits.length > 0) await workers.end();
    clearInterval(alive);
    log.info('All runtimes exited, exiting now');
    process.exit(0);
  }

  /** Start the services, or in a thread its share of them. */
  private runServices(): Runtime[] {
    const { listenFds, shutdownRecv } = this;
    const { workStealing } = this.configuration;
    const runtimes: Runtime[] = [];
    for (const { service, threads, key } of sharesOf(this.services, this.configuration)) {
      runtimes.push(Server.runService(service, listenFds, shutdownRecv.clone(), threads, workStealing, key));
    }
    return runtimes;
  }

  /** Be a thread: run its share of the services, until the process that was started says that it is the end. */
  private async runWorker(): Promise<never> {
    return runWorker(this.watch, () => {
      this.runServices();
    });
  }

  @rust.method
  private static createRuntime(name: string, threads: number, workSteal: boolean, key = name): Runtime {
    return workSteal ? Runtime.newSteal(threads, name, key) : Runtime.newNoSteal(threads, name, key);
  }
}

const NEVER = new Promise<never>(() => {});

/**
 * Resolves when neither this process nor a thread has anything left to do. Connections that wait for a request have so
 * many seconds more to send one.
 */
async function everythingDone(restSeconds: number): Promise<void> {
  const restMs = Math.min(restSeconds * 1000, LONGEST_TIMER_MS);
  // first: what is accepted here may go to a thread
  await workDone(restMs);
  await workers.workDone(restMs);
}

function delay(ms: number): { promise: Promise<void>; cancel: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const promise = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  return { promise, cancel: () => clearTimeout(timer) };
}

/** The task of a service. */
const serviceTask = rust.body(
  'Server::run_service',
  async (service: Service, fds: ListenFds | undefined, shutdown: ShutdownWatch): Promise<void> => {
    await service.startService(fds, shutdown);
    if (workerNumber() === 0) log.info('service exited.');
  },
);

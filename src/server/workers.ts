/**
 * What a server does with threads: which process runs which service, and what a worker does in `run_forever`.
 *
 * The process that was started has the listening sockets, the signals, and the services of one thread. It runs no
 * request of a service that has threads, so that what ends one of these ends nothing else. The port's own.
 */
import { randomBytes } from 'node:crypto';
import { setTicketKeys } from '../listeners/tls.ts';
import { Log } from '../log.ts';
import { shutdownRuntimes, workDone } from '../runtime/lib.ts';
import { onAsk } from '../runtime/process-link.ts';
import type { Watch } from '../runtime/sync.ts';
import { askOwner, endWith, workerNumber } from '../runtime/worker.ts';
import { workers } from '../runtime/workers.ts';
import type { Service } from '../services/mod.ts';
import { endHanded } from '../services/source.ts';
import type { ServerConf } from './configuration/mod.ts';
import { isDaemon } from './daemon.ts';

const log = new Log('pingora_core::server');

/** Each worker is told, before it runs a service, … */
interface Beginning {
  /** … the keys of TLS session tickets: a client resumes its session with whichever worker it meets. Base64. */
  readonly ticketKeys: string;
  /** … whether it is part of a daemon. */
  readonly daemon: boolean;
}

let ticketKeys: string | undefined;

onAsk('begin', (): Beginning => {
  ticketKeys ??= randomBytes(48).toString('base64');
  return { ticketKeys, daemon: isDaemon() };
});

/** How many threads a service has: what it wants, or what the configuration says; 1 if it can't have more. */
function threadsOf(service: Service, conf: ServerConf): number {
  const wanted = service.threads();
  if (service.spread === 'connections') return wanted ?? conf.threads;
  if (wanted !== undefined && wanted > 1 && service.spread === undefined && workerNumber() === 0) {
    log.warn(`${service.name()}: ${wanted} threads asked for, but it has no connections to spread; it runs in one`);
  }
  return 1;
}

/** A service that this process runs, or its share of one. */
export interface Share {
  readonly service: Service;
  /** How many threads the service has. */
  readonly threads: number;
  /** What it is called between the processes. */
  readonly key: string;
}

/** What this process runs of the services, which are taken off the list: the last one added is the first to run. */
export function* sharesOf(services: Service[], conf: ServerConf): Generator<Share> {
  const worker = workerNumber();
  const copies: Share[] = [];
  let serves = false;
  for (let service = services.pop(); service !== undefined; service = services.pop()) {
    const share = { service, threads: threadsOf(service, conf), key: String(services.length) };
    const isCopy = service.spread === 'copies';
    if (worker > 0) {
      if (isCopy || (share.threads > 1 && share.threads >= worker)) yield share;
    } else if (isCopy && conf.threads > 1) copies.push(share);
    else {
      serves ||= share.threads === 1;
      yield share;
    }
  }
  // what they find out is of use only where something is served
  if (serves || workers.count === 0) yield* copies;
}

/** Be a worker: run its services until it is told to end. */
export async function runWorker(shutdown: Watch<boolean>, runServices: () => void): Promise<never> {
  // an application that knows better has its own
  if (process.listenerCount('uncaughtException') === 0) process.on('uncaughtException', crash);
  onAsk('shutdown', () => shutdown.send(true));
  onAsk('timeout', () => shutdownRuntimes());
  onAsk('work done', (restMs: number) => {
    endHanded();
    return workDone(restMs);
  });
  onAsk('end', () => {
    setImmediate(() => process.exit(0));
  });
  const beginning = await askOwner<Beginning>('begin');
  setTicketKeys(Buffer.from(beginning.ticketKeys, 'base64'));
  if (beginning.daemon) process.chdir('/');
  runServices();
  await askOwner('ready');
  return new Promise<never>(() => {});
}

/**
 * Have the process that was started log why, in one line, and end at once: after an error that nobody expected nothing
 * more may be served.
 */
function crash(thrown: unknown): never {
  const [what, where] = (thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)).split('\n');
  endWith([what, where?.trim()].filter(Boolean).join(' '));
}

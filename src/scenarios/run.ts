/**
 * Runs a scenario: its origin and its clients here, its server in a child process, because `run_forever` ends the
 * process it runs in. Nothing of a run is left behind, however it ends.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mergeTraces, type TracePart } from '../tracing/merge.ts';
import type { TraceDocument } from '../tracing/model.ts';
import { makeCertificate } from './certificate.ts';
import { Client } from './client.ts';
import type { Scenario } from './index.ts';
import { partOf, type ServerPlan } from './messages.ts';
import { OldProcess } from './old-process.ts';
import { closedPort, startConnectProxy, startOrigin } from './origin.ts';
import { ServerProcess } from './server-process.ts';

/** A scenario that takes longer than this, in milliseconds, has failed. */
const DEADLINE = 20_000;

/** A scenario failed. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError';
  /** What was being done. */
  readonly step: string;
  /** What the server had printed. */
  readonly log: string;

  constructor(step: string, cause: unknown, log: string) {
    super(`${step}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    this.step = step;
    this.log = log;
  }
}

function readPart(plan: ServerPlan, thread: number): TracePart {
  return JSON.parse(readFileSync(partOf(plan, thread), 'utf8')) as TracePart;
}

/** What is to be undone at the end of a run, last first. */
class Cleanup {
  #undo: (() => unknown)[] = [];

  add(undo: () => unknown): void {
    this.#undo.push(undo);
  }

  async run(): Promise<void> {
    for (const undo of this.#undo.splice(0).reverse()) await undo();
  }
}

export interface RunOptions {
  /** Ends the run: everything is cleaned up, and the run fails with the signal's reason. */
  signal?: AbortSignal;
  /** Where the run's temporary folder is made. Default: the system's place for such. */
  tmp?: string;
  /** The built program that the scenario's server runs in. Default: `server.ts` or `server.js` beside this module. */
  program?: string;
}

/**
 * Run a scenario and return its trace. Throws {@link ScenarioError} if anything goes wrong.
 */
export async function runScenario(
  scenario: Scenario,
  { signal, tmp = tmpdir(), program }: RunOptions = {},
): Promise<TraceDocument> {
  const cleanup = new Cleanup();
  let step = '';
  let server: ServerProcess | undefined;
  const stop = new AbortController();
  const stopped = new Promise<never>((_, reject) => {
    stop.signal.addEventListener('abort', () => reject(stop.signal.reason as Error), { once: true });
  });
  stopped.catch(() => {});
  const timer = setTimeout(() => stop.abort(new Error(`not done after ${DEADLINE / 1000} s`)), DEADLINE);
  const abort = () => stop.abort(signal?.reason);
  cleanup.add(() => clearTimeout(timer));
  signal?.addEventListener('abort', abort, { once: true });
  cleanup.add(() => signal?.removeEventListener('abort', abort));
  if (signal?.aborted) abort();

  const enter = (next: string) => {
    stop.signal.throwIfAborted();
    step = next;
  };

  const run = async (): Promise<TraceDocument> => {
    enter('prepare');
    const dir = mkdtempSync(join(tmp, 'pingora-traced-'));
    const removeDir = () => rmSync(dir, { recursive: true, force: true });
    // The last resort if this process is ended from outside while it waits.
    const lastly = () => {
      server?.kill();
      removeDir();
    };
    process.once('exit', lastly);
    cleanup.add(() => {
      process.off('exit', lastly);
      removeDir();
    });

    enter('make a certificate');
    const certificate = await makeCertificate();
    const plan: ServerPlan = {
      scenario: scenario.name,
      origin: 0,
      closed: 0,
      takesOver: undefined,
      cert: join(dir, 'cert.pem'),
      key: join(dir, 'key.pem'),
      dir,
      trace: join(dir, 'trace.json'),
    };
    writeFileSync(plan.cert, certificate.cert);
    writeFileSync(plan.key, certificate.key, { mode: 0o600 });

    enter('start the origin');
    const origin = await startOrigin(scenario.origin ?? 'h1', certificate, dir);
    cleanup.add(() => origin.close());
    if (scenario.connectProxy) {
      const between = await startConnectProxy(join(dir, 'connect.sock'));
      cleanup.add(() => between.close());
    }
    const closed = await closedPort();
    cleanup.add(() => closed.close());
    plan.origin = origin.port;
    plan.closed = closed.port;

    let old: OldProcess | undefined;
    if (scenario.takesOver) {
      enter('listen as the old process');
      old = await OldProcess.start(join(dir, 'upgrade.sock'));
      cleanup.add(() => old!.close());
      plan.takesOver = old.address;
    }

    enter('start the server');
    const child = new ServerProcess(plan, scenario.daemon ?? false, program);
    server = child;
    cleanup.add(() => {
      child.kill();
      return child.exited.catch(() => {});
    });
    if (old !== undefined) {
      enter('hand over');
      await child.whileRunning(old.handOver());
    }
    const addresses = await child.whileRunning(child.ready);

    enter('the client');
    await child.tell({ phase: 'request' });
    const client = new Client(addresses, certificate.cert, dir);
    cleanup.add(() => client.close());
    const ended = (fn: string, times: number) => child.tell({ fn, ended: times });
    const more = (fn: string, times: number) => child.tell({ fn, more: times });
    await child.whileRunning(scenario.client(client, { origin, ended, more }));

    const { signal: end, after } = { after: undefined, ...(scenario.ends ?? { signal: 'SIGINT' as const }) };
    enter('wait for the requests to end');
    await child.tell({ idle: 'requests' });
    await child.tell({ phase: 'shutdown' });
    enter('close the client');
    await child.whileRunning(client.close());
    await child.tell({ idle: 'connections' });
    if (after) {
      enter(`wait for ${after.fn}`);
      await child.tell(after);
    }

    enter(`end the server with ${end}`);
    child.signal(end);
    const code = await child.exited;
    if (code !== 0) throw new Error(`the server's exit code is ${code}`);

    enter('read the trace');
    const parts = Array.from({ length: scenario.threads === undefined ? 1 : scenario.threads + 1 }, (_, thread) =>
      readPart(plan, thread),
    );
    return parts.length === 1 ? parts[0]!.trace : mergeTraces(parts);
  };

  const running = run();
  try {
    return await Promise.race([running, stopped]);
  } catch (error) {
    throw new ScenarioError(step, error, server?.log ?? '');
  } finally {
    await cleanup.run();
    // A run that was stopped may have been in the middle of starting something: it ends at its next step.
    await running.catch(() => {});
    await cleanup.run();
  }
}

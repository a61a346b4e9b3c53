/**
 * Runs a scenario: its origin and its clients here, its server in a child process, because `run_forever` ends the
 * process it runs in. Nothing of a run is left behind, however it ends.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mergeTraces, type TracePart } from '../tracing/merge.ts';
import type { TraceDocument } from '../tracing/model.ts';
import { type Certificate, makeCertificate } from './certificate.ts';
import { Client } from './client.ts';
import { partOf, type ServerPlan } from './messages.ts';
import { OldProcess } from './old-process.ts';
import { closedPort, type Origin, startConnectProxy, startOrigin } from './origin.ts';
import type { Scenario } from './scenario.ts';
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
  /** Whether the server is traced; the trace is empty if it isn't. Default: yes. */
  traced?: boolean;
  /** Told of the run's folder when the server has ended, before the folder is removed. */
  onEnded?: (dir: string) => void;
}

/** A run of a scenario: everything that it starts, and how far it has come. */
class Run {
  /** What it does now. */
  step = '';
  server: ServerProcess | undefined;
  readonly cleanup = new Cleanup();
  private readonly scenario: Scenario;
  private readonly signal: AbortSignal;

  /** `signal` ends it at its next step. */
  constructor(scenario: Scenario, signal: AbortSignal) {
    this.scenario = scenario;
    this.signal = signal;
  }

  private enter(next: string): void {
    this.signal.throwIfAborted();
    this.step = next;
  }

  /** A folder that is removed at the end, also if this process is ended from outside while it waits. */
  private makeDir(tmp: string): string {
    const dir = mkdtempSync(join(tmp, 'pingora-traced-'));
    const removeDir = () => rmSync(dir, { recursive: true, force: true });
    const lastly = () => {
      this.server?.kill();
      removeDir();
    };
    process.once('exit', lastly);
    this.cleanup.add(() => {
      process.off('exit', lastly);
      removeDir();
    });
    return dir;
  }

  private async startOrigins(plan: ServerPlan, certificate: Certificate): Promise<Origin> {
    const { cleanup, scenario } = this;
    this.enter('start the origin');
    const origin = await startOrigin(scenario.origin ?? 'h1', certificate, plan.dir);
    cleanup.add(() => origin.close());
    if (scenario.connectProxy) {
      const between = await startConnectProxy(join(plan.dir, 'connect.sock'));
      cleanup.add(() => between.close());
    }
    const closed = await closedPort();
    cleanup.add(() => closed.close());
    plan.origin = origin.port;
    plan.closed = closed.port;
    return origin;
  }

  private async startServer(plan: ServerPlan, program: string | undefined): Promise<ServerProcess> {
    const { cleanup, scenario } = this;
    let old: OldProcess | undefined;
    if (scenario.takesOver) {
      this.enter('listen as the old process');
      old = await OldProcess.start(join(plan.dir, 'upgrade.sock'));
      cleanup.add(() => old!.close());
      plan.takesOver = old.address;
    }
    this.enter('start the server');
    const server = new ServerProcess(plan, scenario.daemon ?? false, program);
    this.server = server;
    cleanup.add(() => {
      server.kill();
      return server.exited.catch(() => {});
    });
    if (old !== undefined) {
      this.enter('hand over');
      await server.whileRunning(old.handOver());
    }
    return server;
  }

  private async request(server: ServerProcess, client: Client, origin: Origin): Promise<void> {
    this.enter('the client');
    await server.tell({ phase: 'request' });
    this.cleanup.add(() => client.close());
    const ended = (fn: string, times: number) => server.tell({ fn, ended: times });
    const more = (fn: string, times: number) => server.tell({ fn, more: times });
    await server.whileRunning(this.scenario.client(client, { origin, ended, more }));
  }

  private async end(server: ServerProcess, client: Client): Promise<void> {
    const { signal, after } = { after: undefined, ...(this.scenario.ends ?? { signal: 'SIGINT' as const }) };
    this.enter('wait for the requests to end');
    await server.tell({ idle: 'requests' });
    await server.tell({ phase: 'shutdown' });
    this.enter('close the client');
    await server.whileRunning(client.close());
    await server.tell({ idle: 'connections' });
    if (after) {
      this.enter(`wait for ${after.fn}`);
      await server.tell(after);
    }
    this.enter(`end the server with ${signal}`);
    server.signal(signal);
    const code = await server.exited;
    if (code !== 0) throw new Error(`the server's exit code is ${code}`);
  }

  /** From the first step to the trace. */
  async trace({ tmp = tmpdir(), program, traced = true, onEnded }: RunOptions): Promise<TraceDocument> {
    this.enter('prepare');
    const dir = this.makeDir(tmp);
    this.enter('make a certificate');
    const certificate = await makeCertificate();
    const plan: ServerPlan = {
      scenario: this.scenario.name,
      origin: 0,
      closed: 0,
      takesOver: undefined,
      cert: join(dir, 'cert.pem'),
      key: join(dir, 'key.pem'),
      dir,
      traced,
      trace: join(dir, 'trace.json'),
    };
    writeFileSync(plan.cert, certificate.cert);
    writeFileSync(plan.key, certificate.key, { mode: 0o600 });
    const origin = await this.startOrigins(plan, certificate);
    const server = await this.startServer(plan, program);
    const client = new Client(await server.whileRunning(server.ready), certificate.cert, dir);
    await this.request(server, client, origin);
    await this.end(server, client);

    onEnded?.(dir);
    this.enter('read the trace');
    const { threads } = this.scenario;
    const parts = Array.from({ length: threads === undefined ? 1 : threads + 1 }, (_, thread) =>
      readPart(plan, thread),
    );
    return parts.length === 1 ? parts[0]!.trace : mergeTraces(parts);
  }
}

/**
 * Run a scenario and return its trace. Throws {@link ScenarioError} if anything goes wrong.
 */
export async function runScenario(scenario: Scenario, options: RunOptions = {}): Promise<TraceDocument> {
  const { signal } = options;
  const stop = new AbortController();
  const stopped = new Promise<never>((_, reject) => {
    stop.signal.addEventListener('abort', () => reject(stop.signal.reason as Error), { once: true });
  });
  stopped.catch(() => {});
  const timer = setTimeout(() => stop.abort(new Error(`not done after ${DEADLINE / 1000} s`)), DEADLINE);
  const abort = () => stop.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted) abort();

  const run = new Run(scenario, stop.signal);
  const running = run.trace(options);
  try {
    return await Promise.race([running, stopped]);
  } catch (error) {
    throw new ScenarioError(run.step, error, run.server?.log ?? '');
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    await run.cleanup.run();
    // A run that was stopped may have been in the middle of starting something: it ends at its next step.
    await running.catch(() => {});
    await run.cleanup.run();
  }
}

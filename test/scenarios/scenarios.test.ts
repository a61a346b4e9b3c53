import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { printTree } from '../../src/formats/tree.ts';
import { findScenario, scenarios } from '../../src/scenarios/index.ts';
import { ScenarioError } from '../../src/scenarios/run.ts';
import type { Scenario } from '../../src/scenarios/scenario.ts';
import { compare, differences, loadRecord } from '../../src/tracing/compare.ts';
import type { TraceDocument } from '../../src/tracing/model.ts';
import schema from '../../src/tracing/schema.json' with { type: 'json' };
import { declaredSites } from '../../src/tracing/sites.ts';
import { built, running } from '../support/built.ts';
import { runScenario } from '../support/scenario.ts';
import type { Deeds } from './deeds.ts';
import { expectMainPath, seen } from './main-path.ts';
import { comparable } from './same.ts';
import { UNREACHED } from './unreached.ts';

vi.setConfig({ maxConcurrency: 2 });

const available = scenarios.filter(({ unavailable }) => unavailable === undefined);
const validate = new Ajv({ allErrors: true, strictTypes: false }).compile(schema);

let tmp: string;
beforeAll(() => {
  tmp = mkdtempSync(join(tmpdir(), 'scenarios-test-'));
});
afterAll(() => rmSync(tmp, { recursive: true, force: true }));

/** Processes that were told of this folder: the servers of the scenarios that run in it. */
function serversIn(dir: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(join(dir, 'pingora-traced-'));
    } catch {
      return false;
    }
  });
}

const foldersIn = (dir: string) => readdirSync(dir).filter((name) => name.startsWith('pingora-traced-'));

/** The printed tree without what differs from run to run: times, ports, names of temporary folders. */
function normalised(trace: TraceDocument): string {
  return printTree(trace)
    .replace(/ +[\d.]+(?:µs|ms|s)(?: *⧗[\d.]+(?:µs|ms|s))?$/gm, '')
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT')
    .replace(/pingora-traced-\w+/g, 'DIR');
}

/** A run whose server notes what it does. */
async function noted(scenario: Scenario, traced: boolean): Promise<{ trace: TraceDocument; done: object }> {
  const deeds: Deeds[] = [];
  const trace = await runScenario(scenario, {
    tmp,
    traced,
    program: built('test/scenarios/deeds-server.ts')!,
    onEnded(dir) {
      for (const file of readdirSync(dir)) {
        if (file.startsWith('deeds-')) deeds.push(JSON.parse(readFileSync(join(dir, file), 'utf8')) as Deeds);
      }
    },
  });
  expect(deeds.length).toBeGreaterThan(0);
  return { trace, done: comparable(deeds) };
}

const runs = new Map<string, ReturnType<typeof noted>>();
/** The traced run of a scenario; each is run once for all tests but those that want another run. */
function runOf(scenario: Scenario): ReturnType<typeof noted> {
  let run = runs.get(scenario.name);
  if (run === undefined) {
    run = noted(scenario, true);
    runs.set(scenario.name, run);
  }
  return run;
}

const traceOf = async (scenario: Scenario): Promise<TraceDocument> => (await runOf(scenario)).trace;

describe.concurrent('each scenario', () => {
  test.each(available)('$name makes the calls that Pingora made, in their order', async (scenario) => {
    const trace = await traceOf(scenario);
    expect(validate(trace) ? [] : validate.errors).toEqual([]);
    expect(trace).toMatchObject({ scenario: scenario.name, pingora: '0.1.0', node: process.version });
    const record = loadRecord(scenario.name);
    if (record !== null) expect(differences(compare(record, trace.spans))).toEqual([]);
  });
});

/** What is done may hang on when the network brings something: in so many tries it does so alike. */
const TRIES = 6;

// What a trace shows is what runs. `test/tracing/same-deeds.test.ts` has exchanges that no scenario has.
describe.concurrent('a recorder changes nothing of what is done to sockets, timers and tasks', () => {
  test.each(available)('in $name', async (scenario) => {
    const traced = [(await runOf(scenario)).done];
    const untraced: object[] = [];
    for (let left = TRIES; left > 0; left--) {
      const { trace, done } = await noted(scenario, false);
      expect(trace.spans).toEqual([]);
      untraced.push(done);
      if (traced.some((one) => untraced.some((other) => isDeepStrictEqual(one, other)))) return;
      traced.push((await noted(scenario, true)).done);
    }
    expect(traced[0]).toEqual(untraced[0]);
  });
});

describe('at level main', () => {
  test('each scenario is in the table', () => {
    expect(Object.keys(seen).sort()).toEqual(scenarios.map(({ name }) => name).sort());
  });

  test.each(available)('$name shows the request, the peer, the answer and each reason', async (scenario) => {
    expectMainPath(scenario.name, await traceOf(scenario));
  });
});

describe('a trace', () => {
  test.each(available)('of $name has all its places, and one phase after the other', async (scenario) => {
    const { spans } = await traceOf(scenario);
    expect(spans.filter(({ ts }) => ts === null).map(({ fn }) => fn)).toEqual([]);
    const order = ['startup', 'request', 'shutdown'];
    const phases = spans.map(({ phase }) => order.indexOf(phase));
    expect(phases).toEqual([...phases].sort());
    expect(new Set(phases).size).toBeGreaterThanOrEqual(2);
  });

  test.each(['h1', 'tls-h2', 'threads', 'no-steal'])(
    'of %s is the same in each run, but for times and ports',
    async (name) => {
      const scenario = findScenario(name)!;
      const [first, second] = [await traceOf(scenario), await runScenario(scenario, { tmp })];
      expect(normalised(second)).toBe(normalised(first));
    },
  );

  test('is no wider than 100 columns as a tree', async () => {
    for (const scenario of available) {
      const widest = Math.max(
        ...printTree(await traceOf(scenario))
          .split('\n')
          .map((line) => [...line].length),
      );
      expect(widest).toBeLessThanOrEqual(100);
    }
  });
});

test('the recorded scenarios say what their records say', () => {
  for (const { name, about, does } of scenarios) {
    const record = loadRecord(name) as unknown as { about: string; does: string[] } | null;
    if (record === null) continue;
    expect(about.length).toBeGreaterThan(0);
    expect(does.join(' ')).toContain(record.does[0]!.split(' HTTP/')[0]!);
  }
});

test('every declared span is reached by a scenario', async () => {
  const reached = new Set<string>();
  for (const scenario of available) {
    for (const { fn, rust } of (await traceOf(scenario)).spans) reached.add(`${rust?.file} ${fn}`);
  }
  const missing = declaredSites().filter(({ fn, rust }) => !reached.has(`${rust ?? undefined} ${fn}`));
  // what has a namesake in another file is listed with its own file
  const listed = missing.map(({ fn, rust }) => {
    const withFile = `${rust?.split('/').at(-1)} ${fn}`;
    return withFile in UNREACHED ? withFile : fn;
  });
  expect(listed.sort()).toEqual(Object.keys(UNREACHED).sort());
}, 120_000);

describe('a run', () => {
  test('leaves no process and no file', () => {
    expect(serversIn(tmp)).toEqual([]);
    expect(foldersIn(tmp)).toEqual([]);
  });

  test('that fails says at which step, and leaves nothing', async () => {
    const client = () => Promise.reject(new Error('the answer is wrong'));
    const run = runScenario({ ...findScenario('h1')!, client }, { tmp });
    await expect(run).rejects.toThrow('the client: the answer is wrong');
    expect(serversIn(tmp)).toEqual([]);
    expect(foldersIn(tmp)).toEqual([]);
  });

  test('whose server fails has the server’s log', async () => {
    const run = runScenario({ ...findScenario('h1')!, name: 'no-such-scenario' }, { tmp });
    const error = await run.then(
      () => null,
      (reason: unknown) => reason as ScenarioError,
    );
    expect(error).toBeInstanceOf(ScenarioError);
    expect(error).toMatchObject({ step: 'start the server' });
    expect(error!.log).toContain("no scenario 'no-such-scenario'");
    expect(foldersIn(tmp)).toEqual([]);
  });

  test('that is stopped leaves nothing', async () => {
    const stop = new AbortController();
    const run = runScenario(
      {
        ...findScenario('h1')!,
        client: (client) => {
          stop.abort(new Error('enough'));
          return client.raw('').then(() => {});
        },
      },
      { tmp, signal: stop.signal },
    );
    await expect(run).rejects.toThrow('enough');
    expect(serversIn(tmp)).toEqual([]);
    expect(foldersIn(tmp)).toEqual([]);
  });
});

describe('the command line', () => {
  const cli = (...args: string[]) => {
    const child = spawn(process.execPath, [...running('src/scenarios/cli.ts'), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TMPDIR: tmp, NO_COLOR: undefined, FORCE_COLOR: undefined },
    });
    const out = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk: Buffer) => {
      out.stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      out.stderr += chunk.toString();
    });
    const done = new Promise<typeof out & { code: number | null }>((resolve) =>
      child.once('close', (code) => resolve({ ...out, code })),
    );
    return { child, done };
  };

  test('prints nothing but the trace to stdout', async () => {
    const { stdout, stderr, code } = await cli('h1', '--format', 'json').done;
    expect([code, stderr]).toEqual([0, '']);
    expect(validate(JSON.parse(stdout))).toBe(true);
  });

  test('prints a tree without colours where there is no terminal', async () => {
    const { stdout, code } = await cli('h1', '--only', 'server,proxy', '--depth', '4').done;
    expect(code).toBe(0);
    expect(stdout).toMatch(/^h1 {2}one plain HTTP/);
    expect(stdout).not.toContain('\x1b');
  });

  test('names the nearest scenarios when there is none of that name', async () => {
    const { stdout, stderr, code } = await cli('tls-h3').done;
    expect(code).not.toBe(0);
    expect(stdout).toBe('');
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toContain('tls-h1, tls-h2');
  });

  test('lists all scenarios', async () => {
    const { stdout, code } = await cli('--list').done;
    expect(code).toBe(0);
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split(' ')[0]),
    ).toEqual(scenarios.map(({ name }) => name));
  });

  test('takes an unknown module, level or format for a mistake', async () => {
    for (const wrong of [
      ['--only', 'nothing'],
      ['--depth', '0'],
      ['--format', 'xml'],
      // commander says the nearest in a line of its own
      ['--formt', 'json'],
    ]) {
      const { stdout, stderr, code } = await cli('h1', ...wrong).done;
      expect([code, stdout]).toEqual([1, '']);
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    }
  });

  test('says in one line where a trace can’t be written', async () => {
    const there = join(tmp, 'no/such/folder');
    const { stderr, code } = await cli('h1', '--out', there).done;
    expect([code, stderr]).toEqual([1, expect.stringMatching(`^--out ${there}: can't write there: ENOENT.*\n$`)]);
  });

  test.runIf(existsSync('/dev/full'))('says in one line that nothing can be written any more', () => {
    const full = openSync('/dev/full', 'w');
    onTestFinished(() => closeSync(full));
    const { stderr, status } = spawnSync(process.execPath, [...running('src/scenarios/cli.ts'), '--list'], {
      stdio: ['ignore', full, 'pipe'],
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^standard output: can't write there: ENOSPC.*\n$/)]);
  });

  test('ends well when whoever reads stops early', async () => {
    const { child, done } = cli('h1', '--format', 'json');
    child.stdout.once('data', () => child.stdout.destroy());
    const { code, stderr } = await done;
    expect([code, stderr]).toEqual([0, '']);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('leaves nothing when %s comes in the middle', async (signal) => {
    const { child, done } = cli('health-check');
    await vi.waitFor(() => expect(serversIn(tmp)).not.toEqual([]), { timeout: 15_000, interval: 20 });
    child.kill(signal);
    const { code, stdout } = await done;
    expect([code, stdout]).toEqual([signal === 'SIGINT' ? 130 : 143, '']);
    expect(serversIn(tmp)).toEqual([]);
    expect(foldersIn(tmp)).toEqual([]);
  });

  test('leaves nothing even when it is killed in the middle', async () => {
    const { child, done } = cli('health-check');
    await vi.waitFor(() => expect(serversIn(tmp)).not.toEqual([]), { timeout: 15_000, interval: 20 });
    child.kill('SIGKILL');
    await done;
    await vi.waitFor(
      () => {
        expect(serversIn(tmp)).toEqual([]);
        expect(foldersIn(tmp)).toEqual([]);
      },
      { timeout: 15_000, interval: 20 },
    );
  });
});

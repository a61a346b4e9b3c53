import { execFile } from 'node:child_process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Future } from '../../src/runtime/future.ts';
import { spawn } from '../../src/runtime/lib.ts';
import { type AwaitableFuture, awaitable, promised } from '../../src/runtime/task.ts';
import { timeout } from '../../src/timeout/lib.ts';
import { sleeping } from '../../src/timeout/sleeping.ts';
import { Recorder } from '../../src/tracing/recorder.ts';
import { callHook, note, ported, traced } from '../../src/tracing/span.ts';
import { loader } from '../support/built.ts';

const rust = ported('pingora-core/src/server/mod.rs');
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

const leaf = rust.fn('leaf', (value: number) => value);
const both = rust.fn('both', () => leaf(1) + leaf(2));
const slow = rust.fn('slow', async () => {
  await turn();
  return leaf(3);
});
const outer = rust.fn('outer', async () => {
  leaf(0);
  await slow();
  leaf(4);
});
const throws = rust.fn('throws', () => {
  throw new Error('no');
});
const rejects = rust.fn('rejects', async () => {
  await turn();
  throw new Error('no');
});
/** Gives a value at once, or a future of it. */
const oneOrFuture = rust.fn('one or future', (value: number) =>
  value === 1 ? value : (inTime(value) as AwaitableFuture<number>),
);
function* inTime(value: number): Future<number> {
  yield* sleeping(1);
  return leaf(value);
}
awaitable(inTime);
const loses = rust.fn('loses', function* (): Future<void> {
  yield* timeout(1, sleeps());
});
const sleeps = rust.fn('sleeps', function* (): Future<void> {
  yield* sleeping(60_000);
});

@traced
class Thing {
  value = 5;
  @rust.method
  get(): number {
    return this.value;
  }
}

describe('recording', () => {
  let recorder: Recorder;
  const edges = () => recorder.spans.map(({ site, parent }) => [parent?.site.fn ?? null, site.fn]);

  beforeEach(() => {
    recorder = new Recorder().attach();
  });
  afterEach(() => recorder.detach());

  test('a span is the child of the call that made it, across awaits', async () => {
    await recorder.root('main', outer);
    expect(edges()).toEqual([
      [null, 'outer'],
      ['outer', 'leaf'],
      ['outer', 'slow'],
      ['slow', 'leaf'],
      ['outer', 'leaf'],
    ]);
    expect(recorder.spans.map(({ start }) => start)).toEqual(
      recorder.spans.map(({ start }) => start).sort((a, b) => a - b),
    );
  });

  test('arguments, results and `this` pass through', () => {
    expect(recorder.root('main', () => [both(), new Thing().get()])).toEqual([3, 5]);
    expect(edges()).toEqual([
      [null, 'both'],
      ['both', 'leaf'],
      ['both', 'leaf'],
      [null, 'Thing::get'],
    ]);
  });

  test('concurrent calls keep their own children', async () => {
    await recorder.root('main', () => Promise.all([slow(), slow()]));
    const [first, second, one, two] = recorder.spans;
    expect([one!.parent, two!.parent]).toEqual([first, second]);
  });

  test('an exception makes an error, sync and async, and goes on to the caller', async () => {
    await recorder.root('main', async () => {
      expect(throws).toThrow('no');
      await expect(rejects()).rejects.toThrow('no');
    });
    expect(recorder.spans.map(({ status, end }) => [status, end !== null])).toEqual([
      ['error', true],
      ['error', true],
    ]);
  });

  test('fail() marks a call that returns an error', async () => {
    const gives = rust.fn('gives', async () => {
      recorder.fail();
      await turn();
    });
    await recorder.root('main', gives);
    expect(recorder.spans[0]!.status).toBe('error');
  });

  test('a call that is dropped is cancelled, whoever drops it fails', async () => {
    await recorder.root('main', () => promised(loses()).catch(() => {}));
    expect(recorder.spans.map(({ site, status }) => [site.fn, status])).toEqual([
      ['loses', 'error'],
      ['sleeps', 'cancelled'],
    ]);
  });

  test('a call that gives a future goes on until that has ended, one that gives a value has ended', async () => {
    const asks = async () => [await oneOrFuture(1), await oneOrFuture(2)];
    expect(await recorder.root('main', asks)).toEqual([1, 2]);
    const [first, second, below] = recorder.spans;
    expect(edges()).toEqual([
      [null, 'one or future'],
      [null, 'one or future'],
      ['one or future', 'leaf'],
    ]);
    expect(first!.end).toBeLessThanOrEqual(second!.start);
    expect(below!.parent).toBe(second);
    expect(second!.end).toBeGreaterThanOrEqual(below!.end!);
  });

  test('a call that gives an iterator has ended, and its values are the same', async () => {
    const counts = rust.fn('counts', (to: number) => upTo(to));
    function* upTo(to: number): Generator<number, void, void> {
      for (let n = 1; n <= to; n++) yield n;
    }
    expect(recorder.root('main', () => [...counts(3)])).toEqual([1, 2, 3]);
    expect(recorder.spans[0]!.end).not.toBeNull();
  });

  test('a spawned task has its own lane, and its parent is the span that spawned it', async () => {
    const spawns = rust.fn('spawns', () => spawn('work', slow));
    await recorder.root('main', spawns);
    expect(recorder.tasks.map(({ name, spawnedBy }) => [name, spawnedBy?.site.fn])).toEqual([
      ['main', undefined],
      ['work', 'spawns'],
    ]);
    expect(edges().slice(0, 2)).toEqual([
      [null, 'spawns'],
      ['spawns', 'slow'],
    ]);
    expect(recorder.spans.map(({ task }) => task.name)).toEqual(['main', 'work', 'work']);
  });

  test('what is left open when its task ends was cancelled', async () => {
    const never = rust.fn('never', () => new Promise<void>(() => {}));
    await recorder.root('main', () =>
      spawn('work', async () => {
        never().catch(() => {});
        await turn();
      }),
    );
    await turn();
    expect(recorder.spans[0]).toMatchObject({ status: 'cancelled' });
    expect(recorder.spans[0]!.end).not.toBeNull();
  });

  test('attributes go to the span that runs', async () => {
    const notes = rust.fn('notes', async () => {
      await turn();
      note({ peer: '127.0.0.1:1' });
    });
    await recorder.root('main', notes);
    expect(recorder.spans[0]!.attributes).toEqual({ peer: '127.0.0.1:1' });
  });

  test("an application's hook is traced where it is called, a default by itself", () => {
    const app = { filter: (n: number) => n + 1 };
    recorder.root('main', () => {
      expect(callHook('ProxyHttp', 'filter', app, app.filter, false, 1)).toBe(2);
      expect(callHook('ProxyHttp', 'filter', app, leaf, true, 1)).toBe(1);
    });
    expect(recorder.spans.map(({ site }) => [site.fn, site.rust])).toEqual([
      ['<app as ProxyHttp>::filter', 'app'],
      ['leaf', 'pingora-core/src/server/mod.rs'],
    ]);
  });

  test('calls outside the root are not recorded, nor any once detached', () => {
    leaf(1);
    recorder.root('main', () => leaf(1));
    recorder.detach();
    recorder.root('main', () => leaf(1));
    expect(recorder.spans).toHaveLength(1);
  });

  test('the phase is the one in which a span starts', () => {
    recorder.root('main', () => {
      leaf(1);
      recorder.phase = 'request';
      leaf(1);
    });
    expect(recorder.spans.map(({ phase }) => phase)).toEqual(['startup', 'request']);
  });
});

test('an observer sees each begin and end', async () => {
  const seen: string[] = [];
  const recorder = new Recorder({ observe: ({ site }, what) => seen.push(`${what} ${site.fn}`) }).attach();
  await recorder.root('main', slow);
  recorder.detach();
  expect(seen).toEqual(['begin slow', 'begin leaf', 'end leaf', 'end slow']);
});

test('a span that waits has runs on either side of the wait, and none while others run', async () => {
  const recorder = new Recorder({ runs: true }).attach();
  let between: [number, number] = [0, 0];
  await recorder.root('main', async () => {
    const waiting = outer();
    await null;
    const from = recorder.now();
    while (recorder.now() < from + 500);
    between = [from, recorder.now()];
    await waiting;
  });
  recorder.detach();
  const { runs, start, end } = recorder.spans.find(({ site }) => site.fn === 'slow')!;
  expect(runs!.length).toBeGreaterThanOrEqual(2);
  expect(runs![0]![0]).toBe(start);
  for (const [from, to] of runs!) {
    expect(from).toBeGreaterThanOrEqual(start);
    expect(to).toBeLessThanOrEqual(end!);
    expect(to <= between[0] || from >= between[1]).toBe(true);
  }
  expect(recorder.spans.filter(({ site }) => site.fn === 'leaf').every((span) => span.runs === null)).toBe(true);
});

test('while tracing is off async_hooks is never touched', async () => {
  const module = (path: string) => JSON.stringify(pathToFileURL(fileURLToPath(new URL(path, import.meta.url))).href);
  const script = `
    import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
    let touched = 0;
    for (const name of ['run', 'enterWith', 'getStore', 'exit']) {
      const original = AsyncLocalStorage.prototype[name];
      AsyncLocalStorage.prototype[name] = function (...args) { touched++; return original.apply(this, args); };
    }
    const { ported, note } = await import(${module('../../src/tracing/span.ts')});
    const { spawn } = await import(${module('../../src/runtime/lib.ts')});
    const { Recorder } = await import(${module('../../src/tracing/recorder.ts')});
    const f = ported('x').fn('f', async () => { note({ a: 1 }); await null; });
    await f();
    await spawn('task', f);
    console.log(touched);
    await new Recorder().attach().root('main', f);
    console.log(touched > 0);
  `;
  const { stdout } = await promisify(execFile)(process.execPath, [...loader, '--input-type=module', '-e', script]);
  expect(stdout.trim().split('\n')).toEqual(['0', 'true']);
});

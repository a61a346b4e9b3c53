import { describe, expect, it } from 'vitest';
import { currentHandle, Runtime, rests, runningTasks, spawn, spawnAttendant, workDone } from '../../src/runtime/lib.ts';
import { captureLog } from '../support/log.ts';

describe('spawn', () => {
  it('begins once the caller has to wait', async () => {
    const order: string[] = [];
    const task = spawn('t', async () => {
      order.push('task');
    });
    order.push('caller');
    await task;
    expect(order).toEqual(['caller', 'task']);
  });

  it('logs an exception with the name of the task, and throws nothing', async () => {
    const lines = captureLog();
    await spawn('unlucky', async () => {
      throw new Error('out of luck');
    });
    await spawn('odd', async () => {
      throw 'a string';
    });
    expect(lines.map((line) => line.msg.split('\n')[0])).toEqual([
      "task 'unlucky' panicked: Error: out of luck",
      "task 'odd' panicked: a string",
    ]);
    expect(lines[0]!.target).toBe('pingora_runtime');
  });

  it('counts what runs, also what throws before it waits', async () => {
    captureLog('silent');
    const before = runningTasks();
    let go = () => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const waiting = spawn('a', () => gate);
    const failing = spawn('b', () => {
      throw new Error('at once');
    });
    expect(runningTasks()).toBe(before + 2);
    await failing;
    expect(runningTasks()).toBe(before + 1);
    go();
    await waiting;
    expect(runningTasks()).toBe(before);
  });
});

describe('the work of a process', () => {
  const endOfTurn = () => new Promise((resolve) => setImmediate(resolve));

  /** A task that ends when it is told to. */
  function task(start: (name: string, body: () => Promise<void>) => unknown) {
    let end = () => {};
    const gate = new Promise<void>((resolve) => {
      end = resolve;
    });
    start('task', () => gate);
    return end;
  }

  async function watched(restMs = 0) {
    const state = { done: false };
    const work = workDone(restMs).then(() => {
      state.done = true;
    });
    await endOfTurn();
    return { state, work };
  }

  it('is done when its last task ends', async () => {
    const [one, two] = [task(spawn), task(spawn)];
    const { state, work } = await watched(60_000);
    one();
    await endOfTurn();
    expect(state.done).toBe(false);
    two();
    await work;
  });

  it('is done although somebody looks after connections to origins', async () => {
    const end = task(spawnAttendant);
    const other = task(spawn);
    const { state, work } = await watched(60_000);
    expect(state.done).toBe(false);
    other();
    await work;
    end();
  });

  it('is not done because those have ended', async () => {
    const [attendant, other] = [task(spawnAttendant), task(spawn)];
    const { state, work } = await watched(60_000);
    attendant();
    await endOfTurn();
    expect(state.done).toBe(false);
    other();
    await work;
  });

  it('is done when those that are left have waited long enough for a request', async () => {
    const end = task(spawn);
    rests(true);
    const { work } = await watched(20);
    await work;
    rests(false);
    end();
  });

  it('goes on when a request comes in that time', async () => {
    const end = task(spawn);
    rests(true);
    const { state, work } = await watched(20);
    rests(false);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(state.done).toBe(false);
    end();
    await work;
  });
});

describe('Runtime', () => {
  it('keeps its name, its threads and its kind', () => {
    // threads that don't steal are started when the handle is asked for, the others at once: not here
    const steal = Runtime.newSteal(1, 'proxy');
    const fixed = Runtime.newNoSteal(2, 'other');
    expect([steal.getHandle().name, steal.threads, steal.workStealing]).toEqual(['proxy', 1, true]);
    expect([fixed.threads, fixed.workStealing]).toEqual([2, false]);
  });

  it('runs tasks through its handle', async () => {
    const handle = Runtime.newSteal(1, 'x').getHandle();
    let ran = false;
    await handle.spawn('t', async () => {
      ran = true;
    });
    expect(ran).toBe(true);
    expect(await currentHandle().blockOn(async () => 7)).toBe(7);
  });
});

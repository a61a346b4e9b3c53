import { describe, expect, it } from 'vitest';
import { Cancelled } from '../../src/runtime/cancelled.ts';
import { currentHandle, Runtime, runningTasks, spawn } from '../../src/runtime/lib.ts';
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

  it('does not log a task that was cancelled', async () => {
    const lines = captureLog('trace');
    await spawn('dropped', async () => {
      throw new Cancelled('dropped');
    });
    expect(lines).toEqual([]);
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

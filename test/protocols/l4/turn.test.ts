import { describe, expect, it } from 'vitest';
import { type Turning, wakeInTurn, writeInTurn } from '../../../src/protocols/l4/turn.ts';

const endOfTurn = () => new Promise((resolve) => setImmediate(resolve));

/** A connection that writes down what it is told to do, and answers what it reads. */
function connection(seen: string[], name: string, work: () => unknown = () => {}): Turning {
  const self: Turning = {
    wakeReaders() {
      seen.push(`wake ${name}`);
      work();
      // as sessions do, which go on when a promise is resolved
      queueMicrotask(() => {
        seen.push(`work ${name}`);
        writeInTurn(self);
      });
    },
    writeFlushed() {
      seen.push(`write ${name}`);
    },
  };
  return self;
}

describe('a turn of the event loop', () => {
  it('wakes all readers, then has their work done, then writes', async () => {
    const seen: string[] = [];
    await new Promise<void>((resolve) => {
      // all in one turn, as Node calls back for each connection that has something
      setImmediate(() => {
        for (const name of ['a', 'b']) wakeInTurn(connection(seen, name));
        seen.push('read a, b');
        resolve();
      });
    });
    await endOfTurn();
    await endOfTurn();
    expect(seen).toEqual(['read a, b', 'wake a', 'wake b', 'work a', 'work b', 'write a', 'write b']);
  });

  it('writes what was flushed without anything having arrived', async () => {
    const seen: string[] = [];
    writeInTurn(connection(seen, 'a'));
    expect(seen).toEqual([]);
    await endOfTurn();
    expect(seen).toEqual(['write a']);
  });

  it('goes on with the others when one throws', async () => {
    const seen: string[] = [];
    const uncaught = new Promise<Error>((resolve) => {
      const before = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      process.once('uncaughtException', (error) => {
        for (const listener of before) process.on('uncaughtException', listener);
        resolve(error);
      });
    });
    wakeInTurn(
      connection(seen, 'a', () => {
        throw new Error('a is broken');
      }),
    );
    wakeInTurn(connection(seen, 'b'));
    expect((await uncaught).message).toBe('a is broken');
    await endOfTurn();
    await endOfTurn();
    expect(seen).toEqual(['wake a', 'wake b', 'work b', 'write b']);
  });
});

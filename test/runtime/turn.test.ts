import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { Listener } from '../../src/protocols/l4/listener.ts';
import { enterPoll, leavePoll, PENDING, Work } from '../../src/runtime/poll.ts';
import { hasRoom, pollInTurn, type Woken, writeInTurn } from '../../src/runtime/turn.ts';

const endOfTurn = () => new Promise((resolve) => setImmediate(resolve));

/** A task that writes down when it is polled, and flushes a connection that writes down when it is written to. */
function task(seen: string[], name: string, work: () => unknown = () => {}): Woken {
  return {
    poll() {
      seen.push(`poll ${name}`);
      work();
      writeInTurn({ writeFlushed: () => seen.push(`write ${name}`) });
    },
  };
}

/** The next error that nobody catches, which vitest would take for a failure. */
function nextUncaught(): Promise<Error> {
  return new Promise((resolve) => {
    const before = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => {
      for (const listener of before) process.on('uncaughtException', listener);
      resolve(error);
    });
  });
}

describe('a turn of the event loop', () => {
  it('polls all that was woken once everything was read, then writes', async () => {
    const seen: string[] = [];
    await new Promise<void>((resolve) => {
      // all in one turn, as Node calls back for each connection that has something
      setImmediate(() => {
        for (const name of ['a', 'b']) pollInTurn(task(seen, name));
        seen.push('read a, b');
        resolve();
      });
    });
    await endOfTurn();
    await endOfTurn();
    expect(seen).toEqual(['read a, b', 'poll a', 'poll b', 'write a', 'write b']);
  });

  it('polls those first that hold what others wait for', async () => {
    const seen: string[] = [];
    pollInTurn(task(seen, 'request'));
    pollInTurn(task(seen, 'answer'), true);
    await endOfTurn();
    expect(seen.slice(0, 2)).toEqual(['poll answer', 'poll request']);
  });

  it('looks at the sockets again after 61 tasks, as tokio does', async () => {
    const seen: string[] = [];
    for (let i = 0; i < 100; i++) pollInTurn({ poll: () => seen.push('poll') });
    await endOfTurn();
    expect(seen).toHaveLength(61);
    await endOfTurn();
    expect(seen).toHaveLength(100);
  });

  it('looks at the sockets again after eight tasks in a turn that accepted a connection: the next one waits', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const listener = new Listener(server);
    const polled: number[] = [];
    // in the turn of the acceptor's call, which is that of the connection
    const accepted = new Promise<void>((resolve) => {
      const wake = () => {
        for (let i = 0; i < 20; i++) pollInTurn({ poll: () => polled.push(i) });
        resolve();
      };
      const before = enterPoll({ wake });
      expect(listener.accept()).toBe(PENDING);
      leavePoll(before);
    });
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await accepted;
    await endOfTurn();
    expect(polled).toHaveLength(8);
    await endOfTurn();
    expect(polled).toHaveLength(20);
    client.destroy();
    listener.close();
  });

  it('lets in one a turn of those who bring new work while 30 tasks wait, and the others after that', async () => {
    const seen: string[] = [];
    const poll = (name: string) => pollInTurn({ poll: () => seen.push(name) });
    for (let i = 0; i < 29; i++) poll('task');
    const nobody = { letIn: () => seen.push('nobody') };
    expect(hasRoom(nobody)).toBe(true);
    for (let i = 0; i < 171; i++) poll('task');
    const a = { letIn: () => seen.push('a') };
    const b = { letIn: () => seen.push('b') };
    const c = { letIn: () => seen.push('c') };
    const d = { letIn: () => seen.push('d') };
    const held = [a, b, c, d].map(hasRoom);
    expect(held).toEqual([false, false, false, false]);
    const after: string[] = [];
    while (seen.length < 204) {
      await endOfTurn();
      after.push(`${seen.filter((name) => name === 'task').length} ${seen.filter((name) => name !== 'task').join('')}`);
    }
    // the first with 139 in line, the second with 78, the others with 17
    expect(after).toEqual(['61 a', '122 ab', '183 abcd', '200 abcd']);
  });

  it('lets in no more than one of many before all tasks were polled', async () => {
    const seen: string[] = [];
    const poll = () => pollInTurn({ poll: () => seen.push('task') });
    for (let i = 0; i < 80; i++) poll();
    // each brings another task
    const bringing = {
      letIn() {
        seen.push('in');
        poll();
      },
    };
    for (let i = 0; i < 20; i++) expect(hasRoom(bringing)).toBe(false);
    const letIn = () => seen.filter((name) => name === 'in').length;
    await endOfTurn();
    // 19 tasks are in line: room for some of few, and 20 are many
    expect(letIn()).toBe(1);
    await endOfTurn();
    // none is in line
    expect(letIn()).toBe(2);
    while (letIn() < 20) await endOfTurn();
    await endOfTurn();
    expect(seen.filter((name) => name === 'task')).toHaveLength(100);
  });

  it('has room for as many of those who ask as there are tasks of those who never do', async () => {
    const line = (work: Work, count: number) => {
      for (let i = 0; i < count; i++) pollInTurn({ work, poll() {} });
    };
    const asks = () => {
      let in_ = () => {};
      const isIn = new Promise<void>((resolve) => {
        in_ = resolve;
      });
      return { room: hasRoom({ letIn: in_ }), isIn };
    };
    line(Work.FREE, 100);
    line(Work.HELD, 29);
    expect(asks().room).toBe(true);
    // what is nobody's work doesn't count between the two
    line(Work.ANY, 20);
    line(Work.HELD, 70);
    expect(asks().room).toBe(true);
    line(Work.HELD, 1);
    const { room, isIn } = asks();
    expect(room).toBe(false);
    await isIn;
    // nobody's that is in line keeps those out who ask
    line(Work.ANY, 300);
    expect(asks().room).toBe(false);
    line(Work.FREE, 200);
    expect(asks().room).toBe(true);
    for (let i = 0; i < 12; i++) await endOfTurn();
    expect(asks().room).toBe(true);
  });

  it('lets in who waits when a task throws', async () => {
    const seen: string[] = [];
    const uncaught = nextUncaught();
    for (let i = 0; i < 30; i++) {
      pollInTurn({
        poll() {
          throw new Error(`${i} is broken`);
        },
      });
    }
    expect(hasRoom({ letIn: () => seen.push('in') })).toBe(false);
    expect((await uncaught).message).toBe('0 is broken');
    expect(seen).toEqual(['in']);
    for (let i = 1; i < 30; i++) expect((await nextUncaught()).message).toBe(`${i} is broken`);
  });

  it('forgets a task that was polled', async () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    setFlagsFromString('--no-expose-gc');
    let task: Woken | null = { poll() {} };
    const seen = new WeakRef(task);
    pollInTurn(task);
    task = null;
    await endOfTurn();
    await endOfTurn();
    gc();
    expect(seen.deref()).toBeUndefined();
  });

  it('keeps the order of more tasks than it had room for', async () => {
    const seen: number[] = [];
    for (let i = 0; i < 40; i++) pollInTurn({ poll: () => seen.push(i) });
    await endOfTurn();
    for (let i = 40; i < 300; i++) pollInTurn({ poll: () => seen.push(i) });
    while (seen.length < 300) await endOfTurn();
    expect(seen).toEqual(Array.from({ length: 300 }, (_, i) => i));
  });

  it('writes what was flushed without any task', async () => {
    const seen: string[] = [];
    writeInTurn({ writeFlushed: () => seen.push('write') });
    expect(seen).toEqual([]);
    await endOfTurn();
    expect(seen).toEqual(['write']);
  });

  it('goes on with the others when one throws', async () => {
    const seen: string[] = [];
    const uncaught = nextUncaught();
    pollInTurn(
      task(seen, 'a', () => {
        throw new Error('a is broken');
      }),
    );
    pollInTurn(task(seen, 'b'));
    expect((await uncaught).message).toBe('a is broken');
    await endOfTurn();
    await endOfTurn();
    expect(seen).toEqual(['poll a', 'poll b', 'write b']);
  });
});

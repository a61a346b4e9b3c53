import { describe, expect, it } from 'vitest';
import { Channel, Kept, Notify, Turn, Watch } from '../../src/runtime/sync.ts';
import { turn } from '../support/streams.ts';

/** Whether `promise` has settled by the time nothing more can run. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  const mark = () => {
    done = true;
  };
  promise.then(mark, mark);
  await turn();
  return done;
}

describe('Watch', () => {
  it('wakes everybody who waits for a change', async () => {
    const watch = new Watch(false);
    const a = watch.subscribe();
    const b = a.clone();
    const both = Promise.all([a.changed(), b.changed()]);
    expect(await settled(both)).toBe(false);
    watch.send(true);
    await both;
    expect([a.borrow(), b.borrow()]).toEqual([true, true]);
  });

  it('tells a receiver at once of what was sent since it looked, and only once', async () => {
    const watch = new Watch(1);
    const receiver = watch.subscribe();
    watch.send(2);
    watch.send(3);
    await receiver.changed();
    expect(receiver.borrow()).toBe(3);
    expect(await settled(receiver.changed())).toBe(false);
    expect(await settled(watch.subscribe().changed())).toBe(false);
  });

  it('forgets who has taken the call back', () => {
    const watch = new Watch(1);
    let calls = 0;
    const takeBack = watch.subscribe().onChange(() => calls++);
    takeBack();
    takeBack();
    watch.send(2);
    expect(calls).toBe(0);
  });
});

describe('Notify', () => {
  it('wakes those who wait now, and remembers nothing', async () => {
    const notify = new Notify();
    const two = Promise.all([notify.notified(), notify.notified()]);
    notify.notifyWaiters();
    await two;
    expect(await settled(notify.notified())).toBe(false);
  });

  it('remembers one notification that nobody waited for', async () => {
    const notify = new Notify();
    notify.notifyOne();
    notify.notifyOne();
    await notify.notified();
    expect(await settled(notify.notified())).toBe(false);
  });

  it('wakes one, the first', () => {
    const notify = new Notify();
    const woken: string[] = [];
    notify.onNotified(() => woken.push('a'));
    notify.onNotified(() => woken.push('b'));
    notify.notifyOne();
    expect(woken).toEqual(['a']);
  });

  it('does not wake who has taken the call back', () => {
    const notify = new Notify();
    let calls = 0;
    notify.onNotified(() => calls++)();
    notify.notifyWaiters();
    notify.notifyOne();
    expect(calls).toBe(0);
  });
});

describe('Channel', () => {
  it('gives the receiver in one batch what the sender had ready', async () => {
    const channel = new Channel<number>(4);
    const batches: number[][] = [];
    const receiver = (async () => {
      for (;;) {
        const first = await channel.recv();
        if (first === undefined) return;
        const batch = [first];
        for (let next = channel.tryRecv(); next !== undefined; next = channel.tryRecv()) batch.push(next);
        batches.push(batch);
      }
    })();
    await turn();
    await channel.send(1);
    await null; // a sender that awaits what is ready goes on before the receiver
    await channel.send(2);
    await null;
    await channel.send(3);
    await turn();
    await channel.send(4);
    channel.close();
    await receiver;
    expect(batches).toEqual([[1, 2, 3], [4]]);
  });

  it('makes the sender wait while it is full', async () => {
    const channel = new Channel<number>(2);
    expect([channel.trySend(1), channel.trySend(2), channel.trySend(3)]).toEqual([true, true, false]);
    expect(channel.hasCapacity()).toBe(false);
    const third = Promise.resolve(channel.send(3));
    expect(await settled(third)).toBe(false);
    expect(channel.tryRecv()).toBe(1);
    await third;
    expect([channel.tryRecv(), channel.tryRecv(), channel.tryRecv()]).toEqual([2, 3, undefined]);
  });

  it('calls who waits for room once there is some', () => {
    const channel = new Channel<number>(1);
    channel.trySend(1);
    let calls = 0;
    channel.onCapacity(() => calls++);
    channel.tryRecv();
    channel.trySend(2);
    channel.tryRecv();
    expect(calls).toBe(1);
  });

  it('gives what is left after the end, then the end', async () => {
    const channel = new Channel<number>(4);
    channel.trySend(1);
    channel.close();
    expect(channel.ended).toBe(false);
    expect(await channel.recv()).toBe(1);
    expect(await channel.recv()).toBeUndefined();
    expect(channel.ended).toBe(true);
  });

  it('wakes a receiver that waits for the end', async () => {
    const channel = new Channel<number>(4);
    const end = channel.recv();
    await turn();
    channel.close();
    expect(await end).toBeUndefined();
  });

  it('throws at a sender whose receiver is gone, also one that waits', async () => {
    const channel = new Channel<number>(1);
    channel.trySend(1);
    const waiting = Promise.resolve(channel.send(2));
    channel.closeReceiver();
    await expect(waiting).rejects.toThrow('channel closed');
    expect(channel.trySend(3)).toBe(false);
    expect(() => channel.reserve()).toThrow('channel closed');
    expect(channel.isReceiverGone).toBe(true);
  });
});

describe('Turn', () => {
  it('remembers a wake that comes before the wait, once', async () => {
    const loop = new Turn();
    loop.wake();
    loop.wake();
    expect(loop.wait()).toBeUndefined();
    const waiting = loop.wait();
    expect(waiting).toBeInstanceOf(Promise);
    loop.wake();
    await waiting;
  });
});

describe('Kept', () => {
  it('keeps what is pending across turns and gives it once', async () => {
    const loop = new Turn();
    const kept = new Kept<number>(loop.wake);
    expect([kept.idle, kept.pending, kept.ready]).toEqual([true, false, false]);
    let finish: (value: number) => void = () => {};
    kept.start(
      new Promise<number>((resolve) => {
        finish = resolve;
      }),
    );
    expect([kept.idle, kept.pending, kept.ready]).toEqual([false, true, false]);
    const woken = loop.wait();
    finish(5);
    await woken;
    expect(kept.ready).toBe(true);
    expect(kept.take()).toBe(5);
    expect(kept.idle).toBe(true);
  });

  it('throws what the operation threw when it is taken, not before', async () => {
    const loop = new Turn();
    const kept = new Kept<number>(loop.wake);
    kept.start(Promise.reject(new Error('reset')));
    await loop.wait();
    expect(kept.ready).toBe(true);
    expect(() => kept.take()).toThrow('reset');
    expect(kept.idle).toBe(true);
  });

  it('has at once what is there at once', () => {
    const kept = new Kept<number>(() => {});
    kept.start(3);
    expect(kept.take()).toBe(3);
  });
});

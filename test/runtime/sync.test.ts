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
  const counter = () => {
    const wake = () => {
      wake.calls++;
    };
    wake.calls = 0;
    return wake;
  };

  it('gives the receiver one by one, or in one batch, what was sent', () => {
    const channel = new Channel<number>(4);
    expect([channel.tryRecv(), channel.tryRecvAll()]).toEqual([undefined, undefined]);
    for (const n of [1, 2, 3]) channel.trySend(n);
    expect(channel.tryRecv()).toBe(1);
    expect(channel.tryRecvAll()).toEqual([2, 3]);
    expect(channel.tryRecvAll()).toBeUndefined();
    channel.trySend(4);
    expect(channel.tryRecvAll()).toEqual([4]);
  });

  it('takes no more than it has room for', () => {
    const channel = new Channel<number>(2);
    expect([channel.trySend(1), channel.trySend(2), channel.trySend(3)]).toEqual([true, true, false]);
    expect(channel.hasCapacity()).toBe(false);
    channel.tryRecv();
    expect(channel.hasCapacity()).toBe(true);
    expect(channel.trySend(3)).toBe(true);
    expect(channel.tryRecvAll()).toEqual([2, 3]);
  });

  it.each(['tryRecv', 'tryRecvAll', 'closeReceiver'] as const)('wakes who waits for room, once, at %s', (event) => {
    const channel = new Channel<number>(1);
    channel.trySend(1);
    const wake = counter();
    channel.onCapacity(wake);
    channel[event]();
    expect(wake.calls).toBe(1);
    channel.trySend(2);
    channel[event]();
    expect(wake.calls).toBe(1);
  });

  it('wakes who waits for an item at the next one, at the end, or at once if there is one', () => {
    const channel = new Channel<number>(4);
    const wake = counter();
    channel.onItem(wake);
    expect(wake.calls).toBe(0);
    channel.trySend(1);
    channel.trySend(2);
    expect(wake.calls).toBe(1);
    channel.onItem(wake);
    expect(wake.calls).toBe(2);
    channel.tryRecvAll();
    channel.onItem(wake);
    channel.close();
    expect(wake.calls).toBe(3);
    channel.onItem(wake);
    expect(wake.calls).toBe(4);
  });

  it('gives what is left after the sender closed, and then the end', () => {
    const channel = new Channel<number>(4);
    channel.trySend(1);
    channel.close();
    expect(channel.ended).toBe(false);
    expect(channel.tryRecv()).toBe(1);
    expect(channel.ended).toBe(true);
  });

  it('refuses what is sent when nobody receives any more', () => {
    const channel = new Channel<number>(4);
    channel.trySend(1);
    channel.closeReceiver();
    expect([channel.trySend(2), channel.isReceiverGone, channel.tryRecv()]).toEqual([false, true, undefined]);
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

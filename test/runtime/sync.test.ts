import { describe, expect, it } from 'vitest';
import { enterPoll, leavePoll, PENDING, type Waker } from '../../src/runtime/poll.ts';
import { Channel, Notify, Watch } from '../../src/runtime/sync.ts';
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
  const waking = () => {
    const waker = { calls: 0, wake: () => void waker.calls++, wakeNow: () => void waker.calls++ };
    return waker;
  };
  /** Ask as a task would whose waker this is. */
  const as = <T>(waker: Waker, poll: () => T): T => {
    const before = enterPoll(waker);
    try {
      return poll();
    } finally {
      leavePoll(before);
    }
  };

  it('gives the receiver one by one, or in one batch, what was sent', () => {
    const channel = new Channel<number>(4);
    expect([channel.pollRecv(), channel.pollRecvAll()]).toEqual([PENDING, PENDING]);
    for (const n of [1, 2, 3]) channel.trySend(n);
    expect(channel.pollRecv()).toBe(1);
    expect(channel.pollRecvAll()).toEqual([2, 3]);
    expect(channel.pollRecvAll()).toBe(PENDING);
    channel.trySend(4);
    expect(channel.pollRecvAll()).toEqual([4]);
  });

  it('takes no more than it has room for', () => {
    const channel = new Channel<number>(2);
    expect([channel.trySend(1), channel.trySend(2), channel.trySend(3)]).toEqual([true, true, false]);
    expect(channel.pollReserve()).toBe(PENDING);
    channel.pollRecv();
    expect(channel.pollReserve()).toBe(true);
    expect(channel.trySend(3)).toBe(true);
    expect(channel.pollRecvAll()).toEqual([2, 3]);
  });

  it.each(['pollRecv', 'pollRecvAll', 'closeReceiver'] as const)('wakes who waits for room, once, at %s', (event) => {
    const channel = new Channel<number>(1);
    channel.trySend(1);
    const waker = waking();
    as(waker, () => channel.pollReserve());
    channel[event]();
    expect(waker.calls).toBe(1);
    channel.trySend(2);
    channel[event]();
    expect(waker.calls).toBe(1);
  });

  it('wakes who waits for an item at the next one, and at the end', () => {
    const channel = new Channel<number>(4);
    const waker = waking();
    as(waker, () => channel.pollRecv());
    expect(waker.calls).toBe(0);
    channel.trySend(1);
    channel.trySend(2);
    expect(waker.calls).toBe(1);
    channel.pollRecvAll();
    as(waker, () => channel.pollRecvAll());
    channel.close();
    expect(waker.calls).toBe(2);
  });

  it('gives what is left after the sender closed, and then the end', () => {
    const channel = new Channel<number>(4);
    channel.trySend(1);
    channel.close();
    expect(channel.pollRecv()).toBe(1);
    expect([channel.pollRecv(), channel.pollRecvAll()]).toEqual([undefined, undefined]);
  });

  it('refuses what is sent when nobody receives any more', () => {
    const channel = new Channel<number>(4);
    channel.trySend(1);
    channel.closeReceiver();
    expect([channel.trySend(2), channel.isReceiverGone, channel.pollReserve()]).toEqual([false, true, false]);
  });
});

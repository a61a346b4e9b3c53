/**
 * Rust's async in the port's words: the TypeScript of this chapter. Each example does and prints what its Rust does in
 * `async.rs`. `npm run async` runs them, and prints what they print, and their trace.
 */
import { fileURLToPath } from 'node:url';
import { printTree } from '../../src/formats/tree.ts';
import { type Future, tryJoin, until } from '../../src/runtime/future.ts';
import { spawn } from '../../src/runtime/lib.ts';
import { currentWaker, PENDING, type Poll } from '../../src/runtime/poll.ts';
import { Channel, Notify, Watch, type WatchReceiver } from '../../src/runtime/sync.ts';
import { promised, ready } from '../../src/runtime/task.ts';
import { sleeping } from '../../src/timeout/sleeping.ts';
import { exportTrace } from '../../src/tracing/export.ts';
import type { TraceDocument } from '../../src/tracing/model.ts';
import { Recorder } from '../../src/tracing/recorder.ts';
import { own } from '../../src/tracing/span.ts';

const lines: string[] = [];

function print(line: unknown): void {
  lines.push(String(line));
}

const work = own.fn('async::work', function* (): Future<number> {
  print('working');
  return 42;
});

const lazy = own.fn('async::lazy', function* (): Future<void> {
  const future = work();
  print('made');
  print(yield* future);
});

class Later {
  private asked = 0;

  poll(): Poll<number> {
    this.asked++;
    if (this.asked === 3) return this.asked;
    print('pending');
    currentWaker().wake();
    return PENDING;
  }
}

const asks = own.fn('async::asks', function* (): Future<void> {
  const later = new Later();
  const polls = yield* ready(() => later.poll());
  print(`ready after ${polls} polls`);
});

const body = own.fn('async::body', function* (): Future<void> {
  print('in the task');
});

const spawns = own.fn('async::spawns', function* (): Future<void> {
  const task = spawn('task of spawns', body());
  print('spawned');
  yield* until(task);
  print('ended');
});

const slow = own.fn('async::slow', function* (): Future<string> {
  try {
    yield* sleeping(60_000);
    return 'never printed';
  } finally {
    print('closed');
  }
});

function* select<T>(futures: readonly Future<T>[]): Future<T> {
  try {
    for (;;) {
      for (const future of futures) {
        const polled = future.next();
        if (polled.done) return polled.value;
      }
      yield;
    }
  } finally {
    for (const future of futures) future.return(undefined as T);
  }
}

const selects = own.fn('async::selects', function* (): Future<void> {
  function* other(): Future<string> {
    return 'the other won';
  }
  print(yield* select([slow(), other()]));
  print('after');
});

const joins = own.fn('async::joins', function* (): Future<void> {
  const channel = new Channel<string>(1);
  function* receives(): Future<void> {
    const got = yield* ready(() => channel.pollRecv());
    print(`got ${got}`);
  }
  function* sends(): Future<void> {
    print('sends');
    yield* channel.send('hello');
  }
  yield* tryJoin(receives(), sends());
  print('both done');
});

const permits = own.fn('async::permits', function* (): Future<void> {
  const channel = new Channel<string>(1);
  const room = () => channel.pollReserve() === true;
  if (room()) channel.trySend('hello');
  print(`room for another: ${room()}`);
  const got = yield* ready(() => channel.pollRecv());
  print(`got ${got}`);
  print(`room for another: ${room()}`);
});

/** Lets the tasks that were spawned begin: tokio's `yield_now`. */
const othersFirst = () => until(new Promise<void>((resolve) => setImmediate(resolve)));

const hears = own.fn('async::hears', function* (bell: Notify): Future<void> {
  yield* until(bell.notified());
  print('heard the bell');
});

const rings = own.fn('async::rings', function* (): Future<void> {
  const bell = new Notify();
  bell.notifyWaiters();
  print('nobody heard the bell');
  const waits = spawn('task of rings', hears(bell));
  yield* othersFirst();
  bell.notifyWaiters();
  yield* until(waits);
});

const sees = own.fn('async::sees', function* (receiver: WatchReceiver<boolean>): Future<void> {
  yield* ready(() => receiver.pollChanged());
  print(`shutting down: ${receiver.borrow()}`);
});

const watches = own.fn('async::watches', function* (): Future<void> {
  const shutdown = new Watch(false);
  const receiver = shutdown.subscribe();
  print(`shutting down: ${receiver.borrow()}`);
  const waits = spawn('task of watches', sees(receiver));
  shutdown.send(true);
  yield* until(waits);
});

const swaps = own.fn('async::swaps', function* (): Future<void> {
  const origins = { list: ['a', 'b'] };
  const seen = origins.list;
  origins.list = ['c'];
  print(`${seen.join()} ${origins.list.join()}`);
});

/** All examples, one after the other. */
function* examples(): Future<void> {
  for (const example of [lazy, asks, spawns, selects, joins, permits, rings, watches, swaps]) {
    if (lines.length > 0) print('--');
    yield* example();
  }
}

/** Runs the examples: what they print, and their trace. */
export async function runExamples(): Promise<{ printed: string; trace: TraceDocument }> {
  const recorder = new Recorder().attach();
  try {
    await recorder.root('main', () => promised(examples()));
    return {
      printed: `${lines.splice(0).join('\n')}\n`,
      trace: exportTrace(recorder, 'async', [fileURLToPath(import.meta.url)]),
    };
  } finally {
    recorder.detach();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { printed, trace } = await runExamples();
  process.stdout.write(`${printed}\n${printTree(trace)}`);
}

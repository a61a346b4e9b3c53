/** Polling from tests: each wait is a promise. */
import { enterPoll, leavePoll, PENDING, type Poll, type Waker } from '../../src/runtime/poll.ts';

/** Poll on behalf of `waker`. */
function pollAs<T>(waker: Waker, poll: () => T): T {
  const before = enterPoll(waker);
  try {
    return poll();
  } finally {
    leavePoll(before);
  }
}

/** The result of `poll`, once it is ready. */
export function ready<T>(poll: () => Poll<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const again = () => {
      try {
        const result = pollAs(waker, poll);
        if (result !== PENDING) resolve(result);
      } catch (error) {
        reject(error);
      }
    };
    const waker = { wake: () => queueMicrotask(again) };
    again();
  });
}

/** All of a body. */
export async function whole(stream: { pollData(): Poll<Buffer | undefined> }): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (;;) {
    const piece = await ready(() => stream.pollData());
    if (piece === undefined) return Buffer.concat(pieces);
    pieces.push(piece);
  }
}

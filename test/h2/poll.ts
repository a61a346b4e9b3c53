/** Polling from tests: each wait is a promise. */
import { PENDING, type Poll, pollAs } from '../../src/h2/wait.ts';

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

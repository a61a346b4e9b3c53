/** Waiting as the rest of the port does it: what can't go on says `PENDING` and keeps the waker of whoever polls it. */
import { enterPoll, leavePoll, type Waker } from '../runtime/poll.ts';

export {
  currentWaker,
  enterPoll as enter,
  leavePoll as leave,
  PENDING,
  type Poll,
  type Waker,
} from '../runtime/poll.ts';

/** Poll on behalf of `waker`. */
export function pollAs<T>(waker: Waker, poll: () => T): T {
  const before = enterPoll(waker);
  try {
    return poll();
  } finally {
    leavePoll(before);
  }
}

/**
 * What a server's process and its workers tell each other: questions and answers over Node's channel between a process
 * and its child. Both sides register who answers what.
 *
 * The port's own: the threads of the original share their memory.
 */
import type { ChildProcess } from 'node:child_process';

/** What goes over the channel. The program may have messages of its own, which have no such key. */
type Message =
  | { pingora: 'ask'; id: number; topic: string; data: unknown }
  | { pingora: 'answer'; id: number; value: unknown }
  | { pingora: 'failed'; id: number; why: string };

/** A socket, or the system's handle of one, that goes with a question. */
export type Passed = object | undefined;

type Answer = (data: any, passed: Passed, worker: number) => unknown;

const answers = new Map<string, Answer>();

/**
 * Answer questions about `topic`, with what is returned or a promise of it; both have to survive JSON. `worker` is the
 * number of the worker that asks, 0 for the process that was started.
 */
export function onAsk(topic: string, answer: Answer): void {
  answers.set(topic, answer);
}

/** Of a question to a process that is gone. */
export class Gone extends Error {
  override readonly name = 'Gone';
  constructor() {
    super('the process is gone');
  }
}

/** One end of a channel. */
export class ProcessLink {
  private readonly peer: ChildProcess | NodeJS.Process;
  private readonly worker: number;
  private readonly waiting = new Map<number, { resolve: (value: any) => void; reject: (error: Error) => void }>();
  private lastId = 0;

  /** `worker`: who is at the other end. */
  constructor(peer: ChildProcess | NodeJS.Process, worker: number) {
    this.peer = peer;
    this.worker = worker;
    peer.on('message', (message: Message, passed: Passed) => this.received(message, passed));
    peer.on('disconnect', () => this.gone());
  }

  /** Ask, and hand something over with the question. Throws {@link Gone}, or what the other side answers it with. */
  ask<T>(topic: string, data?: unknown, passed?: Passed): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const id = ++this.lastId;
      this.waiting.set(id, { resolve, reject });
      this.send({ pingora: 'ask', id, topic, data }, passed, () => {
        this.waiting.delete(id);
        reject(new Gone());
      });
    });
  }

  /** Say something on which nothing depends; it is on its way when this returns, unless the channel is full. */
  tell(topic: string, data: unknown): void {
    this.send({ pingora: 'ask', id: ++this.lastId, topic, data }, undefined, () => {});
  }

  private send(message: Message, passed: Passed, failed: () => void): void {
    const { peer } = this;
    if (!peer.connected) {
      failed();
      return;
    }
    try {
      peer.send!(message, passed as never, undefined as never, (error: Error | null) => {
        if (error !== null) failed();
      });
    } catch {
      // it was closed in between
      failed();
    }
  }

  private received(message: Message, passed: Passed): void {
    if (typeof message !== 'object' || message === null) return;
    if (message.pingora === 'ask') {
      const { id } = message;
      this.answer(message.topic, message.data, passed).then(
        (value) => this.send({ pingora: 'answer', id, value }, undefined, () => {}),
        (error: unknown) => {
          const why = error instanceof Error ? String(error) : `${error}`;
          this.send({ pingora: 'failed', id, why }, undefined, () => {});
        },
      );
      return;
    }
    if (message.pingora !== 'answer' && message.pingora !== 'failed') return;
    const waiting = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if (message.pingora === 'answer') waiting?.resolve(message.value);
    else waiting?.reject(new Error(message.why));
  }

  private async answer(topic: string, data: unknown, passed: Passed): Promise<unknown> {
    const answer = answers.get(topic);
    if (answer === undefined) throw new Error(`nobody answers questions about '${topic}'`);
    return answer(data, passed, this.worker);
  }

  private gone(): void {
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const { reject } of waiting) reject(new Gone());
  }
}

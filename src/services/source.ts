/**
 * Where the connections of an endpoint come from: the socket that it listens on or, with threads, the other process.
 *
 * With threads an endpoint is in each process. If they steal, the process that was started binds and accepts nothing;
 * each thread accepts from the socket when it is idle. If they don't, the process that was started accepts, and each
 * connection goes to a random thread. The port's own.
 */

import type { Socket } from 'node:net';
import type { TransportStack, UninitializedStream } from '../listeners/mod.ts';
import { Stream } from '../protocols/l4/stream.ts';
import type { Spread } from '../runtime/lib.ts';
import { currentWaker, PENDING, type Poll, type Waker } from '../runtime/poll.ts';
import { onAsk } from '../runtime/process-link.ts';
import { type ShutdownWatch, Watch } from '../runtime/sync.ts';
import { workerNumber } from '../runtime/worker.ts';
import { workers } from '../runtime/workers.ts';

/** What an endpoint accepts from. */
export interface Source {
  /** Turns true when it is to stop. */
  readonly until: ShutdownWatch;
  /** Be ready to accept. Throws `BindError`. */
  listen(): Promise<void>;
  /** The next connection; one caller at a time. Throws `AcceptError`. */
  accept(): Poll<UninitializedStream>;
  /** Try no more to listen. */
  cancelListen(): void;
  /** It is time to stop: the connections that wait. */
  drain(): Promise<UninitializedStream[]>;
  cleanup(): void;
  /** Where a connection goes; undefined: it is served here. */
  readonly give?: ((io: UninitializedStream) => void) | undefined;
}

/** The source of the endpoint with this index. */
export function sourceOf(
  stack: TransportStack,
  shutdown: ShutdownWatch,
  spread: Spread | undefined,
  index: number,
): Source {
  if (spread === undefined) return new Own(stack, shutdown);
  const key = `${spread.key}.${index}`;
  if (workerNumber() === 0) {
    return spread.workStealing
      ? new Held(stack, shutdown, key, spread.threads)
      : new Handing(stack, shutdown, key, spread);
  }
  const source = spread.workStealing ? new Inherited(stack) : new Handed(stack);
  endpoints.set(key, source);
  return source;
}

/** A socket of this process alone. */
class Own implements Source {
  protected readonly stack: TransportStack;
  readonly until: ShutdownWatch;

  constructor(stack: TransportStack, until: ShutdownWatch) {
    this.stack = stack;
    this.until = until;
  }

  listen(): Promise<void> {
    return this.stack.listen();
  }

  accept(): Poll<UninitializedStream> {
    return this.stack.accept();
  }

  cancelListen(): void {
    this.stack.cancelListen();
  }

  drain(): Promise<UninitializedStream[]> {
    return this.stack.drain();
  }

  cleanup(): void {
    this.stack.cleanup();
  }
}

/** In the process that was started: what is accepted goes to a random worker. */
class Handing extends Own {
  readonly give: (io: UninitializedStream) => void;
  private readonly threads: number;

  constructor(stack: TransportStack, until: ShutdownWatch, key: string, spread: Spread) {
    super(stack, until);
    this.threads = spread.threads;
    this.give = (io) => {
      const socket = io.intoSocket();
      // nobody listens to it until it is a worker's
      socket.on('error', () => {});
      spread.give(key, socket);
    };
  }

  override async listen(): Promise<void> {
    await super.listen();
    // the first connections would all go to the first worker
    await workers.started(this.threads);
  }
}

/** In the process that was started: the workers accept. */
class Held extends Own {
  private readonly key: string;
  private readonly threads: number;

  constructor(stack: TransportStack, until: ShutdownWatch, key: string, count: number) {
    super(stack, until);
    this.key = key;
    this.threads = count;
  }

  override async listen(): Promise<void> {
    await this.stack.listen({ hold: true });
    await workers.hold(this.key, this.threads, this.stack.handle());
  }

  override accept(): Poll<UninitializedStream> {
    return PENDING;
  }

  override async drain(): Promise<UninitializedStream[]> {
    await workers.release(this.key, await this.stack.holdOff());
    return [];
  }
}

/** In a worker: it accepts from a socket that it is given. */
class Inherited extends Own implements Endpoint {
  private readonly closing: Watch<boolean>;
  /** Another server has the socket too. */
  private shared = false;
  private handle: object | undefined;
  private given = () => {};
  private listens: { resolve: () => void; reject: (error: unknown) => void } | undefined;
  private closed = () => {};

  constructor(stack: TransportStack, closing = new Watch(false)) {
    super(stack, closing.subscribe());
    this.closing = closing;
  }

  onListen(handle: object): Promise<void> {
    return new Promise((resolve, reject) => {
      this.listens = { resolve, reject };
      this.handle = handle;
      this.given();
    });
  }

  onClose(shared: boolean): Promise<void> {
    return new Promise((resolve) => {
      this.closed = resolve;
      this.shared = shared;
      this.closing.send(true);
      this.given();
    });
  }

  override async listen(): Promise<void> {
    if (this.handle === undefined && !this.until.borrow()) {
      await new Promise<void>((resolve) => {
        this.given = resolve;
      });
    }
    if (this.handle === undefined) return;
    try {
      await this.stack.listen({ inherited: this.handle });
      this.listens?.resolve();
    } catch (error) {
      this.listens?.reject(error);
      throw error;
    }
  }

  override drain(): Promise<UninitializedStream[]> {
    return this.stack.drain(this.shared);
  }

  override cleanup(): void {
    super.cleanup();
    this.closed();
  }
}

/** In a worker: it is handed what was accepted elsewhere, to its end. */
class Handed implements Source, Endpoint {
  private readonly ending = new Watch(false);
  readonly until: ShutdownWatch = this.ending.subscribe();
  private readonly stack: TransportStack;
  private readonly waiting: UninitializedStream[] = [];
  private acceptor: Waker | null = null;

  constructor(stack: TransportStack) {
    this.stack = stack;
  }

  onConnection(socket: Socket): void {
    // it is half-open where it came from
    socket.allowHalfOpen = true;
    this.waiting.push(this.stack.adopt(new Stream(socket)));
    const { acceptor } = this;
    this.acceptor = null;
    acceptor?.wake();
  }

  async listen(): Promise<void> {}

  accept(): Poll<UninitializedStream> {
    const io = this.waiting.shift();
    if (io !== undefined) return io;
    this.acceptor = currentWaker();
    return PENDING;
  }

  cancelListen(): void {}

  /** The last connection was handed over. */
  onEnd(): void {
    this.ending.send(true);
  }

  async drain(): Promise<UninitializedStream[]> {
    return this.waiting.splice(0);
  }

  cleanup(): void {}
}

/** What a worker can be told of an endpoint. */
interface Endpoint {
  onListen?(handle: object): Promise<void>;
  onClose?(shared: boolean): Promise<void>;
  onConnection?(socket: Socket): void;
  onEnd?(): void;
}

/** The endpoints of this worker, by what they are called between the processes. */
const endpoints = new Map<string, Endpoint>();

/** In a worker: nothing is handed over any more. */
export function endHanded(): void {
  for (const endpoint of endpoints.values()) endpoint.onEnd?.();
}

function find(key: string): Endpoint {
  const endpoint = endpoints.get(key);
  if (endpoint !== undefined) return endpoint;
  throw new Error(`thread ${workerNumber()} has no endpoint ${key}: the program makes other services there`);
}

onAsk('listen', (key: string, handle) => find(key).onListen?.(handle!));
onAsk('close', ({ key, shared }: { key: string; shared: boolean }) => find(key).onClose?.(shared));
onAsk('connection', (key: string, socket) => find(key).onConnection?.(socket as Socket));

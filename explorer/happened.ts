/** What has happened up to a step: the bytes on the wire, the tasks, channels, state machines, pools, connections. */
import type { Steps } from './steps.ts';
import type { BytesEvent, FrameEvent, TraceConnection, TraceEvent } from './trace.ts';

export type WireEvent = BytesEvent | FrameEvent;

export interface TaskState {
  id: number;
  name: string;
  /** `running`: the current step is in it; `waiting`; `over`; tasks that aren't spawned yet are left out. */
  state: 'running' | 'waiting' | 'over';
  /** The innermost call that is open: what it runs, or waits in. */
  span: number | null;
  /** What woke it last. */
  wokenBy: string | null;
}

export interface ChannelState {
  name: string;
  depth: number;
  capacity: number;
  closed: boolean;
  /** The call that changed it last. */
  span: number | null;
}

export interface MachineState {
  name: string;
  state: string;
  span: number | null;
}

export interface PoolState {
  name: string;
  size: number;
  /** What happened last. */
  what: string;
  key: string;
  span: number | null;
}

export interface ConnectionState extends TraceConnection {
  read: number;
  wrote: number;
}

export interface State {
  tasks: TaskState[];
  channels: ChannelState[];
  machines: MachineState[];
  pools: PoolState[];
  connections: ConnectionState[];
}

export class Happened {
  readonly #steps: Steps;
  readonly #events: readonly TraceEvent[];
  readonly #indexes: ReadonlyMap<number, number>;
  readonly connections: readonly TraceConnection[];
  readonly hasEvents: boolean;
  readonly #wire: readonly WireEvent[];
  readonly #ofSpan = new Map<number, TraceEvent[]>();

  constructor(steps: Steps) {
    this.#steps = steps;
    const { events = [], connections = [] } = steps.trace;
    this.#events = events;
    this.connections = connections;
    this.hasEvents = events.length > 0;
    this.#indexes = new Map(steps.spans.map(({ id }, index) => [id, index]));
    this.#wire = events.filter((event) => event.kind === 'bytes' || event.kind === 'frame');
    for (const event of events) {
      const span = this.spanOf(event);
      if (span === null) continue;
      const known = this.#ofSpan.get(span);
      if (known) known.push(event);
      else this.#ofSpan.set(span, [event]);
    }
  }

  /** The index of the span that an event is of. */
  spanOf({ span }: TraceEvent): number | null {
    return span === null ? null : (this.#indexes.get(span) ?? null);
  }

  /** The events of a call itself, not of what it called. */
  eventsOf(span: number): readonly TraceEvent[] {
    return this.#ofSpan.get(span) ?? [];
  }

  /** How many of `events` (in order of time) have happened at a step. */
  #until(events: readonly TraceEvent[], step: number): number {
    const time = this.#steps.time(step);
    let low = 0;
    let high = events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (events[middle]!.time <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** What the current call itself does before the next step. What comes later would show channels as they will be. */
  #ownUntilNext(step: number): TraceEvent[] {
    const [from, to] = [this.#steps.time(step), step + 1 < this.#steps.count ? this.#steps.time(step + 1) : Infinity];
    return this.eventsOf(this.#steps.spanAt(step)).filter(({ time }) => time > from && time <= to);
  }

  /**
   * The last `most` of what has passed on the wire, and how many came before. What the current call itself reads or
   * writes is among it: it is what the step is about.
   */
  wire(step: number, most: number): { events: WireEvent[]; earlier: number } {
    const until = this.#until(this.#wire, step);
    const events = this.#wire.slice(Math.max(0, until - most), until);
    for (const event of this.eventsOf(this.#steps.spanAt(step))) {
      if ((event.kind === 'bytes' || event.kind === 'frame') && event.time > this.#steps.time(step)) events.push(event);
    }
    return { events, earlier: Math.max(0, until - most) };
  }

  /** The channels of the trace as they are before anything passes. */
  emptyChannels(): ChannelState[] {
    const found = new Map<string, ChannelState>();
    for (const event of this.#events) {
      if (event.kind !== 'channel' || found.has(event.channel)) continue;
      const { channel: name, capacity } = event;
      found.set(name, { name, depth: 0, capacity, closed: false, span: null });
    }
    return [...found.values()];
  }

  state(step: number): State {
    const until = this.#until(this.#events, step);
    const channels = new Map<string, ChannelState>();
    const machines = new Map<string, MachineState>();
    const pools = new Map<string, PoolState>();
    const connections = new Map<number, ConnectionState>(
      this.connections.map((connection) => [connection.id, { ...connection, read: 0, wrote: 0 }]),
    );
    const woken = new Map<number, string>();
    const seen = new Set<number>();
    const take = (event: TraceEvent) => {
      const span = this.spanOf(event);
      if (event.kind === 'channel') {
        const { channel: name, depth, capacity, what } = event;
        // each exchange has channels of its own: one that was closed and is used again is another one
        const closed = what === 'close' || (depth === 0 && channels.get(name)?.closed === true);
        channels.set(name, { name, depth, capacity, closed: what === 'send' ? false : closed, span });
      } else if (event.kind === 'state') machines.set(event.machine, { name: event.machine, state: event.to, span });
      else if (event.kind === 'pool') {
        const { pool: name, size, what, key } = event;
        pools.set(name, { name, size, what, key, span });
      } else if (event.kind === 'bytes') {
        const connection = connections.get(event.connection)!;
        if (event.way === 'in') connection.read += event.length;
        else connection.wrote += event.length;
        seen.add(event.connection);
      } else if (event.kind === 'frame') seen.add(event.connection);
      else if (event.kind === 'wake') woken.set(event.task, event.by);
    };
    for (let i = 0; i < until; i++) take(this.#events[i]!);
    for (const event of this.#ownUntilNext(step)) take(event);
    return {
      tasks: this.#tasks(step, woken),
      channels: [...channels.values()],
      machines: [...machines.values()],
      pools: [...pools.values()],
      connections: [...connections.values()].filter(({ id }) => seen.has(id)),
    };
  }

  #tasks(step: number, woken: ReadonlyMap<number, string>): TaskState[] {
    const { spans, trace } = this.#steps;
    const now = spans[this.#steps.spanAt(step)]!.task;
    const innermost = new Map<number, number>();
    const begun = new Set<number>([now]);
    for (let span = 0; span < spans.length && this.#steps.beginOf(span) <= step; span++) {
      const { task } = spans[span]!;
      begun.add(task);
      if (this.#steps.stateOf(span, step) === 'open') innermost.set(task, span);
    }
    return trace.tasks
      .filter(({ id }) => begun.has(id))
      .map(({ id, name }) => {
        const span = innermost.get(id) ?? null;
        const state = id === now ? 'running' : span === null ? 'over' : 'waiting';
        return { id, name, state, span, wokenBy: woken.get(id) ?? null };
      });
  }

  /** What woke the task of this step's call, if another task ran at the step before. */
  jump(step: number): { from: string; to: string; by: string | null } | null {
    if (step === 0) return null;
    const { spans, trace } = this.#steps;
    const [before, now] = [spans[this.#steps.spanAt(step - 1)]!.task, spans[this.#steps.spanAt(step)]!.task];
    if (before === now) return null;
    const label = (task: number) => `task ${task} ${trace.tasks.find(({ id }) => id === task)!.name}`;
    const spawned = this.#steps.isSpawned(this.#steps.spanAt(step)) && !this.#steps.isEnd(step);
    const since = this.#steps.time(step - 1);
    const wake = this.#events
      .slice(0, this.#until(this.#events, step))
      .findLast((event) => event.kind === 'wake' && event.task === now && event.time >= since);
    const by = wake?.kind === 'wake' ? `woken by ${wake.by}` : spawned ? 'which was spawned' : null;
    return { from: label(before), to: label(now), by };
  }
}

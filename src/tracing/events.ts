/** What happened beside the calls of one recorder: bytes, frames, channels, pools, state machines. */
import type { Side, TraceConnection, TraceEvent } from './model.ts';
import type { Observed } from './observer.ts';

/** What is kept of events. */
export interface EventOptions {
  /** So many bytes of each connection are kept each way; of the rest only how many they were. Default 16 KiB. */
  bytes?: number;
  /** So many events are kept. Default 20,000. */
  events?: number;
  /** Keep secrets too: `Authorization`, cookies and the like, and the bytes of HTTP/2, which are not masked. */
  secrets?: boolean;
}

/** Fields whose values are left out of traces. */
export const SECRETS = ['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'x-api-key'];

const SECRET_LINE = new RegExp(`((?:^|\\n)(?:${SECRETS.join('|')}):[ \\t]*)([^\\r\\n]+)`, 'gi');
/** What an HTTP/2 connection begins with (RFC 9113 3.4). */
const PREFACE = 'PRI * HTTP/2.0';

/** Flags of frames (RFC 9113 6), by type; what isn't here has none. */
const FLAGS: Readonly<Record<string, readonly (readonly [bit: number, name: string])[]>> = {
  DATA: [
    [1, 'END_STREAM'],
    [8, 'PADDED'],
  ],
  HEADERS: [
    [1, 'END_STREAM'],
    [4, 'END_HEADERS'],
    [8, 'PADDED'],
    [32, 'PRIORITY'],
  ],
  SETTINGS: [[1, 'ACK']],
  PUSH_PROMISE: [
    [4, 'END_HEADERS'],
    [8, 'PADDED'],
  ],
  PING: [[1, 'ACK']],
  CONTINUATION: [[4, 'END_HEADERS']],
};

export const flagNames = (type: string, flags: number): string[] =>
  (Object.hasOwn(FLAGS, type) ? FLAGS[type]! : []).filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);

interface Known {
  readonly id: number;
  read: number;
  wrote: number;
  kept: { in: number; out: number };
  /** Speaks HTTP/2: its bytes may hold secrets that can't be found in them. */
  isH2: boolean;
}

/** An event that isn't numbered yet: without the time and the span, which the log adds. */
type Told<E> = E extends TraceEvent ? Omit<E, 'time' | 'span'> : never;

/** Something that can wake a task, at a time. */
export interface Waking {
  time: number;
  by: string;
}

export class EventLog {
  readonly events: TraceEvent[] = [];
  readonly connections: TraceConnection[] = [];
  /** What may have woken tasks, in order of time. */
  readonly wakings: Waking[] = [];
  /** What the limits left out. */
  readonly cut = { events: 0, bytes: 0 };
  private readonly limits: Required<EventOptions>;
  private readonly now: () => number;
  private readonly known = new Map<number, Known>();
  private readonly states = new WeakMap<object, string>();

  constructor(now: () => number, { bytes = 16 * 1024, events = 20_000, secrets = false }: EventOptions) {
    this.now = now;
    this.limits = { bytes, events, secrets };
  }

  /** The number of a connection in this trace; it gets one when it is first asked for. */
  connection(observed: Observed): number {
    return this.of(observed).id;
  }

  private of(observed: Observed): Known {
    let known = this.known.get(observed.wire);
    if (known === undefined) {
      known = { id: this.connections.length + 1, read: 0, wrote: 0, kept: { in: 0, out: 0 }, isH2: false };
      this.known.set(observed.wire, known);
      const { side = 'downstream', peerAddress: peer } = observed;
      this.connections.push({ id: known.id, side, peer: peer === undefined ? null : `${peer.ip}:${peer.port}` });
    }
    return known;
  }

  add(span: number | null, event: Told<TraceEvent>): void {
    if (this.events.length >= this.limits.events) this.cut.events++;
    else this.events.push({ time: this.now(), span, ...event } as TraceEvent);
  }

  /** Something happened that tasks may wait for. */
  woke(by: string): void {
    if (this.wakings.length < this.limits.events) this.wakings.push({ time: this.now(), by });
  }

  arrived(observed: Observed, end: boolean): void {
    if (this.limits.events === 0) return;
    const { id } = this.of(observed);
    this.woke(`${end ? 'the end of' : 'bytes on'} connection ${id}`);
  }

  bytes(span: number | null, observed: Observed, way: 'in' | 'out', bytes: Uint8Array | string, length: number): void {
    if (length === 0) return;
    const known = this.of(observed);
    const offset = way === 'in' ? known.read : known.wrote;
    if (way === 'in') known.read += length;
    else known.wrote += length;
    const { secrets, bytes: limit } = this.limits;
    if (offset === 0 && textOf(bytes, 0, PREFACE.length) === PREFACE) known.isH2 = true;
    const keep = known.isH2 && !secrets ? 0 : Math.min(length, limit - known.kept[way]);
    known.kept[way] += keep;
    if (!known.isH2 || secrets) this.cut.bytes += length - keep;
    const text = keep === 0 ? undefined : textOf(bytes, 0, keep);
    this.add(span, {
      kind: 'bytes',
      connection: known.id,
      way,
      offset,
      length,
      ...(text !== undefined && { bytes: secrets ? text : masked(text) }),
    });
  }

  state(span: number | null, machine: object, name: string, state: string): void {
    const from = this.states.get(machine) ?? null;
    if (from === state) return;
    this.states.set(machine, state);
    this.add(span, { kind: 'state', machine: name, from, to: state });
  }

  side(observed: Observed): Side {
    return this.connections[this.of(observed).id - 1]!.side;
  }
}

function textOf(bytes: Uint8Array | string, from: number, to: number): string {
  if (typeof bytes === 'string') return bytes.slice(from, to);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1', from, to);
}

/** The values of secret fields as stars, as many as they are long. */
export function masked(text: string): string {
  return text.replace(SECRET_LINE, (_, name: string, value: string) => name + '*'.repeat(value.length));
}

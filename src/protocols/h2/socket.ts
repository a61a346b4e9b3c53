/**
 * How a connection of HTTP/2 uses its socket: reads what comes, and writes at the end of the turn what all its streams
 * have made. The port's own: in the original the h2 crate polls the stream.
 */
import {
  type Connection,
  DuplexTransport,
  type Flushable,
  type FrameDetail,
  type FrameObserver,
  FrameType,
  frameTypeName,
  reasonName,
  Setting,
} from '../../h2/mod.ts';
import { bytesPass } from '../../node/young-buffers.ts';
import { enterPoll, leavePoll, PENDING, type Waker } from '../../runtime/poll.ts';
import { type Flushing, hasRoom, type Waiting, writeInTurn } from '../../runtime/turn.ts';
import { SECRETS } from '../../tracing/events.ts';
import type { Facts } from '../../tracing/model.ts';
import { observer } from '../../tracing/observer.ts';
import type { Stream } from '../l4/stream.ts';

/** Flushes a connection at the end of a turn. */
class AtTurn implements Flushing {
  private readonly connection: Flushable;

  constructor(connection: Flushable) {
    this.connection = connection;
  }

  writeFlushed(): void {
    this.connection.flush();
  }
}

/** The names of settings, by their numbers. */
const SETTINGS = new Map<number, string>(Object.entries(Setting).map(([name, id]) => [id, name]));

/** `name: value` of a field, unless that is a secret. */
function fieldLine(name: string, value: string): string {
  return `${name}: ${SECRETS.includes(name.toLowerCase()) ? '*'.repeat(value.length) : value}`;
}

function fields(detail: FrameDetail, names: readonly string[], values: readonly string[]): string[] {
  const lines: string[] = [];
  if (typeof detail === 'number') lines.push(`:status: ${detail}`);
  else if (detail !== undefined && 'method' in detail) {
    if ('status' in detail && detail.status > 0) lines.push(`:status: ${detail.status}`);
    for (const name of ['method', 'scheme', 'authority', 'path'] as const) {
      const value = detail[name];
      if (value !== undefined) lines.push(`:${name}: ${value}`);
    }
  }
  for (let i = 0; i < names.length; i++) lines.push(fieldLine(names[i]!, values[i]!));
  return lines;
}

// what the frame that was told last is about: asked for only if somebody listens
let lastType = 0;
let lastDetail: FrameDetail;
let lastNames: readonly string[] | undefined;
let lastValues: readonly string[] | undefined;

function facts(): Facts {
  const detail = lastDetail;
  switch (lastType) {
    case FrameType.HEADERS:
    case FrameType.CONTINUATION: {
      const head = typeof detail === 'object' && 'names' in detail ? detail : undefined;
      const names = lastNames ?? head?.names;
      const values = lastValues ?? head?.values;
      return names === undefined || values === undefined ? {} : { fields: fields(detail, names, values) };
    }
    case FrameType.SETTINGS:
      if (!Array.isArray(detail)) return {};
      return Object.fromEntries(detail.map(([id, value]) => [SETTINGS.get(id) ?? `setting ${id}`, value]));
    case FrameType.WINDOW_UPDATE:
      return typeof detail === 'number' ? { window: `+${detail}` } : {};
    case FrameType.RST_STREAM:
    case FrameType.GOAWAY:
      return typeof detail === 'number' ? { error: reasonName(detail) } : {};
    default:
      return {};
  }
}

/** Tells traces of a connection's frames. */
class Frames implements FrameObserver {
  private readonly stream: Stream;

  constructor(stream: Stream) {
    this.stream = stream;
  }

  frame(
    way: 'in' | 'out',
    type: number,
    flags: number,
    stream: number,
    length: number,
    detail?: FrameDetail,
    names?: readonly string[],
    values?: readonly string[],
  ): void {
    lastType = type;
    lastDetail = detail;
    lastNames = names;
    lastValues = values;
    observer.frame(this.stream, way, frameTypeName(type), stream, flags, length, facts);
  }
}

/** Frames of `stream`, for traces. */
export function framesOf(stream: Stream): FrameObserver {
  return new Frames(stream);
}

/**
 * Reads a connection where its stream has put what came: some of it may be there already. Of a server's, which brings new
 * work, what came stays there while many tasks wait.
 */
class Reading implements Waker, Waiting {
  private readonly stream: Stream;
  private readonly connection: Connection;
  private isHeld = false;

  constructor(stream: Stream, connection: Connection) {
    this.stream = stream;
    this.connection = connection;
  }

  wake(): void {
    if (this.isHeld) return;
    if (!this.connection.isServer || hasRoom(this)) this.readAll();
    else this.isHeld = true;
  }

  letIn(): void {
    this.isHeld = false;
    this.readAll();
  }

  private readAll(): void {
    const before = enterPoll(this);
    try {
      this.read();
    } catch (error) {
      this.connection.ended(error as Error);
    } finally {
      leavePoll(before);
    }
  }

  private read(): void {
    const { stream, connection } = this;
    for (let more = stream.pollFill(0); more !== PENDING; more = stream.pollFill(0)) {
      if (!more) {
        connection.ended();
        return;
      }
      const bytes = stream.buffered();
      stream.consume(bytes.length);
      bytesPass(bytes.length);
      // once it is closed too, to no effect: a peer that isn't read would never see the end
      connection.arrive(bytes);
    }
  }
}

/** Begin HTTP/2 on `stream`, whose socket belongs to the result of `make` from then on. */
export function begin<C extends Connection>(stream: Stream, make: (transport: DuplexTransport) => C): C {
  const { tracer } = stream;
  stream.tracer = undefined;
  const { socket } = stream;
  // neither side can go on when the other has ended (RFC 9113 has no half-closed connections)
  socket.allowHalfOpen = false;
  // what fails once more after the connection is gone has nobody else to listen
  socket.on('error', () => {});
  if (socket.destroyed) throw new Error('the connection is closed');
  let turn: AtTurn | undefined;
  const connection = make(
    new DuplexTransport(socket, (from) => {
      turn ??= new AtTurn(from);
      writeInTurn(turn);
    }),
  );
  let failure: Error | undefined;
  socket.on('drain', () => connection.drained());
  socket.on('error', (error: Error) => {
    failure ??= error;
    connection.ended(error);
  });
  socket.once('close', () => {
    connection.ended(failure);
    tracer?.onDisconnected();
  });
  new Reading(stream, connection).wake();
  return connection;
}

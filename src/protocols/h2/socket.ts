/**
 * How a connection of HTTP/2 uses its socket: reads what comes, and writes at the end of the turn what all its streams
 * have made. The port's own: in the original the h2 crate polls the stream.
 */
import type { Socket } from 'node:net';
import { type Connection, DuplexTransport, type FrameObserver, frameTypeName, reasonName } from '../../h2/mod.ts';
import { observer } from '../../tracing/observer.ts';
import type { Reader, Stream } from '../l4/stream.ts';
import { type Turning, writeInTurn } from '../l4/turn.ts';

/** Flushes a connection at the end of a turn. */
class AtTurn implements Turning {
  private readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  wakeReaders(): void {}

  writeFlushed(): void {
    this.connection.flush();
  }
}

/** What matters of a frame, for traces. */
type Detail = unknown;
let lastDetail: Detail;

function facts(): Record<string, string> {
  const detail = lastDetail;
  if (typeof detail === 'number') return { value: String(detail), reason: reasonName(detail) };
  return {};
}

/** Tells traces of a connection's frames. */
class Frames implements FrameObserver {
  private readonly stream: Stream;

  constructor(stream: Stream) {
    this.stream = stream;
  }

  frame(way: 'in' | 'out', type: number, flags: number, stream: number, length: number, detail?: unknown): void {
    lastDetail = detail;
    observer.frame(this.stream, way, frameTypeName(type), stream, flags, length, facts);
  }
}

/** Frames of `stream`, for traces. */
export function framesOf(stream: Stream): FrameObserver {
  return new Frames(stream);
}

/** Reads a connection without TLS where its stream has put what came: some of it may be there already. */
class Reading implements Reader {
  private readonly stream: Stream;
  private readonly connection: Connection;

  constructor(stream: Stream, connection: Connection) {
    this.stream = stream;
    this.connection = connection;
  }

  wake(): void {
    const { stream, connection } = this;
    while (stream.bufferedLength > 0) {
      const bytes = stream.buffered();
      stream.consume(bytes.length);
      connection.receive(bytes);
    }
    if (connection.closed) return;
    if (stream.readEnded) connection.ended(stream.ioError ?? undefined);
    else stream.watch(this);
  }

  end(): boolean {
    return false;
  }
}

/** Reads a connection of TLS as its bytes come. */
function readTls(stream: Stream, socket: Socket, connection: Connection): void {
  socket.on('data', (chunk: Buffer) => {
    observer.arrived(stream, false);
    observer.read(stream, chunk, chunk.length);
    connection.receive(chunk);
  });
  socket.on('end', () => {
    observer.arrived(stream, true);
    connection.ended();
  });
}

/** Begin HTTP/2 on `stream`, whose socket belongs to the result of `make` from then on. */
export function begin<C extends Connection>(stream: Stream, make: (transport: DuplexTransport) => C): C {
  const { tracer } = stream;
  stream.tracer = undefined;
  const isTls = stream.getSsl() !== undefined;
  const socket = isTls ? stream.intoSocket() : stream.socket;
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
  if (isTls) readTls(stream, socket, connection);
  else new Reading(stream, connection).wake();
  return connection;
}

/** What carries a connection, over any duplex stream of Node's: a socket, TLS, or a pair in memory. */
import type { Duplex } from 'node:stream';
import { arm } from '../timeout/lib.ts';
import type { Connection } from './connection.ts';
import type { Flushable, Transport } from './options.ts';

/** So many bytes may wait in the duplex before the connection waits too. */
const HIGH_WATER = 128 * 1024;
/** A connection that was ended waits so many milliseconds for the peer's end. */
const LINGER_MS = 1000;

/** Writes a connection's frames into a duplex stream. */
export class DuplexTransport implements Transport {
  private readonly duplex: Duplex;
  private readonly schedule: (connection: Flushable) => void;
  private ending = false;

  /** `schedule` calls `flush` at the end of the turn. */
  constructor(duplex: Duplex, schedule: (connection: Flushable) => void = flushImmediately) {
    this.duplex = duplex;
    this.schedule = schedule;
  }

  write(pieces: Buffer[]): boolean {
    const { duplex } = this;
    if (duplex.destroyed || duplex.writableEnded) return true;
    if (pieces.length === 1) duplex.write(pieces[0]!);
    else {
      duplex.cork();
      for (const piece of pieces) duplex.write(piece);
      duplex.uncork();
    }
    return duplex.writableLength < HIGH_WATER;
  }

  flushLater(connection: Flushable): void {
    this.schedule(connection);
  }

  /**
   * A socket that is closed while bytes of the peer's are unread is reset, and the reset may overtake the last frames.
   * So what still comes is read and thrown away, until the peer ends too or a second has passed.
   */
  end(): void {
    const { duplex } = this;
    if (this.ending || duplex.destroyed) return;
    this.ending = true;
    duplex.end();
    if (duplex.readableEnded) {
      // what was written still has to leave
      if (duplex.writableFinished) duplex.destroy();
    }
    const lingering = arm(LINGER_MS, () => duplex.destroy());
    const done = () => {
      if (duplex.writableFinished) duplex.destroy();
      else duplex.once('finish', () => duplex.destroy());
    };
    duplex.once('end', done);
    duplex.once('close', () => lingering.cancel());
    if (duplex.readableEnded) done();
    duplex.resume();
  }

  destroy(): void {
    this.duplex.destroy();
  }
}

function flushImmediately(connection: Flushable): void {
  setImmediate(flush, connection);
}

function flush(connection: Flushable): void {
  connection.flush();
}

/**
 * Let `connection`, made with a {@link DuplexTransport} of `duplex`, read it. To be called at once, before anything
 * arrives unseen.
 */
export function drive(connection: Connection, duplex: Duplex): void {
  let failure: Error | undefined;
  duplex.on('data', (chunk: Buffer) => connection.receive(chunk));
  duplex.on('drain', () => connection.drained());
  duplex.on('error', (error: Error) => {
    failure ??= error;
    connection.ended(error);
  });
  duplex.on('end', () => connection.ended());
  duplex.on('close', () => connection.ended(failure));
}

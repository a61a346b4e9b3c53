/** How a connection is to be, what carries it, and who is told of its frames. */
import type { Head, RequestHead } from './head.ts';
import type { Limits } from './limits.ts';
import type { Names } from './names.ts';
import type { H2Error } from './reason.ts';

/** What is written at the end of a turn. */
export interface Flushable {
  flush(): void;
}

/** What carries a connection. */
export interface Transport {
  /**
   * Send these bytes. False: the peer reads too slowly; `Connection.drained` is called once it has caught up, and
   * whatever is written before that waits.
   */
  write(pieces: Buffer[]): boolean;
  /** Call its `flush` at the end of this turn. */
  flushLater(connection: Flushable): void;
  /** Nothing more is sent: close when all is written, and read on a little so that it arrives. */
  end(): void;
  /** Close at once. */
  destroy(): void;
}

/**
 * What matters of a frame: the head of HEADERS (a status where a response is sent), the pairs of SETTINGS, an error code,
 * how much a window grows.
 */
export type FrameDetail = Head | RequestHead | number | readonly (readonly [number, number])[] | undefined;

/** Told of each frame, for traces. `names` and `values`: the fields of a head that is sent. */
export interface FrameObserver {
  frame(
    direction: 'in' | 'out',
    type: number,
    flags: number,
    stream: number,
    length: number,
    detail?: FrameDetail,
    names?: readonly string[],
    values?: readonly string[],
  ): void;
}

/** How a connection is to be. */
export interface Options {
  readonly limits?: Partial<Limits> | undefined;
  /** Bytes that the peer may send on a stream before they are read (SETTINGS_INITIAL_WINDOW_SIZE). Default: 65,535. */
  readonly initialWindowSize?: number | undefined;
  /** Bytes that the peer may send on the connection before they are read. */
  readonly connectionWindowSize?: number | undefined;
  /** The longest frame that this end takes (SETTINGS_MAX_FRAME_SIZE). Default: 16,384. */
  readonly maxFrameSize?: number | undefined;
  /** Bytes of the table for fields that arrive (SETTINGS_HEADER_TABLE_SIZE). Default: 4,096. */
  readonly headerTableSize?: number | undefined;
  /** At a server: take extended CONNECT (RFC 8441). Default: no. */
  readonly enableConnectProtocol?: boolean | undefined;
  /** How names of fields are handed out. Default: in lower case, as they come. */
  readonly names?: Names | undefined;
  readonly observer?: FrameObserver | undefined;
  /** Told once of each peer that went over a limit or broke a rule: where, with what error, and the detail. */
  readonly onRefused?: ((error: H2Error, stream: number) => void) | undefined;
}

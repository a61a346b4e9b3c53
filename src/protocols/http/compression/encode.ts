/** What all codings have in common. Port of `Encode` in `pingora-core/src/protocols/http/compression/mod.rs`. */
import { ErrorType } from '../../../error/lib.ts';

/** The type of the error when compressing or decompressing fails. */
export const COMPRESSION_ERROR = ErrorType.new('CompressionError');

/** What an encoder has done so far. */
export interface Stat {
  readonly name: string;
  /** Bytes in. */
  readonly totalIn: number;
  /** Bytes out. */
  readonly totalOut: number;
  /** Time spent, in milliseconds. */
  readonly duration: number;
}

/** Bytes into other bytes: compressing and decompressing alike. */
export interface Encode {
  /**
   * `end` says that this is all. The result may be empty, when the coding waits for more. Throws `CompressionError`.
   */
  encode(input: Buffer, end: boolean): Buffer;
  stat(): Stat;
  /** Free what zlib holds. */
  close(): void;
}

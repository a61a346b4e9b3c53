/**
 * Bytes through zlib at once, without the thread pool: what flate2's and brotli's writers are to the original.
 *
 * `node:zlib` can do that only for a whole message, so this is minizlib's, which npm unpacks with.
 *
 * Port of what is the same in `pingora-core/src/protocols/http/compression/{brotli,gzip,zstd}.rs`.
 */
import type { BrotliCompress, BrotliDecompress, Gzip, ZstdCompress } from 'minizlib';
import { PingoraError } from '../../../error/lib.ts';
import { lazily } from '../../../utils/optional.ts';
import { COMPRESSION_ERROR, type Encode, type Stat } from './encode.ts';

/** What compresses; loaded with the first message that is compressed. */
export const minizlib = lazily<typeof import('minizlib')>('minizlib');

/**
 * One piece of a response may grow to so many bytes, and no further: a few bytes of brotli can stand for gigabytes.
 * The original has no limit.
 */
export const MAX_OUTPUT = 16 * 1024 * 1024;

/** What an encoder of this kind is made of. */
export class SyncEncoder implements Encode {
  readonly #stream: BrotliCompress | BrotliDecompress | Gzip | ZstdCompress;
  readonly #name: string;
  readonly #context: string;
  #out: Buffer[] = [];
  #error: Error | null = null;
  #totalIn = 0;
  #totalOut = 0;
  #duration = 0;

  /** `context` says what was tried when it fails. */
  constructor(name: string, context: string, stream: BrotliCompress | BrotliDecompress | Gzip | ZstdCompress) {
    this.#name = name;
    this.#context = context;
    this.#stream = stream;
    stream.on('data', (piece: Buffer) => {
      this.#out.push(piece);
    });
    stream.on('error', (error: unknown) => {
      this.#error = error as Error;
    });
  }

  encode(input: Buffer, end: boolean): Buffer {
    const start = performance.now();
    this.#totalIn += input.length;
    if (input.length > 0) this.#stream.write(input);
    if (end && this.#error === null) this.#stream.end();
    this.#duration += performance.now() - start;
    if (this.#error !== null) throw PingoraError.because(COMPRESSION_ERROR, this.#context, this.#error);
    const out = this.#out.length === 1 ? this.#out[0]! : Buffer.concat(this.#out);
    this.#out = [];
    this.#totalOut += out.length;
    return out;
  }

  stat(): Stat {
    return { name: this.#name, totalIn: this.#totalIn, totalOut: this.#totalOut, duration: this.#duration };
  }

  close(): void {
    this.#stream.close();
  }
}

/**
 * Reading and writing HTTP/1 bodies, whichever way they are framed.
 *
 * The reader takes no byte beyond the body: the original reads into a buffer of its own and loses what follows. What
 * it returns is a view of what arrived, not a copy.
 *
 * Port of `pingora-core/src/protocols/http/v1/body.rs`.
 */

import { ErrorType, PingoraError } from '../../error/lib.ts';
import type { HMap } from '../../http/lib.ts';
import { Log } from '../../log.ts';
import { PENDING, type Poll } from '../../runtime/poll.ts';
import { Elapsed } from '../../timeout/lib.ts';
import { ported, traced } from '../../tracing/span.ts';
import type { Stream } from '../l4/stream.ts';
import { parseTrailers } from './parse.ts';

const rust = ported('pingora-core/src/protocols/http/v1/body.rs');
const log = new Log('pingora_core::protocols::http::v1::body');

/** At most so much is read at once, in bytes. */
const BODY_BUFFER_SIZE = 1024 * 64;
/** How long the head of a chunk with its extensions may be, in bytes. */
const PARTIAL_CHUNK_HEAD_LIMIT = 1024 * 8;

const CR = 13;
const LF = 10;
const SEMICOLON = 59;

const INVALID_CHUNK = ErrorType.new('InvalidChunk');
const PREMATURE_BODY_END = ErrorType.new('PrematureBodyEnd');

/** What the connection threw, as an error of reading a body. */
const readError = (error: unknown): never => {
  if (error instanceof PingoraError || error instanceof Elapsed) throw error;
  throw PingoraError.because(ErrorType.ReadError, 'when reading body', error);
};

const writeError = (error: unknown): never => {
  throw PingoraError.because(ErrorType.WriteError, 'while writing body', error);
};

/** `read` is how many bytes of the body were read so far. */
export type ParseState = 'ToStart' | 'Complete' | 'Partial' | 'Chunked' | 'Done' | 'HTTP1_0';

/** What a chunked body is in the middle of. */
type ChunkPart = 'head' | 'payload' | 'payload-end' | 'trailer';

/** Reads one body. */
@traced
export class BodyReader {
  state: ParseState = 'ToStart';
  /** Bytes of the body that were read. */
  read = 0;
  /** Bytes that are left: of the body, or of the present chunk. */
  private left = 0;
  private part: ChunkPart = 'head';
  /** The trailer fields of a chunked body, once it is read; undefined if it had none. */
  trailers: HMap | undefined = undefined;

  needInit(): boolean {
    return this.state === 'ToStart';
  }

  reinit(): void {
    this.state = 'ToStart';
  }

  initChunked(): void {
    this.state = 'Chunked';
    this.part = 'head';
    this.read = 0;
  }

  initContentLength(length: number): void {
    this.state = length === 0 ? 'Complete' : 'Partial';
    this.left = length;
    this.read = 0;
  }

  /** The body ends with the connection. */
  initHttp10(): void {
    this.state = 'HTTP1_0';
    this.read = 0;
  }

  /** There is no more of it, whatever was announced; what was read counts. */
  end(): void {
    this.state = 'Complete';
  }

  bodyDone(): boolean {
    return this.state === 'Complete' || this.state === 'Done';
  }

  /** Whether the body was read to its end without an error. */
  get complete(): boolean {
    return this.state === 'Complete';
  }

  /** Bytes that are still to be read; infinite if nothing says how many. */
  get remaining(): number {
    if (this.state === 'Partial') return this.left;
    return this.bodyDone() ? 0 : Number.POSITIVE_INFINITY;
  }

  bodyEmpty(): boolean {
    return this.state === 'Complete' && this.read === 0;
  }

  /**
   * The next piece of the body; undefined when there is no more. `patience`: how long one read may be pending, in
   * milliseconds; throws `Elapsed` then.
   */
  @rust.method
  readBody(stream: Stream, patience?: number): Poll<Buffer | undefined> {
    switch (this.state) {
      case 'Complete':
      case 'Done':
        return undefined;
      case 'Partial':
        return this.doReadBody(stream, patience);
      case 'Chunked':
        return this.doReadChunkedBody(stream, patience);
      case 'HTTP1_0':
        return this.doReadBodyUntilClosed(stream, patience);
      case 'ToStart':
        throw new Error('need to init BodyReader first');
    }
  }

  @rust.method
  doReadBody(stream: Stream, patience?: number): Poll<Buffer | undefined> {
    const data = pieceOf(stream, this.left, patience);
    if (data === PENDING) return PENDING;
    if (data.length === 0) {
      this.state = 'Done';
      throw PingoraError.explain(
        ErrorType.ConnectionClosed,
        `Peer prematurely closed connection with ${this.left} bytes of body remaining to read`,
      );
    }
    this.read += data.length;
    this.left -= data.length;
    if (this.left === 0) this.state = 'Complete';
    return data;
  }

  @rust.method
  doReadBodyUntilClosed(stream: Stream, patience?: number): Poll<Buffer | undefined> {
    const data = pieceOf(stream, BODY_BUFFER_SIZE, patience);
    if (data === PENDING) return PENDING;
    if (data.length === 0) {
      this.state = 'Complete';
      return undefined;
    }
    this.read += data.length;
    return data;
  }

  @rust.method
  doReadChunkedBody(stream: Stream, patience?: number): Poll<Buffer | undefined> {
    for (;;) {
      const piece = this.nextOfChunk(stream);
      if (piece !== null) return piece;
      let more: Poll<boolean>;
      try {
        more = stream.pollFill(stream.bufferedLength, patience);
      } catch (error) {
        this.state = 'Done';
        return readError(error);
      }
      if (more === PENDING) return PENDING;
      if (!more) {
        this.state = 'Done';
        throw PingoraError.explain(
          ErrorType.ConnectionClosed,
          `Connection prematurely closed without the termination chunk, read ${this.read} bytes`,
        );
      }
    }
  }

  /** What can be had of the bytes that are here: a piece, the end (undefined), or nothing yet (null). */
  private nextOfChunk(stream: Stream): Buffer | undefined | null {
    for (;;) {
      if (this.part === 'payload') {
        if (stream.bufferedLength === 0) return null;
        const data = stream.pollRead(Math.min(this.left, BODY_BUFFER_SIZE)) as Buffer;
        this.read += data.length;
        this.left -= data.length;
        if (this.left === 0) this.part = 'payload-end';
        // Take the end of this chunk along if it is here, so that the last chunk is seen with the last piece.
        return data;
      }
      const buf = stream.buffered();
      if (this.part === 'payload-end') {
        // RFC 9112 7.1: the payload ends with CRLF. The original skips two bytes unseen.
        if (buf.length < 2) return null;
        if (buf[0] !== CR || buf[1] !== LF) this.invalid('no CRLF after the chunk');
        stream.consume(2);
        this.part = 'head';
      } else if (this.part === 'head') {
        if (!this.parseChunkedBuf(stream, buf)) return null;
      } else {
        const parsed = parseTrailers(buf);
        if (parsed.state === 'Partial') return null;
        if (parsed.state === 'Invalid') return this.invalid(parsed.reason);
        stream.consume(parsed.size);
        this.trailers = parsed.head.length > 0 ? parsed.head : undefined;
        this.state = 'Complete';
        return undefined;
      }
    }
  }

  /** Read the head of a chunk: its size and its extensions, which nobody needs. False if it isn't all here. */
  @rust.method
  private parseChunkedBuf(stream: Stream, buf: Buffer): boolean {
    const end = buf.indexOf(LF);
    if (end < 0) {
      if (buf.length > PARTIAL_CHUNK_HEAD_LIMIT) this.invalid('Chunk ext over limit');
      // so that a size that isn't one is refused before its line ends
      const digits = buf.toString('latin1', 0, 17);
      if (digits !== '' && !/^[0-9A-Fa-f]+([ \t;\r]|$)/.test(digits)) this.invalid('InvalidChunkSize');
      return false;
    }
    if (end > PARTIAL_CHUNK_HEAD_LIMIT) this.invalid('Chunk ext over limit');
    let size = 0;
    let at = 0;
    for (; at < end; at++) {
      const digit = hexDigit(buf[at]!);
      if (digit < 0) break;
      size = size * 16 + digit;
      if (size > Number.MAX_SAFE_INTEGER) this.invalid('InvalidChunkSize');
    }
    if (at === 0 || end === 0 || buf[end - 1] !== CR) this.invalid('InvalidChunkSize');
    while (at < end - 1 && (buf[at] === 32 || buf[at] === 9)) at++;
    if (at < end - 1 && buf[at] !== SEMICOLON) this.invalid('InvalidChunkSize');
    if (buf.indexOf(CR, at) !== end - 1) this.invalid('InvalidChunkSize');
    stream.consume(end + 1);
    this.left = size;
    this.part = size === 0 ? 'trailer' : 'payload';
    return true;
  }

  private invalid(reason: string): never {
    this.state = 'Done';
    const context = `Invalid chucked encoding: ${reason}`;
    log.debug(context);
    throw PingoraError.explain(INVALID_CHUNK, context);
  }
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 65 && code <= 70) return code - 55;
  return code >= 97 && code <= 102 ? code - 87 : -1;
}

export type BodyMode = 'ToSelect' | 'ContentLength' | 'ChunkedEncoding' | 'HTTP1_0' | 'Complete';

/** Writes one body. */
@traced
export class BodyWriter {
  mode: BodyMode = 'ToSelect';
  /** Bytes of the body that were written. */
  written = 0;
  /** Sent after a chunked body; nothing can follow a body that is framed in another way. */
  trailers: HMap | undefined = undefined;
  private total = 0;

  initChunked(): void {
    this.mode = 'ChunkedEncoding';
    this.written = 0;
  }

  initHttp10(): void {
    this.mode = 'HTTP1_0';
    this.written = 0;
  }

  initContentLength(length: number): void {
    this.mode = 'ContentLength';
    this.written = 0;
    this.total = length;
  }

  // Every piece is sent at the end of the turn in which it came, for it may be all that there is for a while. The original
  // keeps a body whose length is known until it is whole, or there is more of it than fits into its buffer.

  /** Write a piece. Returns how much of it was taken, undefined if the body is at its end. */
  @rust.method
  writeBody(stream: Stream, data: Buffer): number | undefined {
    switch (this.mode) {
      case 'ContentLength':
        return this.doWriteBody(stream, data);
      case 'ChunkedEncoding':
        return this.doWriteChunkedBody(stream, data);
      case 'HTTP1_0':
        return this.doWriteHttp10Body(stream, data);
      case 'Complete':
      case 'ToSelect':
        return undefined;
    }
  }

  /** Whether everything was written that may be. */
  finished(): boolean {
    return this.mode === 'Complete' || (this.mode === 'ContentLength' && this.written >= this.total);
  }

  @rust.method
  private doWriteBody(stream: Stream, data: Buffer): number | undefined {
    const left = this.total - this.written;
    if (left <= 0) return undefined;
    let taken = data;
    if (data.length > left) {
      log.warn(`Trying to write data over content-length: ${this.total}`);
      taken = data.subarray(0, left);
    }
    this.written += taken.length;
    return sent(stream, taken, taken.length);
  }

  @rust.method
  private doWriteChunkedBody(stream: Stream, data: Buffer): number {
    // an empty chunk would end the body
    if (data.length === 0) return 0;
    this.written += data.length;
    try {
      stream.write(`${data.length.toString(16).toUpperCase()}\r\n`);
      stream.write(data);
      stream.write('\r\n');
      stream.flush();
    } catch (error) {
      return writeError(error);
    }
    return data.length;
  }

  @rust.method('BodyWriter::do_write_http1_0_body')
  private doWriteHttp10Body(stream: Stream, data: Buffer): number {
    this.written += data.length;
    return sent(stream, data, data.length);
  }

  /** There is no more to write. Throws `PrematureBodyEnd` if less was written than the length announced. */
  @rust.method
  finish(stream: Stream): number | undefined {
    switch (this.mode) {
      case 'ContentLength':
        return this.doFinishBody();
      case 'ChunkedEncoding':
        return this.doFinishChunkedBody(stream);
      case 'HTTP1_0':
        return this.doFinishHttp10Body();
      case 'Complete':
      case 'ToSelect':
        return undefined;
    }
  }

  @rust.method
  private doFinishBody(): number {
    this.mode = 'Complete';
    if (this.written < this.total) {
      throw PingoraError.explain(PREMATURE_BODY_END, `Content-length: ${this.total} bytes written: ${this.written}`);
    }
    return this.written;
  }

  @rust.method
  private doFinishChunkedBody(stream: Stream): number {
    const { written, trailers } = this;
    this.mode = 'Complete';
    try {
      stream.write(trailers === undefined ? '0\r\n\r\n' : `0\r\n${trailers.toWire()}\r\n`);
    } catch (error) {
      return writeError(error);
    }
    return written;
  }

  @rust.method('BodyWriter::do_finish_http1_0_body')
  private doFinishHttp10Body(): number {
    this.mode = 'Complete';
    return this.written;
  }
}

/** A piece of at most `max` bytes; empty at the end of the stream. */
function pieceOf(stream: Stream, max: number, patience: number | undefined): Poll<Buffer> {
  try {
    return stream.pollRead(max, patience);
  } catch (error) {
    return readError(error);
  }
}

/** Write a piece and flush. Returns `result`. */
function sent(stream: Stream, data: Buffer, result: number): number {
  try {
    stream.write(data);
    stream.flush();
  } catch (error) {
    return writeError(error);
  }
  return result;
}

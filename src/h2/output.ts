/**
 * The bytes that a connection has made and not written yet.
 *
 * Small things are put one after the other into a buffer that connections lend each other, so that one that says
 * nothing holds none. What is large is taken as it is, without a copy.
 */

/** As large as a frame of the usual size with its header, and some more. */
const SCRATCH_SIZE = 20 * 1024;
/** Up to so many bytes are copied out of the scratch buffer; more take it with them. */
const COPY_SIZE = 8 * 1024;
/** So many scratch buffers are kept for later. */
const KEPT = 32;

const EMPTY = Buffer.alloc(0);
const free: Buffer[] = [];

/** What is to be written, in its order. */
export class Output {
  /** To be written into at {@link Output.pos}, after {@link Output.reserve}. */
  buffer: Buffer = EMPTY;
  pos = 0;
  private pieces: Buffer[] = [];
  /** Bytes in `pieces`. */
  private sealed = 0;

  /** How many bytes wait. */
  get length(): number {
    return this.sealed + this.pos;
  }

  /** Have room for `bytes` bytes in one piece. */
  reserve(bytes: number): void {
    if (this.buffer.length - this.pos < bytes) this.another(bytes);
  }

  private another(bytes: number): void {
    this.seal();
    if (bytes > SCRATCH_SIZE) this.buffer = Buffer.allocUnsafeSlow(bytes);
    else this.buffer = free.pop() ?? Buffer.allocUnsafeSlow(SCRATCH_SIZE);
  }

  /** What is in the scratch buffer becomes a piece. */
  private seal(): void {
    const { buffer, pos } = this;
    if (buffer.length === 0) return;
    if (pos > 0) {
      this.sealed += pos;
      if (pos <= COPY_SIZE) {
        const piece = Buffer.allocUnsafe(pos);
        buffer.copy(piece, 0, 0, pos);
        this.pieces.push(piece);
      } else this.pieces.push(buffer.subarray(0, pos));
    }
    if (pos <= COPY_SIZE && buffer.length === SCRATCH_SIZE && free.length < KEPT) free.push(buffer);
    this.buffer = EMPTY;
    this.pos = 0;
  }

  /** Add bytes that nobody changes any more. */
  append(bytes: Buffer): void {
    if (bytes.length <= COPY_SIZE) {
      this.reserve(bytes.length);
      this.pos += bytes.copy(this.buffer, this.pos);
      return;
    }
    // what is in the scratch buffer goes before it
    this.seal();
    this.pieces.push(bytes);
    this.sealed += bytes.length;
  }

  /** All that waits; it doesn't wait any more. */
  take(): Buffer[] {
    this.seal();
    const { pieces } = this;
    this.pieces = [];
    this.sealed = 0;
    return pieces;
  }
}

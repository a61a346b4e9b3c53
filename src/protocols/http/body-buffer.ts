/**
 * The request body, kept so that a failed try can be repeated.
 *
 * Port of `pingora-core/src/protocols/http/body_buffer.rs`.
 */

/** Holds what is written to it up to a limit; beyond that it only remembers that something is missing. */
export class FixedBuffer {
  readonly #capacity: number;
  #pieces: Buffer[] = [];
  #size = 0;
  #truncated = false;

  /** `capacity` in bytes. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  writeToBuffer(data: Buffer): void {
    if (this.#truncated) return;
    if (this.#size + data.length <= this.#capacity) {
      this.#pieces.push(data);
      this.#size += data.length;
    } else {
      this.#truncated = true;
      // what is held is of no use any more
      this.#pieces = [];
      this.#size = 0;
    }
  }

  clear(): void {
    this.#truncated = false;
    this.#pieces = [];
    this.#size = 0;
  }

  isEmpty(): boolean {
    return this.#size === 0;
  }

  isTruncated(): boolean {
    return this.#truncated;
  }

  /** What was written; undefined if that is nothing. */
  getBuffer(): Buffer | undefined {
    if (this.#size === 0) return undefined;
    if (this.#pieces.length > 1) this.#pieces = [Buffer.concat(this.#pieces)];
    return this.#pieces[0];
  }
}

/**
 * Takes what arrives apart into frames (RFC 9113 4.1), however it was cut into pieces.
 *
 * DATA goes on as it comes, in pieces of what arrived, unless little is missing of its frame. All other frames are
 * handed on whole: mostly where they lie, copied only if they came in several pieces.
 */
import { Flag, FrameType, get32, HEADER_LENGTH, MAX_31, PREFACE } from './frame.ts';
import { H2Error, Reason } from './reason.ts';

/** Takes frames. */
export interface FrameSink {
  /** A frame begins. False: nobody wants its payload. Throws {@link H2Error}, and the connection ends. */
  frame(length: number, type: number, flags: number, stream: number): boolean;
  /** A piece of a DATA frame's data, `stream` that of the frame that began last. */
  data(piece: Buffer, stream: number): void;
  /** The end of a DATA frame, of which `padding` bytes were padding or its length. */
  dataEnd(flags: number, stream: number, padding: number): void;
  /** The payload of any other frame is `bytes[start, end)`. */
  payload(type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number): void;
  /** The client's preface has come. */
  preface(): void;
}

/** A piece of DATA so large waits for the rest of its frame … */
const LARGE_PIECE = 8 * 1024;
/** … if that is so short: of frames of 16 KB a record of TLS cuts 9 bytes off, which would go on by themselves. */
const SHORT_REST = 1024;

const State = {
  PREFACE: 0,
  HEADER: 1,
  PAYLOAD: 2,
  PAD_LENGTH: 3,
  DATA: 4,
  PADDING: 5,
  SKIP: 6,
} as const;

/** The reading half of a connection. */
export class FrameReader {
  /** The longest payload that this end takes (SETTINGS_MAX_FRAME_SIZE). */
  maxFrameSize = 16_384;
  /** Nothing more is wanted. */
  stopped = false;
  private readonly sink: FrameSink;
  private state: number;
  /** What has come of a header or payload that is in several pieces. */
  private held: Buffer | null = null;
  private heldLength = 0;

  // the frame that is being read
  private length = 0;
  private type = 0;
  private flags = 0;
  private stream = 0;
  /** Bytes of this part of it that are still to come. */
  private left = 0;
  private padding = 0;

  /** `preface`: the peer is a client, which sends one. */
  constructor(sink: FrameSink, preface: boolean) {
    this.sink = sink;
    this.state = preface ? State.PREFACE : State.HEADER;
  }

  /** Whether a frame has begun and isn't complete, or the preface isn't. */
  get isInside(): boolean {
    return this.state !== State.HEADER || this.heldLength > 0;
  }

  /** Take `chunk`, which belongs to this end from now on. Throws what the sink throws. */
  feed(chunk: Buffer): void {
    const { length: end } = chunk;
    let pos = 0;
    while (pos < end && !this.stopped) {
      switch (this.state) {
        case State.HEADER:
          pos = this.header(chunk, pos);
          break;
        case State.DATA:
          pos = this.data(chunk, pos);
          break;
        case State.PAYLOAD:
          pos = this.payload(chunk, pos);
          break;
        case State.PAD_LENGTH:
          this.padLength(chunk[pos++]!);
          break;
        case State.PADDING:
        case State.SKIP: {
          const skipped = Math.min(this.left, end - pos);
          this.left -= skipped;
          pos += skipped;
          if (this.left === 0) this.skipped();
          break;
        }
        default:
          pos = this.preface(chunk, pos);
      }
    }
  }

  private preface(chunk: Buffer, from: number): number {
    let pos = from;
    while (pos < chunk.length && this.heldLength < PREFACE.length) {
      // RFC 9113 3.4: what isn't it is no HTTP/2
      if (chunk[pos++] !== PREFACE[this.heldLength++]) {
        throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'invalid preface');
      }
    }
    if (this.heldLength === PREFACE.length) {
      this.heldLength = 0;
      this.state = State.HEADER;
      this.sink.preface();
    }
    return pos;
  }

  private header(chunk: Buffer, pos: number): number {
    if (this.heldLength === 0 && chunk.length - pos >= HEADER_LENGTH) {
      this.begin(chunk, pos);
      return pos + HEADER_LENGTH;
    }
    this.held ??= Buffer.allocUnsafe(HEADER_LENGTH);
    const taken = chunk.copy(this.held, this.heldLength, pos, pos + HEADER_LENGTH - this.heldLength);
    this.heldLength += taken;
    if (this.heldLength === HEADER_LENGTH) {
      const header = this.held;
      this.held = null;
      this.heldLength = 0;
      this.begin(header, 0);
    }
    return pos + taken;
  }

  private begin(bytes: Buffer, pos: number): void {
    const length = (bytes[pos]! << 16) | (bytes[pos + 1]! << 8) | bytes[pos + 2]!;
    const type = bytes[pos + 3]!;
    const flags = bytes[pos + 4]!;
    // RFC 9113 4.1: the upper bit is reserved and ignored
    const stream = get32(bytes, pos + 5) & MAX_31;
    // RFC 9113 4.2; for some types an error of the stream would do
    if (length > this.maxFrameSize) {
      throw H2Error.goaway(Reason.FRAME_SIZE_ERROR, `a frame of ${length} bytes`);
    }
    this.length = length;
    this.type = type;
    this.flags = flags;
    this.stream = stream;
    this.padding = 0;
    this.left = length;
    if (!this.sink.frame(length, type, flags, stream)) this.state = State.SKIP;
    else if (type !== FrameType.DATA) this.state = State.PAYLOAD;
    else if ((flags & Flag.PADDED) !== 0) {
      // RFC 9113 4.2: too short for what it must have
      if (length === 0) throw H2Error.goaway(Reason.FRAME_SIZE_ERROR, 'no length of the padding');
      this.state = State.PAD_LENGTH;
    } else this.state = State.DATA;
    if (length === 0) this.empty();
  }

  private empty(): void {
    if (this.state === State.DATA) this.dataIsHere();
    else if (this.state === State.PAYLOAD) {
      this.state = State.HEADER;
      this.sink.payload(this.type, this.flags, this.stream, PREFACE, 0, 0);
    } else this.state = State.HEADER;
  }

  private padLength(padding: number): void {
    // RFC 9113 6.1: at least the padding's length itself is left
    if (padding >= this.length) throw H2Error.goaway(Reason.PROTOCOL_ERROR, 'too much padding');
    this.padding = padding;
    this.left = this.length - 1 - padding;
    this.state = State.DATA;
    if (this.left === 0) this.dataIsHere();
  }

  private data(chunk: Buffer, pos: number): number {
    const { left, held } = this;
    const taken = Math.min(left, chunk.length - pos);
    this.left = left - taken;
    if (held !== null) {
      this.heldLength += chunk.copy(held, this.heldLength, pos, pos + taken);
    } else if (taken >= LARGE_PIECE && left > taken && left - taken <= SHORT_REST) {
      this.held = Buffer.allocUnsafe(left);
      this.heldLength = chunk.copy(this.held, 0, pos, pos + taken);
    } else this.sink.data(taken === chunk.length ? chunk : chunk.subarray(pos, pos + taken), this.stream);
    if (this.left === 0) this.dataIsHere();
    return pos + taken;
  }

  private dataIsHere(): void {
    const { held } = this;
    if (held !== null) {
      this.held = null;
      this.heldLength = 0;
      this.sink.data(held, this.stream);
    }
    if (this.padding > 0) {
      this.left = this.padding;
      this.state = State.PADDING;
    } else this.dataEnd();
  }

  private skipped(): void {
    if (this.state === State.PADDING) this.dataEnd();
    else this.state = State.HEADER;
  }

  private dataEnd(): void {
    this.state = State.HEADER;
    const padding = (this.flags & Flag.PADDED) !== 0 ? this.padding + 1 : 0;
    this.sink.dataEnd(this.flags, this.stream, padding);
  }

  private payload(chunk: Buffer, pos: number): number {
    const { length } = this;
    if (this.held === null && chunk.length - pos >= length) {
      this.state = State.HEADER;
      this.sink.payload(this.type, this.flags, this.stream, chunk, pos, pos + length);
      return pos + length;
    }
    this.held ??= Buffer.allocUnsafe(length);
    const taken = chunk.copy(this.held, this.heldLength, pos, pos + length - this.heldLength);
    this.heldLength += taken;
    if (this.heldLength === length) {
      const whole = this.held;
      this.held = null;
      this.heldLength = 0;
      this.state = State.HEADER;
      this.sink.payload(this.type, this.flags, this.stream, whole, 0, length);
    }
    return pos + taken;
  }
}

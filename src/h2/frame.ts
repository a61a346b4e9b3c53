/** Frames: their types, their flags, and how those that have a fixed form are written (RFC 9113 4.1 and 6). */
import type { Output } from './output.ts';

/** Bytes of a frame's header (RFC 9113 4.1). */
export const HEADER_LENGTH = 9;

/** What a client sends first (RFC 9113 3.4). */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** The types of frames (RFC 9113 6). */
export const FrameType = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

/** The flags of frames (RFC 9113 6). */
export const Flag = {
  END_STREAM: 0x01,
  ACK: 0x01,
  END_HEADERS: 0x04,
  PADDED: 0x08,
  PRIORITY: 0x20,
} as const;

/** Windows and identifiers of streams have 31 bits. */
export const MAX_31 = 0x7fffffff;

const TYPE_NAMES = Object.keys(FrameType);

/** The RFC's name of a frame's type; its number if it has none. */
export function frameTypeName(type: number): string {
  return TYPE_NAMES[type] ?? `0x${type.toString(16)}`;
}

/** Write a frame's header; there must be room. */
export function putHeader(
  buffer: Buffer,
  pos: number,
  length: number,
  type: number,
  flags: number,
  stream: number,
): void {
  buffer[pos] = length >>> 16;
  buffer[pos + 1] = length >>> 8;
  buffer[pos + 2] = length;
  buffer[pos + 3] = type;
  buffer[pos + 4] = flags;
  put32(buffer, pos + 5, stream);
}

function put32(buffer: Buffer, pos: number, value: number): void {
  buffer[pos] = value >>> 24;
  buffer[pos + 1] = value >>> 16;
  buffer[pos + 2] = value >>> 8;
  buffer[pos + 3] = value;
}

/** Read 32 bits. */
export function get32(buffer: Buffer, pos: number): number {
  return ((buffer[pos]! << 24) | (buffer[pos + 1]! << 16) | (buffer[pos + 2]! << 8) | buffer[pos + 3]!) >>> 0;
}

/** A frame whose payload is one number of 32 bits: RST_STREAM and WINDOW_UPDATE. */
export function write32(out: Output, type: number, stream: number, value: number): void {
  out.reserve(HEADER_LENGTH + 4);
  putHeader(out.buffer, out.pos, 4, type, 0, stream);
  put32(out.buffer, out.pos + HEADER_LENGTH, value);
  out.pos += HEADER_LENGTH + 4;
}

/** RFC 9113 6.7. `payload` has eight bytes. */
export function writePing(out: Output, flags: number, payload: Buffer): void {
  out.reserve(HEADER_LENGTH + 8);
  putHeader(out.buffer, out.pos, 8, FrameType.PING, flags, 0);
  payload.copy(out.buffer, out.pos + HEADER_LENGTH, 0, 8);
  out.pos += HEADER_LENGTH + 8;
}

/** RFC 9113 6.8. */
export function writeGoAway(out: Output, lastStream: number, reason: number, debug: string): void {
  const { length } = debug;
  out.reserve(HEADER_LENGTH + 8 + length);
  putHeader(out.buffer, out.pos, 8 + length, FrameType.GOAWAY, 0, 0);
  put32(out.buffer, out.pos + HEADER_LENGTH, lastStream);
  put32(out.buffer, out.pos + HEADER_LENGTH + 4, reason);
  out.buffer.write(debug, out.pos + HEADER_LENGTH + 8, 'latin1');
  out.pos += HEADER_LENGTH + 8 + length;
}

/** RFC 9113 6.5: pairs of identifier and value. */
export function writeSettings(out: Output, flags: number, pairs: readonly (readonly [number, number])[]): void {
  out.reserve(HEADER_LENGTH + 6 * pairs.length);
  putHeader(out.buffer, out.pos, 6 * pairs.length, FrameType.SETTINGS, flags, 0);
  out.pos += HEADER_LENGTH;
  for (const [id, value] of pairs) {
    out.buffer[out.pos] = id >>> 8;
    out.buffer[out.pos + 1] = id;
    put32(out.buffer, out.pos + 2, value);
    out.pos += 6;
  }
}

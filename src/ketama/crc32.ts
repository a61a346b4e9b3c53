/**
 * CRC-32 as in gzip and Ethernet (reflected polynomial EDB88320), which the ketama ring is built on.
 *
 * `node:zlib` has it from Node 20.15 and 22.2 on only.
 */

const TABLE = new Uint32Array(256);
for (let i = 0; i < 256; i++) {
  let remainder = i;
  for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1;
  TABLE[i] = remainder;
}

/** The checksum of `bytes`; with `before`, of what `before` is the checksum of and then `bytes`. */
export function crc32(bytes: Uint8Array, before = 0): number {
  let crc = ~before;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[i]!) & 0xff]!;
  return ~crc >>> 0;
}

/** As {@link crc32}, of one more `word` as four bytes, the lowest first. */
export function crc32Word(word: number, before: number): number {
  let crc = ~before ^ word;
  for (let i = 0; i < 4; i++) crc = (crc >>> 8) ^ TABLE[crc & 0xff]!;
  return ~crc >>> 0;
}

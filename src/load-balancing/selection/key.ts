/**
 * What a choice goes by, where it goes by anything: bytes, or a string of bytes (latin1, one character a byte), as
 * every string of the network is here. A string with characters beyond that stands for its UTF-8.
 */
export type Key = string | Uint8Array;

/** The bytes of a key. */
export function keyBytes(key: Key): Uint8Array {
  if (typeof key !== 'string') return key;
  for (let i = 0; i < key.length; i++) {
    if (key.charCodeAt(i) > 0xff) return Buffer.from(key, 'utf8');
  }
  return Buffer.from(key, 'latin1');
}

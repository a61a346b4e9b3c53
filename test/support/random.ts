/** Chance that can be had again: a test that fails says its seed. */

/** Numbers from 0 to below 1 (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** What is drawn from `next`. */
export class Chance {
  readonly next: () => number;
  constructor(seed: number) {
    this.next = random(seed);
  }

  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** `text` (one character a byte) with up to `most` changes: bytes replaced, taken out, put in, or parts said twice. */
  spoil(text: string, most = 4, pieces: readonly string[] = PIECES): string {
    let spoilt = text;
    for (let left = 1 + this.below(most); left > 0; left--) {
      const at = this.below(spoilt.length + 1);
      const to = Math.min(spoilt.length, at + this.below(8));
      switch (this.below(5)) {
        case 0:
          spoilt = spoilt.slice(0, at) + String.fromCharCode(this.below(256)) + spoilt.slice(at + 1);
          break;
        case 1:
          spoilt = spoilt.slice(0, at) + spoilt.slice(to);
          break;
        case 2:
          spoilt = spoilt.slice(0, at) + this.pick(pieces) + spoilt.slice(at);
          break;
        case 3:
          spoilt = spoilt.slice(0, to) + spoilt.slice(at);
          break;
        default:
          spoilt = spoilt.slice(0, at);
      }
    }
    return spoilt;
  }
}

/** What parsers stumble over. */
const PIECES = [
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  ':',
  ' ',
  '\t',
  '\0',
  '%',
  '%2e%2e/',
  '//',
  '\x7f',
  '\xff',
  ',',
  ';',
  '0',
  '-',
  '+',
];

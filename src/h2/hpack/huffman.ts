/**
 * The Huffman code of HPACK (RFC 7541 5.2 and appendix B).
 *
 * The code is canonical: codes of one length follow each other in the order of their symbols, so that the lengths alone
 * say everything. They are written as letters here, `a` for 5 bits, one a symbol, the last for the end of the string.
 */
const LENGTHS =
  'isxxxxxxxtzxxzxxxxxxxxzxxxxxxxxxbffhibdgffdgdbbbaaabbbbbbbcdkbhf' +
  'ibccccccccccccccccccccccdcdioijbkabababbbaccbbbabcbaabccccckgjix' +
  'prpprrrsrssssststtrstssssqrsrsstrqprrssqsrrtqrssqqrqsrssprrrsrrs' +
  'vvporsruvvvwwvtuoqvwwvwtqqvvxwwwptpqrqqsrruuttvsvwvvwwwwwxwwwwwv' +
  'z';
const SYMBOLS = 257;
const EOS = 256;
const SHORTEST = 5;
const LONGEST = 30;

const codes = new Uint32Array(SYMBOLS);
const lengths = new Uint8Array(SYMBOLS);
/** The first code of each length, how many there are, and where their symbols begin in `ordered`. */
const firstCode = new Uint32Array(LONGEST + 1);
const countOf = new Uint16Array(LONGEST + 1);
const startOf = new Uint16Array(LONGEST + 1);
const ordered = new Uint16Array(SYMBOLS);

/** So many bits are looked up at once: all that text is made of has a shorter code. */
const LOOK = 9;
/** What begins with these nine bits: `symbol << 4 | length`; 0 if the code is longer. */
const looked = new Uint16Array(1 << LOOK);

{
  let code = 0;
  let at = 0;
  for (let length = SHORTEST; length <= LONGEST; length++) {
    firstCode[length] = code;
    startOf[length] = at;
    for (let symbol = 0; symbol < SYMBOLS; symbol++) {
      if (LENGTHS.charCodeAt(symbol) - 97 + SHORTEST !== length) continue;
      codes[symbol] = code;
      lengths[symbol] = length;
      ordered[at++] = symbol;
      if (length <= LOOK) looked.fill((symbol << 4) | length, code << (LOOK - length), (code + 1) << (LOOK - length));
      code++;
    }
    countOf[length] = at - startOf[length]!;
    code *= 2;
  }
}

/** The bytes that `text` (latin1) takes in this code. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits += lengths[text.charCodeAt(i)]!;
  return (bits + 7) >>> 3;
}

/** Write `text` (latin1) into `out` from `pos` on. Returns the position after it. */
export function huffmanEncode(text: string, out: Uint8Array, pos: number): number {
  let at = pos;
  let held = 0;
  let bits = 0;
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i);
    const length = lengths[symbol]!;
    const code = codes[symbol]!;
    if (length > 24) {
      // with up to seven bits held it wouldn't fit 31 bits: the upper part first
      held = (held << (length - 16)) | (code >>> 16);
      bits += length - 16;
      while (bits >= 8) {
        bits -= 8;
        out[at++] = held >>> bits;
      }
      held = ((held & 0xff) << 16) | (code & 0xffff);
      bits += 16;
    } else {
      held = (held << length) | code;
      bits += length;
    }
    while (bits >= 8) {
      bits -= 8;
      out[at++] = held >>> bits;
    }
    held &= 0xff;
  }
  // RFC 7541 5.2: padded with the beginning of the end's code, which is all ones
  if (bits > 0) out[at++] = (held << (8 - bits)) | (0xff >>> bits);
  return at;
}

/**
 * Decode `from[start, end)` into `out`. Returns how many bytes there are; -1 if it isn't this code.
 * `out` must have room for 8/5 of the input.
 */
export function huffmanDecode(from: Uint8Array, start: number, end: number, out: Uint8Array): number {
  let at = 0;
  let pos = start;
  let held = 0;
  let bits = 0;
  for (;;) {
    while (bits <= 24 && pos < end) {
      held = (held << 8) | from[pos++]!;
      bits += 8;
    }
    if (bits === 0) return at;
    const index =
      bits >= LOOK
        ? (held >>> (bits - LOOK)) & (looked.length - 1)
        : ((held << (LOOK - bits)) | ((1 << (LOOK - bits)) - 1)) & (looked.length - 1);
    const entry = looked[index]!;
    const length = entry & 15;
    if (length !== 0 && length <= bits) {
      out[at++] = entry >>> 4;
      bits -= length;
      continue;
    }
    const long = length === 0 ? longCode(held, bits, pos < end ? from[pos]! : -1) : -1;
    if (long === -1) {
      // RFC 7541 5.2: padding is shorter than a byte, and all ones
      const padding = (1 << bits) - 1;
      return bits < 8 && pos === end && (held & padding) === padding ? at : -1;
    }
    const symbol = long & 0x1ff;
    // RFC 7541 5.2: the end's code in the middle is an error
    if (symbol === EOS) return -1;
    out[at++] = symbol;
    bits -= long >>> 9;
    if (bits < 0) {
      bits += 8;
      held = from[pos++]!;
    }
  }
}

/**
 * The code longer than nine bits with which `bits` bits begin, and after them those of the byte `next` (-1: there is
 * none; at least 25 bits are held otherwise): `length << 9 | symbol`; -1 if none.
 */
function longCode(held: number, bits: number, next: number): number {
  for (let length = LOOK + 1; length <= LONGEST; length++) {
    const missing = length - bits;
    let code: number;
    if (missing <= 0) code = (held >>> -missing) & ((1 << length) - 1);
    else if (next < 0) return -1;
    else code = ((held << missing) | (next >>> (8 - missing))) & ((1 << length) - 1);
    const nth = code - firstCode[length]!;
    if (nth >= 0 && nth < countOf[length]!) return (length << 9) | ordered[startOf[length]! + nth]!;
  }
  return -1;
}

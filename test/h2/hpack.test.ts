import { describe, expect, test } from 'vitest';
import { Decoder, HpackError } from '../../src/h2/hpack/decoder.ts';
import { Encoder } from '../../src/h2/hpack/encoder.ts';
import { huffmanDecode, huffmanEncode, huffmanLength } from '../../src/h2/hpack/huffman.ts';
import { STATIC_TABLE } from '../../src/h2/hpack/static-table.ts';
import { Names } from '../../src/h2/names.ts';
import { Output } from '../../src/h2/output.ts';
import { EXAMPLES } from './hpack-examples.ts';
import { GET, headers, served, settings } from './raw.ts';

type Fields = [name: string, value: string][];

function decode(decoder: Decoder, hex: string): Fields {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  const fields: Fields = [];
  decoder.decode(bytes, 0, bytes.length, { add: (name, value) => fields.push([name.text, value]) });
  return fields;
}

function encode(encoder: Encoder, fields: readonly (readonly [string, string])[], never = false): string {
  const out = new Output();
  encoder.begin(out);
  for (const [name, value] of fields) encoder.field(out, name, value, never);
  return Buffer.concat(out.take()).toString('hex');
}

const decoder = (limit?: number) => new Decoder(new Names(), limit);

/** A size update to `size` of the smallest form. */
function sizeUpdate(size: number): string {
  if (size < 31) return Buffer.from([0x20 | size]).toString('hex');
  const bytes = [0x3f];
  let rest = size - 31;
  for (; rest >= 128; rest >>>= 7) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]).toString('hex');
}

describe('RFC 7541 appendix C, byte for byte', () => {
  // an integer with a prefix of five bits: a size update
  test.each([
    ['C.1.1', '2a', 10],
    ['C.1.2', '3f9a0a', 1337],
  ])('%s is read and written', (_section, hex, size) => {
    const encoder = new Encoder();
    encoder.setMaxSize(size);
    expect(encode(encoder, [])).toBe(hex);
    const one = decoder();
    decode(one, hex);
    const kept = (bytes: number) => {
      decode(one, encode(new Encoder(), [['a', 'b'.repeat(bytes - 33)]]));
      return one.table.size;
    };
    expect(kept(Math.max(size, 33) + 1)).toBe(0);
    expect(kept(Math.max(size, 33))).toBe(size >= 33 ? size : 0);
  });

  test.each([
    [
      'C.2.1 literal with indexing',
      '400a637573746f6d2d6b65790d637573746f6d2d686561646572',
      'custom-key',
      'custom-header',
      1,
    ],
    ['C.2.2 literal without indexing', '040c2f73616d706c652f70617468', ':path', '/sample/path', 0],
    ['C.2.3 literal never indexed', '100870617373776f726406736563726574', 'password', 'secret', 0],
    ['C.2.4 indexed', '82', ':method', 'GET', 0],
  ])('%s is read and written', (what, hex, name, value, entries) => {
    const one = decoder();
    expect(decode(one, hex)).toEqual([[name, value]]);
    expect(one.table.entries).toBe(entries);
    const encoder = new Encoder({ huffman: false });
    expect(encode(encoder, [[name, value]], what.includes('never'))).toBe(hex);
    expect(encoder.table.entries).toBe(entries);
  });

  test.each(['C.3', 'C.4', 'C.5', 'C.6'] as const)('%s is read, with the same table after each', (section) => {
    const one = decoder();
    if (section >= 'C.5') decode(one, sizeUpdate(256));
    for (const { hex, fields, entries, size } of EXAMPLES[section]) {
      expect(decode(one, hex)).toEqual(fields);
      expect(one.table).toEqual({ entries, size });
    }
  });

  test.each([
    ['C.3', { huffman: false }],
    ['C.4', {}],
    // responses, all of whose fields go into the table there
    ['C.5', { huffman: false, indexAll: true }],
    ['C.6', { indexAll: true }],
  ] as const)('%s is written, with the same table after each', (section, choices) => {
    const encoder = new Encoder(choices);
    if (section >= 'C.5') {
      encoder.setMaxSize(256);
      expect(encode(encoder, [])).toBe(sizeUpdate(256));
    }
    for (const { hex, fields, entries, size } of EXAMPLES[section]) {
      expect(encode(encoder, fields)).toBe(hex);
      expect(encoder.table).toEqual({ entries, size });
    }
  });
});

describe('Huffman', () => {
  test('every byte, alone and among others, comes back', () => {
    const coded = Buffer.alloc(4096);
    const plain = Buffer.alloc(4096);
    for (let byte = 0; byte < 256; byte++) {
      for (const text of [
        String.fromCharCode(byte),
        `a${String.fromCharCode(byte)}${String.fromCharCode(255 - byte)}\xff`,
      ]) {
        const length = huffmanEncode(text, coded, 0);
        expect(length).toBe(huffmanLength(text));
        expect(plain.toString('latin1', 0, huffmanDecode(coded, 0, length, plain))).toBe(text);
      }
    }
  });

  test.each([
    ['padding of eight bits', 'f1e3c2e5f23a6ba0ab90f4ffff'],
    ['padding that is not all ones', 'f8fe'],
    ['the end of the string in it', 'ffffffff'],
    ['a code that is cut off', 'fffe'],
  ])('%s is refused', (_name, hex) => {
    const bytes = Buffer.from(hex, 'hex');
    expect(huffmanDecode(bytes, 0, bytes.length, Buffer.alloc(64))).toBe(-1);
  });
});

describe('what is no HPACK', () => {
  test.each([
    ['index 0', '80'],
    ['an index beyond the table', 'be'],
    ['a name beyond the table', '7f0061'],
    ['an integer without an end', 'ffffffffff01'],
    ['an integer that is cut off', 'ff80'],
    ['a string longer than the block', '0005616263'],
    ['no string at all', '40'],
    ['a name without a value', '400161'],
    ['a table size above the limit', '3fe21f'],
    ['a table size after a field', '8220'],
    ['three table sizes', '202020'],
  ])('%s', (_name, hex) => {
    expect(() => decode(decoder(), hex)).toThrow(HpackError);
  });

  test('a limit that was lowered has to be followed by a size', () => {
    const one = decoder();
    one.setLimit(100);
    expect(() => decode(one, '82')).toThrow(HpackError);
    const other = decoder();
    other.setLimit(100);
    expect(decode(other, `${sizeUpdate(100)}82`)).toEqual([[':method', 'GET']]);
  });
});

test('a table never holds more than its limit, whatever comes', () => {
  const one = decoder();
  for (let n = 0; n < 500; n++) {
    const name = Buffer.from(`x-${n}`);
    const value = Buffer.alloc((n * 37) % 300, 'v');
    const bytes = Buffer.concat([
      Buffer.from([0x40, name.length]),
      name,
      value.length < 127
        ? Buffer.from([value.length])
        : Buffer.from([127, ((value.length - 127) & 127) | 128, (value.length - 127) >> 7]),
      value,
    ]);
    expect(decode(one, bytes.toString('hex'))).toEqual([[`x-${n}`, value.toString()]]);
    expect(one.table.size).toBeLessThanOrEqual(4096);
  }
  // an entry larger than the table empties it
  decode(one, sizeUpdate(40));
  expect(one.table.size).toBeLessThanOrEqual(40);
});

describe('the encoder', () => {
  test('a head that comes again takes a byte a field', () => {
    const encoder = new Encoder();
    const head: Fields = [
      [':status', '200'],
      ['Content-Type', 'text/html; charset=utf-8'],
      ['Server', 'origin'],
      ['Date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
    ];
    encode(encoder, head);
    expect(encode(encoder, head)).toHaveLength(2 * head.length);
    const moved: Fields = [head[0]!, head[3]!, head[2]!, head[1]!];
    expect(encode(encoder, moved)).toHaveLength(2 * head.length);
  });

  test('secrets are never indexed, by name or on request', () => {
    const encoder = new Encoder();
    const first = encode(encoder, [
      ['Authorization', 'Bearer abc'],
      ['Cookie', 'a=1'],
    ]);
    expect(first).toBe(
      encode(encoder, [
        ['Authorization', 'Bearer abc'],
        ['Cookie', 'a=1'],
      ]),
    );
    expect(Number.parseInt(first.slice(0, 2), 16) & 0xf0).toBe(0x10);
    expect(encoder.table.entries).toBe(0);
    encode(encoder, [['x-secret', 'value']], true);
    expect(encoder.table.entries).toBe(0);
  });

  test('values of a name that never come again are no longer put into the table', () => {
    const encoder = new Encoder();
    for (let n = 0; n < 500; n++) encode(encoder, [['x-request-id', `id-${n}`]]);
    const before = encoder.table.entries;
    encode(encoder, [['x-request-id', 'id-500']]);
    expect(encoder.table.entries).toBe(before);
  });

  test('a smaller table of the peer is kept, and said', () => {
    const encoder = new Encoder();
    const one = decoder(4096);
    encoder.setMaxSize(0);
    encoder.setMaxSize(64);
    const hex = encode(encoder, [
      ['x-a', '1'],
      ['x-b', '2'],
    ]);
    expect(hex.startsWith(`20${sizeUpdate(64)}`)).toBe(true);
    expect(decode(one, hex)).toEqual([
      ['x-a', '1'],
      ['x-b', '2'],
    ]);
    expect(encoder.table).toEqual(one.table);
  });

  test('a table that one SETTINGS frame empties and opens again is so for the peer too (RFC 7541 4.2)', async () => {
    const { connection, out } = await served();
    const block = async (id: number) => {
      connection.receive(headers(id, GET));
      const stream = connection.pollAccept();
      if (typeof stream !== 'object') throw new Error('no stream');
      stream.respond(200, ['server'], ['x'], true);
      return (await out.frames()).find(({ type }) => type === 1)!.payload.toString('hex');
    };
    expect((await block(1)).startsWith('88')).toBe(true);
    connection.receive(settings([1, 0], [1, 4096]));
    expect((await block(3)).startsWith(`20${sizeUpdate(4096)}88`)).toBe(true);
    expect((await block(5)).startsWith('88')).toBe(true);
  });

  test('what it writes is read back, with the same table on both sides, for heads of all kinds', () => {
    let seed = 12345;
    const random = (below: number) => {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      return seed % below;
    };
    const encoder = new Encoder();
    const one = decoder();
    for (let block = 0; block < 2000; block++) {
      if (random(50) === 0) encoder.setMaxSize(random(5000));
      const fields: Fields = [];
      for (let n = random(12); n >= 0; n--) {
        const [name, value] = STATIC_TABLE[random(61)]!;
        const kind = random(4);
        if (kind === 0) fields.push([name, value]);
        else if (kind === 1) fields.push([name, `v${random(5)}`]);
        else if (kind === 2) fields.push([`x-${random(20)}`, 'y'.repeat(random(60))]);
        else
          fields.push([
            `x-${random(5)}`,
            String.fromCharCode(...Array.from({ length: random(30) }, () => random(256))),
          ]);
      }
      expect(decode(one, encode(encoder, fields))).toEqual(fields);
      expect(encoder.table).toEqual(one.table);
    }
  });
});

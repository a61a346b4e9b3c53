/** Brotli. Port of `pingora-core/src/protocols/http/compression/brotli.rs`. */
import { constants, type ZlibOptions } from 'node:zlib';
import { ported, traced } from '../../../tracing/span.ts';
import { MAX_OUTPUT, minizlib, SyncEncoder } from './sync.ts';

const rust = ported('pingora-core/src/protocols/http/compression/brotli.rs');

/** Decompresses brotli. */
@traced
export class Decompressor extends SyncEncoder {
  private constructor() {
    const options = { maxOutputLength: MAX_OUTPUT };
    super('de-brotli', 'while decompress Brotli', new (minizlib().BrotliDecompress)(options as ZlibOptions));
  }

  @rust.method
  static new(): Decompressor {
    return new Decompressor();
  }

  @rust.method('<Decompressor as Encode>::encode')
  override encode(input: Buffer, end: boolean): Buffer {
    return super.encode(input, end);
  }
}

/** Compresses with brotli. */
@traced
export class Compressor extends SyncEncoder {
  private constructor(level: number, eager: boolean) {
    const params = {
      [constants.BROTLI_PARAM_QUALITY]: Math.min(level, constants.BROTLI_MAX_QUALITY),
      [constants.BROTLI_PARAM_LGWIN]: 19,
    };
    const options = { params, ...(eager ? { flush: constants.BROTLI_OPERATION_FLUSH } : {}) };
    super('brotli', 'while compress Brotli', new (minizlib().BrotliCompress)(options as ZlibOptions));
  }

  /** `level` from 1, fast, to 11, small; more counts as 11. `eager`: each piece can be read when it is there. */
  @rust.method
  static new(level: number, eager = false): Compressor {
    return new Compressor(level, eager);
  }

  @rust.method('<Compressor as Encode>::encode')
  override encode(input: Buffer, end: boolean): Buffer {
    return super.encode(input, end);
  }
}

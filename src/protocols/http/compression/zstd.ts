/**
 * Zstandard, where this Node has it (22.15 and later). Port of `pingora-core/src/protocols/http/compression/zstd.rs`.
 */
import * as zlib from 'node:zlib';
import { ported, traced } from '../../../tracing/span.ts';
import { minizlib, SyncEncoder } from './sync.ts';

const rust = ported('pingora-core/src/protocols/http/compression/zstd.rs');

/** `ZSTD_c_compressionLevel`; the types for Node 20 don't know it. */
const COMPRESSION_LEVEL = 100;
/** ZSTD_e_flush. */
const FLUSH = 1;

/** Whether {@link Compressor.new} works on this Node. */
export const hasZstd = 'ZstdCompress' in zlib;

/** Compresses with zstd. */
@traced
export class Compressor extends SyncEncoder {
  private constructor(level: number, eager: boolean) {
    const params = { [COMPRESSION_LEVEL]: Math.min(level, 22) };
    const options = { params, ...(eager ? { flush: FLUSH } : {}) };
    super('zstd', 'while compress zstd', new (minizlib().ZstdCompress)(options as zlib.ZlibOptions));
  }

  /** `level` from 1, fast, to 22, small; more counts as 22. `eager`: each piece can be read when it is there. */
  @rust.method
  static new(level: number, eager = false): Compressor {
    return new Compressor(level, eager);
  }

  @rust.method('<Compressor as Encode>::encode')
  override encode(input: Buffer, end: boolean): Buffer {
    return super.encode(input, end);
  }
}

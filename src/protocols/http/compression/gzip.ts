/** Gzip. Port of `pingora-core/src/protocols/http/compression/gzip.rs`. */
import { constants } from 'node:zlib';
import { ported, traced } from '../../../tracing/span.ts';
import { minizlib, SyncEncoder } from './sync.ts';

const rust = ported('pingora-core/src/protocols/http/compression/gzip.rs');

/** Compresses with gzip. */
@traced
export class Compressor extends SyncEncoder {
  private constructor(level: number, eager: boolean) {
    const options = { level: Math.min(level, 9), ...(eager ? { flush: constants.Z_SYNC_FLUSH } : {}) };
    super('gzip', 'while compress gzip', new (minizlib().Gzip)(options));
  }

  /** `level` from 1, fast, to 9, small; more counts as 9. `eager`: each piece can be read when it is there. */
  @rust.method
  static new(level: number, eager = false): Compressor {
    return new Compressor(level, eager);
  }

  @rust.method('<Compressor as Encode>::encode')
  override encode(input: Buffer, end: boolean): Buffer {
    return super.encode(input, end);
  }
}

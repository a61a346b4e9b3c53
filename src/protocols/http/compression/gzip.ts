/** Gzip. Port of `pingora-core/src/protocols/http/compression/gzip.rs`. */
import { Gzip } from 'minizlib';
import { ported } from '../../../tracing/span.ts';
import type { Encode, Stat } from './encode.ts';
import { SyncEncoder } from './sync.ts';

const rust = ported('pingora-core/src/protocols/http/compression/gzip.rs');

/** Compresses with gzip. */
export class Compressor implements Encode {
  private readonly inner: SyncEncoder;

  private constructor(level: number) {
    this.inner = new SyncEncoder('gzip', 'while compress gzip', new Gzip({ level: Math.min(level, 9) }));
  }

  /** `level` from 1, fast, to 9, small; more counts as 9. */
  @rust.method('Compressor::new')
  static new(level: number): Compressor {
    return new Compressor(level);
  }

  @rust.method('<Compressor as Encode>::encode')
  encode(input: Buffer, end: boolean): Buffer {
    return this.inner.encode(input, end);
  }

  stat(): Stat {
    return this.inner.stat();
  }

  close(): void {
    this.inner.close();
  }
}

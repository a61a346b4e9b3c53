/**
 * Declared spans that no scenario reaches, and why. A test holds the list both ways, so that it can only shrink: a span
 * that is reached has to go from it, and a new one must be reached.
 */
import * as zlib from 'node:zlib';

const hasZstd = 'createZstdCompress' in zlib;

export const UNREACHED: Readonly<Record<string, string>> = {
  ...(!hasZstd && {
    'zstd.rs Compressor::new': 'this Node has no zstd',
    'zstd.rs <Compressor as Encode>::encode': 'this Node has no zstd',
  }),
};

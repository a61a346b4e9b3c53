/**
 * Declared spans that no scenario reaches, and why. A test holds the list both ways, so that it can only shrink: a span
 * that is reached has to go from it, and a new one must be reached.
 */
import * as zlib from 'node:zlib';

const hasZstd = 'createZstdCompress' in zlib;

export const UNREACHED: Readonly<Record<string, string>> = {
  'daemon::move_old_pid': 'runs in a process that no runner speaks to',
  'daemon::gid_for_username': 'runs in a process that no runner speaks to',
  'daemon::daemonize': 'runs in a process that no runner speaks to',
  ...(!hasZstd && {
    'zstd.rs Compressor::new': 'this Node has no zstd',
    'zstd.rs <Compressor as Encode>::encode': 'this Node has no zstd',
  }),
};

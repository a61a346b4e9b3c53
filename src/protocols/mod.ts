/**
 * What all connections have in common, whatever carries them.
 *
 * Port of `pingora-core/src/protocols/mod.rs`.
 */
export type { Stream, Tracer } from './l4/stream.ts';
export { ALPN } from './tls/alpn.ts';

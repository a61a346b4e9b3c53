/**
 * What all connections have in common, whatever carries them.
 *
 * Port of `pingora-core/src/protocols/mod.rs`.
 */
export type { Stream } from './l4/stream.ts';
export { ALPN } from './tls/alpn.ts';

/**
 * Told of a connection's beginning and end. `Tracing` in the original, where `Tracer` is the box around it. Its place
 * there is `upstreams/peer.rs`, which stands above this folder.
 */
export interface Tracer {
  /** The connection (its lowest layer) is established. */
  onConnected(): void;
  /** The connection is closed. */
  onDisconnected(): void;
}

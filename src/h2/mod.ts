/**
 * HTTP/2 (RFC 9113): frames, HPACK, streams and flow control, over any duplex stream of bytes.
 *
 * The counterpart of the h2 crate, on which the original stands; the port's own. It is polled: what can't go on says
 * `PENDING`, and wakes who polled it.
 */
export { ClientConnection } from './client.ts';
export type { Connection } from './connection.ts';
export { DuplexTransport } from './duplex.ts';
export { FrameType, frameTypeName, PREFACE } from './frame.ts';
export type { Head } from './head.ts';
export { DEFAULT_LIMITS, type Limits, type Rate } from './limits.ts';
export { Names } from './names.ts';
export type { Flushable, FrameDetail, FrameObserver } from './options.ts';
export { TOO_SLOW } from './progress.ts';
export { H2Error, Reason, reasonName, reasonText } from './reason.ts';
export { ServerConnection } from './server.ts';
export { Setting } from './settings.ts';
export type { Stream } from './stream.ts';

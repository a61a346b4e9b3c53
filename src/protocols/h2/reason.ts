/**
 * HTTP/2's error codes (RFC 9113 7) and how a stream is given up: what the h2 crate's `Reason` and `send_reset` are to
 * the original.
 */
import { constants, type Http2Session, type Http2Stream } from 'node:http2';
import { Duplex } from 'node:stream';

const NAMES = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
];

/** The name of an error code; the number itself if it has none. */
export function reasonName(code: number | undefined): string {
  return NAMES[code ?? 0] ?? String(code);
}

/**
 * Give up a stream whose message isn't complete.
 *
 * `close()` alone ends the message before it resets the stream: the peer would see END_STREAM and take what it has for
 * the whole. Nothing ends it when `_final` does nothing; what `node:http2` put off in this turn, because a piece had
 * just been written, has passed by the next one.
 */
export function resetStream(stream: Http2Stream, code: number): void {
  if (stream.closed || stream.destroyed) return;
  stream._final = (done) => done();
  setImmediate(() => {
    if (!stream.closed && !stream.destroyed) stream.close(code);
  });
}

/**
 * Call `complete` when the peer's END_STREAM comes.
 *
 * `node:http2` ends the readable side of a stream that was reset just as it ends a complete one, and with NO_ERROR for a
 * reason (RFC 9113 8.1) nothing else tells them apart: but a reset closes the stream before it ends it.
 */
export function watchEnd(stream: Http2Stream, complete: () => void): void {
  stream.push = function push(this: Http2Stream, chunk: unknown, encoding?: BufferEncoding): boolean {
    if (chunk === null && !this.closed) complete();
    return Duplex.prototype.push.call(this, chunk, encoding);
  };
}

/** nghttp2's errors that have a code of their own in HTTP/2. */
const CODES = new Map<number | undefined, number>([
  [-505, constants.NGHTTP2_PROTOCOL_ERROR],
  [-510, constants.NGHTTP2_STREAM_CLOSED],
  [-522, constants.NGHTTP2_FRAME_SIZE_ERROR],
  [-523, constants.NGHTTP2_COMPRESSION_ERROR],
  [-524, constants.NGHTTP2_FLOW_CONTROL_ERROR],
]);

/** Have GOAWAY say what the peer did wrong (RFC 9113 5.4.1): `node:http2` says INTERNAL_ERROR of everything. */
export function sayWhy(session: Http2Session): void {
  const { destroy } = session;
  session.destroy = function (this: Http2Session, error?: Error, code?: number): void {
    destroy.call(this, error, code ?? CODES.get((error as { errno?: number } | undefined)?.errno));
  };
}

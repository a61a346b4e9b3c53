/**
 * Whether a TLS connection that says `end` was ended by its peer, or only cut below TLS.
 *
 * Whoever ends a TLS connection says so in TLS (`close_notify`, RFC 8446 6.1); anybody on the way can end the TCP
 * connection below it. Node emits `end` for either. The difference: at the end of TCP, libuv has stopped reading the
 * connection before Node is told; at `close_notify` it reads on, and `readStart` answers that it does already. Node
 * calls `onread` of its handle, which isn't documented, in that very moment, without bytes.
 */
import { constants } from 'node:os';
import type { TLSSocket } from 'node:tls';

interface Handle {
  /** Of TLS: false while Node has stopped it, for who reads too slowly. */
  reading?: boolean;
  onread?: (this: Handle, bytes?: ArrayBuffer) => unknown;
  /** What is below TLS. */
  _parent?: { readStart?(): number; constructor: { name: string } };
}

/** What libuv says to who starts what goes on. */
const ALREADY = -constants.errno.EALREADY;

/**
 * Watch the end of `socket`. What is returned says, once `end` was emitted, whether it was a cut. Where this Node
 * doesn't tell it is none.
 */
export function watchTlsEnd(socket: TLSSocket): () => boolean {
  const handle = (socket as unknown as { _handle: Handle | null })._handle;
  const below = handle?._parent;
  const onread = handle?.onread;
  const isNative = below?.constructor.name === 'TCP' || below?.constructor.name === 'Pipe';
  if (handle == null || onread === undefined || !isNative) return () => false;
  let cut = false;
  let ended = false;
  handle.onread = function (bytes) {
    if (bytes === undefined && !ended) {
      ended = true;
      // what isn't read has no end of TCP that anybody could have seen
      cut = this.reading !== false && below?.readStart?.() !== ALREADY;
    }
    return onread.call(this, bytes);
  };
  return () => cut;
}

/** What OpenSSL says to who asks for more. To the system it is what a reset is: the connection went away. */
export function unexpectedEnd(): NodeJS.ErrnoException {
  return Object.assign(new Error('unexpected end of file: no close_notify'), {
    code: 'ERR_TLS_UNEXPECTED_END',
    errno: -constants.errno.ECONNRESET,
    syscall: 'read',
  });
}

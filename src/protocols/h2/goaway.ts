/**
 * Ending a connection of HTTP/2 so that nothing is lost: RFC 9113 6.8. Pingora 0.1.0 sends no GOAWAY: its connections
 * go on until the process ends.
 *
 * A GOAWAY names the last stream that is served. Those that are on their way are not; the client knows that and may
 * send them again elsewhere, whatever their method (RFC 9113 8.7). Few are on their way just after some have come, so
 * that is the moment. (A first GOAWAY that names the last stream there can be, as the RFC proposes, would spare even
 * those. `node:http2` accepts no stream after any GOAWAY.)
 */
import type { ServerHttp2Session } from 'node:http2';
import { arm } from '../../timeout/lib.ts';

/** Who opens no stream for so many milliseconds is told then. */
const IDLE_MS = 1000;

/**
 * Have the client open no more streams; the connection closes when the last has ended. Returns what to call when the
 * connection ends before that.
 */
export function gracefulShutdown(session: ServerHttp2Session): () => void {
  const forget = () => {
    deadline.cancel();
    session.off('stream', soon);
  };
  const close = () => {
    forget();
    if (!session.closed && !session.destroyed) session.close();
  };
  // what has come together with this stream is to be served too
  const soon = () => setImmediate(close);
  const deadline = arm(IDLE_MS, close);
  session.on('stream', soon);
  return forget;
}

/** Changes to how connections are accepted, kept, watched and closed. */
import type { Listed } from './entry.ts';

const KEPT = 'test/proxy/kept.test.ts';
const POOL = 'test/pool/connection.test.ts';
const CONNECTORS = 'test/connectors/mod.test.ts';
const H2_CONNECTOR = 'test/connectors/http/h2.test.ts';
const LISTENING = 'test/services/listening.test.ts';
const THREADS = 'test/server/threads.test.ts';
const HEALTH = 'test/load-balancing/health-check.test.ts';
const TRANSFER = 'test/server/transfer-fd.test.ts';

export const CONNECTIONS: readonly Listed[] = [
  // --- what is kept of a connection ---
  {
    name: 'a connection whose response was not read to its end is not kept',
    file: 'src/protocols/h1/client.ts',
    text: "this.keepalive === 'Off' || !this.bodyReader.complete || stream.readEnded",
    instead: "this.keepalive === 'Off' || stream.readEnded",
    tests: ['test/protocols/h1/client.test.ts'],
  },
  {
    name: 'a connection on which something follows the response is not kept',
    file: 'src/protocols/h1/client.ts',
    text: 'stream.readEnded || stream.bufferedLength > 0) {',
    instead: 'stream.readEnded) {',
    tests: ['test/protocols/h1/client.test.ts'],
  },
  {
    name: 'a connection on which something waits unread is handed out to nobody',
    file: 'src/connectors/mod.ts',
    text: 'if (stream.bufferedLength > 0) {',
    instead: 'if (stream.bufferedLength < 0) {',
    tests: [CONNECTORS],
  },
  {
    name: 'a connection that is used again has the time of its next read, not of its wait',
    file: 'src/connectors/mod.ts',
    text: 'stream.dropRead();',
    instead: '',
    tests: [KEPT],
  },
  {
    name: 'the time of a read ends when it is given up',
    file: 'src/protocols/l4/stream.ts',
    text: '    this.reader = null;\n    this.readLimit?.clear();\n  }\n\n  /** What a pending read',
    instead: '    this.reader = null;\n  }\n\n  /** What a pending read',
    tests: [KEPT],
  },
  {
    name: 'a client is not waited for while another HTTP/1 origin is looked for',
    file: 'src/proxy/proxy-h1.ts',
    text: 'downstream.dropRead();',
    instead: '',
    tests: ['test/proxy/body-rates.test.ts'],
  },
  {
    name: 'a client is not waited for while another HTTP/2 origin is looked for',
    file: 'src/proxy/proxy-h2.ts',
    text: 'downstream.dropRead();',
    instead: '',
    tests: ['test/proxy/body-rates.test.ts'],
  },
  {
    name: 'the timer of a read from an HTTP/2 origin ends with its session',
    file: 'src/protocols/h2/client.ts',
    text: 'this.readLimit?.end();',
    instead: '',
    tests: [KEPT],
  },
  {
    name: 'an idle connection of HTTP/2 that is used again is watched no longer',
    file: 'src/connectors/http/h2.ts',
    text: 'watchUse.onNotified(unwatch);',
    instead: '',
    tests: [H2_CONNECTOR],
  },
  {
    name: 'an idle connection of HTTP/2 that is evicted is watched no longer',
    file: 'src/connectors/http/h2.ts',
    text: 'notifyEvicted.onNotified(unwatch);',
    instead: '',
    tests: [H2_CONNECTOR],
  },

  // --- while it is idle ---
  {
    name: 'an idle connection is closed when its time is up',
    file: 'src/pool/connection.ts',
    text: 'let more = connection.pollFill(0, timeoutMs);',
    instead: 'let more = connection.pollFill(0);',
    tests: [POOL],
  },
  {
    name: 'a watch that was woken for nothing goes on',
    file: 'src/pool/connection.ts',
    text: 'while (more === PENDING) {\n        yield;\n        more = connection.pollFill(0, timeoutMs);',
    instead: 'if (more === PENDING) {\n        yield;\n        more = connection.pollFill(0, timeoutMs);',
    tests: [POOL],
  },
  {
    name: 'a watch lets go of the connection when it ends',
    file: 'src/pool/connection.ts',
    text: 'connection.dropRead(waker);',
    instead: '',
    tests: [POOL],
  },
  {
    name: 'what arrives on an idle connection is logged as that',
    file: 'src/pool/connection.ts',
    text: "if (more) log.warn('Data received on idle client connection, close it');",
    instead: "if (more) log.debug('');",
    tests: [POOL],
  },

  // --- the end of a service ---
  {
    name: 'connections that wait to be accepted are served at the shutdown',
    file: 'src/services/listening.ts',
    text: 'for (const io of yield* until(source.drain())) give(io);',
    instead: '',
    tests: [LISTENING],
  },
  {
    name: 'connections that the system holds still at the shutdown are waited for',
    file: 'src/protocols/l4/listener.ts',
    text: 'before < this.accepted.length && performance.now() < until;',
    instead: 'before > 0 && performance.now() < until;',
    tests: [LISTENING],
  },
  {
    name: 'connections to a socket that threads accept from are served at the shutdown',
    file: 'src/services/source.ts',
    text: 'return this.stack.drain(this.shared);',
    instead: 'return Promise.resolve([]);',
    tests: [THREADS],
  },
  {
    name: 'a service tells its application that it has stopped listening',
    file: 'src/services/listening.ts',
    text: 'this.appLogic.cleanup?.();',
    instead: '',
    tests: [LISTENING],
  },
  {
    name: 'http_cleanup closes connections that wait for a request',
    file: 'src/proxy/lib.ts',
    text: 'for (const downstream of this.waiting) downstream.abortIfIdle();',
    instead: '',
    tests: ['test/proxy/cleanup.test.ts'],
  },
  {
    name: 'http_cleanup leaves a connection on which a request begins',
    file: 'src/protocols/h1/server.ts',
    text: 'if (this.requestHeader === undefined && this._stream.bufferedLength === 0) this._stream.shutdown();',
    instead: 'this._stream.shutdown();',
    tests: ['test/proxy/cleanup.test.ts'],
  },
  {
    name: 'a connection that was handed to a thread may be half-closed by its client',
    file: 'src/services/source.ts',
    text: 'socket.allowHalfOpen = true;',
    instead: '',
    tests: [THREADS],
  },
  {
    name: 'accepting pauses when the process has no descriptors left',
    file: 'src/services/listening.ts',
    text: "cause?.code === 'EMFILE' || cause?.code === 'ENFILE'",
    instead: "cause?.code === 'ENFILE'",
    tests: [LISTENING],
  },
  {
    name: 'accepting pauses when the system has no descriptors left',
    file: 'src/services/listening.ts',
    text: "cause?.code === 'EMFILE' || cause?.code === 'ENFILE'",
    instead: "cause?.code === 'EMFILE'",
    tests: [LISTENING],
  },
  {
    name: 'sockets that were handed over leave their files to who has them',
    file: 'src/server/transfer-fd/mod.ts',
    text: 'this.handedOver = true;',
    instead: '',
    tests: [TRANSFER],
  },
  {
    name: 'more sockets than one message holds are not sent',
    file: 'src/server/transfer-fd/mod.ts',
    text: 'if (fds.length > MAX_FDS || payload.length > MAX_PAYLOAD) {',
    instead: 'if (payload.length > MAX_PAYLOAD) {',
    tests: [TRANSFER],
  },

  // --- HTTP/2 ---
  {
    name: 'a PING that is not answered is waited for no longer than five seconds',
    file: 'src/protocols/h2/client.ts',
    text: 'yield* timeout(PING_TIMEOUT, pong);',
    instead: 'yield* pong;',
    tests: [H2_CONNECTOR],
  },
  {
    name: 'a connection whose PING is not answered is ended',
    file: 'src/protocols/h2/client.ts',
    text: 'connection.ended(new Error(failure));',
    instead: '',
    tests: [H2_CONNECTOR],
  },
  {
    name: 'who waits for a connection whose PING is not answered hears of that',
    file: 'src/protocols/h2/client.ts',
    text: 'ping.timedOut = true;',
    instead: '',
    tests: [H2_CONNECTOR],
  },
  {
    name: 'a client that answers no PING is let go',
    file: 'src/h2/connection.ts',
    text: "this.lost('ETIMEDOUT', 'the peer does not answer');",
    instead: '',
    tests: ['test/protocols/h2/server.test.ts'],
  },
  {
    name: 'the connection gets its window back for a request body that nobody reads',
    file: 'src/h2/stream.ts',
    text: 'this.connection.recv.claim(this.queued);',
    instead: '',
    tests: ['test/h2/client.test.ts'],
  },
  {
    name: 'a client is told that the rest of its body is not wanted',
    file: 'src/h2/stream.ts',
    text: 'else if (localEnded) setImmediate(resetRest, this);',
    instead: '',
    tests: ['test/protocols/h2/server.test.ts'],
  },

  // --- what is dropped before it is done ---
  {
    name: 'an attempt to connect that is dropped closes its socket',
    file: 'src/protocols/l4/ext.ts',
    text: 'socket.destroy();',
    instead: '',
    tests: ['test/connectors/l4.test.ts'],
  },
  {
    name: 'a tunnel that is dropped closes its connection',
    file: 'src/connectors/l4.ts',
    text: 'if (!established) stream.destroy();',
    instead: '',
    tests: ['test/connectors/l4.test.ts'],
  },
  {
    name: 'a TLS handshake with an origin that is dropped closes its connection',
    file: 'src/protocols/tls/mod.ts',
    text: 'if (!connected) ssl.destroy();',
    instead: '',
    tests: ['test/connectors/tls.test.ts'],
  },
  {
    name: 'a TLS handshake with a client that is dropped closes its connection',
    file: 'src/protocols/tls/server.ts',
    text: 'if (!accepted) raw.destroy();',
    instead: '',
    tests: ['test/listeners/tls.test.ts'],
  },
  {
    name: 'what takes too long is dropped',
    file: 'src/timeout/lib.ts',
    text: 'future.return(undefined as T);',
    instead: '',
    tests: ['test/timeout/lib.test.ts'],
  },

  // --- health checks ---
  {
    name: 'a health check over HTTP/2 closes its connection',
    file: 'src/load-balancing/health-check.ts',
    text: 'session.h2?.close();',
    instead: '',
    tests: ['test/load-balancing/health-check-h2.test.ts'],
  },
  {
    name: 'a health check over HTTP/1 closes its connection',
    file: 'src/load-balancing/health-check.ts',
    text: 'session.shutdown();',
    instead: 'if (session.h2 !== undefined) session.shutdown();',
    tests: [HEALTH],
  },
  {
    name: 'observe_health turns a health over only after enough results',
    file: 'src/load-balancing/health-check.ts',
    text: 'if (++this.consecutive < flipThreshold) return false;',
    instead: '',
    tests: [HEALTH],
  },
  {
    name: 'observe_health counts results in a row',
    file: 'src/load-balancing/health-check.ts',
    text: 'this.consecutive = 0;\n      return false;',
    instead: 'return false;',
    tests: [HEALTH],
  },
  {
    name: 'observe_health says that a health was turned over',
    file: 'src/load-balancing/health-check.ts',
    text: 'this.consecutive = 0;\n    return true;',
    instead: 'this.consecutive = 0;\n    return false;',
    tests: [HEALTH],
  },
];

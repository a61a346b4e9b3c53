/** Changes to what happens between a request and its response. */
import type { Listed } from './entry.ts';

const EXCHANGE = 'test/proxy/exchange.test.ts';
const PHASES = 'test/proxy/phases.test.ts';
const H2 = 'test/proxy/proxy-h2.test.ts';

export const EXCHANGES: readonly Listed[] = [
  // --- what has no cache ---
  {
    name: 'a request to remove what a cache holds is refused',
    file: 'src/proxy/proxy-cache.ts',
    text: 'return proxy.hooks.isPurge(session, ctx) ? writeNoPurgeResponse(session) : undefined;',
    instead: 'return undefined;',
    tests: [EXCHANGE],
  },
  {
    name: 'the connection is kept after that refusal',
    file: 'src/proxy/proxy-cache.ts',
    text: 'return { reuse: true, error: undefined };',
    instead: 'return { reuse: false, error: undefined };',
    tests: [EXCHANGE],
  },
  {
    name: 'request_cache_filter is called',
    file: 'src/proxy/proxy-cache.ts',
    text: 'proxy.hooks.requestCacheFilter(session, ctx);',
    instead: '',
    tests: [PHASES],
  },
  {
    name: 'a request that request_cache_filter fails on goes on',
    file: 'src/proxy/proxy-cache.ts',
    text: 'log.warn(`Fail to request_cache_filter',
    instead: 'throw error;\n      log.warn(`Fail to request_cache_filter',
    tests: [PHASES],
  },

  // --- another try ---
  {
    name: 'the body of an HTTP/1 request is kept for another try',
    file: 'src/protocols/h1/server.ts',
    text: 'if (data !== PENDING && data !== undefined) this.retryBuffer?.writeToBuffer(data);',
    instead: '',
    tests: [EXCHANGE],
  },
  {
    name: 'the body of an HTTP/2 request is kept for another try',
    file: 'src/protocols/h2/server.ts',
    text: 'this.retryBuffer?.writeToBuffer(data);',
    instead: '',
    tests: ['test/proxy/again.test.ts'],
  },
  {
    name: 'what was kept of a body is sent to an HTTP/1 origin',
    file: 'src/proxy/proxy-h1.ts',
    text: 'if (buffer !== undefined || downstream.isBodyEmpty()) {',
    instead: 'if (downstream.isBodyEmpty()) {',
    tests: [EXCHANGE],
  },
  {
    name: 'what was kept of a body is sent to an HTTP/2 origin',
    file: 'src/proxy/proxy-h2.ts',
    text: 'if (buffer !== undefined) {',
    instead: 'if (buffer === null) {',
    tests: [H2],
  },
  {
    name: 'no other try once a final head was sent',
    file: 'src/proxy/lib.ts',
    text: 'if (!retry || (answered !== undefined && (answered.status === 101 || !answered.isInformational))) break;',
    instead: 'if (!retry) break;',
    tests: [PHASES],
  },
  {
    name: 'no other try once a 101 was sent',
    file: 'src/proxy/lib.ts',
    text: '(answered.status === 101 || !answered.isInformational)',
    instead: '!answered.isInformational',
    tests: [PHASES],
  },
  {
    name: 'another try although an informational head was sent',
    file: 'src/proxy/lib.ts',
    text: '(answered !== undefined && (answered.status === 101 || !answered.isInformational))',
    instead: 'answered !== undefined',
    tests: [PHASES],
  },
  {
    name: 'no other try once the body is longer than what is kept of it',
    file: 'src/proxy/lib.ts',
    text: 'if (session.downstreamSession.retryBufferTruncated()) break;',
    instead: '',
    tests: [PHASES],
  },
  {
    name: 'tries have a limit',
    file: 'src/proxy/lib.ts',
    text: 'while (retries < MAX_RETRIES) {',
    instead: 'for (;;) {',
    tests: [EXCHANGE],
  },
  {
    name: 'that limit is sixteen',
    file: 'src/proxy/lib.ts',
    text: 'const MAX_RETRIES = 16;',
    instead: 'const MAX_RETRIES = 17;',
    tests: [EXCHANGE],
  },
  {
    name: 'a peer that allows only HTTP/2 is asked over nothing else',
    file: 'src/proxy/lib.ts',
    text: 'if (peer.options.alpn.getMinHttpVersion() === 1) this.clientUpstream.preferH1(peer);',
    instead: 'if (error !== undefined) this.clientUpstream.preferH1(peer);',
    tests: [EXCHANGE],
  },
  {
    name: 'a peer that allows only HTTP/2 is not asked again where that is no use',
    file: 'src/proxy/lib.ts',
    text: 'else error!.setRetry(false);',
    instead: '',
    tests: [EXCHANGE],
  },
  {
    name: 'a peer that allows only HTTP/2 gets no idle connection of HTTP/1',
    file: 'src/connectors/http/mod.ts',
    text: 'if (!h2Only) {',
    instead: 'if (h2Only || !h2Only) {',
    tests: ['test/connectors/http/mod.test.ts'],
  },

  // --- the two halves ---
  {
    name: 'a response of an HTTP/2 origin that has ended is read no more while the upload goes on',
    file: 'src/proxy/proxy-h2.ts',
    text: 'if (!responseState.upstreamDone() && exchange.clientTakesMore()) {',
    instead: 'if (exchange.clientTakesMore()) {',
    tests: [EXCHANGE],
  },
  {
    name: 'an HTTP/1 origin that has answered whole gets the rest of the upload',
    file: 'src/proxy/proxy-h1.ts',
    text: 'while (!downstreamState.isDone() || !responseState.isDone()) {',
    instead: 'while (!responseState.isDone()) {',
    tests: [EXCHANGE],
  },
  {
    name: 'an HTTP/2 origin that has answered whole gets the rest of the upload',
    file: 'src/proxy/proxy-h2.ts',
    text: 'while (!downstreamState.isDone() || !responseState.isDone()) {',
    instead: 'while (!responseState.isDone()) {',
    tests: [EXCHANGE],
  },
  {
    name: 'the answer of an HTTP/2 origin counts though it takes no more of the upload',
    file: 'src/proxy/proxy-h2.ts',
    text: 'downstreamState.toErrored();\n          continue;',
    instead: 'throw error;',
    tests: [H2],
  },
  {
    name: 'that an HTTP/2 origin has answered and takes no more of the upload is noticed at once',
    file: 'src/proxy/proxy-h2.ts',
    text: '(client.pollClosed() !== PENDING || exchange.isOver())',
    instead: 'exchange.isOver()',
    tests: ['test/proxy/early-answers.test.ts'],
  },
  {
    name: 'an HTTP/1 origin is sent nothing before connected_to_upstream has ended',
    file: 'src/proxy/proxy-h1.ts',
    text: 'if (told instanceof Promise) yield* until(told);',
    instead: '',
    tests: [EXCHANGE],
  },
  {
    name: 'an HTTP/2 origin is sent nothing before connected_to_upstream has ended',
    file: 'src/proxy/proxy-h2.ts',
    text: 'if (told instanceof Promise) yield* until(told);',
    instead: '',
    tests: [EXCHANGE],
  },
];

/** What a reader can see at level main: the request, where it went, what the client got, and why something failed. */
import { expect } from 'vitest';
import { printTree } from '../../src/formats/tree.ts';
import type { TraceDocument } from '../../src/tracing/model.ts';

interface Seen {
  /** Request lines that were read, in order. */
  requests?: string[];
  /** Status lines of what the client got. */
  answers?: string[];
  /** A peer was chosen and is named. */
  peer?: boolean;
  /** Words of the reasons of failures. */
  failures?: string[];
}

const get = (path: string, version = 'HTTP/1.1') => `GET ${path} ${version}`;
const OK = '200 OK';

export const seen: Readonly<Record<string, Seen>> = {
  h1: { requests: [get('/hello')] },
  keepalive: { requests: [get('/one'), get('/two')] },
  'tls-h1': { requests: [get('/hello')] },
  'tls-h2': { requests: [get('/one', 'HTTP/2'), get('/two', 'HTTP/2')] },
  uds: { requests: [get('/hello')] },
  'bad-request': {
    // it is no request
    requests: [],
    answers: ['400 Bad Request'],
    peer: false,
    failures: ['InvalidHTTPHeader', 'invalid header name'],
  },
  post: { requests: ['POST /post HTTP/1.1'] },
  'chunked-post': { requests: ['POST /post HTTP/1.1'] },
  head: { requests: ['HEAD / HTTP/1.1'] },
  retry: { requests: [get('/')], failures: ['ConnectRefused', 'ECONNREFUSED', 'to be tried again'] },
  'dead-upstream': {
    requests: [get('/')],
    answers: ['502 Bad Gateway'],
    failures: ['Upstream ConnectRefused: Connection refused'],
  },
  deny: { requests: [get('/deny')], answers: ['403 Forbidden'], peer: false },
  'h2-upstream': { requests: [get('/a')] },
  'h2-to-h2': { requests: [get('/one', 'HTTP/2')] },
  'tls-upstream': {},
  'health-check': {},
  'echo-app': { peer: false },
  prometheus: { requests: [get('/metrics')], peer: false },
  'graceful-shutdown': {},
  upgrade: { failures: ['SocketError: connect ENOENT'] },
  websocket: { requests: [get('/chat')], answers: ['101 Switching Protocols'] },
  grpc: {},
  compression: {},
  timeout: { answers: ['502 Bad Gateway'], failures: ['Upstream ReadTimedout: while reading response headers'] },
  'client-abort': { failures: ['Downstream ConnectionClosed: Prematurely before response body'] },
  phases: { failures: ['ConnectRefused', 'to be tried again'] },
  downgrade: { failures: ['H2Downgrade', 'to be tried again'] },
  threads: {},
  'no-steal': {},
  'broken-answer': { failures: ['Upstream ConnectionClosed: Peer prematurely closed connection'] },
  'broken-reuse': { failures: ['Upstream ConnectionClosed: while reading response headers'] },
  'closed-in-pool': {},
  'slow-logging': {},
  'health-flip': { failures: ['ConnectRefused'] },
  takeover: {},
  random: {},
  hash: {},
  consistent: {},
  ring: { requests: [get('/a'), get('/next')] },
  discovery: { requests: [get('/known'), get('/fewer'), get('/named')] },
  'http-health-check': {},
  'h2-health-check': {},
  'tls-health-check': {},
  'connect-proxy': {},
  'uds-upstream': {},
  'client-certificate': {},
  eviction: { requests: [get('/one'), get('/two')] },
  'idle-timeout': {},
  'http-client': {},
  bare: { answers: ['502 Bad Gateway'], failures: ['Upstream ConnectRefused'] },
  purge: { answers: ['405 Method Not Allowed'], peer: false },
  continue: { answers: [OK, '100 Continue'] },
  'give-up': { answers: ['429 Too Many Requests'], peer: false },
  brotli: { requests: [get('/hello'), get('/br')] },
  zstd: {},
  subrequest: { requests: [get('/a'), get('/a')] },
  modules: { peer: false },
  daemon: {},
  listeners: { requests: [get('/a'), get('/c'), get('/b')] },
};

/** What has to be seen of the scenario `name` at level main is there. */
export function expectMainPath(name: string, trace: TraceDocument): void {
  const { requests, answers = [OK], peer = true, failures = [] } = seen[name]!;
  const tree = printTree(trace, { level: 'main', width: 100 });
  const lines = tree.split('\n').map((line) => line.replace(/^[▌ │├└⋯]+/, ''));
  // what a function says stands on its row, or alone on the next
  const rows = lines.map((line, i) => (/::/.test(lines[i + 1] ?? '::') ? line : `${line} ${lines[i + 1]}`));
  const said = (fn: string) => rows.filter((row) => row.startsWith(fn)).join('\n');
  const read = [...said('Session::read_request').matchAll(/[A-Z]+ \/\S* HTTP\/[\d.]+/g)].map(([line]) => line);
  if (requests === undefined) expect(read.length).toBeGreaterThan(0);
  else expect(read).toEqual(requests);
  for (const answer of answers) expect(said('HttpSession::write_response_header')).toContain(answer);
  if (peer) expect(said('<app as ProxyHttp>::upstream_peer')).toMatch(/127\.0\.0\.1:\d+|\/origin\.sock/);
  for (const failure of failures) expect(tree).toContain(failure);
}

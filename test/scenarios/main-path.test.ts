/** What a reader can see at level main: the request, where it went, what the client got, and why something failed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { printTree } from '../../src/formats/tree.ts';
import { scenarios } from '../../src/scenarios/index.ts';
import { runScenario } from '../../src/scenarios/run.ts';

vi.setConfig({ maxConcurrency: 2 });

const tmp = mkdtempSync(join(tmpdir(), 'main-path-test-'));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));

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

const seen: Record<string, Seen> = {
  h1: { requests: [get('/hello')] },
  keepalive: { requests: [get('/one'), get('/two')] },
  'tls-h1': { requests: [get('/hello')] },
  'tls-h2': { requests: [get('/one', 'HTTP/2'), get('/two', 'HTTP/2')] },
  uds: { requests: [get('/hello')] },
  'bad-request': {
    // it is no request, but its first line can be read in the reason
    requests: [get('/')],
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
};

test('each scenario is in the table', () => {
  expect(Object.keys(seen).sort()).toEqual(scenarios.map(({ name }) => name).sort());
});

describe.concurrent('at level main', () => {
  test.each(scenarios.filter(({ unavailable }) => unavailable === undefined))(
    '$name shows the request, the peer, the answer and each reason',
    async (scenario) => {
      const { requests, answers = [OK], peer = true, failures = [] } = seen[scenario.name]!;
      const tree = printTree(await runScenario(scenario, { tmp }), { level: 'main', width: 100 });
      const lines = tree.split('\n').map((line) => line.replace(/^[▌ │├└⋯]+/, ''));
      // what a function says stands on its row, or alone on the next
      const rows = lines.map((line, i) => (/::/.test(lines[i + 1] ?? '::') ? line : `${line} ${lines[i + 1]}`));
      const said = (fn: string) => rows.filter((row) => row.startsWith(fn)).join('\n');
      const read = [...said('Session::read_request').matchAll(/[A-Z]+ \/\S* HTTP\/[\d.]+/g)].map(([line]) => line);
      if (requests === undefined) expect(read.length).toBeGreaterThan(0);
      else expect(read).toEqual(requests);
      for (const answer of answers) expect(said('HttpSession::write_response_header')).toContain(answer);
      if (peer) expect(said('<app as ProxyHttp>::upstream_peer')).toMatch(/127\.0\.0\.1:\d+/);
      for (const failure of failures) expect(tree).toContain(failure);
    },
  );
});

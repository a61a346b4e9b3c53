import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { duration, printStack, printTree, waited } from '../../src/formats/tree.ts';
import { compare } from '../../src/tracing/compare.ts';
import { type Made, makeTrace } from '../tracing/made.ts';

const LISTENING = 'pingora-core/src/services/listening.rs';
const PROXY = 'pingora-proxy/src/lib.rs';
const at = (file: string, line: number) => ({ span: { ts: { file, line } } });

const calls: Made[] = [
  { fn: 'Server::new', span: { attributes: { upgrade: false } } },
  {
    fn: 'Server::run_forever',
    span: { end: null },
    calls: [
      {
        fn: 'Server::run_service',
        calls: [
          { fn: 'Server::create_runtime' },
          {
            fn: '<Service as Service>::start_service',
            file: LISTENING,
            task: 'proxy',
            ...at('src/services/listening.ts', 90),
            calls: [
              { fn: 'step', calls: [{ fn: 'below' }] },
              { fn: 'step', calls: [{ fn: 'below' }] },
              { fn: 'step', calls: [{ fn: 'below' }] },
              { fn: 'step', calls: [{ fn: 'other' }] },
              {
                fn: 'Service::handle_event',
                file: LISTENING,
                task: 'connection',
                ...at('src/services/listening.ts', 120),
                calls: [
                  {
                    fn: '<HttpProxy as HttpServerApp>::process_new_http',
                    file: PROXY,
                    ...at('src/proxy/lib.ts', 300),
                    calls: [
                      { fn: 'l4::connect', span: { status: 'error', attributes: { peer: '127.0.0.1:9' } } },
                      { fn: 'idle', span: { status: 'cancelled' } },
                      { fn: '<app as ProxyHttp>::upstream_peer', file: 'app' },
                    ],
                  },
                ],
              },
              { fn: 'TransportStack::accept', span: { end: null } },
            ],
          },
        ],
      },
    ],
  },
];

describe('the tree', () => {
  const trace = makeTrace(calls);

  test('shows each task with its calls, folded where they repeat', () => {
    expect(printTree(trace, { about: 'made by hand', comparison: null })).toMatchInlineSnapshot(`
      "made  made by hand
      ▌ from run_forever to process_new_http   ⇢ spawns a task   ⧗ waited, of the time before it

      ● task 1  main
        Server::new  src/server/mod.ts:70 mod.rs:7  upgrade=false                              5µs
      ▌ Server::run_forever … to the end  src/server/mod.ts:70 mod.rs:7
      ▌ └ Server::run_service  src/server/mod.ts:70 mod.rs:7                                 165µs
          ├ Server::create_runtime  src/server/mod.ts:70 mod.rs:7                              5µs
          └ ⇢ task 2 proxy

      ● task 2  proxy  ⇠ Server::run_service, task 1
      ▌ <Service as Service>::start_service  src/services/listening.ts:90 listening.rs:7     145µs
        ├ step ×3  src/server/mod.ts:70 mod.rs:7                                              45µs
        │ └ below  src/server/mod.ts:70 mod.rs:7                                               5µs
        ├ step  src/server/mod.ts:70 mod.rs:7                                                 15µs
        │ └ other  src/server/mod.ts:70 mod.rs:7                                               5µs
        ├ ⇢ task 3 connection
        └ TransportStack::accept … to the end  src/server/mod.ts:70 mod.rs:7

      ● task 3  connection  ⇠ <Service as Service>::start_service, task 2
      ▌ Service::handle_event  src/services/listening.ts:120 listening.rs:7                   45µs
      ▌ └ <HttpProxy as HttpServerApp>::process_new_http  src/proxy/lib.ts:300 lib.rs:7       35µs
          ├ l4::connect ✗ error  src/server/mod.ts:70 mod.rs:7  peer=127.0.0.1:9               5µs
          ├ idle ⊘ cancelled  src/server/mod.ts:70 mod.rs:7                                    5µs
          └ <app as ProxyHttp>::upstream_peer  src/server/mod.ts:70                            5µs

      19 calls, 3 tasks
      no record of Pingora 0.1.0 in this scenario to compare with
      "
    `);
  });

  test('shows only the modules asked for, and the chain that leads there', () => {
    expect(printTree(trace, { only: ['proxy'], comparison: null })).toMatchInlineSnapshot(`
      "made
      ▌ from run_forever to process_new_http   ⇢ spawns a task   ⧗ waited, of the time before it

      ● task 1  main
      ▌ Server::run_forever … to the end  src/server/mod.ts:70 mod.rs:7
      ▌ └ Server::run_service  src/server/mod.ts:70 mod.rs:7                                 165µs
          └ ⇢ task 2 proxy

      ● task 2  proxy  ⇠ Server::run_service, task 1
      ▌ <Service as Service>::start_service  src/services/listening.ts:90 listening.rs:7     145µs
        └ ⇢ task 3 connection

      ● task 3  connection  ⇠ <Service as Service>::start_service, task 2
      ▌ Service::handle_event  src/services/listening.ts:120 listening.rs:7                   45µs
      ▌ └ <HttpProxy as HttpServerApp>::process_new_http  src/proxy/lib.ts:300 lib.rs:7       35µs
          └ <app as ProxyHttp>::upstream_peer  src/server/mod.ts:70                            5µs

      19 calls, 3 tasks
      no record of Pingora 0.1.0 in this scenario to compare with
      "
    `);
  });

  test('shows so many levels of each task, and says how much is below', () => {
    const lines = printTree(trace, { depth: 2 }).split('\n');
    expect(lines.filter((line) => line.includes('below'))).toMatchInlineSnapshot(`
      [
        "    └ … 1 call below",
        "  │ └ … 1 call below",
        "  │ └ … 1 call below",
        "    └ … 3 calls below",
      ]
    `);
    expect(lines.some((line) => line.includes('Server::create_runtime'))).toBe(false);
  });

  test('ends with what the comparison gave', () => {
    const record = { scenario: 'made', startup: [{ fn: 'Server::new', at: 'pingora-core/src/server/mod.rs:1' }] };
    const last = (known: typeof record) =>
      printTree(trace, { comparison: compare(known, trace.spans) })
        .trimEnd()
        .split('\n')
        .slice(-2);
    expect(last(record)).toEqual([
      '19 calls, 3 tasks',
      'reached 1 of 1 calls that Pingora 0.1.0 made; 0 misplaced, 0 out of order, 0 miscounted',
    ]);
    record.startup.push({ fn: 'gone', at: 'pingora-core/src/server/mod.rs:2' });
    expect(last(record)[1]).toContain('reached 1 of 2 calls');
  });

  test('colours change nothing but colours', () => {
    const plain = printTree(trace);
    const coloured = printTree(trace, { colour: true, links: true });
    expect(coloured).not.toBe(plain);
    expect(stripVTControlCharacters(coloured)).toBe(plain);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is there is the test
    expect(plain).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]/);
  });

  test('links lead to the port’s line and to Pingora’s', () => {
    const linked = printTree(trace, { links: true });
    expect(linked).toContain('https://github.com/cloudflare/pingora/blob/0.1.0/pingora-proxy/src/lib.rs#L7');
    expect(linked).toMatch(/file:\/\/.*\/src\/proxy\/lib\.ts#L300/);
  });

  test('is never wider than the page, however deep the calls and long the names', () => {
    let deep: Made = { fn: 'x'.repeat(300), span: { attributes: { path: `/${'y'.repeat(300)}` } } };
    for (let level = 0; level < 60; level++) {
      deep = {
        fn: `<HttpProxy as HttpServerApp>::process_new_http_${level}`,
        ...(level % 7 === 0 ? { task: `a task with a rather long name, ${'z'.repeat(level * 2)}` } : {}),
        span: {
          attributes: { level, note: 'something to be said' },
          status: level % 5 === 0 ? 'error' : 'ok',
          ts: { file: 'src/protocols/http/compression/a-file-with-a-long-name.ts', line: 12345 },
        },
        calls: [{ fn: 'sibling', calls: [{ fn: 'cousin' }] }, deep],
      };
    }
    const wild = makeTrace([deep], 'w'.repeat(120));
    for (const options of [{}, { depth: 3 }, { about: 'b'.repeat(200) }, { width: 60 }]) {
      const widths = printTree(wild, options)
        .split('\n')
        .map((line) => [...line].length);
      const legend = 2;
      const allowed = options.width === undefined ? 100 : 60;
      expect(Math.max(...widths.filter((_, line) => line >= legend && line < widths.length - 3))).toBeLessThanOrEqual(
        allowed,
      );
      if (allowed === 100) expect(Math.max(...widths)).toBeLessThanOrEqual(100);
    }
  });

  test('bytes from the network do not steer the terminal', () => {
    const evil = makeTrace([{ fn: 'a', span: { attributes: { path: '/\x1b[2J\x07\x9b\n' } } }]);
    expect(printTree(evil)).toContain('path=/\\x1b[2J\\x07\\x9b\\x0a');
  });
});

describe('the stack', () => {
  test('leads from process_new_http out to run_forever, across tasks', () => {
    expect(printStack(makeTrace(calls))).toMatchInlineSnapshot(`
      " 0  <HttpProxy as HttpServerApp>::process_new_http
            pingora-proxy/src/lib.rs:7
            src/proxy/lib.ts:300
       1  Service::handle_event
            pingora-core/src/services/listening.rs:7
            src/services/listening.ts:120
          ⇡ spawned task 3
       2  <Service as Service>::start_service
            pingora-core/src/services/listening.rs:7
            src/services/listening.ts:90
          ⇡ spawned task 2
       3  Server::run_service
            pingora-core/src/server/mod.rs:7
            src/server/mod.ts:70
       4  Server::run_forever
            pingora-core/src/server/mod.rs:7
            src/server/mod.ts:70
      "
    `);
  });

  test('says so when no request got there', () => {
    expect(printStack(makeTrace([{ fn: 'a' }]))).toBe('no request reached process_new_http\n');
  });
});

test('durations are short', () => {
  const shown = [0, 7.4, 999, 999.6, 1234, 9960, 12_345, 99_700, 123_456, 999_600, 1_234_567].map(duration);
  expect(shown).toEqual(['0µs', '7µs', '999µs', '1ms', '1.2ms', '10ms', '12ms', '100ms', '123ms', '1.0s', '1.2s']);
});

test('what a span did not run it waited', () => {
  const [span] = makeTrace([{ fn: 'a', span: { start: 10, end: 110 } }]).spans;
  expect(waited(span!)).toBe(0);
  expect(
    waited({
      ...span!,
      runs: [
        [10, 20],
        [100, 110],
      ],
    }),
  ).toBe(80);
  expect(waited({ ...span!, end: null, runs: [[10, 20]] })).toBe(0);
});

describe('a trace with values', () => {
  const made = makeTrace([
    {
      fn: 'HttpProxy::process_request',
      file: PROXY,
      span: { in: { request: 'GET / HTTP/1.1' }, out: { answered: 'HTTP/1.1 502 Bad Gateway' } },
      calls: [
        { fn: '<app as ProxyHttp>::upstream_peer', file: 'app', span: { out: { peer: '127.0.0.1:9', alpn: 'H1' } } },
        {
          fn: 'TransportConnector::get_stream',
          calls: [
            {
              fn: 'ext::connect',
              span: {
                status: 'error',
                error: {
                  type: 'ConnectRefused',
                  source: 'Upstream',
                  cause: { type: 'Error', message: 'refused\x1b[2J' },
                },
              },
            },
          ],
        },
        {
          fn: 'HttpSession::write_response_header',
          span: {
            out: { response: 'HTTP/1.1 502 Bad Gateway' },
            changed: [
              { what: 'Date', from: null, to: 'now' },
              { what: 'Via', from: null, to: 'me' },
              { what: 'Server', from: 'a', to: null },
            ],
          },
        },
      ],
    },
  ]);
  const last = made.spans.at(-1)!.id;
  Object.assign(made, {
    connections: [{ id: 1, side: 'downstream', peer: null }],
    events: [
      {
        kind: 'bytes',
        time: 60,
        span: last,
        connection: 1,
        way: 'out',
        offset: 0,
        length: 30,
        bytes: 'HTTP/1.1 502 Bad Gateway\r\n\r\n\x1b[2J',
      },
    ],
  });
  const bare = (options: object) =>
    printTree(made, { width: 80, ...options })
      .split('\n')
      .slice(4, -3)
      .join('\n');

  test('says what went in and came out, what changed, and why something failed', () => {
    const tree = bare({});
    expect(tree).toContain('HTTP/1.1 502 Bad Gateway');
    expect(tree).toContain('127.0.0.1:9, alpn H1');
    expect(tree).toContain('Upstream ConnectRefused: refused\\x1b[2J');
    expect(tree).toContain('+Via −Server');
    expect(tree).not.toContain('+Date');
  });

  test('shows at level main where an error began, though that is off the main path', () => {
    expect(bare({ level: 'main' })).toMatch(/ext::connect ✗ error/);
    expect(bare({ level: 'main' })).not.toContain('get_stream');
    expect(printTree(made, { level: 'main' })).toContain(
      '1 calls are not shown: --level phases and --level all show more',
    );
    expect(bare({ level: 'phases' })).toMatch(/get_stream/);
  });

  test('has no times where lines are too short for them', () => {
    expect(bare({ width: 80 })).not.toMatch(/\dµs/);
    expect(bare({ width: 96 })).toMatch(/\dµs/);
    for (const width of [40, 60, 80, 96, 140]) {
      const widest = Math.max(
        ...printTree(made, { width, wire: true })
          .split('\n')
          .map((line) => [...line].length),
      );
      expect(widest).toBeLessThanOrEqual(width);
    }
  });

  test('shows the bytes that a call wrote, which can’t steer the terminal', () => {
    const tree = bare({ wire: true });
    expect(tree).toContain('→ 30 bytes to the client, connection 1');
    expect(tree).toContain('0000  48 54 54 50');
    expect(tree).not.toContain('\x1b');
  });

  test('names Pingora’s places when asked to', () => {
    expect(bare({ rust: true })).toContain('pingora-proxy/src/lib.rs:7');
    expect(bare({ rust: true })).not.toContain('.ts:');
  });

  test('shows the calls of one function, by the end of its name', () => {
    const tree = printTree(makeTrace(calls), { from: 'start_service' });
    expect(tree).toContain('<Service as Service>::start_service');
    expect(tree).toContain('Service::handle_event');
    expect(tree).not.toContain('run_forever  ');
  });

  test('keeps an application’s hooks when only some modules are shown', () => {
    expect(bare({ only: ['pool'] })).toContain('upstream_peer');
  });
});

import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttp, get, type Server as HttpServer, type IncomingMessage } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { TraceDocument } from '../src/tracing/model.ts';
import { selfSigned } from '../src/utils/self-signed.ts';
import { Program, runsAsNobody } from './support/program.ts';

vi.setConfig({ maxConcurrency: 2 });

const entry = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const firstFreePort = Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'));

let dir: string;
let origin: HttpServer;
let upstream: string;
const file = (name: string) => join(dir, name);
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'main-test-'));
  const [one, other] = await Promise.all([selfSigned([]), selfSigned([])]);
  writeFileSync(file('cert.pem'), one.cert);
  writeFileSync(file('key.pem'), one.key);
  writeFileSync(file('other-key.pem'), other.key);
  writeFileSync(file('text.txt'), 'hello');
  writeFileSync(file('good.yaml'), 'version: 1\nthreads: 1\n');
  writeFileSync(file('typo.yaml'), 'version: 1\nthread: 1\n');
  writeFileSync(file('log.yaml'), 'version: 1\nerror_log: /proc/no/log\n');
  writeFileSync(file('no-ca.yaml'), `version: 1\nca_file: ${file('no.pem')}\n`);
  writeFileSync(file('text-ca.yaml'), `version: 1\nca_file: ${file('text.txt')}\n`);
  origin = createHttp((request, response) => response.end(`origin saw ${request.method} ${request.url}`));
  origin.listen(0, '127.0.0.1');
  await once(origin, 'listening');
  upstream = `127.0.0.1:${(origin.address() as AddressInfo).port}`;
});
afterAll(async () => {
  origin.closeAllConnections();
  origin.close();
  rmSync(dir, { recursive: true, force: true });
});

/** A listener that keeps something in use. */
async function occupy(where: { port: number; host: string } | { path: string }) {
  const server = createServer((socket) => socket.destroy());
  server.listen(where);
  await once(server, 'listening');
  return server;
}

/** Run it with flags that it can't go on with: one line on standard error, nothing else, and its status. */
async function refusal(
  args: string[],
  options?: { uid: number; gid: number },
): Promise<{ line: string; code: number }> {
  const program = new Program(entry, args, options);
  const { code } = await program.ended;
  const lines = program.stderr.trimEnd().split('\n');
  expect(lines).toHaveLength(1);
  expect(lines[0]).not.toMatch(/^\s+at /);
  expect(program.stdout).toBe('');
  return { line: lines[0]!, code: code! };
}

const FROM_TO = ['--listen', '127.0.0.1:0', '--upstream', '127.0.0.1:1'];

describe.concurrent('a command line that cannot be understood ends it with status 2 and one line', () => {
  test.each([
    ['a flag that there is not', ['--lisen', '1'], /--lisen.*--listen/],
    ['a word', ['127.0.0.1:80'], /127\.0\.0\.1:80/],
    ['a flag without its value', ['--listen'], /--listen/],
    ['no origin', ['--listen', '127.0.0.1:0'], /--upstream is missing.*--upstream 127\.0\.0\.1:8080/],
    ['nowhere to listen', ['--upstream', '127.0.0.1:1'], /nowhere to listen.*--listen/],
    [
      'a listening address without a port',
      ['--listen', 'localhost', '--upstream', '127.0.0.1:1'],
      /localhost.*host:port/,
    ],
    [
      'an origin without a port',
      ['--listen', '127.0.0.1:0', '--upstream', '127.0.0.1'],
      /--upstream 127\.0\.0\.1.*host:port/,
    ],
    [
      'an origin at port 0',
      ['--listen', '127.0.0.1:0', '--upstream', '127.0.0.1:0'],
      /--upstream 127\.0\.0\.1:0: .*port 0.*127\.0\.0\.1:\d+/,
    ],
    [
      'a collector at port 0',
      [...FROM_TO, '--trace-otlp', 'http://127.0.0.1:0'],
      /--trace-otlp http:\S+:0: .*port 0.*:4318/,
    ],
    ['a port that is none', ['--listen', '127.0.0.1:99999', '--upstream', '127.0.0.1:1'], /127\.0\.0\.1:99999/],
    [
      'a certificate without its key',
      ['--tls-listen', '127.0.0.1:0', '--upstream', '127.0.0.1:1', '--cert', 'x'],
      /--key/,
    ],
    ['HTTP/2 without TLS', ['--listen', '127.0.0.1:0', '--upstream', '127.0.0.1:1', '--h2'], /--h2 needs --tls-listen/],
    ['a name for TLS without TLS', [...FROM_TO, '--sni', 'x'], /--sni needs --upstream-tls/],
    ['unchecked TLS without TLS', [...FROM_TO, '--insecure'], /--insecure needs --upstream-tls/],
    ['a certificate without TLS', [...FROM_TO, '--cert', 'x', '--key', 'y'], /--cert needs --tls-listen/],
    ['a place for traces without any', [...FROM_TO, '--trace-dir', 'x'], /--trace-dir needs --trace/],
    ['a path to check without a check', [...FROM_TO, '--health-check-path', '/'], /--health-check-path needs --health/],
    ['TLS to an origin without a name', [...FROM_TO, '--upstream-tls'], /127\.0\.0\.1 is an address.*--sni NAME/],
    [
      'TLS to the origin that is built in',
      ['--listen', '127.0.0.1:0', '--upstream', 'demo', '--upstream-tls', '--sni', 'x'],
      /--upstream demo.*leave --upstream-tls out/,
    ],
    ['no time', [...FROM_TO, '--read-timeout', 'soon'], /--read-timeout soon: write a number of seconds/],
    ['no size', [...FROM_TO, '--max-body', '1x'], /--max-body 1x: write a number of bytes/],
    ['no name for TLS', [...FROM_TO, '--upstream-tls', '--sni', 'a b'], /--sni a b: write the name of a host/],
    [
      'no path to check',
      [...FROM_TO, '--health-check', '1', '--health-check-path', 'health'],
      /--health-check-path health: write a path/,
    ],
    ['no name', [...FROM_TO, '--via', 'a b'], /--via a b: write one word/],
    ['no thread', ['--threads', '0'], /--threads 0: write a whole number from 1, as --threads 2/],
    ['half a thread', ['--threads', '1.5'], /--threads 1\.5: write a whole number/],
    ['a word for a number of threads', ['--threads', 'two'], /--threads two: write a whole number/],
    ['a level that there is not', ['--log-level', 'loud'], /--log-level.*loud.*debug/],
  ])('%s', async (_, args, expected) => {
    const { line, code } = await refusal(args);
    expect(line).toMatch(expected);
    expect(code).toBe(2);
  });
});

describe.concurrent('what cannot be done ends it with status 1 and one line', () => {
  test.each([
    ['an origin whose name does not resolve', '--upstream', () => 'no.such.host.invalid:80', /no\.such\.host\.invalid/],
    [
      'a listening name that does not resolve',
      '--listen',
      () => 'no.such.host.invalid:80',
      /no\.such\.host\.invalid.*IP/,
    ],
    ['an address of another machine', '--listen', () => '192.0.2.1:8080', /192\.0\.2\.1.*0\.0\.0\.0/],
    ['a path in no folder', '--uds', () => file('no/x.sock'), /no folder .*\/no; make it or choose another path/],
    ['a path in a file', '--uds', () => file('text.txt/x.sock'), /no folder .*text\.txt; make it/],
    // the system says that it isn't there each time that one is made there
    [
      'a log where no folder can be made',
      '--conf',
      () => file('log.yaml'),
      /error_log \/proc\/no\/log: can't write/,
      '/proc/no/log',
    ],
    [
      'a CA that is not there',
      '--conf',
      () => file('no-ca.yaml'),
      /ca_file .*no\.pem: can't be read: ENOENT/,
      'no.pem',
    ],
    [
      'a CA that is none',
      '--conf',
      () => file('text-ca.yaml'),
      /ca_file .*text\.txt: it holds no PEM cert/,
      'text.txt',
    ],
    ['a path that is a file', '--uds', () => file('text.txt'), /text\.txt.*not a socket/],
    ['a configuration that is not there', '--conf', () => file('no.yaml'), /no\.yaml.*no such file/],
    [
      'a configuration with a mistyped key',
      '--conf',
      () => file('typo.yaml'),
      /typo\.yaml, line 2.*"thread".*"threads"/,
    ],
  ] as [string, string, () => string, RegExp, string?][])('%s', async (_, flag, value, expected, culprit) => {
    const first = flag === '--upstream' ? [] : ['--upstream', upstream];
    const quiet = ['--log-level', 'silent'];
    const { line, code } = await refusal(['--listen', '127.0.0.1:0', ...quiet, ...first, flag, value()]);
    expect(line).toMatch(expected);
    expect(line).toContain(culprit ?? value());
    expect(code).toBe(1);
    expect(readFileSync(file('text.txt'), 'utf8')).toBe('hello');
  });

  test.each([
    ['a certificate that is not there', 'no.pem', 'key.pem', /no\.pem/],
    ['a certificate that is none', 'text.txt', 'key.pem', /text\.txt/],
    ['a key that is none', 'cert.pem', 'text.txt', /text\.txt/],
    ['a key of another certificate', 'cert.pem', 'other-key.pem', /other-key\.pem.*cert\.pem/],
  ])('%s', async (_, cert, key, expected) => {
    const { line, code } = await refusal([
      ...['--tls-listen', '127.0.0.1:0', '--upstream', upstream, '--cert', file(cert), '--key', file(key)],
    ]);
    expect(line).toMatch(expected);
    expect(code).toBe(1);
  });

  test('a port in use', async () => {
    const taken = await occupy({ port: 0, host: '127.0.0.1' });
    const address = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
    const { line, code } = await refusal(['--listen', address, '--upstream', upstream]);
    expect(line).toContain(`${address}`);
    expect(line).toMatch(/in use.*another port/);
    expect(code).toBe(1);
    taken.close();
  });

  test.each([
    ['twice', (port: number) => ['--listen', `127.0.0.1:${port}`, '--listen', `127.0.0.1:${port}`], /given twice/],
    [
      'for all addresses beside one of them',
      (port: number) => ['--listen', `[::]:${port}`, '--listen', `0.0.0.0:${port}`],
      /--listen 0\.0\.0\.0:\d+: --listen \[::\]:\d+ takes what comes there already/,
    ],
    [
      'for two things',
      (port: number) => ['--listen', `127.0.0.1:${port}`, '--prometheus', `127.0.0.1:${port}`],
      /given twice/,
    ],
  ])('a port %s', async (_how, flags, expected) => {
    const free = await occupy({ port: 0, host: '127.0.0.1' });
    const { port } = free.address() as AddressInfo;
    free.close();
    await once(free, 'close');
    const { line } = await refusal(['--upstream', upstream, ...flags(port)]);
    expect(line).toMatch(expected);
  });

  test('a Unix socket that another process serves', async () => {
    const taken = await occupy({ path: file('live.sock') });
    const { line, code } = await refusal(['--uds', file('live.sock'), '--upstream', upstream]);
    expect(line).toMatch(/live\.sock.*another process/);
    expect(code).toBe(1);
    expect(existsSync(file('live.sock'))).toBe(true);
    taken.close();
  });

  // needs a user without the right: only root can become one, and only where such ports are kept for root
  test.skipIf(!runsAsNobody() || firstFreePort < 81)('a port that takes a right', async () => {
    const { line, code } = await refusal(['--listen', '127.0.0.1:80', '--upstream', upstream], {
      uid: 65534,
      gid: 65534,
    });
    expect(line).toMatch(/127\.0\.0\.1:80.*right.*1024/);
    expect(code).toBe(1);
  });
});

async function fetched(port: string, path: string): Promise<string> {
  const [response] = (await once(get({ host: '127.0.0.1', port, path, agent: false }), 'response')) as [
    IncomingMessage,
  ];
  let body = '';
  for await (const chunk of response) body += chunk;
  return body;
}

/** Ask until each of two threads has logged a request; how many there were. */
async function untilTwoThreads(program: Program, port: string): Promise<number> {
  const lines = () =>
    program.stderr
      .split('\n')
      .filter((line) => line.includes('"msg":"request"'))
      .map((line) => JSON.parse(line) as { thread: number });
  let requests = 0;
  for (const seen = () => new Set(lines().map(({ thread }) => thread)); seen().size < 2; requests++) {
    await fetched(port, `/${requests}`);
    await program.until(new RegExp(`"path":"/${requests}"`));
  }
  expect(lines()).toHaveLength(requests);
  return requests;
}

describe.concurrent('it', () => {
  test('shows where something is wrong only when it is asked to', async () => {
    const program = new Program(entry, ['--stack', '--listen', 'x', '--upstream', upstream]);
    expect((await program.ended).code).toBe(2);
    expect(program.stderr).toMatch(/\n\s+at /);
  });

  test('shows its flags', async () => {
    const program = new Program(entry, ['--help']);
    expect((await program.ended).code).toBe(0);
    expect(program.stdout).toContain('--tls-listen <address>');
    expect(program.stderr).toBe('');
  });

  test('checks a configuration with --test and ends with status 0', async () => {
    const program = new Program(entry, ['--test', '--conf', file('good.yaml'), '--log-level', 'error']);
    expect(await program.ended).toEqual({ code: 0, signal: null });
    expect(program.stderr).toBe('');
  });

  test('refuses a wrong configuration with --test too', async () => {
    expect((await refusal(['--test', '--conf', file('typo.yaml')])).code).toBe(1);
  });

  test('proxies on every kind of listener, says where, and ends at Ctrl-C', async () => {
    const uds = file('proxy.sock');
    const program = new Program(entry, [
      ...['--listen', '127.0.0.1:0', '--tls-listen', '127.0.0.1:0', '--uds', uds, '--h2'],
      ...['--cert', file('cert.pem'), '--key', file('key.pem'), '--upstream', upstream, '--access-log'],
    ]);
    const [, plain] = await program.until(/listening on http:\/\/127\.0\.0\.1:(\d+)/);
    const [, secure] = await program.until(/listening on https:\/\/127\.0\.0\.1:(\d+)/);
    await program.until(/listening on unix:\//);
    await program.until(/ready/);
    const answer = (options: object) =>
      new Promise<string>((resolve, reject) => {
        get({ ...options, agent: false }, (response) => {
          let body = '';
          response.on('data', (chunk: Buffer) => {
            body += chunk;
          });
          response.on('end', () => resolve(body));
        }).on('error', reject);
      });
    expect(await answer({ host: '127.0.0.1', port: plain, path: '/tcp' })).toBe('origin saw GET /tcp');
    expect(await answer({ socketPath: uds, host: 'localhost', path: '/uds' })).toBe('origin saw GET /uds');
    const session = connectHttp2(`https://127.0.0.1:${secure}`, {
      ca: readFileSync(file('cert.pem')),
      servername: 'localhost',
    });
    const stream = session.request({ ':path': '/h2' });
    let body = '';
    for await (const chunk of stream) body += chunk;
    expect(body).toBe('origin saw GET /h2');
    session.destroy();
    const line = await program.until(/\{.*"path":"\/h2".*\}/);
    expect(JSON.parse(line[0])).toMatchObject({ method: 'GET', path: '/h2', status: 200, msg: 'request' });
    program.child.kill('SIGINT');
    expect(await program.ended).toEqual({ code: 0, signal: null });
    expect(existsSync(uds)).toBe(false);
  });

  test('has an origin of its own to be tried with, one for all threads', async () => {
    const program = new Program(entry, ['--threads', '2', '--listen', '127.0.0.1:0', '--upstream', 'demo']);
    await program.until(/^ready, forwarding to demo/m);
    const [, port] = await program.until(/listening on http:\/\/127\.0\.0\.1:(\d+)/);
    const answers = await Promise.all(Array.from({ length: 8 }, () => fetched(port!, '/some/where')));
    for (const answer of answers) expect(answer).toMatch(/demo origin got: GET \/some\/where\n/);
    const [refused] = (await once(get({ host: '127.0.0.1', port, path: '/status/503', agent: false }), 'response')) as [
      IncomingMessage,
    ];
    refused.resume();
    expect(refused.statusCode).toBe(503);
    program.child.kill('SIGINT');
    expect(await program.ended).toEqual({ code: 0, signal: null });
  });

  test('serves with as many threads as it is told, says everything once, and counts what all of them served', async () => {
    const program = new Program(entry, [
      ...['--threads', '2', '--listen', '127.0.0.1:0', '--tls-listen', '127.0.0.1:0', '--upstream', upstream],
      ...['--access-log', '--prometheus', '127.0.0.1:0'],
    ]);
    await program.until(/^ready/m);
    const [, port] = await program.until(/listening on http:\/\/127\.0\.0\.1:(\d+)/);
    const [, metricsPort] = await program.until(/metrics on http:\/\/127\.0\.0\.1:(\d+)/);
    const requests = await untilTwoThreads(program, port!);
    const counted = async () =>
      Number(/requests_total\{code="200".*\} (\d+)/.exec(await fetched(metricsPort!, '/metrics'))![1]);
    expect(await counted()).toBe(requests);
    // what a thread has counted stays counted when it is gone
    const [, pid] = await program.until(/thread 1 runs as process (\d+)/);
    process.kill(Number(pid), 'SIGKILL');
    await program.until(/thread 1 \(process \d+\) ended: SIGKILL/);
    expect(await counted()).toBe(requests);
    await program.until(/thread 1 runs as process \d+[\s\S]*thread 1 runs as process/);
    expect(await counted()).toBe(requests);
    expect(program.stdout.match(/^listening on http:/gm)).toHaveLength(1);
    expect(program.stdout.match(/^ready/gm)).toHaveLength(1);
    expect(program.stderr.match(/Bootstrap done/g)).toHaveLength(1);
    program.child.kill('SIGINT');
    expect(await program.ended).toEqual({ code: 0, signal: null });
  });

  test('traces requests of all threads into one folder', async () => {
    const folder = file('traces');
    const program = new Program(entry, [
      ...['--threads', '2', '--listen', '127.0.0.1:0', '--upstream', upstream, '--access-log'],
      ...['--trace', '1/1', '--trace-dir', folder],
    ]);
    await program.until(/^ready/m);
    const [, port] = await program.until(/listening on http:\/\/127\.0\.0\.1:(\d+)/);
    const requests = await untilTwoThreads(program, port!);
    const names = Array.from({ length: requests }, (_, i) => `${String(i + 1).padStart(4, '0')}.json`);
    await vi.waitFor(() => expect(readdirSync(folder).sort()).toEqual(names), { timeout: 10_000 });
    program.child.kill('SIGINT');
    expect((await program.ended).code).toBe(0);
    const threads = names.map((name) => {
      const trace = JSON.parse(readFileSync(join(folder, name), 'utf8')) as TraceDocument;
      return trace.tasks[0]!.thread;
    });
    expect(new Set(threads)).toEqual(new Set([1, 2]));
  });

  test('makes a certificate when it is given none', async () => {
    const program = new Program(entry, ['--tls-listen', '127.0.0.1:0', '--upstream', upstream]);
    await program.until(/listening on https:\/\/127\.0\.0\.1:\d+ \(HTTP\/1\.1, self-signed certificate\)/);
    await program.until(/ready/);
    program.child.kill('SIGINT');
    expect((await program.ended).code).toBe(0);
  });
});

test('where there is no terminal, all that a server prints on standard error is JSON', async () => {
  const code = "process.on('SIGUSR2', () => process.emitWarning('mind this'))";
  const env = { NODE_OPTIONS: `--import=data:text/javascript;base64,${Buffer.from(code).toString('base64')}` };
  const program = new Program(entry, ['--listen', '127.0.0.1:0', '--upstream', '127.0.0.1:1'], { env });
  const [, address] = await program.until(/listening on (http:\S+)/);
  program.child.kill('SIGUSR2');
  await program.until(/"node","msg":"Warning: mind this"/);
  const [answer] = (await once(get(address!), 'response')) as [IncomingMessage];
  expect(answer.statusCode).toBe(502);
  await program.until(/Fail to proxy/);
  program.child.kill('SIGINT');
  await program.ended;
  const lines = program.stderr.trim().split('\n');
  for (const line of lines) expect(JSON.parse(line)).toMatchObject({ level: expect.any(Number) as number });
});

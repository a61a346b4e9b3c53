/** The application of `npm start`: origins that are down, limits, and what it adds to messages. */
import { once } from 'node:events';
import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, test, vi } from 'vitest';
import { Gateway } from '../../src/main/gateway.ts';
import { type Options, program } from '../../src/main/options.ts';
import { Origins } from '../../src/main/origins.ts';
import { refusals } from '../../src/utils/refusals.ts';
import { startH2Proxy } from '../support/h2-proxy.ts';
import { captureLog } from '../support/log.ts';
import { answering, HELLO, Origin } from '../support/origin.ts';
import { startProxy } from '../support/proxy.ts';

/** What these flags mean. */
function parsed(...flags: string[]): Options {
  const command = program('test');
  command.parse(['--listen', '127.0.0.1:0', ...flags], { from: 'user' });
  return command.opts<Options>();
}

/** Run the application with these flags, and send it requests, each on a connection of its own. */
async function start(...flags: string[]) {
  const options = parsed(...flags);
  const origins = await Origins.of(options);
  const proxy = await startProxy(new Gateway(origins, options, undefined));
  return {
    origins,
    proxy,
    async ask(request: string): Promise<string> {
      const client = await proxy.client();
      client.send(request);
      const answer = await client.end();
      client.socket.destroy();
      return answer;
    },
  };
}

/** The same, and a client of HTTP/2 for it. */
async function startH2(...flags: string[]): Promise<ClientHttp2Session> {
  const options = parsed(...flags);
  return (await startH2Proxy(new Gateway(await Origins.of(options), options, undefined))).client();
}

async function statusOf(stream: ClientHttp2Stream): Promise<unknown> {
  stream.on('error', () => {});
  const [head] = (await once(stream, 'response')) as [{ ':status': number }];
  stream.close();
  return head[':status'];
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';

/** A port on which nobody listens. */
async function deadPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

describe('an origin that is down', () => {
  test('costs no request as long as another one is up', async () => {
    const origin = await Origin.start();
    const dead = `127.0.0.1:${await deadPort()}`;
    const { ask } = await start('--upstream', `${dead},127.0.0.1:${origin.port}`);
    for (let i = 0; i < 8; i++) expect(await ask(GET)).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('is not tried again for a while', async () => {
    const origin = await Origin.start();
    const dead = `127.0.0.1:${await deadPort()}`;
    const { ask, origins } = await start('--upstream', `${dead},127.0.0.1:${origin.port}`);
    for (let i = 0; i < 4; i++) await ask(GET);
    expect([1, 2, 3, 4].map(() => String(origins.choose([])))).toEqual(Array(4).fill(`127.0.0.1:${origin.port}`));
  });

  test('is a 502 where no other may be tried', async () => {
    const origin = await Origin.start();
    const dead = `127.0.0.1:${await deadPort()}`;
    const { ask } = await start('--upstream', `${dead},127.0.0.1:${origin.port}`, '--retries', '0');
    const statuses = [await ask(GET), await ask(GET)].map((answer) => answer.slice(9, 12));
    expect(statuses).toContain('502');
  });

  test('is a 502 where there is no other', async () => {
    const { ask } = await start('--upstream', `127.0.0.1:${await deadPort()},127.0.0.1:${await deadPort()}`);
    expect(await ask(GET)).toMatch(/^HTTP\/1\.1 502 /);
  });
});

test('health checks take an origin out, and put it back; without any the answer is 503', async () => {
  const origin = await Origin.start(answering(() => HELLO));
  let well = false;
  const moody = await Origin.start(answering(() => (well ? HELLO : 'HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n')));
  const both = `127.0.0.1:${origin.port},127.0.0.1:${moody.port}`;
  const { origins, ask } = await start('--upstream', both, '--health-check', '1', '--health-check-path', '/well');
  await origins.balancer.backends().runHealthCheck(true);
  expect(moody.received).toContain('GET /well HTTP/1.1');
  const chosen = () => new Set([1, 2, 3, 4].map(() => String(origins.choose([]))));
  expect(chosen()).toEqual(new Set([`127.0.0.1:${origin.port}`]));
  await origin.close();
  await origins.balancer.backends().runHealthCheck(true);
  expect(await ask(GET)).toMatch(/^HTTP\/1\.1 503 /);
  well = true;
  await origins.balancer.backends().runHealthCheck(true);
  expect(chosen()).toEqual(new Set([`127.0.0.1:${moody.port}`]));
});

describe('a body larger than --max-body', () => {
  const limits = ['--max-body', '1k'];

  test('is refused by its length, before an origin hears of it', async () => {
    const origin = await Origin.start();
    const { ask } = await start('--upstream', `127.0.0.1:${origin.port}`, ...limits);
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ';
    expect(await ask(`${head}1025\r\n\r\n`)).toMatch(/^HTTP\/1\.1 413 /);
    expect(origin.connections).toHaveLength(0);
    expect(await ask(`${head}1024\r\nConnection: close\r\n\r\n${'x'.repeat(1024)}`)).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('is refused when its chunks come to more', async () => {
    const origin = await Origin.start(() => {});
    const { ask } = await start('--upstream', `127.0.0.1:${origin.port}`, ...limits);
    const chunk = `100\r\n${'x'.repeat(256)}\r\n`;
    const answer = await ask(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(5)}`);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  });
});

test('a body larger than --max-body is refused over HTTP/2, by its length and as it comes', async () => {
  captureLog('silent');
  const origin = await Origin.start(() => {});
  const client = await startH2('--upstream', `127.0.0.1:${origin.port}`, '--max-body', '1k');
  const post = (length: OutgoingHttpHeaders) => {
    const stream = client.request({ ':method': 'POST', ':path': '/', ...length });
    stream.write('x'.repeat(1025));
    return statusOf(stream);
  };
  expect(await post({ 'content-length': '1025' })).toBe(413);
  expect(origin.connections).toHaveLength(0);
  expect(await post({})).toBe(413);
});

describe('a target longer than --max-target', () => {
  const flags = ['--max-target', '20'];

  test('gets 414, and one that is as long is passed on', async () => {
    const lines = captureLog('warn');
    const origin = await Origin.start();
    const { ask } = await start('--upstream', `127.0.0.1:${origin.port}`, ...flags);
    const get = (path: string) => ask(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    expect(await get(`/${'x'.repeat(20)}`)).toMatch(/^HTTP\/1\.1 414 URI Too Long\r\n/);
    expect(origin.connections).toHaveLength(0);
    expect(lines.map(({ msg }) => msg)).toEqual([`request refused with 414: GET /${'x'.repeat(20)}, Host: a`]);
    expect(refusals().get('target')).toBe(1);
    expect(await get(`/${'x'.repeat(19)}`)).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('gets 414 over HTTP/2, too', async () => {
    captureLog('silent');
    const origin = await Origin.start();
    const client = await startH2('--upstream', `127.0.0.1:${origin.port}`, ...flags);
    const statuses = [];
    for (const size of [20, 19]) statuses.push(await statusOf(client.request({ ':path': `/${'x'.repeat(size)}` })));
    expect(statuses).toEqual([414, 200]);
  });
});

test('more requests than an origin may have at a time get 503, and it has the next one when one is over', async () => {
  const origin = await Origin.start(() => {});
  const { proxy, ask } = await start('--upstream', `127.0.0.1:${origin.port}`, '--max-origin-requests', '1');
  const first = await proxy.client();
  first.send(GET);
  await vi.waitFor(() => expect(origin.received).toContain('GET /'));
  expect(await ask(GET)).toMatch(/^HTTP\/1\.1 503 /);
  const client = await startH2('--upstream', `127.0.0.1:${origin.port}`, '--max-origin-requests', '1');
  const waiting = client.request({ ':path': '/waits' });
  waiting.on('error', () => {});
  await vi.waitFor(() => expect(origin.received).toContain('GET /waits'));
  expect(await statusOf(client.request({ ':path': '/' }))).toBe(503);
  origin.connections[0]!.send(HELLO);
  await first.end();
  origin.serve = answering(() => HELLO);
  origin.connections[0]!.socket.end();
  expect(await ask(GET)).toMatch(/^HTTP\/1\.1 200 /);
});

test('an origin that says nothing for longer than --read-timeout is a 502', async () => {
  const origin = await Origin.start(() => {});
  const { ask } = await start('--upstream', `127.0.0.1:${origin.port}`, '--read-timeout', '0.05');
  expect(await ask(GET)).toMatch(/^HTTP\/1\.1 502 /);
});

test('limits in time are on unless they are turned off', () => {
  const { connectTimeout, readTimeout, writeTimeout, idleTimeout } = parsed();
  expect([connectTimeout, readTimeout, writeTimeout, idleTimeout]).toEqual([10_000, 60_000, 60_000, 60_000]);
  expect(parsed('--read-timeout', '0').readTimeout).toBe(0);
  expect(parsed('--max-body', '0').maxBody).toBe(Number.POSITIVE_INFINITY);
});

describe('Via', () => {
  test('is added to the request and the response, after what others put there', async () => {
    const origin = await Origin.start(
      answering(() => 'HTTP/1.1 200 OK\r\nVia: 1.0 inner\r\nContent-Length: 0\r\n\r\n'),
    );
    const { ask } = await start('--upstream', `127.0.0.1:${origin.port}`, '--via', 'edge-1');
    const answer = await ask('GET / HTTP/1.0\r\nHost: a\r\nVia: 1.1 outer\r\n\r\n');
    expect(answer).toMatch(/Via: 1\.0 inner\r\nVia: 1\.1 edge-1\r\n/);
    expect(origin.received).toMatch(/Via: 1\.1 outer\r\nVia: 1\.0 edge-1\r\n/);
  });

  test('is not, without the flag', async () => {
    const origin = await Origin.start();
    const { ask } = await start('--upstream', `127.0.0.1:${origin.port}`);
    expect(await ask(GET)).not.toMatch(/^via:/im);
    expect(origin.received).not.toMatch(/^via:/im);
  });
});

// RFC 9110 7.6.2
describe('Max-Forwards', () => {
  const trace = (more: string, method = 'TRACE') =>
    `${method} /x HTTP/1.1\r\nHost: a\r\nX-Seen: 1\r\nCookie: secret\r\n${more}Connection: close\r\n\r\n`;

  test.each(['TRACE', 'OPTIONS'])('of 0 has %s answered here', async (method) => {
    const origin = await Origin.start();
    const { ask } = await start('--upstream', `127.0.0.1:${origin.port}`);
    const answer = await ask(trace('Max-Forwards: 0\r\n', method));
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer.includes('TRACE /x HTTP/1.1\r\n')).toBe(method === 'TRACE');
    expect(answer).not.toContain('secret');
    expect(origin.connections).toHaveLength(0);
  });

  test.each([
    ['3', '2'],
    ['1', '0'],
    ['many', 'many'],
  ])('of %s goes on as %s', async (given, sent) => {
    const origin = await Origin.start();
    const { ask } = await start('--upstream', `127.0.0.1:${origin.port}`);
    await ask(trace(`Max-Forwards: ${given}\r\n`));
    expect(origin.received).toMatch(new RegExp(`^Max-Forwards: ${sent}\r$`, 'm'));
  });

  test('of another method is left alone', async () => {
    const origin = await Origin.start();
    const { ask } = await start('--upstream', `127.0.0.1:${origin.port}`);
    await ask(trace('Max-Forwards: 0\r\n', 'GET'));
    expect(origin.received).toMatch(/^Max-Forwards: 0\r$/m);
  });
});

test('the origin’s own name is what its certificate is checked against, unless --sni gives another one', async () => {
  const named = await Origins.of(parsed('--upstream', 'localhost:443', '--upstream-tls'));
  expect(named.nameOf(named.choose([])!)).toBe('localhost');
  const other = await Origins.of(parsed('--upstream', 'localhost:443', '--upstream-tls', '--sni', 'other.test'));
  expect(other.nameOf(other.choose([])!)).toBe('other.test');
});

describe('the slowest rates', () => {
  test('are 240 bytes a second, as long as nothing else is said', () => {
    expect(parsed('--upstream', 'demo')).toMatchObject({ minRequestRate: 240, minResponseRate: 240 });
    expect(parsed('--min-request-rate', '0', '--min-response-rate', '9')).toMatchObject({
      minRequestRate: 0,
      minResponseRate: 9,
    });
  });
});

test('a client that ends its side after its request is answered if its origin answers within 2 seconds', () => {
  expect(parsed('--upstream', 'demo').halfClose).toBe(2000);
  expect(parsed('--half-close', '0').halfClose).toBe(0);
});

import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { ServerConf } from '../../src/server/configuration/mod.ts';
import { selfSigned } from '../../src/utils/self-signed.ts';
import { Program } from '../support/program.ts';
import type { Plan } from './threads-program.ts';

vi.setConfig({ maxConcurrency: 2, testTimeout: 60_000 });

const entry = fileURLToPath(new URL('./threads-program.ts', import.meta.url));
const long: Partial<ServerConf> = { gracePeriodSeconds: 600 };
const short: Partial<ServerConf> = { gracePeriodSeconds: 0.5, gracefulShutdownTimeoutSeconds: 0.1 };

/** Answers at once, but for paths that begin with `/hold`: these wait until they are let go. */
class Origin {
  readonly server = createServer((req, res) => this.#serve(req, res));
  #held: { path: string; thread: string; go: () => void }[] = [];
  #wake = () => {};

  #serve(req: IncomingMessage, res: ServerResponse): void {
    const path = req.url!;
    const thread = String(req.headers['x-thread']);
    const go = () => {
      res.end(`${path} from ${thread}`);
    };
    if (!path.startsWith('/hold')) {
      go();
      return;
    }
    this.#held.push({ path, thread, go });
    this.#wake();
  }

  /** Wait until a request is held for this path; which thread it came from. */
  async holds(path: string): Promise<string> {
    for (;;) {
      const held = this.#held.find((one) => one.path === path);
      if (held !== undefined) return held.thread;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  letGo(paths: readonly string[]): void {
    for (const { path, go } of this.#held) if (paths.includes(path)) go();
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }
}

let dir: string;
let tls: { cert: string; key: string };
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'threads-test-'));
  const made = await selfSigned(['localhost']);
  tls = { cert: join(dir, 'cert.pem'), key: join(dir, 'key.pem') };
  writeFileSync(tls.cert, made.cert);
  writeFileSync(tls.key, made.key);
});
const origins: Origin[] = [];
afterAll(() => {
  for (const { server } of origins) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(dir, { recursive: true, force: true });
});

async function startOrigin(): Promise<Origin> {
  const origin = new Origin();
  origin.server.listen(0, '127.0.0.1');
  await once(origin.server, 'listening');
  origins.push(origin);
  return origin;
}

interface Running {
  readonly server: Program;
  readonly origin: Origin;
  readonly port: number;
}

async function run(plan: Omit<Plan, 'origin'>, options?: { detached: true }): Promise<Running> {
  const origin = await startOrigin();
  const server = new Program(entry, [JSON.stringify({ ...plan, origin: origin.port })], options);
  const [, port] = await server.until(/^proxy 127\.0\.0\.1:(\d+)$/m);
  return { server, origin, port: Number(port) };
}

interface Answer {
  readonly body: string;
  readonly thread: number;
  readonly pid: number;
  readonly secret: string;
  readonly connection: string | undefined;
}

type Where = { readonly port: number } | { readonly socketPath: string };

/** A request on a connection of its own, or of the agent. */
function ask(where: Where, path = '/', agent: Agent | false = false): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const host = 'port' in where ? '127.0.0.1' : 'localhost';
    const sent = request({ ...where, host, path, agent }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on('error', reject);
      response.on('end', () => {
        const { headers } = response;
        const [thread, pid, secret] = ['x-thread', 'x-pid', 'x-secret'].map((name) => String(headers[name]));
        resolve({ body, thread: Number(thread), pid: Number(pid), secret: secret!, connection: headers.connection });
      });
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** As {@link ask}, over HTTP/2. */
async function askH2(port: number): Promise<number> {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  const stream = session.request({ ':path': '/' });
  const [headers] = (await once(stream, 'response')) as [Record<string, string>];
  for await (const _ of stream);
  session.close();
  return Number(headers['x-thread']);
}

/** Ask until each of so many threads has answered. */
async function untilAll(count: number, one: () => Promise<number>): Promise<number[]> {
  const seen = new Set<number>();
  while (seen.size < count) seen.add(await one());
  return [...seen].sort();
}

/** Keep requests waiting at the origin until each of two threads has one. Which paths, by thread; and the answers. */
async function holdOnBoth({
  port,
  origin,
}: Running): Promise<Map<string, { path: string; answer: Promise<Answer> }[]>> {
  const held = new Map<string, { path: string; answer: Promise<Answer> }[]>();
  for (let n = 0; held.size < 2; n++) {
    const path = `/hold/${n}`;
    const answer = ask({ port }, path);
    answer.catch(() => {});
    const thread = await origin.holds(path);
    held.set(thread, [...(held.get(thread) ?? []), { path, answer }]);
  }
  return held;
}

/** The processes of threads that have served. */
const pids = (server: Program) =>
  server.stderr.split('\n').flatMap((line) => {
    const found = /thread \d+ runs as process (\d+)/.exec(line);
    return found === null ? [] : [Number(found[1])];
  });

/** What has ended and waits for somebody to ask how is no process any more. */
function alive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

async function end({ server }: Running, signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
  server.child.kill(signal);
  expect(await server.ended).toEqual({ code: 0, signal: null });
  expect(pids(server).filter(alive)).toEqual([]);
}

describe.each([
  ['that steal', true],
  ['that do not steal', false],
])('threads %s', (_, workStealing) => {
  const conf = { threads: 2, workStealing };

  test.concurrent('all serve, over TCP, TLS with HTTP/2 and a Unix socket, and have their secrets in common', async () => {
    const uds = join(dir, `serve-${workStealing}.sock`);
    const running = await run({ conf, tls, uds });
    const { server, port } = running;
    const [, secure] = await server.until(/^proxy tls 127\.0\.0\.1:(\d+)$/m);
    await server.until(/^proxy \/.*sock$/m);
    const secrets = new Set<string>();
    const tcp = async () => {
      const { thread, secret } = await ask({ port });
      secrets.add(secret);
      return thread;
    };
    expect(await untilAll(2, tcp)).toEqual([1, 2]);
    expect(await untilAll(2, () => askH2(Number(secure)))).toEqual([1, 2]);
    expect(await untilAll(2, async () => (await ask({ socketPath: uds })).thread)).toEqual([1, 2]);
    expect(secrets.size).toBe(1);
    await end(running);
    expect(existsSync(uds)).toBe(false);
  });

  test.runIf(workStealing)('serve what comes while one of them computes', async () => {
    const running = await run({ conf });
    const file = join(dir, 'busy');
    const seen = watch(dir);
    const busy = ask({ port: running.port }, `/busy${file}`);
    while (!existsSync(file)) await once(seen, 'change');
    seen.close();
    const others = await Promise.all(Array.from({ length: 8 }, () => ask({ port: running.port })));
    rmSync(file);
    const { thread } = await busy;
    expect(others.map((other) => other.thread)).toEqual(others.map(() => (thread === 1 ? 2 : 1)));
    await end(running);
  });

  test.runIf(workStealing)('serve what has come while both computed, though the server has ended by then', async () => {
    const uds = join(dir, 'late.sock');
    const running = await run({ conf: { ...conf, ...long }, uds });
    const { server, port } = running;
    await server.until(/^proxy \/.*sock$/m);
    const files = ['one', 'two'].map((name) => join(dir, name));
    const seen = watch(dir);
    const computing: Promise<Answer>[] = [];
    // one after the other: the thread that computes takes no other
    for (const file of files) {
      computing.push(ask({ port }, `/busy${file}`));
      while (!existsSync(file)) await once(seen, 'change');
    }
    const clients = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const client = connect(uds);
        await once(client, 'connect');
        client.write('GET /late HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
        return client;
      }),
    );
    server.child.kill('SIGTERM');
    // the threads are asked to stop listening when the socket's file is gone
    while (existsSync(uds)) await once(seen, 'change');
    seen.close();
    for (const file of files) rmSync(file);
    const late = clients.map(async (client) => {
      let got = '';
      for await (const piece of client) got += String(piece);
      return got;
    });
    for (const got of await Promise.all(late)) expect(got).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\/late from \d/s);
    await Promise.all(computing);
    expect(await server.ended).toEqual({ code: 0, signal: null });
  });

  // how a thread ends is the same for both
  const ways: [how: string, path: string, line: RegExp][] = [
    ['throws', '/throw', /thread (\d) \(process \d+\) ended: exit status 1, Error: boom at .*threads-program/],
    [
      'exits',
      '/exit',
      /thread (\d) \(process \d+\) ended: exit status 3; its connections are lost, it is started again/,
    ],
    ['is killed', '/kill', /thread (\d) \(process \d+\) ended: SIGKILL; its connections are lost, it is started again/],
  ];
  test.concurrent.each(workStealing ? ways : ways.slice(2))(
    'one that %s in the middle of requests is replaced, and the requests of the other go on',
    async (_how, path, line) => {
      const running = await run({ conf });
      const { server, origin, port } = running;
      const held = await holdOnBoth(running);
      await expect(ask({ port }, path)).rejects.toThrow();
      const [, crashed] = await server.until(line);
      const kept = crashed === '1' ? '2' : '1';
      const lost = await Promise.allSettled(held.get(crashed!)!.map(({ answer }) => answer));
      expect(lost.map(({ status }) => status)).toEqual(lost.map(() => 'rejected'));
      const others = held.get(kept)!;
      origin.letGo(others.map((one) => one.path));
      expect(await Promise.all(others.map(async ({ answer }) => (await answer).body))).toEqual(
        others.map((one) => `${one.path} from ${kept}`),
      );
      expect(await untilAll(2, async () => (await ask({ port })).thread)).toEqual([1, 2]);
      expect(server.stderr.match(/ended: /g)).toHaveLength(1);
      expect(server.stderr).not.toMatch(/^\s+at /m);
      await end(running);
    },
  );

  test.runIf(workStealing)(
    'one that throws serves nothing more, even while the process that was started is busy',
    async () => {
      const running = await run({ conf });
      const { server, port } = running;
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      await ask({ port }, '/', agent);
      server.child.kill('SIGSTOP');
      try {
        await expect(ask({ port }, '/throw', agent)).rejects.toThrow();
      } finally {
        server.child.kill('SIGCONT');
      }
      await server.until(/ended: exit status 1, Error: boom at /);
      await end(running);
    },
  );

  test.concurrent('answer a client that sends no more after its request, if they are told to', async () => {
    const running = await run({ conf, halfClose: 60_000 });
    const client = connect({ port: running.port, host: '127.0.0.1', allowHalfOpen: true });
    client.end('GET /hold-half HTTP/1.1\r\nHost: a\r\n\r\n');
    const answer = (async () => {
      let got = '';
      for await (const piece of client) got += String(piece);
      return got;
    })();
    await running.origin.holds('/hold-half');
    running.origin.letGo(['/hold-half']);
    expect(await answer).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\/hold-half from \d/s);
    await end(running);
  });

  test.concurrent('a graceful stop answers what is under way, closes what is kept, and leaves no process', async () => {
    const running = await run({ conf: { ...conf, ...long } }, { detached: true });
    const { server, origin, port } = running;
    const agents: Agent[] = [];
    await untilAll(2, async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      agents.push(agent);
      return (await ask({ port }, '/', agent)).thread;
    });
    const held = [...(await holdOnBoth(running)).values()].flat();
    // to the whole group, as a service manager may: what threads do is for the first process to say
    process.kill(-server.child.pid!, 'SIGTERM');
    await server.until(/service exited/);
    for (const agent of agents) expect((await ask({ port }, '/', agent)).connection).toBe('close');
    await expect(ask({ port })).rejects.toThrow('ECONNREFUSED');
    origin.letGo(held.map(({ path }) => path));
    expect(await Promise.all(held.map(async ({ answer }) => (await answer).body))).toHaveLength(held.length);
    for (const agent of agents) agent.destroy();
    // nobody has anything left to do
    expect(await server.ended).toEqual({ code: 0, signal: null });
    expect(pids(server).filter(alive)).toEqual([]);
  });

  test.concurrent('and has an end for those who would go on', async () => {
    const running = await run({ conf: { ...conf, ...short } });
    const held = [...(await holdOnBoth(running)).values()].flat();
    await end(running, 'SIGTERM');
    for (const { answer } of held) await expect(answer).rejects.toThrow();
  });
});

describe.concurrent('a server with threads', () => {
  const conf = { threads: 2 };

  test('ends at a Ctrl-C, which reaches all its processes, and says so once', async () => {
    const running = await run({ conf }, { detached: true });
    const { server } = running;
    await holdOnBoth(running);
    process.kill(-server.child.pid!, 'SIGINT');
    expect(await server.ended).toEqual({ code: 0, signal: null });
    expect(server.stderr.match(/SIGINT received/g)).toHaveLength(1);
    expect(server.stderr).not.toMatch(/ended: /);
    expect(pids(server).filter(alive)).toEqual([]);
  });

  test('that is killed takes its threads with it', async () => {
    const running = await run({ conf });
    await holdOnBoth(running);
    running.server.child.kill('SIGKILL');
    // the threads have its standard output too: it is closed when the last of them ends
    expect(await running.server.ended).toEqual({ code: null, signal: 'SIGKILL' });
    // the system has them in its table until init has taken note
    await expect.poll(() => pids(running.server).filter(alive)).toEqual([]);
  });

  test('starts a thread that fails again and again later and later, and ends all the same', async () => {
    const origin = await startOrigin();
    const server = new Program(entry, [JSON.stringify({ conf, broken: true, origin: origin.port })]);
    await server.until(/thread 1 .* it is started again in 0\.2 s/);
    expect(server.stderr).toMatch(/thread 1 .* it is started again in 0\.1 s/);
    server.child.kill('SIGINT');
    expect((await server.ended).code).toBe(0);
  });

  test('gives each service as many as it wants; one of one thread runs once, where the server was started', async () => {
    const running = await run({ conf: { threads: 3 }, beside: [1, 2], background: true });
    const { server, port } = running;
    const [, one] = await server.until(/^beside0 127\.0\.0\.1:(\d+)$/m);
    const [, two] = await server.until(/^beside1 127\.0\.0\.1:(\d+)$/m);
    expect(await untilAll(3, async () => (await ask({ port })).thread)).toEqual([1, 2, 3]);
    expect(await untilAll(2, async () => (await ask({ port: Number(two) })).thread)).toEqual([1, 2]);
    const owner = await ask({ port: Number(one) });
    expect([owner.thread, owner.pid]).toEqual([0, server.child.pid]);
    expect(server.stdout.match(/^beside\d .*$/gm)).toHaveLength(2);
    // the memory of each process is its own: so is what a background service finds out
    for (const thread of [0, 1, 2, 3]) await server.until(new RegExp(`^background in ${thread}$`, 'm'));
    await end(running);
  });

  test('runs no background service where nothing else is served', async () => {
    const running = await run({ conf, background: true });
    for (const thread of [1, 2]) await running.server.until(new RegExp(`^background in ${thread}$`, 'm'));
    await end(running);
    expect(running.server.stdout).not.toContain('background in 0');
  });

  test('resumes a TLS session with whichever thread the client meets', async () => {
    const running = await run({ conf, tls });
    const [, secure] = await running.server.until(/^proxy tls 127\.0\.0\.1:(\d+)$/m);
    const talk = async (session?: Buffer) => {
      const socket: TLSSocket = connectTls({ port: Number(secure), rejectUnauthorized: false, session });
      let ticket: Buffer | undefined;
      socket.once('session', (given: Buffer) => {
        ticket = given;
      });
      await once(socket, 'secureConnect');
      const reused = socket.isSessionReused();
      socket.write('GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n');
      let answer = '';
      for await (const chunk of socket) answer += chunk;
      return { thread: /x-thread: (\d)/i.exec(answer)![1]!, reused, ticket };
    };
    const first = await talk();
    for (let other = first.thread; other === first.thread; ) {
      const next = await talk(first.ticket);
      expect(next.reused).toBe(true);
      other = next.thread;
    }
    await end(running);
  });
});

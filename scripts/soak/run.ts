/** The load of `npm run soak`, and what is made of it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request as httpRequest } from 'node:http';
import { type ClientHttp2Session, connect as connectH2 } from 'node:http2';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Chance } from '../../test/support/random.ts';
import { bodyOf, startOrigins } from './origins.ts';
import type { Held } from './server.ts';

export interface Plan {
  minutes: number;
  seed: number;
  clients: number;
}

interface Ports {
  plain: number;
  tls: number;
}

/** How a request ended: `broken` means that the connection or the stream did. */
interface Ended {
  status: number | 'broken';
  body: Buffer;
}

const KINDS = ['get', 'get', 'get', 'post', 'post', 'early', 'stall', 'half', 'reset', 'leave', 'tunnel'] as const;
type Kind = (typeof KINDS)[number];

/** Whether that is how such a request may end. */
function isRight(kind: Kind, size: number, { status, body }: Ended): boolean {
  switch (kind) {
    case 'get':
      return status === 200 && body.equals(bodyOf(size));
    case 'post':
      return status === 200 && body.toString() === String(size);
    case 'early':
      return status === 413;
    case 'stall':
    case 'reset':
      return status === 502;
    // its head is passed on, and then it breaks
    case 'half':
      return status === 'broken' || status === 502;
    case 'tunnel':
      return status === 101 && body.length === size;
    case 'leave':
      return true;
  }
}

function overH1(
  port: number,
  agent: Agent,
  path: string,
  headers: Record<string, string>,
  body?: Buffer,
  leave = false,
) {
  return new Promise<Ended>((resolve) => {
    const method = body === undefined ? 'GET' : 'POST';
    const request = httpRequest({ port, host: '127.0.0.1', agent, path, method, headers }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('error', () => {});
      response.on('close', () => {
        resolve({ status: response.complete ? response.statusCode! : 'broken', body: Buffer.concat(pieces) });
      });
    });
    request.on('error', () => resolve({ status: 'broken', body: Buffer.alloc(0) }));
    if (leave) setTimeout(() => request.destroy(), 3);
    request.end(body);
  });
}

function overH2(
  session: ClientHttp2Session,
  path: string,
  headers: Record<string, string>,
  body?: Buffer,
  leave = false,
) {
  return new Promise<Ended>((resolve) => {
    const stream = session.request({ ':path': path, ':method': body === undefined ? 'GET' : 'POST', ...headers });
    let status: number | undefined;
    const pieces: Buffer[] = [];
    stream.on('response', (head) => {
      status = head[':status'];
    });
    stream.on('data', (piece: Buffer) => pieces.push(piece));
    stream.on('error', () => {});
    stream.on('close', () => {
      const whole = status !== undefined && stream.rstCode === 0;
      resolve({ status: whole ? status! : 'broken', body: Buffer.concat(pieces) });
    });
    if (leave) setTimeout(() => stream.close(8), 3);
    stream.end(body);
  });
}

/** Through a tunnel and back. */
function tunnel(port: number, size: number): Promise<Ended> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    let got = Buffer.alloc(0);
    const end = (status: Ended['status'], body: Buffer) => {
      socket.destroy();
      resolve({ status, body });
    };
    socket.on('error', () => end('broken', got));
    socket.on('close', () => end('broken', got));
    socket.write('GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    let open = false;
    socket.on('data', (piece: Buffer) => {
      got = Buffer.concat([got, piece]);
      const head = got.indexOf('\r\n\r\n');
      if (!open && head >= 0) {
        open = true;
        socket.write(bodyOf(size));
      }
      if (open && got.length - head - 4 >= size) end(101, got.subarray(head + 4));
    });
  });
}

class Soak {
  readonly problems: string[] = [];
  readonly counts = new Map<string, number>();
  private readonly ports: Ports;
  private readonly chance: Chance;
  over = false;

  constructor(ports: Ports, seed: number) {
    this.ports = ports;
    this.chance = new Chance(seed);
  }

  async client(): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    let session = this.session();
    while (!this.over) {
      if (session.closed || session.destroyed) session = this.session();
      await this.one(agent, session);
    }
    agent.destroy();
    session.destroy();
  }

  private session(): ClientHttp2Session {
    const session = connectH2(`https://127.0.0.1:${this.ports.tls}`, { rejectUnauthorized: false });
    session.on('error', () => {});
    return session;
  }

  private async one(agent: Agent, session: ClientHttp2Session): Promise<void> {
    const { chance } = this;
    const kind = chance.pick(KINDS);
    const size = chance.pick([1, 1000, 20_000, 300_000]);
    const client = chance.pick(['h1', 'h2'] as const);
    const origin = kind === 'half' || kind === 'reset' ? 'h1' : chance.pick(['h1', 'h2'] as const);
    const headers: Record<string, string> = origin === 'h2' ? { 'x-origin': 'h2' } : {};
    const body = kind === 'post' || kind === 'early' ? bodyOf(size) : undefined;
    const path = `/${kind === 'leave' ? 'stall' : kind}/${size}`;
    let ended: Ended;
    if (kind === 'tunnel') ended = await tunnel(this.ports.plain, size);
    else if (client === 'h1') ended = await overH1(this.ports.plain, agent, path, headers, body, kind === 'leave');
    else ended = await overH2(session, path, headers, body, kind === 'leave');
    const name = kind === 'tunnel' ? 'tunnel' : `${kind} ${client}→${origin}`;
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    if (!isRight(kind, size, ended))
      this.problems.push(`${name} of ${size}: ${ended.status}, ${ended.body.length} bytes`);
  }
}

async function held(child: ChildProcess): Promise<Held> {
  child.send('held');
  return ((await once(child, 'message')) as [Held])[0];
}

const megabytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MB`;
const show = (minute: number, { heap, rss, descriptors, timers, tasks }: Held, requests: number) =>
  `minute ${minute}: ${requests} requests, heap ${megabytes(heap)}, rss ${megabytes(rss)}, ` +
  `${descriptors} descriptors, ${timers} timers, ${tasks} tasks`;

/** Wait for `ms`. */
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Run it; returns what was wrong. */
export async function soak({ minutes, seed, clients }: Plan): Promise<string[]> {
  const origins = await startOrigins();
  const entry = fileURLToPath(new URL('./server.ts', import.meta.url));
  const child = spawn(process.execPath, ['--expose-gc', '--import', 'tsx', entry, origins.h1, origins.h2], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const [ports] = (await once(child, 'message')) as [Ports];
  const run = new Soak(ports, seed);
  const died = once(child, 'exit').then(([code, signal]) => {
    if (!run.over) run.problems.push(`the proxy ended: ${signal ?? code}`);
    run.over = true;
  });
  const working = Array.from({ length: clients }, () => run.client());
  // the least that was seen, once everything is loaded
  let base: Held | undefined;
  const total = () => [...run.counts.values()].reduce((sum, count) => sum + count, 0);
  for (let minute = 1; minute <= Math.ceil(minutes) && !run.over; minute++) {
    await Promise.race([pause(Math.min(1, minutes) * 60_000), died]);
    if (run.over) break;
    const now = await held(child);
    console.log(show(minute, now, total()));
    base ??= now;
  }
  run.over = true;
  await Promise.all(working);
  // what waits for limits in time has had it then
  await pause(4000);
  if (child.exitCode === null && child.signalCode === null) {
    const rest = await held(child);
    console.log(show(Number.NaN, rest, total()).replace('minute NaN', 'at rest'));
    if (base !== undefined && rest.heap > base.heap * 1.5 + 8 * 1024 * 1024)
      run.problems.push(`the heap grew to ${megabytes(rest.heap)}`);
    if (rest.tasks > 4) run.problems.push(`${rest.tasks} tasks are left`);
    if (rest.descriptors > 40) run.problems.push(`${rest.descriptors} descriptors are left`);
  }
  for (const [name, count] of [...run.counts].sort()) console.log(`${String(count).padStart(8)}  ${name}`);
  child.disconnect();
  await died;
  origins.stop();
  return run.problems;
}

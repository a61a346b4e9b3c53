/** The clients of the matrix: libraries, and programs where they are installed. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type ClientHttp2Session, connect } from 'node:http2';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials, Client as GrpcClient, status as grpcStatus, Metadata } from '@grpc/grpc-js';
import { type Browser, chromium, type Page } from 'playwright-core';
import { Agent, type Dispatcher } from 'undici';

/** What a client is to ask. */
export interface Ask {
  readonly port: number;
  readonly path: string;
  /** A body makes it a POST. */
  readonly body?: Buffer;
  /** Send the trailer `x-sent: there` after the body. */
  readonly trailers?: boolean;
  /** Ask for 100 before the body is sent. */
  readonly expect?: boolean;
  /** Give up when it is aborted. */
  readonly signal?: AbortSignal;
}

/** What came of it. What a client doesn't show is undefined. */
export interface Answer {
  /** The end came, and not by an error. */
  readonly complete: boolean;
  readonly status?: number | undefined;
  readonly digest?: string | undefined;
  readonly size?: number | undefined;
  /** Statuses of 1xx that came before. */
  readonly interims?: number[] | undefined;
  /** The trailer `x-end`. */
  readonly end?: string | undefined;
  /** The field `x-got`. */
  readonly got?: string | undefined;
}

/** `large`: 100 MiB, which two clients do, for it takes its time. */
export type Ability =
  | 'large'
  | 'sends trailers'
  | 'shows trailers'
  | 'shows 103'
  | 'expects 100'
  | 'survives GOAWAY'
  | 'notices resets';

export interface Client {
  readonly name: string;
  readonly isHere: boolean;
  /** What it can't do, or doesn't show. */
  readonly lacks: readonly Ability[];
  ask(ask: Ask): Promise<Answer>;
  close?(): Promise<void>;
}

const found = (program: string) => spawnSync(program, ['--version']).error === undefined;
const textOf = (value: unknown) => (value === undefined ? undefined : String(value));

class Sum {
  private readonly hash = createHash('sha256');
  size = 0;

  add(piece: Buffer): void {
    this.size += piece.length;
    this.hash.update(piece);
  }

  result(): { digest: string; size: number } {
    return { digest: this.hash.digest('hex'), size: this.size };
  }
}

function nodeHttp2(): Client {
  const sessions = new Map<number, ClientHttp2Session>();
  const sessionTo = (port: number) => {
    let session = sessions.get(port);
    if (session === undefined || session.closed || session.destroyed) {
      session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
      session.on('error', () => {});
      session.on('goaway', () => sessions.delete(port));
      sessions.set(port, session);
    }
    return session;
  };
  return {
    name: 'node:http2',
    isHere: true,
    lacks: [],
    ask: ({ port, path, body, trailers, expect, signal }) =>
      new Promise((resolve) => {
        const headers = {
          ':path': path,
          ':method': body === undefined ? 'GET' : 'POST',
          te: 'trailers',
          ...(trailers && { trailer: 'x-sent' }),
          ...(expect && { expect: '100-continue' }),
        };
        const stream = sessionTo(port).request(headers, { endStream: body === undefined, waitForTrailers: trailers });
        const sum = new Sum();
        const answer: { -readonly [K in keyof Answer]: Answer[K] } = { complete: false, interims: [] };
        signal?.addEventListener('abort', () => stream.close(8));
        stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sent': 'there' }));
        stream.on('headers', (head) => answer.interims!.push(head[':status']!));
        stream.on('response', (head) => {
          answer.status = head[':status'];
          answer.got = textOf(head['x-got']);
        });
        stream.on('trailers', (head) => {
          answer.end = textOf(head['x-end']);
        });
        stream.on('data', (piece: Buffer) => sum.add(piece));
        stream.on('error', () => {});
        let ended = false;
        stream.on('end', () => {
          ended = true;
        });
        stream.on('close', () => resolve({ ...answer, ...sum.result(), complete: ended && stream.rstCode === 0 }));
        if (body === undefined) return;
        if (expect) stream.on('continue', () => stream.end(body));
        else stream.end(body);
      }),
    async close() {
      for (const session of sessions.values()) session.destroy();
    },
  };
}

function undici(): Client {
  const agent = new Agent({ allowH2: true, connect: { rejectUnauthorized: false } });
  return {
    name: 'undici',
    isHere: true,
    // version 6 sends no trailers over HTTP/2, tells of neither trailers nor 103, closes the connection at a GOAWAY with
    // whatever is under way, and takes a reset in the middle of a body for its end
    lacks: [
      'large',
      'sends trailers',
      'shows trailers',
      'shows 103',
      'expects 100',
      'survives GOAWAY',
      'notices resets',
    ],
    async ask({ port, path, body, signal }) {
      const sum = new Sum();
      let response: Dispatcher.ResponseData | undefined;
      try {
        response = await agent.request({
          origin: `https://127.0.0.1:${port}`,
          path,
          method: body === undefined ? 'GET' : 'POST',
          body: body ?? null,
          ...(signal !== undefined && { signal }),
        });
        for await (const piece of response.body) sum.add(piece as Buffer);
        return { complete: true, status: response.statusCode, ...sum.result() };
      } catch {
        return { complete: false, status: response?.statusCode, ...sum.result() };
      }
    },
    close: () => agent.destroy(),
  };
}

/** A call of gRPC, with one message each way; an empty body is none. */
export function grpc(): Client {
  const clients = new Map<number, GrpcClient>();
  const clientTo = (port: number) => {
    let client = clients.get(port);
    if (client === undefined) {
      const insecure = credentials.createSsl(null, null, null, {
        rejectUnauthorized: false,
        checkServerIdentity: () => undefined,
      });
      client = new GrpcClient(`127.0.0.1:${port}`, insecure, {
        'grpc.max_receive_message_length': -1,
        'grpc.max_send_message_length': -1,
        'grpc.ssl_target_name_override': 'localhost',
      });
      clients.set(port, client);
    }
    return client;
  };
  const same = (message: Buffer) => message;
  return {
    name: '@grpc/grpc-js',
    isHere: true,
    // its trailers are the call's status, which it checks itself
    lacks: ['large', 'sends trailers', 'shows trailers', 'shows 103', 'expects 100'],
    ask: ({ port, path, body, signal }) =>
      new Promise((resolve) => {
        const sum = new Sum();
        const call = clientTo(port).makeServerStreamRequest(path, same, same, body ?? Buffer.alloc(0), new Metadata());
        signal?.addEventListener('abort', () => call.cancel());
        call.on('data', (message: Buffer) => sum.add(message));
        call.on('error', () => {});
        call.on('status', ({ code }) => {
          resolve({
            complete: code === grpcStatus.OK,
            ...(code === grpcStatus.OK && { status: 200 }),
            ...sum.result(),
          });
        });
      }),
    async close() {
      for (const client of clients.values()) client.close();
    },
  };
}

interface Ran {
  readonly code: number | null;
  readonly out: Buffer;
}

function run(program: string, args: readonly string[], signal: AbortSignal | undefined): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    const pieces: Buffer[] = [];
    signal?.addEventListener('abort', () => child.kill('SIGKILL'));
    child.stdout!.on('data', (piece: Buffer) => pieces.push(piece));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out: Buffer.concat(pieces) }));
  });
}

/** Puts bodies into files, and ends with them gone. */
class Files {
  private readonly folder = mkdtempSync(join(tmpdir(), 'matrix-'));
  private count = 0;

  path(): string {
    return join(this.folder, String(this.count++));
  }

  with(body: Buffer): string {
    const path = this.path();
    writeFileSync(path, body);
    return path;
  }

  async close(): Promise<void> {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function curl(): Client {
  const files = new Files();
  return {
    name: 'curl',
    isHere: found('curl'),
    lacks: ['sends trailers', 'shows trailers'],
    async ask({ port, path, body, expect, signal }) {
      const [head, out] = [files.path(), files.path()];
      const args = ['-s', '-k', '--http2', '-N', '-D', head, '-o', out, '-H', 'TE: trailers'];
      args.push('-H', expect ? 'Expect: 100-continue' : 'Expect:');
      if (body !== undefined) args.push('--data-binary', `@${files.with(body)}`);
      const { code } = await run('curl', [...args, `https://127.0.0.1:${port}${path}`], signal);
      const heads = existsSync(head) ? readFileSync(head, 'latin1') : '';
      const statuses = [...heads.matchAll(/^HTTP\/2 (\d+)/gm)].map(([, status]) => Number(status));
      const sum = new Sum();
      if (existsSync(out)) sum.add(readFileSync(out));
      return {
        complete: code === 0,
        status: statuses.at(-1),
        interims: statuses.slice(0, -1),
        got: /^x-got: (.*?)\r?$/m.exec(heads)?.[1],
        ...sum.result(),
      };
    },
    close: () => files.close(),
  };
}

function nghttp(): Client {
  const files = new Files();
  return {
    name: 'nghttp',
    isHere: found('nghttp'),
    lacks: ['large'],
    async ask({ port, path, body, trailers, expect, signal }) {
      const url = `https://127.0.0.1:${port}${path}`;
      const args = ['--no-dep', '--timeout=30', '-H', 'te: trailers'];
      if (body !== undefined) args.push('-d', files.with(body));
      if (trailers) args.push('--trailer', 'x-sent: there', '-H', 'trailer: x-sent');
      if (expect) args.push('--expect-continue');
      // -v prints frames, and without it the body: both are asked for, one after the other, where bodies matter
      const { out } = await run('nghttp', ['-v', '-n', ...args, url], signal);
      const said = out.toString('latin1');
      const statuses = [...said.matchAll(/recv \(stream_id=1\) :status: (\d+)/g)].map(([, status]) => Number(status));
      const frames = [...said.matchAll(/recv DATA frame <length=(\d+)/g)].reduce(
        (sum, [, length]) => sum + Number(length),
        0,
      );
      const answer = {
        complete: [...said.matchAll(/recv (?:DATA|HEADERS) frame <length=\d+, flags=0x(..), stream_id=1>/g)].some(
          ([, flags]) => (Number.parseInt(flags!, 16) & 1) !== 0,
        ),
        status: statuses.at(-1),
        interims: statuses.slice(0, -1),
        end: /recv \(stream_id=1\) x-end: (\S*)/.exec(said)?.[1],
        got: /recv \(stream_id=1\) x-got: (\S*)/.exec(said)?.[1],
        size: frames,
      };
      if (!path.startsWith('/echo') && !path.startsWith('/down')) return answer;
      const sum = new Sum();
      sum.add((await run('nghttp', [...args, url], signal)).out);
      return { ...answer, ...sum.result() };
    },
    close: () => files.close(),
  };
}

function h2load(): Client {
  const files = new Files();
  return {
    name: 'h2load',
    isHere: found('h2load'),
    lacks: ['large', 'sends trailers', 'shows trailers', 'shows 103', 'expects 100'],
    async ask({ port, path, body, signal }) {
      const args = ['-n', '1', '-c', '1', '-H', 'te: trailers'];
      // it can't send an empty body: that is a GET
      if (body !== undefined && body.length > 0) args.push('-d', files.with(body));
      const { out } = await run('h2load', [...args, `https://127.0.0.1:${port}${path}`], signal);
      const said = out.toString();
      const complete = / 1 succeeded, 0 failed/.test(said);
      return {
        complete,
        // what it counts by status is the first head, be it 103; what it calls a success is the last one
        status: / 1 5xx/.test(said) ? 502 : complete ? 200 : undefined,
        size: Number(/, \S+ \((\d+)\) data/.exec(said)?.[1]),
      };
    },
    close: () => files.close(),
  };
}

const { executablePath: CHROMIUM } = createRequire(import.meta.url)('../../.puppeteerrc.cjs') as {
  executablePath?: string;
};

function browser(): Client {
  let started: Promise<Browser> | undefined;
  const pages = new Map<number, Promise<Page>>();
  const open = async (port: number): Promise<Page> => {
    started ??= chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox'] });
    const page = await (await started).newPage({ ignoreHTTPSErrors: true });
    await page.goto(`https://127.0.0.1:${port}/page`);
    return page;
  };
  return {
    name: 'Chromium',
    isHere: CHROMIUM !== undefined,
    lacks: ['large', 'sends trailers', 'shows trailers', 'shows 103', 'expects 100'],
    async ask({ port, path, body, signal }) {
      if (!pages.has(port)) pages.set(port, open(port));
      const page = await pages.get(port)!;
      const id = path;
      signal?.addEventListener('abort', () => {
        page.evaluate((name) => (globalThis as any)[name].abort(), id).catch(() => {});
      });
      const { complete, status, base64 } = await page.evaluate(
        async ([name, address, sent]) => {
          const controller = new AbortController();
          (globalThis as any)[name!] = controller;
          let status: number | undefined;
          try {
            const bytes = sent === undefined ? undefined : Uint8Array.from(atob(sent), (char) => char.charCodeAt(0));
            const response = await fetch(address!, {
              method: bytes === undefined ? 'GET' : 'POST',
              ...(bytes !== undefined && { body: bytes }),
              signal: controller.signal,
            });
            status = response.status;
            const got = new Uint8Array(await response.arrayBuffer());
            let binary = '';
            for (const byte of got) binary += String.fromCharCode(byte);
            return { complete: true, status, base64: btoa(binary) };
          } catch {
            return { complete: false, status, base64: '' };
          }
        },
        [id, path, body?.toString('base64')],
      );
      const sum = new Sum();
      sum.add(Buffer.from(base64, 'base64'));
      return { complete, status, ...sum.result() };
    },
    async close() {
      await (await started)?.close();
    },
  };
}

/** All of them. */
export const clients = (): Client[] => [nodeHttp2(), undici(), grpc(), curl(), nghttp(), h2load(), browser()];

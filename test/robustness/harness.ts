/** Starts the server that is mistreated, counts what it holds, and speaks to it in either version of HTTP. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect as h2Connect } from 'node:http2';
import { connect as netConnect } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { expect, onTestFinished } from 'vitest';
import { running } from '../support/built.ts';
import { Peer } from '../support/streams.ts';
import type { Held, Ports } from './server.ts';

export interface Answer {
  /** Undefined: the connection or the stream ended without one. */
  status: number | undefined;
  body: string;
  /** Whether the answer came to its end. */
  whole: boolean;
}

/** How a request is sent to the server: over plain HTTP/1, HTTP/1 over TLS, or HTTP/2. */
export interface Way {
  name: keyof Ports;
  send(path: string, options?: { body?: string; headers?: Record<string, string> }): Promise<Answer>;
}

export class Victim {
  readonly child: ChildProcess;
  ports!: Ports;
  /** What it holds when nothing happens. */
  rest!: Held;

  private constructor(traced: boolean) {
    this.child = spawn(process.execPath, ['--expose-gc', ...running('test/robustness/server.ts')], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, NODE_OPTIONS: '', ...(traced ? { TRACED: '1' } : {}) },
    });
  }

  /** `traced`: it traces every request. */
  static async start(traced = false): Promise<Victim> {
    const victim = new Victim(traced);
    [victim.ports] = (await once(victim.child, 'message')) as [Ports];
    // the first connection of each kind loads what the next ones share
    for (const way of victim.ways()) await way.send('/1');
    victim.rest = await victim.held();
    for (;;) {
      const next = await victim.held();
      if (JSON.stringify(next.resources) === JSON.stringify(victim.rest.resources) && next.tasks === victim.rest.tasks)
        break;
      victim.rest = next;
    }
    await victim.settled((held) => (held.resources.TCPSocketWrap ?? 0) === 0 && held.tasks <= 4);
    victim.rest = await victim.held();
    return victim;
  }

  async held(): Promise<Held> {
    this.child.send('held');
    return ((await once(this.child, 'message')) as [Held])[0];
  }

  private async settled(done: (held: Held) => boolean): Promise<Held> {
    for (;;) {
      const held = await this.held();
      if (done(held)) return held;
    }
  }

  /** It serves a client of each kind, and comes back to what it held before. A leak is a test that takes too long. */
  async isWell(): Promise<void> {
    expect(this.child.exitCode).toBeNull();
    for (const way of this.ways()) expect(await way.send('/1')).toMatchObject({ status: 502, whole: true });
    const { rest } = this;
    const kinds = (held: Held) =>
      ['TCPSocketWrap', 'TLSWrap', 'Timeout', 'PipeWrap'].map((kind) => held.resources[kind] ?? 0);
    let last: Held | undefined;
    const leaked = () => `at rest ${JSON.stringify(rest)}, now ${JSON.stringify(last)}`;
    const limit = AbortSignal.timeout(15_000);
    for (;;) {
      last = await this.held();
      const more = kinds(last).some((count, i) => count > kinds(rest)[i]!);
      if (!more && last.descriptors <= rest.descriptors && last.tasks <= rest.tasks) return;
      if (limit.aborted) throw new Error(`something is left: ${leaked()}`);
    }
  }

  async stop(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.disconnect();
    await exited;
  }

  ways(): Way[] {
    return [this.http1('plain'), this.http1('tls'), this.http2()];
  }

  private http1(name: 'plain' | 'tls'): Way {
    return {
      name,
      send: async (path, { body, headers } = {}) => {
        const port = this.ports[name];
        const socket =
          name === 'plain'
            ? netConnect({ port, host: '127.0.0.1' })
            : tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false });
        const answer: Answer = { status: undefined, body: '', whole: false };
        await new Promise<void>((resolve) => {
          const request = httpRequest({
            createConnection: () => socket,
            host: 'test',
            path,
            method: body === undefined ? 'GET' : 'POST',
            headers: headers ?? {},
          });
          request.on('response', (response) => {
            answer.status = response.statusCode;
            response.setEncoding('latin1');
            response.on('data', (piece: string) => {
              answer.body += piece;
            });
            response.on('end', () => {
              answer.whole = response.complete;
            });
            response.on('error', () => {});
            response.on('close', resolve);
          });
          request.on('error', () => resolve());
          request.end(body);
        });
        socket.destroy();
        return answer;
      },
    };
  }

  private http2(): Way {
    return {
      name: 'h2',
      send: async (path, { body, headers } = {}) => {
        const client = h2Connect(`https://127.0.0.1:${this.ports.h2}`, { rejectUnauthorized: false });
        client.on('error', () => {});
        const answer: Answer = { status: undefined, body: '', whole: false };
        await new Promise<void>((resolve) => {
          const stream = client.request({ ':path': path, ':method': body === undefined ? 'GET' : 'POST', ...headers });
          stream.setEncoding('latin1');
          stream.on('response', (got) => {
            answer.status = got[':status'];
          });
          stream.on('data', (piece: string) => {
            answer.body += piece;
          });
          stream.on('end', () => {
            answer.whole = answer.status !== undefined && stream.rstCode === 0;
          });
          stream.on('error', () => {
            answer.whole = false;
          });
          stream.on('close', () => {
            if (stream.rstCode !== 0) answer.whole = false;
            resolve();
          });
          stream.end(body);
        });
        client.destroy();
        return answer;
      },
    };
  }

  /** A plain TCP connection to one of the ports. */
  async raw(name: keyof Ports): Promise<Peer> {
    const socket = netConnect({ port: this.ports[name], host: '127.0.0.1', allowHalfOpen: true });
    const peer = new Peer(socket);
    await once(socket, 'connect');
    onTestFinished(() => {
      socket.destroy();
    });
    return peer;
  }

  /** A connection on which HTTP can be spoken, raw: TLS is made, if the port has it. `alpn` for h2. */
  async spoken(name: keyof Ports, alpn = name === 'h2' ? 'h2' : 'http/1.1'): Promise<Peer> {
    if (name === 'plain') return this.raw(name);
    const below = netConnect({ port: this.ports[name], host: '127.0.0.1' });
    const socket = tlsConnect({ socket: below, rejectUnauthorized: false, ALPNProtocols: [alpn] });
    const peer = new Peer(socket, below);
    await once(socket, 'secureConnect');
    onTestFinished(() => {
      socket.destroy();
    });
    return peer;
  }
}

/** The clients of the scenarios: real ones, which end a scenario if the answer isn't what it must be. */
import { existsSync, watch, writeFileSync } from 'node:fs';
import { Agent, type IncomingHttpHeaders, type RequestOptions, request } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { request as requestTls, Agent as TlsAgent } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { callGrpc, talkWebSocket } from './protocols.ts';

/** Where the scenario's server listens. */
export interface Addresses {
  tcp?: number;
  tls?: number;
  uds?: string;
  /** The service beside the proxy: the echo application, or Prometheus. */
  beside?: number;
}

export interface Answer {
  status: number;
  /** One character a byte. */
  body: string;
  headers?: IncomingHttpHeaders;
  trailers?: NodeJS.Dict<string>;
}

interface Ask {
  method?: string;
  body?: string;
  headers?: Record<string, string>;
}

/** A scenario's clients. Connections stay open until `close`, so that the server's last request isn't cut short. */
export class Client {
  readonly #at: Addresses;
  readonly #ca: string | undefined;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #tls: TlsAgent;
  readonly #closing: (() => Promise<void>)[] = [];
  readonly #dir: string;

  /** `ca`: the certificate to trust. `dir`: the scenario's folder. */
  constructor(at: Addresses, ca?: string, dir = '') {
    this.#at = at;
    this.#ca = ca;
    this.#dir = dir;
    this.#tls = new TlsAgent({
      keepAlive: true,
      maxSockets: 1,
      ca,
      servername: 'localhost',
      ALPNProtocols: ['http/1.1'],
    });
  }

  /** HTTP/1.1 over TCP, one connection for all. */
  http(path: string, ask: Ask = {}): Promise<Answer> {
    return send(request, { host: '127.0.0.1', port: this.#at.tcp, agent: this.#agent, path }, ask);
  }

  /** HTTP/1.1 over TCP, on a connection of its own. */
  alone(path: string): Promise<Answer> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    this.#closing.push(async () => agent.destroy());
    return send(request, { host: '127.0.0.1', port: this.#at.tcp, agent, path }, {});
  }

  /** Wait until the application has made this file: a hook that computes can't say anything over the network. */
  appears(file: string): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (existsSync(join(this.#dir, file))) resolve();
      };
      const watcher = watch(this.#dir, look);
      this.#closing.push(async () => watcher.close());
      look();
    });
  }

  /** Make a file for the application to find. */
  put(file: string): void {
    writeFileSync(join(this.#dir, file), '');
  }

  /** HTTP/1.1 to the service beside the proxy. */
  beside(path: string, ask: Ask = {}): Promise<Answer> {
    return send(request, { host: '127.0.0.1', port: this.#at.beside, agent: this.#agent, path }, ask);
  }

  /** HTTP/1.1 over the Unix socket. */
  uds(path: string): Promise<Answer> {
    return send(request, { socketPath: this.#at.uds, host: 'localhost', agent: this.#agent, path }, {});
  }

  /** HTTP/1.1 over TLS. */
  https(path: string): Promise<Answer> {
    return send(requestTls, { host: '127.0.0.1', port: this.#at.tls, agent: this.#tls, path }, {});
  }

  /** HTTP/2 over TLS, on one connection: all requests are sent before any is answered. */
  async http2(...asks: (string | { path: string; method: string })[]): Promise<Answer[]> {
    return this.#overHttp2((session) => Promise.all(asks.map((ask) => stream(session, ask))));
  }

  /** A call of gRPC over HTTP/2: its messages one after the other, each once the one before was answered. */
  grpc(path: string, messages: readonly string[]): Promise<{ answers: string[]; status: unknown }> {
    return this.#overHttp2((session) => callGrpc(session, path, messages));
  }

  async #overHttp2<T>(ask: (session: ClientHttp2Session) => Promise<T>): Promise<T> {
    const session = connectHttp2(`https://127.0.0.1:${this.#at.tls}`, { ca: this.#ca, servername: 'localhost' });
    this.#closing.push(() => new Promise((resolve) => (session.closed ? resolve() : session.close(resolve))));
    const failed = new Promise<never>((_, reject) => session.once('error', reject));
    const connected = new Promise<void>((resolve) => session.once('connect', () => resolve()));
    await Promise.race([connected, failed]);
    return Promise.race([ask(session), failed]);
  }

  /** Open a WebSocket, have `text` sent back, and close it. Resolves with what came back. */
  websocket(path: string, text: string): Promise<string> {
    const headers = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    };
    return new Promise((resolve, reject) => {
      const req = request({ host: '127.0.0.1', port: this.#at.tcp, agent: false, path, headers });
      req.on('error', reject);
      req.on('response', ({ statusCode }) => reject(new Error(`the answer has status ${statusCode}, not 101`)));
      req.on('upgrade', (_response, socket: Duplex, head: Buffer) => {
        talkWebSocket(socket, head, text).then(resolve, reject);
      });
      req.end();
    });
  }

  /** Ask, and close the connection as soon as the answer begins. */
  abort(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.#at.tcp!, '127.0.0.1', () => {
        socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      });
      socket.once('data', () => socket.destroy());
      socket.on('close', () => resolve());
      socket.on('error', reject);
    });
  }

  /**
   * Bytes as they are, and `then` once something came; resolves with all that came until the server closed the
   * connection.
   */
  raw(bytes: string, then?: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.#at.tcp!, '127.0.0.1', () => socket.write(bytes, 'latin1'));
      let got = '';
      socket.setEncoding('latin1');
      socket.on('data', (chunk) => {
        if (got === '' && then !== undefined) socket.write(then, 'latin1');
        got += chunk;
      });
      socket.on('end', () => socket.end());
      socket.on('close', () => resolve(got));
      socket.on('error', reject);
    });
  }

  /** Close all connections. */
  async close(): Promise<void> {
    this.#agent.destroy();
    this.#tls.destroy();
    await Promise.all(this.#closing.splice(0).map((close) => close()));
  }
}

function send(
  by: typeof request,
  options: RequestOptions,
  { method = 'GET', body, headers = {} }: Ask,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const req = by({ ...options, method, headers }, (response) => {
      let got = '';
      response.setEncoding('latin1');
      response.on('data', (chunk) => {
        got += chunk;
      });
      response.on('end', () => {
        resolve({ status: response.statusCode!, body: got, headers: response.headers, trailers: response.trailers });
      });
      response.on('error', reject);
    });
    req.on('error', reject);
    req.end(body);
  });
}

function stream(session: ClientHttp2Session, ask: string | { path: string; method: string }): Promise<Answer> {
  const { path, method } = typeof ask === 'string' ? { path: ask, method: 'GET' } : ask;
  return new Promise((resolve, reject) => {
    const req = session.request({ ':path': path, ':method': method }, { endStream: true });
    let status = 0;
    let body = '';
    req.setEncoding('latin1');
    req.on('response', (head) => {
      status = Number(head[':status']);
    });
    req.on('data', (chunk) => {
      body += chunk;
    });
    req.on('end', () => resolve({ status, body }));
    req.on('error', reject);
    req.end();
  });
}

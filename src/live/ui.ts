/**
 * Serves the trace explorer with the traces of a server that runs, each as it ends: the port's own.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize, sep } from 'node:path';
import type { Sample } from './sampler.ts';

/** So many traces are kept; the oldest goes first. */
const KEPT = 200;

const TYPES: Record<string, string> = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8' };

/** The explorer's page, a list of traces, and a stream of those that come. */
export class TraceUi {
  private readonly server: Server;
  private readonly pages: string;
  private readonly samples = new Map<number, Sample>();
  private readonly listeners = new Set<ServerResponse>();

  private constructor(pages: string) {
    this.pages = pages;
    this.server = createServer((request, response) => {
      const { pathname } = new URL(request.url ?? '/', 'http://localhost');
      if (request.method !== 'GET') response.writeHead(405).end();
      else if (pathname === '/traces') this.json(response, [...this.samples.values()].map(entry));
      else if (pathname === '/events') this.subscribe(response);
      else if (pathname.startsWith('/traces/')) this.trace(response, Number(pathname.slice('/traces/'.length)));
      else this.page(response, pathname);
    });
  }

  /** Serve the explorer in folder `pages` on `host:port`. Throws what `listen` throws. */
  static async start(host: string, port: number, pages: string): Promise<TraceUi> {
    const ui = new TraceUi(pages);
    await new Promise<void>((done, failed) => {
      ui.server.once('error', failed);
      ui.server.listen(port, host === '' ? '::' : host, () => done());
    });
    return ui;
  }

  /** Where to open it. */
  get url(): string {
    const { address, family, port } = this.server.address() as AddressInfo;
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/?live`;
  }

  /** Show one more trace. */
  add(sample: Sample): void {
    this.samples.set(sample.id, sample);
    if (this.samples.size > KEPT) this.samples.delete(this.samples.keys().next().value!);
    const event = `data: ${JSON.stringify(entry(sample))}\n\n`;
    for (const listener of this.listeners) listener.write(event);
  }

  close(): void {
    for (const listener of this.listeners) listener.end();
    this.server.close();
    this.server.closeAllConnections();
  }

  private json(response: ServerResponse, value: unknown): void {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  }

  private trace(response: ServerResponse, id: number): void {
    const sample = this.samples.get(id);
    if (sample === undefined) response.writeHead(404).end();
    else this.json(response, sample.trace);
  }

  private subscribe(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(': traces come here\n\n');
    this.listeners.add(response);
    response.once('close', () => this.listeners.delete(response));
  }

  private page(response: ServerResponse, path: string): void {
    let name: string;
    try {
      name = normalize(decodeURIComponent(path === '/' ? '/explorer.html' : path));
    } catch {
      response.writeHead(400).end();
      return;
    }
    const file = join(this.pages, name);
    const type = TYPES[extname(file)];
    if (!file.startsWith(this.pages + sep) || type === undefined || !existsSync(file)) response.writeHead(404).end();
    else response.writeHead(200, { 'content-type': type }).end(readFileSync(file));
  }
}

function entry({ id, name, trace }: Sample): { id: string; name: string; spans: number } {
  return { id: String(id), name, spans: trace.spans.length };
}

/**
 * Serves the trace explorer with the traces of a server that runs, each as it ends: the port's own.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize, sep } from 'node:path';
import { spawn } from '../runtime/lib.ts';
import { lose } from '../utils/losses.ts';
import { breath, piecesOf } from './pieces.ts';
import type { Sample, SampledRequest } from './sampler.ts';
import { pageServer, refuse } from './web.ts';

/** So many traces are kept, … */
const KEPT = 200;
/** … of so many bytes together; the oldest goes first. */
const KEPT_BYTES = 64 * 1024 * 1024;
/** So many traces wait to be made into text; then the newest is lost. */
const WAITING = KEPT;
/** So many bytes of news wait for a page that doesn't read; then it is let go, and may come again. */
const UNREAD = 256 * 1024;
/** So often a page that waits for news is told that nothing is lost, in milliseconds: who is gone is noticed so. */
const BEAT_MS = 15_000;

const TYPES = new Map([
  ['.html', 'text/html; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
]);

interface Entry extends Partial<SampledRequest> {
  readonly id: string;
  readonly name: string;
  readonly spans: number;
}

interface Kept {
  readonly entry: Entry;
  readonly json: Buffer;
}

/** The explorer's page, a list of traces, and a stream of those that come. */
export class TraceUi {
  private readonly server: Server;
  private readonly pages: string;
  private readonly kept = new Map<string, Kept>();
  private bytes = 0;
  private readonly waiting: Sample[] = [];
  private busy = false;
  private readonly listeners = new Set<ServerResponse>();
  private readonly beat: NodeJS.Timeout;

  private constructor(pages: string, host: string) {
    this.pages = pages;
    this.server = pageServer(host, (path, _request, response) => {
      if (path === '/traces') json(response, JSON.stringify([...this.kept.values()].map(({ entry }) => entry)));
      else if (path === '/events') this.subscribe(response);
      else if (path.startsWith('/traces/')) this.trace(response, path.slice('/traces/'.length));
      else this.page(response, path);
    });
    this.beat = setInterval(() => this.tell(': still here\n\n'), BEAT_MS);
    this.beat.unref();
  }

  /** Serve the explorer in folder `pages` on `host:port`. Throws what `listen` throws. */
  static async start(host: string, port: number, pages: string): Promise<TraceUi> {
    const ui = new TraceUi(pages, host);
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
    if (this.waiting.length >= WAITING) {
      lose('trace');
      return;
    }
    this.waiting.push(sample);
    if (this.busy) return;
    this.busy = true;
    spawn('show traces', () => this.take());
  }

  private async take(): Promise<void> {
    for (let sample = this.waiting.shift(); sample !== undefined; sample = this.waiting.shift())
      await this.show(sample);
    this.busy = false;
  }

  /** Show a trace; it is there once this is done. */
  async show({ id, name, request, trace }: Sample): Promise<void> {
    const pieces: Buffer[] = [];
    for (const piece of piecesOf(trace)) {
      pieces.push(Buffer.from(piece));
      if (pieces.length % 4 === 0) await breath();
    }
    const entry = { id: String(id), name, spans: trace.spans.length, ...request };
    this.keep({ entry, json: Buffer.concat(pieces) });
  }

  private keep(one: Kept): void {
    this.kept.set(one.entry.id, one);
    this.bytes += one.json.length;
    for (const [id, { json }] of this.kept) {
      if (this.kept.size <= KEPT && this.bytes <= KEPT_BYTES) break;
      this.kept.delete(id);
      this.bytes -= json.length;
    }
    this.tell(`data: ${JSON.stringify(one.entry)}\n\n`);
  }

  private tell(event: string): void {
    for (const listener of this.listeners) {
      if (listener.writableLength > UNREAD) listener.destroy();
      else listener.write(event);
    }
  }

  /** Stop serving. */
  close(): void {
    clearInterval(this.beat);
    for (const listener of this.listeners) listener.end();
    this.server.close();
    this.server.closeAllConnections();
  }

  private trace(response: ServerResponse, id: string): void {
    const kept = this.kept.get(id);
    if (kept === undefined) refuse(response, 404, 'no such trace, or not any more');
    else json(response, kept.json);
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
      refuse(response, 400, 'not a path');
      return;
    }
    const file = join(this.pages, name);
    const type = TYPES.get(extname(file));
    if (!file.startsWith(this.pages + sep) || type === undefined || !existsSync(file))
      refuse(response, 404, 'no such page');
    else response.writeHead(200, { 'content-type': type }).end(readFileSync(file));
  }
}

function json(response: ServerResponse, text: string | Buffer): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(text);
}

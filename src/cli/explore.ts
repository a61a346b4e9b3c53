/** `pingora-traced explore SOURCE…`: the explorer with traces that are there, or that a running server has. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { TraceUi } from '../live/ui.ts';
import { checkAddress, tryBind } from '../main/addresses.ts';
import { explorer } from '../main/explorer.ts';
import { say } from '../main/say.ts';
import type { TraceDocument } from '../tracing/model.ts';

interface Found {
  readonly name: string;
  readonly trace: TraceDocument;
}

function parse(text: string, from: string): TraceDocument {
  let parsed: Partial<TraceDocument>;
  try {
    parsed = JSON.parse(text) as Partial<TraceDocument>;
  } catch (error) {
    // the message may quote lines of it
    throw new Error(`${from}: no trace: ${(error as Error).message.replace(/\s+/g, ' ')}`, { cause: error });
  }
  if (!Array.isArray(parsed?.spans) || !Array.isArray(parsed.tasks)) {
    throw new Error(`${from}: no trace; traces are what --trace-dir holds, and what trace --format json prints`);
  }
  return parsed as TraceDocument;
}

function fromFiles(path: string): Found[] {
  let isFolder: boolean;
  try {
    isFolder = statSync(path).isDirectory();
  } catch {
    throw new Error(`${path}: there is no such file or folder`);
  }
  const files = isFolder
    ? readdirSync(path)
        .filter((name) => name.endsWith('.json'))
        .sort()
        .map((name) => join(path, name))
    : [path];
  if (files.length === 0) throw new Error(`${path}: there are no .json files in it`);
  return files.map((file) => ({ name: basename(file, '.json'), trace: parse(readFileSync(file, 'utf8'), file) }));
}

async function get(url: URL): Promise<string> {
  try {
    const response = await fetch(url);
    if (response.ok) return await response.text();
    throw new Error(`answers ${response.status}`);
  } catch (error) {
    const cause = (error as Error).cause;
    const reason = cause instanceof Error ? cause.message : (error as Error).message;
    throw new Error(`${url.href}: ${reason}; is it a server that runs with --trace-ui?`, { cause: error });
  }
}

/** The traces that a server keeps now. */
async function fromServer(address: string): Promise<Found[]> {
  if (!URL.canParse(address)) throw new Error(`${address}: not an address; write http://host:port`);
  const list = new URL('/traces', address);
  const found: Found[] = [];
  for (const { id, name } of JSON.parse(await get(list)) as { id: string; name: string }[]) {
    const url = new URL(`/traces/${id}`, address);
    found.push({ name, trace: parse(await get(url), url.href) });
  }
  return found;
}

/** Serve them until the process ends. Throws, in one line, what is wrong with one of them. */
export async function explore(sources: readonly string[], listen: string): Promise<void> {
  const { host, port } = checkAddress('--listen', listen);
  const traces: Found[] = [];
  for (const source of sources) {
    traces.push(...(/^https?:/.test(source) ? await fromServer(source) : fromFiles(source)));
  }
  await tryBind([{ flag: '--listen', address: listen }]);
  const ui = await TraceUi.start(host, port, await explorer());
  for (const [i, { name, trace }] of traces.entries()) await ui.show({ id: i + 1, name, trace });
  say(`${traces.length} ${traces.length === 1 ? 'trace' : 'traces'} on ${ui.url}; Ctrl-C ends it`);
}

/** The traces that can be opened: those of the page, files, and those of a running server. */
import type { Embedded } from '../embedded.ts';
import type { LiveEntry } from '../live.ts';
import type { LiveRequest } from '../requests.ts';
import { checkTrace, parseTrace, type TraceDocument } from '../trace.ts';
import { fetchLive } from './live-server.ts';

export interface Entry {
  /** As addresses name it: `tls-h2`, `live:7`, `file:mine.json`. */
  key: string;
  name: string;
  kind: 'embedded' | 'live' | 'file' | 'record';
  about: string | null;
  spans: number | null;
  micros: number | null;
  /** Of a live request, if the server says it. */
  request: LiveRequest | null;
  load(): Promise<TraceDocument>;
}

/** Scripts, because a page that was opened as a file may not fetch its neighbours. */
interface Neighbours {
  explorerTraces?: Map<string, unknown>;
  explorerSources?: Record<string, string>;
  explorerWords?: Words;
  explorerRust?: Record<string, string>;
}

/** What the page was built with. */
export interface Config {
  /** Pingora's sources are beside the page. */
  hasRust: boolean;
  /** Where its files can be fetched from, up to the path. */
  rustBase: string;
}

/** What is said of functions, by `name#file in Pingora`. */
export interface Words {
  /** What a function does, in one sentence. */
  sentences: Record<string, string>;
  /** The number of the chapter that explains it. */
  chapters: Record<string, string>;
  /** The chapters by their numbers, and where each is from this page. */
  book: Record<string, { title: string; href: string }>;
}
const neighbours = globalThis as Neighbours;

function loadScript(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = path;
    script.onload = () => resolve();
    script.onerror = () => reject(new Error(`${path} isn't beside this page`));
    document.head.append(script);
  });
}

/** So many traces of a running server are listed; the oldest goes first. */
const LIVE_KEPT = 200;

export class Store {
  readonly entries = new Map<string, Entry>();

  constructor(index: readonly Embedded[]) {
    for (const { name, about, spans, micros, script, record } of index) {
      this.entries.set(name, {
        key: name,
        name: record ? 'what Pingora 0.1.0 was recorded to call' : name,
        kind: record ? 'record' : 'embedded',
        about,
        spans,
        micros,
        request: null,
        async load() {
          if (!neighbours.explorerTraces?.has(name)) await loadScript(script);
          return checkTrace(neighbours.explorerTraces?.get(name));
        },
      });
    }
  }

  addFile(name: string, text: string): Entry {
    const trace = parseTrace(text);
    const { spans } = trace;
    const entry: Entry = {
      key: `file:${name}`,
      name,
      kind: 'file',
      about: trace.scenario,
      spans: spans.length,
      micros: null,
      request: null,
      load: () => Promise.resolve(trace),
    };
    this.entries.set(entry.key, entry);
    return entry;
  }

  addLive(live: LiveEntry): Entry {
    let loading: Promise<TraceDocument> | null = null;
    const entry: Entry = {
      key: `live:${live.id}`,
      name: live.name,
      kind: 'live',
      about: null,
      spans: live.spans,
      micros: null,
      request: live.request,
      load: () => {
        loading ??= fetchLive(live).catch((error: unknown) => {
          loading = null;
          throw error;
        });
        return loading;
      },
    };
    this.entries.set(entry.key, entry);
    const listed = [...this.entries.values()].filter(({ kind }) => kind === 'live');
    for (const { key } of listed.slice(0, -LIVE_KEPT)) this.entries.delete(key);
    return entry;
  }
}

/** The port's files, by path. */
export async function loadSources(): Promise<Record<string, string>> {
  if (neighbours.explorerSources === undefined) await loadScript('assets/sources.js');
  return neighbours.explorerSources ?? {};
}

export async function loadWords(): Promise<Words> {
  if (neighbours.explorerWords === undefined) await loadScript('assets/words.js');
  return neighbours.explorerWords ?? { sentences: {}, chapters: {}, book: {} };
}

/** Pingora's files, by path, of a page that was built with them. */
export async function loadRust(): Promise<Record<string, string>> {
  if (neighbours.explorerRust === undefined) await loadScript('assets/rust.js');
  return neighbours.explorerRust ?? {};
}

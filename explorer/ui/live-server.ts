/** The connection to a server whose traces are shown as they come; what it serves is in `../live.ts`. */
import { type LiveEntry, readEntry } from '../live.ts';
import { checkTrace, type TraceDocument } from '../trace.ts';

/** Calls `found` for each trace as it comes, once an id; `state` hears whether the server is there. */
export async function watchLive(
  found: (entry: LiveEntry) => void,
  state: (connected: boolean, problem?: string) => void,
): Promise<void> {
  const known = new Set<string>();
  const take = (value: unknown) => {
    const entry = readEntry(value);
    if (entry === null || known.has(entry.id)) return;
    known.add(entry.id);
    found(entry);
  };
  const events = new EventSource('/events');
  const onEvent = ({ data }: MessageEvent<string>) => {
    try {
      take(JSON.parse(data));
    } catch (error) {
      state(true, `the server sent a trace that can't be read: ${(error as Error).message}`);
    }
  };
  events.addEventListener('message', onEvent);
  events.addEventListener('trace', onEvent);
  events.addEventListener('open', () => state(true));
  events.addEventListener('error', () => state(false));
  const answer = await fetch('/traces');
  if (!answer.ok) throw new Error(`GET /traces answered ${answer.status}`);
  const list: unknown = await answer.json();
  if (!Array.isArray(list)) throw new Error('GET /traces answered something else than a list');
  for (const value of list) take(value);
}

export async function fetchLive({ id, trace }: LiveEntry): Promise<TraceDocument> {
  if (trace !== null) return trace;
  const answer = await fetch(`/traces/${encodeURIComponent(id)}`);
  if (!answer.ok) throw new Error(`GET /traces/${id} answered ${answer.status}`);
  return checkTrace(await answer.json());
}

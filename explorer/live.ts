/**
 * Traces of a server that runs now. The page is opened as `/?live` from that server, which serves
 *
 * - `GET /traces`: a JSON list of `{ "id": "7", "name": "GET / 200", "spans": 131, "time": 1790000000000, "ms": 3.2,
 *   "method": "GET", "path": "/", "status": 200 }`, oldest first;
 * - `GET /traces/ID`: the trace with this id, format version 2 or 1;
 * - `GET /events`: server-sent events, each with such an entry as its data, unnamed or named `trace`.
 *
 * Everything but `id` may be missing. An entry may also be a whole trace with an `id` of its own.
 */
import { type LiveRequest, readRequest } from './requests.ts';
import { checkTrace, type TraceDocument } from './trace.ts';

export interface LiveEntry {
  id: string;
  name: string;
  spans: number | null;
  /** Null: it isn't said. */
  request: LiveRequest | null;
  /** The trace, if the entry brought it along. */
  trace: TraceDocument | null;
}

/** Reads an entry of the list or the data of an event; null for what is neither. */
export function readEntry(value: unknown): LiveEntry | null {
  if (typeof value === 'string' || typeof value === 'number') {
    return { id: String(value), name: `trace ${value}`, spans: null, request: null, trace: null };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const { id, name, scenario, spans, version } = value as Record<string, unknown>;
  if (typeof id !== 'string' && typeof id !== 'number') return null;
  const title = [name, scenario].find((text) => typeof text === 'string' && text !== '') ?? `trace ${id}`;
  const counted = Array.isArray(spans) ? spans.length : typeof spans === 'number' ? spans : null;
  const trace = (version === 1 || version === 2) && Array.isArray(spans) ? checkTrace(value) : null;
  const request = readRequest(value as Record<string, unknown>);
  return { id: String(id), name: String(title), spans: counted, request, trace };
}

/** What is known of a live request, and which of them a reader wants to see. */

/** A request as a running server tells of it. */
export interface LiveRequest {
  /** When it came, in milliseconds since 1970. */
  time: number;
  method: string;
  path: string;
  /** Null: the client got no answer. */
  status: number | null;
  /** How long it took, in milliseconds. */
  ms: number;
}

/** The fields as they were typed; empty ones let everything pass. */
export interface Wanted {
  status: string;
  path: string;
  /** In milliseconds. */
  slower: string;
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

/** Reads the fields of an entry; null if it tells of no request. */
export function readRequest({ time, method, path, status, ms }: Record<string, unknown>): LiveRequest | null {
  if (!isNumber(time) || !isNumber(ms)) return null;
  return {
    time,
    ms,
    method: typeof method === 'string' ? method : '–',
    path: typeof path === 'string' ? path : '–',
    status: isNumber(status) ? status : null,
  };
}

/** `5xx`, `404`, `4`, `40x`; several with commas. What has no answer has the status `none`. */
function isStatus(status: number | null, wanted: string): boolean {
  const text = status === null ? 'none' : String(status);
  const some = wanted
    .split(/[\s,]+/)
    .map((one) => one.toLowerCase().replace(/x+$/, ''))
    .filter((one) => one !== '');
  return some.length === 0 || some.some((one) => text.startsWith(one));
}

/** Whether `request` is one of those that are wanted. What isn't known of it isn't what was asked for. */
export function isWanted(request: LiveRequest | null, { status, path, slower }: Wanted): boolean {
  if (`${status}${path}${slower}`.trim() === '') return true;
  if (request === null) return false;
  const least = Number(slower.trim() === '' ? 0 : slower);
  return (
    isStatus(request.status, status) &&
    request.path.toLowerCase().includes(path.trim().toLowerCase()) &&
    (Number.isNaN(least) || request.ms > least || least === 0)
  );
}

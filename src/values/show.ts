/**
 * Values as a reader wants to see them: heads as lines, bodies as sizes, connections by number. What a value is, is
 * taken from what it has, so that nothing of the port is loaded for it.
 */
import { type EventLog, SECRETS } from '../tracing/events.ts';
import type { Change, Facts, Failure } from '../tracing/model.ts';
import type { Observed } from '../tracing/observer.ts';

/** So many characters of one value are kept. */
const LONGEST = 300;

const LEFT_OUT = '(left out)';

const clip = (text: string) => (text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 1)}…`);

/** A head of a request or a response, of either version. */
interface HeadLike {
  readonly version: string;
  readonly headers: { readonly names: readonly string[]; readonly values: readonly string[] };
}

interface RequestLike extends HeadLike {
  readonly method: string;
  rawPath(): string;
}

interface ResponseLike extends HeadLike {
  readonly status: number;
  readonly reason: string;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

export const isRequest = (value: unknown): value is RequestLike =>
  isObject(value) && typeof value.method === 'string' && 'headers' in value && typeof value.rawPath === 'function';

export const isResponse = (value: unknown): value is ResponseLike =>
  isObject(value) && typeof value.status === 'number' && 'headers' in value && 'reason' in value;

/** `GET /hello HTTP/1.1` */
export const requestLine = (head: RequestLike) => clip(`${head.method} ${head.rawPath()} ${head.version}`);

/** `HTTP/1.1 200 OK` */
export const statusLine = (head: ResponseLike) => clip(`${head.version} ${head.status} ${head.reason}`.trimEnd());

/** The fields of a head, each `name: value`. */
export function fields({ headers: { names, values } }: HeadLike, secrets: boolean): string[] {
  return names.map((name, i) => {
    const hidden = !secrets && SECRETS.includes(name.toLowerCase());
    return clip(`${name}: ${hidden ? LEFT_OUT : values[i]}`);
  });
}

/** `67 bytes` */
export function size(bytes: unknown): string | null {
  const length = bytes instanceof Uint8Array || typeof bytes === 'string' ? bytes.length : undefined;
  return length === undefined ? null : `${length} ${length === 1 ? 'byte' : 'bytes'}`;
}

/** Milliseconds for people; null for what isn't limited. */
export const milliseconds = (ms: unknown): string | null =>
  typeof ms === 'number' ? (ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`) : null;

/** What the original calls a keepalive of this many seconds. */
export function keepalive(status: unknown): string {
  if (status === undefined || status === 'Off') return 'off';
  if (status === 'Infinite' || status === 0) return 'without limit';
  return `${status} s`;
}

/** `connection 3 (127.0.0.1:9000)` */
export function connection(stream: unknown, log: EventLog | null): string | null {
  if (!isObject(stream) || !('peerAddress' in stream)) return null;
  const peer = stream.peerAddress as { ip: string; port: number } | undefined;
  const address = peer === undefined ? 'a Unix socket' : `${peer.ip}:${peer.port}`;
  return log === null ? address : `connection ${log.connection(stream as unknown as Observed)} (${address})`;
}

/** A piece of a response on its way, as `Header: HTTP/1.1 200 OK` or `Body: 67 bytes, the last`. */
export function task(value: unknown): string | null {
  if (!isObject(value) || typeof value.type !== 'string') return null;
  const end = value.end === true ? ', the last' : '';
  if (isResponse(value.header)) return `Header: ${statusLine(value.header)}${end}`;
  if (value.type === 'Body') return `Body: ${size(value.data) ?? 'nothing'}${end}`;
  if (isObject(value.error)) return clip(`Failed: ${value.error}`);
  return value.type;
}

interface PingoraErrorLike {
  etype(): { name: string; code: number | undefined };
  esource(): Failure['source'];
  retryType: Failure['retry'];
  context: string | undefined;
  cause: unknown;
}

const isPingoraError = (value: unknown): value is PingoraErrorLike & Error =>
  value instanceof Error && 'etype' in value && 'esource' in value && 'retryType' in value;

/** An error and its causes. */
export function failure(thrown: unknown, outermost = true): Failure {
  if (!isPingoraError(thrown)) {
    if (!(thrown instanceof Error)) return { type: typeof thrown, message: clip(String(thrown)) };
    const { code } = thrown as NodeJS.ErrnoException;
    return { type: code ?? thrown.name, message: clip(thrown.message) };
  }
  const { name, code } = thrown.etype();
  return {
    type: code === undefined ? name : `${name}(${code})`,
    source: thrown.esource()!,
    ...(thrown.context !== undefined && { context: clip(thrown.context) }),
    retry: thrown.retryType!,
    ...(thrown.cause !== undefined && { cause: failure(thrown.cause, false) }),
    ...(outermost && { log: clip(String(thrown)) }),
  };
}

/** What a head is like, for {@link changes}. */
export function stateOfHead(head: unknown, secrets: boolean): string[] | undefined {
  if (isRequest(head)) return [`request line: ${requestLine(head)}`, ...fields(head, secrets)];
  if (isResponse(head)) return [`status line: ${statusLine(head)}`, ...fields(head, secrets)];
  return undefined;
}

/** What is different between two states of a head. Names are compared without case, as HTTP does. */
export function changes(before: readonly string[], after: readonly string[]): Change[] {
  const gone = [...before];
  const come: string[] = [];
  for (const line of after) {
    const at = gone.indexOf(line);
    if (at < 0) come.push(line);
    else gone.splice(at, 1);
  }
  const changed: Change[] = [];
  const parts = (line: string): [name: string, value: string] => {
    const at = line.indexOf(': ');
    return [line.slice(0, at), line.slice(at + 2)];
  };
  for (const line of gone) {
    const [what, from] = parts(line);
    const at = come.findIndex((other) => parts(other)[0].toLowerCase() === what.toLowerCase());
    const to = at < 0 ? null : parts(come.splice(at, 1)[0]!)[1];
    changed.push({ what, from, to });
  }
  for (const line of come) {
    const [what, to] = parts(line);
    changed.push({ what, from: null, to });
  }
  return changed;
}

/** Leave out what isn't known. */
export function facts(all: Record<string, Facts[string] | undefined>): Facts {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Facts;
}

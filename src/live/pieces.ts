/** A trace as text, made piece by piece: a long one in one go would keep every other request waiting. */
import type { TraceDocument } from '../tracing/model.ts';

/** So many members of a list are written at a time. */
const MEMBERS = 200;

/** The JSON of `trace`, in pieces of some ten kilobytes. */
export function* piecesOf(trace: TraceDocument): Generator<string, void, void> {
  let before = '{';
  for (const [name, value] of Object.entries(trace)) {
    if (value === undefined) continue;
    const key = `${before}${JSON.stringify(name)}:`;
    before = ',';
    if (!Array.isArray(value) || value.length <= MEMBERS) {
      yield key + JSON.stringify(value);
      continue;
    }
    for (let at = 0; at < value.length; at += MEMBERS) {
      const members = JSON.stringify(value.slice(at, at + MEMBERS)).slice(1, -1);
      yield `${at === 0 ? `${key}[` : ','}${members}`;
    }
    yield ']';
  }
  yield '}\n';
}

/** Let others run in between. */
export function breath(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

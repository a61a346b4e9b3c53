/** Fields between HTTP/2's form and the port's: what the `http` crate's header map is to both in the original. */
import { type Head, Names } from '../../h2/mod.ts';
import { HMap, lowerName } from '../../http/lib.ts';

/**
 * Names as they are written in HTTP/1 when HTTP/2, which has lower case only, gave no other form. As many as the
 * original knows (`titled_header_name_str` of `pingora-http/src/case_header_name.rs`).
 */
const TITLED = new Map(
  'Age Cache-Control Connection Content-Type Content-Encoding Content-Length Date Transfer-Encoding Host Server'
    .split(' ')
    .map((name) => [name.toLowerCase(), name]),
);

/** How names of all connections are handed out: known once, so that a head that comes looks none of them up. */
export const NAMES = new Names((name) => TITLED.get(name) ?? name);

const NO_LINES: readonly number[] = new Array<number>(64).fill(-1);

/** The fields of a head, which belong to the result from then on. */
export function fieldsOf(head: Head): HMap {
  const { names, values } = head;
  const { length } = names;
  return new HMap(names, values, length <= 64 ? NO_LINES.slice(0, length) : new Array<number>(length).fill(-1));
}

/** Whether a field belongs to a connection of HTTP/1 and must not be in HTTP/2 (RFC 9113 8.2.2). */
export function isConnectionSpecific(name: string): boolean {
  // Most names differ in length from all of them: nothing is made lower case then.
  switch (name.length) {
    case 7:
    case 10:
    case 14:
    case 16:
    case 17:
      break;
    default:
      return false;
  }
  switch (lowerName(name)) {
    case 'connection':
    case 'transfer-encoding':
    case 'upgrade':
    case 'keep-alive':
    case 'proxy-connection':
    case 'http2-settings':
      return true;
    default:
      return false;
  }
}

/** Whether `name` is `te`, in any case. */
function isTe(name: string): boolean {
  return name.length === 2 && lowerName(name) === 'te';
}

/** Take out of `headers` what must not be in HTTP/2. `te` says whether TE is taken out too. */
export function removeConnectionSpecific(headers: HMap, te: (value: string) => boolean): void {
  for (let i = headers.length - 1; i >= 0; i--) {
    const name = headers.names[i];
    if (name === undefined) continue;
    if (isConnectionSpecific(name) || (isTe(name) && te(headers.values[i]!))) headers.remove(name);
  }
}

/** Fields between HTTP/2's form and the port's: what the `http` crate's header map is to both in the original. */
import type { OutgoingHttpHeaders } from 'node:http2';
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

/** A head without its pseudo-header fields. */
export function fieldsOf(raw: readonly string[]): HMap {
  const headers = new HMap();
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    if (name.charCodeAt(0) === 58 /* : */) continue;
    // RFC 9113 8.2.3: crumbs of a cookie are one field again before anything that isn't HTTP/2 sees them
    if (name === 'cookie') {
      const before = headers.get(name);
      headers.insertUnchecked(name, before === undefined ? raw[i + 1]! : `${before}; ${raw[i + 1]!}`);
    } else headers.appendUnchecked(TITLED.get(name) ?? name, raw[i + 1]!);
  }
  return headers;
}

/** Whether a field belongs to a connection of HTTP/1 and must not be in HTTP/2 (RFC 9113 8.2.2). */
export function isConnectionSpecific(key: string): boolean {
  switch (key) {
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

/** Fields that `node:http2` refuses to send twice. */
const SINGLE = new Set(
  (
    'access-control-allow-credentials access-control-max-age access-control-request-method age authorization ' +
    'content-encoding content-language content-length content-location content-md5 content-range content-type date ' +
    'dnt etag expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified ' +
    'location max-forwards proxy-authorization range referer retry-after tk upgrade-insecure-requests user-agent ' +
    'x-content-type-options'
  ).split(' '),
);

/** The fields as `node:http2` wants them, names in lower case (RFC 9113 8.2). */
export function appendFields(out: OutgoingHttpHeaders, headers: HMap): OutgoingHttpHeaders {
  const { names, values } = headers;
  for (let i = 0; i < names.length; i++) {
    const key = lowerName(names[i]!);
    const value = values[i]!;
    const before = out[key];
    if (before === undefined) out[key] = value;
    else if (Array.isArray(before)) before.push(value);
    else if (!SINGLE.has(key)) out[key] = [before as string, value];
  }
  return out;
}

/** The static table of HPACK (RFC 7541 appendix A). */

/** Name and value of each entry, the first at index 1. */
export const STATIC_TABLE: readonly (readonly [name: string, value: string])[] = `
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`
  .slice(1)
  .split('\n')
  .map((line) => {
    const space = line.indexOf(' ');
    return space < 0 ? ([line, ''] as const) : ([line.slice(0, space), line.slice(space + 1)] as const);
  });

/** The dynamic table's first index. */
export const FIRST_DYNAMIC = STATIC_TABLE.length + 1;

/** What an entry takes of the table beside its name and value (RFC 7541 4.1). */
export const ENTRY_OVERHEAD = 32;

/**
 * The `Date` field, made once a second.
 *
 * Port of `pingora-core/src/protocols/http/date.rs`.
 */
let second = -1;
let text = '';

/** The present time as an HTTP date (RFC 9110 5.6.7). */
export function getCachedDate(): string {
  const now = Math.floor(Date.now() / 1000);
  if (now !== second) {
    second = now;
    text = new Date(now * 1000).toUTCString();
  }
  return text;
}

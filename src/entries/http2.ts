/**
 * HTTP/2: the limits that a server keeps its clients to, the reasons for which streams and connections end, and the
 * sessions of clients and origins.
 *
 * @module pingora-traced/http2
 */
export { DEFAULT_LIMITS, type Limits, type Rate, Reason, reasonName, reasonText } from '../h2/mod.ts';
export { H2Connection, type H2Options, HttpSession } from '../protocols/h2/server.ts';

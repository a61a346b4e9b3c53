/**
 * HTTP/2: the limits that a server keeps its clients to, and the reasons for which streams and connections
 * end.
 *
 * @module pingora-traced/http2
 */
export { DEFAULT_LIMITS, type Limits, type Rate, Reason, reasonName, reasonText } from '../h2/mod.ts';
export type { H2Options } from '../protocols/h2/server.ts';

/**
 * HTTP/2: the limits of a server's connections, and its sessions and an origin's.
 *
 * @module pingora-traced/http2
 */
export { Http2Session } from '../protocols/h2/client.ts';
export { H2Connection, type H2Options, HttpSession } from '../protocols/h2/server.ts';

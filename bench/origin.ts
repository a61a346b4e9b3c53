/**
 * The origin: answers each request head with the same bytes. It parses nothing more than it has to, so that the proxy
 * is what is measured.
 */
import { type AddressInfo, createServer } from 'node:net';

/** 64 bytes. */
export const ORIGIN_BODY = `${'pingora '.repeat(7)}-traced.`;

const ANSWER = Buffer.from(
  'HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\n' +
    `Content-Length: ${ORIGIN_BODY.length}\r\nConnection: keep-alive\r\n\r\n${ORIGIN_BODY}`,
);
const HEAD_END = Buffer.from('\r\n\r\n');

/** Start it; resolves with its port. */
export function startOrigin(): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => {
    let left: Buffer | null = null;
    socket.on('data', (chunk) => {
      let data = left === null ? chunk : Buffer.concat([left, chunk]);
      for (let end = data.indexOf(HEAD_END); end >= 0; end = data.indexOf(HEAD_END)) {
        socket.write(ANSWER);
        data = data.subarray(end + HEAD_END.length);
      }
      left = data.length === 0 ? null : data;
    });
    socket.on('error', () => socket.destroy());
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}
